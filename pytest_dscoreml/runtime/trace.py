"""Collects the inner values of a run, by the names the file gives them. Imports only NumPy and the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.runtime.plan import Call, Code, Loop, Plan
from pytest_dscoreml.runtime.program import CONSTANTS


class Trace:
    """Records one run.

    A value outside loops is kept as it is. A value inside a loop is kept for every pass and comes back stacked,
    ``[passes, *shape]``, so that the first pass that goes wrong can be found. Two exceptions, both kept as they stand
    after the last pass: the result of an operation that rewrites an array (scatter: a history already holds all
    passes, and keeping each would take O(passes²) memory), and a value whose shape changes from pass to pass.
    """

    def __init__(self, plan: Plan, wanted: Optional[frozenset[str]]) -> None:
        self._names = plan.names
        self._wanted = wanted
        self._repeated = _repeated(plan.code, inside=False)
        self._values: dict[str, list[NDArray[Any]]] = {}
        self._single: set[str] = set()

    def __call__(self, call: Call, values: Sequence[Any]) -> None:
        """Note the results of ``call``."""
        if self._wanted is None and call.step.op in CONSTANTS:
            return
        for slot, value in zip(call.writes, values):
            name = self._names[slot]
            if (self._wanted is not None and name not in self._wanted) or not isinstance(value, np.ndarray):
                continue
            kept = self._values.setdefault(name, [])
            if slot not in self._repeated or call.kernel.overwrites is not None:
                self._single.add(name)
            if kept and (name in self._single or kept[0].shape != value.shape):
                self._single.add(name)
                kept.clear()
            kept.append(value)

    def values(self) -> dict[str, NDArray[Any]]:
        """What was recorded, by name; a loop that never ran has recorded nothing."""
        return {
            name: np.array(kept[-1]) if name in self._single else np.stack(kept) for name, kept in self._values.items()
        }


def _repeated(code: Code, *, inside: bool) -> set[int]:
    """The slots that calls inside loops write."""
    slots: set[int] = set()
    for instruction in code:
        if isinstance(instruction, Call):
            slots |= set(instruction.writes) if inside else set()
        elif isinstance(instruction, Loop):
            slots |= _repeated((*instruction.condition, *instruction.body), inside=True)
        else:
            slots |= _repeated((*instruction.blocks[0], *instruction.blocks[1]), inside=inside)
    return slots
