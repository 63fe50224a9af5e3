"""The same program with some of its operations in float16, as a converter writes them that was told which to take.

coremltools casts what such an operation reads to float16 and its results back to float32; casts that undo each other are
taken out later, which changes no value. Imports only NumPy and the runtime's forms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.runtime.program import (
    BRANCHES,
    CONSTANTS,
    LOOPS,
    Block,
    Constant,
    Operand,
    Program,
    Ref,
    Step,
    TensorType,
    Value,
)

_SINGLE, _HALF = "float32", "float16"
#: Larger constants are left as they round; in smaller ones the converter keeps what is no zero from becoming one.
_SMALL = 400
_WIDENED = " widened"
_TINY = np.nextafter(np.float16(0), np.float16(1))


def can_be_half(step: Step) -> bool:
    """Whether a converter may choose float16 for ``step``: it yields float32, and is no constant, cast, loop or branch."""
    if step.op in CONSTANTS | LOOPS | BRANCHES | {"cast"}:
        return False
    return any(value.type is not None and value.type.dtype == _SINGLE for value in step.outputs)


def with_half_operations(program: Program, names: Collection[str]) -> Program:
    """``program``, an ML Program in float32, with the operations in float16 whose first result has one of ``names``.

    What such an operation reads of float32 is rounded to float16 first, constants when the model is loaded; its results
    are rounded to float16 and then float32 again for all who read them.
    """
    main = _Rewriter(frozenset(names)).block(program.main, _Scope())
    read = {reference.name for step in main.operations() for reference in step.references()}
    read |= {name for step in main.operations() for nested in step.blocks for name in nested.outputs}
    return dataclasses.replace(program, main=_without_idle(main, read | set(program.outputs.values())))


def _without_idle(block: Block, read: set[str]) -> Block:
    """``block`` without the casts behind operations in float16 whose readers all take the float16 value itself."""
    steps = (
        dataclasses.replace(step, blocks=tuple(_without_idle(nested, read) for nested in step.blocks))
        for step in block.steps
        if step.op != "cast" or not step.name.endswith(_WIDENED) or step.outputs[0].name in read
    )
    return dataclasses.replace(block, steps=tuple(steps))


@dataclasses.dataclass
class _Scope:
    """What is in sight: types and constants by name, and the name of the float16 form of those that have one."""

    types: dict[str, Optional[TensorType]] = dataclasses.field(default_factory=dict)
    constants: dict[str, Constant] = dataclasses.field(default_factory=dict)
    halves: dict[str, str] = dataclasses.field(default_factory=dict)

    def inner(self) -> _Scope:
        return _Scope(dict(self.types), dict(self.constants), dict(self.halves))


class _Rewriter:
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def block(self, block: Block, outer: _Scope) -> Block:
        scope = outer.inner()
        scope.types.update({value.name: value.type for value in block.inputs})
        steps: list[Step] = []
        for step in block.steps:
            step = dataclasses.replace(step, blocks=tuple(self.block(nested, scope) for nested in step.blocks))
            if step.outputs and step.outputs[0].name in self._names:
                steps += _in_half(step, scope)
            else:
                steps.append(step)
            scope.types.update({value.name: value.type for value in step.outputs})
            held = step.parameters.get("val")
            if step.op in CONSTANTS and isinstance(held, Constant):
                scope.constants[step.outputs[0].name] = held
        return dataclasses.replace(block, steps=tuple(steps))


def _in_half(step: Step, scope: _Scope) -> list[Step]:
    """The casts before an operation, itself, and those behind it."""
    before: list[Step] = []

    def read(operand: Operand) -> Operand:
        if isinstance(operand, tuple):
            return tuple(single(item) for item in operand)
        return single(operand)

    def single(item: Union[Ref, Constant]) -> Union[Ref, Constant]:
        if isinstance(item, Constant):
            return Constant(half(item.value)) if _is_single(item.value) else item
        declared = scope.types.get(item.name)
        if declared is None or declared.dtype != _SINGLE:
            return item
        if item.name not in scope.halves:
            before.append(_narrowed(item.name, declared, step.location, scope.constants.get(item.name)))
            scope.halves[item.name] = before[-1].outputs[0].name
        return Ref(scope.halves[item.name])

    operands = tuple(read(operand) for operand in step.operands)
    parameters = {name: read(operand) for name, operand in step.parameters.items()}
    outputs: list[Value] = []
    behind: list[Step] = []
    for value in step.outputs:
        if value.type is None or value.type.dtype != _SINGLE:
            outputs.append(value)
            continue
        outputs.append(Value(f"{value.name} of float16", dataclasses.replace(value.type, dtype=_HALF)))
        behind.append(_cast(value.name + _WIDENED, outputs[-1].name, "fp32", value, step.location))
        # Whoever reads it in float16 takes it as it is: to widen and to round it again would change nothing.
        scope.halves[value.name] = outputs[-1].name
    halved = dataclasses.replace(step, operands=operands, parameters=parameters, outputs=tuple(outputs))
    return [*before, halved, *behind]


def _narrowed(name: str, declared: TensorType, location: str, constant: Optional[Constant]) -> Step:
    """What makes the float16 form of a value."""
    value = Value(f"{name} rounded", dataclasses.replace(declared, dtype=_HALF))
    if constant is None:
        return _cast(value.name, name, "fp16", value, location)
    return Step("const", value.name, location, parameters={"val": Constant(half(constant.value))}, outputs=(value,))


def _cast(name: str, source: str, dtype: str, value: Value, location: str) -> Step:
    parameters: dict[str, Operand] = {"x": Ref(source), "dtype": Constant(dtype)}
    return Step("cast", name, location, parameters=parameters, outputs=(value,))


def _is_single(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def half(value: NDArray[Any]) -> NDArray[np.float16]:
    """A constant in float16 as coremltools writes it: of fewer than 400 values, none that is not zero becomes zero."""
    with np.errstate(over="ignore", under="ignore"):
        rounded: NDArray[np.float16] = np.asarray(value).astype(np.float16)
    if rounded.size >= _SMALL:
        return rounded
    lost = (rounded == 0) & (value != 0)
    return np.where(lost, np.copysign(_TINY, value).astype(np.float16), rounded) if lost.any() else rounded
