"""Checks that the types which an ML Program declares do not contradict each other, before anything is run.

What only a run can tell, the shape of each result, the executor compares. Imports only the runtime's forms, the words
for problems and how operations are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.bind import place_of
from pytest_dscoreml.runtime.problems import Place, Problems
from pytest_dscoreml.runtime.program import (
    BRANCHES,
    CONSTANTS,
    LOOPS,
    NO_NUMBERS,
    Block,
    Constant,
    Operand,
    Program,
    Ref,
    Step,
    TensorType,
    Value,
    is_numeric,
)

# What a parameter that names a type may say, and the type's name in NumPy.
_NAMES = {"fp16": "float16", "fp32": "float32", "fp64": "float64"}
# Types that operations yield whatever they are given: positions, sizes and truth values.
_ANYWHERE = frozenset({"int32", "bool"})
_NO_RESULT = frozenset({"int32", "bool", "string"})
_HOLDERS = frozenset({"list", "state", "dictionary"})

Types = Mapping[str, Optional[TensorType]]


def check_types(program: Program, problems: Problems) -> None:
    """Note in ``problems`` where the declared types of an ML Program contradict each other."""
    _Checker(program, problems).block(program.main, {})


class _Checker:
    def __init__(self, program: Program, problems: Problems) -> None:
        self._program = program
        self._problems = problems
        # The constants that may be the name of a type.
        self._strings: dict[str, str] = {}
        # The names of what depends on constants only.
        self._constants: set[str] = set()

    def block(self, block: Block, outer: Types) -> dict[str, Optional[TensorType]]:
        """The types of all names at the end of ``block``."""
        types = dict(outer)
        types.update((value.name, value.type) for value in block.inputs)
        for step in block.steps:
            place = place_of(step, self._program)
            if step.op in LOOPS:
                self._loop(step, place, types)
            elif step.op in BRANCHES:
                self._branch(step, place, types)
            else:
                self._results(step, place, types)
            self._names(step, place, types)
            types.update((value.name, value.type) for value in step.outputs)
        return types

    def _names(self, step: Step, place: Place, types: Types) -> None:
        """Note constants that are defined twice: they are gone when the compiler looks for such names."""
        constant = not step.blocks and all(item.name in self._constants for item in step.references())
        for value in step.outputs:
            if value.name in types and (constant or value.name in self._constants):
                self._problems.add(place.says(f"defines {value.name!r}, which is defined already"))
            if constant:
                self._constants.add(value.name)

    def _loop(self, step: Step, place: Place, types: Types) -> None:
        if len(step.blocks) != 2:
            return
        condition, body = step.blocks
        for value in (*condition.inputs, *body.inputs, *step.outputs):
            self._usable(value, place)
        tested, produced = self.block(condition, types), self.block(body, types)
        if len(condition.outputs) != 1:
            self._problems.add(place.says(f"has a condition that yields {len(condition.outputs)} values, expected one"))
        for name in condition.outputs:
            self._truth(name, tested.get(name), place)
        for index, value in enumerate(body.inputs):
            others = [
                *(("gives it", _type(operand, types)) for operand in step.operands[index : index + 1]),
                *(("tests it as", other.type) for other in condition.inputs[index : index + 1]),
                *(("yields for it", produced.get(name)) for name in body.outputs[index : index + 1]),
                *(("ends with it as", other.type) for other in step.outputs[index : index + 1]),
            ]
            for what, other in others:
                self._same(f"carries {value.name!r} as", value.type, what, other, place)

    def _branch(self, step: Step, place: Place, types: Types) -> None:
        for value in step.outputs:
            self._usable(value, place)
        for operand in (*step.operands, *step.parameters.values()):
            if isinstance(operand, Ref):
                self._truth(operand.name, types.get(operand.name), place)
        for block in step.blocks:
            inside = self.block(block, types)
            for value, name in zip(step.outputs, block.outputs):
                self._same(f"defines {value.name!r} as", value.type, f"yields {name!r} as", inside.get(name), place)

    def _usable(self, value: Value, place: Place) -> None:
        if value.type is None or not (value.type.dtype in NO_NUMBERS or is_numeric(value.type.stored)):
            what = "a kind that is not supported (a tuple)" if value.type is None else f"type {value.type.dtype}"
            self._problems.add(place.says(f"carries or defines {value.name!r} of {what}, which is not supported"))

    def _truth(self, name: str, declared: Optional[TensorType], place: Place) -> None:
        if declared is not None and declared.dtype != "bool":
            self._problems.add(place.says(f"tests {name!r}, which is {declared}, expected bool"))

    def _same(
        self, one: str, first: Optional[TensorType], other: str, second: Optional[TensorType], place: Place
    ) -> None:
        if first is not None and second is not None and not _agree(first, second):
            self._problems.add(place.says(f"{one} {first} and {other} {second}"))

    def _results(self, step: Step, place: Place, types: Types) -> None:
        """An operation's results are of a type that it is given, or that one of its parameters names."""
        if step.op in CONSTANTS or step.op.startswith("constexpr_"):
            self._note_string(step)
            return
        given: set[str] = set()
        named: set[str] = set()
        for key, operand in step.parameters.items():
            for item in operand if isinstance(operand, tuple) else (operand,):
                if key.endswith("dtype"):
                    text = self._strings.get(item.name) if isinstance(item, Ref) else item.value
                    named.add(_NAMES.get(str(text), str(text)))
                    continue
                declared = _type(item, types)
                if declared is None or declared.dtype in _HOLDERS:
                    # What lists and states hold has types of its own; an undefined name is told elsewhere.
                    return
                given.add(declared.stored)
        for value in step.outputs:
            if value.type is None or value.type.dtype in NO_NUMBERS:
                continue
            expected = named if named and len(step.outputs) == 1 else named | given | _ANYWHERE
            if given and value.type.stored not in expected:
                told = " or ".join(sorted(named or given - _NO_RESULT))
                self._problems.add(place.says(f"defines {value.name!r} as {value.type}, expected {told or 'int32'}"))

    def _note_string(self, step: Step) -> None:
        held = step.parameters.get("val")
        if isinstance(held, Constant) and isinstance(held.value, str):
            self._strings.update((value.name, held.value) for value in step.outputs)


def _type(operand: Operand, types: Types) -> Optional[TensorType]:
    """The declared type of one value; ``None`` where that is not known."""
    if isinstance(operand, Ref):
        return types.get(operand.name)
    if isinstance(operand, Constant):
        if isinstance(operand.value, np.ndarray):
            return TensorType(operand.value.dtype.name, operand.value.shape)
        return TensorType("string" if isinstance(operand.value, str) else "list")
    return None


def _agree(one: TensorType, other: TensorType) -> bool:
    """Whether a value may be of both types, unknown sizes matching any."""
    if one.dtype != other.dtype:
        return False
    if one.element is not None and other.element is not None:
        return _agree(one.element, other.element)
    if one.shape is None or other.shape is None:
        return True
    return len(one.shape) == len(other.shape) and all(
        first is None or second is None or first == second for first, second in zip(one.shape, other.shape)
    )
