"""The same program in double: what ``compute_precision="float64"`` runs, the noise floor for tolerances."""

from __future__ import annotations

import dataclasses
from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.program import Block, Constant, Operand, Program, Ref, Step, TensorType, Value

_FLOATS = frozenset({"float16", "float32", "fp16", "fp32"})
_TYPE_PARAMETERS = frozenset({"dtype", "output_dtype"})


def in_double(program: Program) -> Program:
    """``program`` with every float type, constant and cast made float64."""
    return dataclasses.replace(program, main=_block(program.main, {}))


def _block(block: Block, outer: dict[str, str]) -> Block:
    strings = dict(outer)
    steps: list[Step] = []
    for step in block.steps:
        value = step.parameters.get("val")
        if step.op == "const" and isinstance(value, Constant) and isinstance(value.value, str):
            strings.update({output.name: value.value for output in step.outputs})
        parameters = {name: _operand(operand) for name, operand in step.parameters.items()}
        for name in _TYPE_PARAMETERS & parameters.keys():
            if _string(step.parameters[name], strings) in _FLOATS:
                parameters[name] = Constant("fp64")
        steps.append(
            dataclasses.replace(
                step,
                operands=tuple(_operand(operand) for operand in step.operands),
                parameters=parameters,
                outputs=tuple(_value(output) for output in step.outputs),
                blocks=tuple(_block(nested, strings) for nested in step.blocks),
            )
        )
    return dataclasses.replace(block, inputs=tuple(_value(value) for value in block.inputs), steps=tuple(steps))


def _string(operand: Operand, strings: dict[str, str]) -> Optional[str]:
    if isinstance(operand, Constant):
        return operand.value if isinstance(operand.value, str) else None
    return strings.get(operand.name) if isinstance(operand, Ref) else None


def _operand(operand: Operand) -> Operand:
    if isinstance(operand, tuple):
        return tuple(_constant(item) if isinstance(item, Constant) else item for item in operand)
    return _constant(operand) if isinstance(operand, Constant) else operand


def _constant(constant: Constant) -> Constant:
    value = constant.value
    if isinstance(value, np.ndarray) and value.dtype.name in _FLOATS:
        return Constant(value.astype(np.float64))
    return constant


def _value(value: Value) -> Value:
    if value.type is None or value.type.dtype not in _FLOATS:
        return value
    return Value(value.name, TensorType("float64", value.type.shape))
