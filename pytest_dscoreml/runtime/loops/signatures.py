"""What the generator may know of a loop's values, and what it makes. Imports the plan and the recognised forms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_dscoreml.runtime.loops import forms
from pytest_dscoreml.runtime.plan import Call, Instruction, Loop
from pytest_dscoreml.runtime.row_products import RowProducts
from pytest_dscoreml.runtime.running import Environment

FILE = "<generated loop>"

#: (kind, type, shape): ``array`` with a dtype and a shape whose first size may be open; ``rows``; else ``other``.
Signature = tuple[Any, ...]
Shapes = dict[int, Signature]


def signature(value: Any, *, open_rows: bool) -> Signature:
    """What the generator may know of a value."""
    if isinstance(value, np.ndarray):
        shape = (-1, *value.shape[1:]) if open_rows and value.ndim else value.shape
        return ("array", _name(value.dtype), shape)
    if isinstance(value, RowProducts):
        return ("rows", _name(value.x.dtype), value.x.shape[1:], value.split.dtype)
    return ("other", type(value).__name__, ())


@functools.cache
def _name(dtype: Any) -> str:
    """The type's name, which NumPy puts together anew each time."""
    return str(dtype.name)


@dataclass(frozen=True)
class Generated:
    """``function(environment, passes made)``; ``lines`` says which operation a line of it belongs to.

    ``small_products`` says that it multiplies, and never by weights that are worth a second thread.
    """

    function: Callable[[Environment, int], None]
    lines: Mapping[int, Instruction]
    names: Mapping[int, str]
    counters: Mapping[int, int]
    source: str
    small_products: bool

    def admits(self, environment: Environment, limit: int) -> bool:
        """Whether the counters hold whole numbers that their types can count with until the loop must end."""
        for slot, step in self.counters.items():
            value = environment[slot]
            number = float(value.reshape(()))
            bits = 31 if value.dtype.kind in "iu" else np.finfo(value.dtype).nmant
            if number != int(number) or abs(number) + abs(step) * (limit + 2) >= 2.0**bits:
                return False
        return True


def open_rows(loop: Loop) -> frozenset[int]:
    """The arrays of which the loop only reads or writes rows: how many they have makes no difference to its code."""
    code = (*loop.condition, *loop.body)
    candidates = set(loop.carried) | {slot for one in code for slot in one.reads}
    readers: dict[int, list[Instruction]] = {}
    for instruction in code:
        for slot in instruction.reads:
            readers.setdefault(slot, []).append(instruction)
    same = {call.writes[0]: source for call in code if isinstance(call, Call) for source in handed_on(call)}

    def by_rows(slot: int, instruction: Instruction) -> bool:
        if not isinstance(instruction, Call):
            return False
        rows = forms.gather(instruction) or forms.scatter(instruction)
        if rows is not None:
            return rows.data == slot and slot not in (rows.indices, rows.updates)
        return forms.alias(instruction) == slot

    while True:
        wrong = {
            slot
            for slot in candidates
            if not all(by_rows(slot, reader) for reader in readers.get(slot, ()))
            or any(same[out] == slot and out not in candidates for out in same if out in readers)
            or (slot in loop.carried and root(loop.produced[loop.carried.index(slot)], same) not in candidates)
        }
        if not wrong:
            return frozenset(slot for slot in candidates)
        candidates -= wrong


def handed_on(call: Call) -> list[int]:
    """The slot whose array the call returns, if it does."""
    rows = forms.scatter(call)
    same = forms.alias(call) if rows is None else rows.data
    return [] if same is None else [same]


def root(slot: int, same: Mapping[int, int]) -> int:
    """The slot that first held the array in ``slot``."""
    while slot in same:
        slot = same[slot]
    return slot


def is_number(found: Signature) -> bool:
    """Whether it is an array that holds one number."""
    return found[0] == "array" and found[2] in ((), (1,)) and np.dtype(found[1]).kind in "iuf"
