"""Whether a written file has in float32 what it was told to keep there, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from pytest_dscoreml.advice.names import identified
from pytest_dscoreml.conversion.describe import Selectable
from pytest_dscoreml.runtime.program import CONSTANTS, Block, Constant, Program, Ref, Step, Value


def faults(program: Program, single: Program, selectable: Collection[Selectable], kept: Iterable[str]) -> list[str]:
    """What is not as asked for in a file, in words; nothing where it is.

    The kept operations, by the converter's names, must be float32 with the constants that they have in `single`, the same
    model in float32. All else that the converter chose a precision for must be float16, for that is what was simulated.
    """
    types = _types(program)
    found = identified(program, selectable)
    whole = _constants(single, identified(single, selectable))
    written = _constants(program, found)
    wanted = set(kept)
    told, seen = [], set()
    for step in program.operations():
        known = found.get(step.outputs[0].name) if step.outputs else None
        if known is None:
            continue
        seen.add(known.name)
        floats = _floats(step, types)
        expected = "float32" if known.name in wanted else "float16"
        if floats - {expected}:
            told.append(f"{known.name} is {' and '.join(sorted(floats))} in the file, expected {expected}")
        elif known.name in wanted and not _same(whole.get(known.name, {}), written.get(known.name, {})):
            told.append(f"{known.name} is float32 in the file, but its constants are not those of the float32 file")
    return [*told, *(f"{name} is not in the file under any name known" for name in sorted(wanted - seen))]


def _floats(step: Step, types: dict[str, str]) -> set[str]:
    """The float types of what an operation reads and yields."""
    read = {types.get(reference.name, "") for reference in step.references()}
    read |= {
        operand.value.dtype.name
        for operand in (*step.operands, *step.parameters.values())
        if isinstance(operand, Constant) and hasattr(operand.value, "dtype")
    }
    yielded = {value.type.dtype for value in step.outputs if value.type is not None}
    return {name for name in read | yielded if name.startswith("float")}


def _constants(program: Program, found: Mapping[str, Selectable]) -> dict[str, dict[str, Any]]:
    """By the converter's name, the constants that an operation reads, by parameter."""
    held = {
        step.outputs[0].name: step.parameters["val"]
        for step in program.operations(constants=True)
        if step.op in CONSTANTS and step.outputs
    }
    return {
        found[step.outputs[0].name].name: {
            name: constant.value
            for name, operand in step.parameters.items()
            for constant in [held.get(operand.name) if isinstance(operand, Ref) else operand]
            if isinstance(constant, Constant) and isinstance(constant.value, np.ndarray)
        }
        for step in program.operations()
        if step.outputs and step.outputs[0].name in found
    }


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(name in other and np.array_equal(value, other[name]) for name, value in one.items())


def _types(program: Program) -> dict[str, str]:
    return {value.name: value.type.dtype for value in _values(program.main) if value.type is not None}


def _values(block: Block) -> Iterator[Value]:
    yield from block.inputs
    for step in block.steps:
        yield from step.outputs
        for nested in step.blocks:
            yield from _values(nested)
