"""Tells after one pass that a loop will never end: the pass changed nothing that its condition depends on.

A damaged file may count in steps of 0, and a hundred thousand passes of a large body take hours. Imports only NumPy and
the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.plan import Branch, Call, Code, Instruction, Loop

# In elements: what a condition depends on is a counter, or a few of them.
_LARGEST = 64

Seen = Optional[list[tuple[Any, bytes]]]


class Watch:
    """Looks at what decides whether a loop goes on."""

    def __init__(self, loop: Loop) -> None:
        self._slots = _deciding(loop)

    def look(self, environment: Sequence[Any]) -> Seen:
        """What the carried values are that the condition depends on; ``None`` where that cannot be told in short."""
        if self._slots is None:
            return None
        values = [environment[slot] for slot in self._slots]
        if not all(isinstance(value, np.ndarray) and value.size <= _LARGEST for value in values):
            return None
        # Copies: the loop may change its arrays in place.
        return [(value.shape, value.tobytes()) for value in values]

    def check(self, before: Seen, environment: Sequence[Any]) -> None:
        """ValueError when a pass has left everything as it was ``before``."""
        if before is not None and self.look(environment) == before:
            raise ValueError("it never ends: a pass changes nothing that its condition depends on")


def _deciding(loop: Loop) -> Optional[tuple[int, ...]]:
    """The carried slots that the condition depends on, now or passes later; ``None`` where it may change by itself."""
    if loop.condition_slot is None or loop.limit is not None:
        return None
    inside = (*loop.condition, *loop.body)
    produced = dict(zip(loop.carried, loop.produced))
    needed: set[int] = set()
    waiting = [loop.condition_slot]
    while waiting:
        slot = waiting.pop()
        if slot in needed:
            continue
        needed.add(slot)
        if slot in produced:
            waiting.append(produced[slot])
        for instruction in inside:
            if slot in instruction.writes:
                if not _pure(instruction):
                    return None
                waiting += instruction.reads
    return tuple(slot for slot in loop.carried if slot in needed)


def _pure(instruction: Instruction) -> bool:
    if isinstance(instruction, Call):
        return instruction.kernel.pure
    parts: tuple[Code, ...] = (
        instruction.blocks if isinstance(instruction, Branch) else (instruction.condition, instruction.body)
    )
    return all(_pure(inner) for code in parts for inner in code)
