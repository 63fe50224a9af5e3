"""Chooses the operations to keep in float32: as few as bring the loss of float16 below a goal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_dscoreml.advice.measuring import Errors
from pytest_dscoreml.advice.ranking import OperationLoss
from pytest_dscoreml.advice.simulation import Simulation


@dataclass(frozen=True)
class Choice:
    """Operations to keep in float32, and the simulated errors of the rest in float16."""

    kept: tuple[OperationLoss, ...]
    errors: Errors


def goal_of(part: float, total: Errors) -> float:
    """The loss to get down to: a part of that of float16 throughout, or where that is infinite, of what is tolerated."""
    return part * (total.loss if math.isfinite(total.loss) else 1.0)


class Chooser:
    """Simulates float16 in all operations but some.

    Args:
        rows: the ranking, of all operations that may be chosen.
    """

    def __init__(self, simulation: Simulation, rows: Sequence[OperationLoss]) -> None:
        self._simulation = simulation
        self._rows = rows

    def first(self, count: int) -> Choice:
        """The so many that lose most."""
        kept = tuple(self._rows[:count])
        return Choice(kept, self._errors(kept))

    def below(self, goal: float) -> Choice:
        """The first of the ranking that together bring the loss to `goal` or below it, less those that do not matter for it.

        An operation in float32 between others in float16 still reads what they rounded: so the first few of the ranking may
        bring nothing until the one after them is kept too, and some that lose much alone bring nothing at all.
        """
        with self._simulation.progress.task("choosing what to keep in float32", unit="operations") as task:

            def told(count: int) -> Choice:
                task.at(doing=f"float16 in all but {count}")
                return self.first(count)

            # All of them lose nothing, so this ends.
            candidates = map(told, range(len(self._rows) + 1))
            choice = next(found for found in candidates if found.errors.loss <= goal or self._all(found))
            tried = choice.kept[::-1]
            for number, row in enumerate(tried, start=1):
                task.at(number, "trying to keep one less in float32", total=len(tried))
                fewer = tuple(one for one in choice.kept if one is not row)
                errors = self._errors(fewer)
                if errors.loss <= goal:
                    choice = Choice(fewer, errors)
            return choice

    def _all(self, choice: Choice) -> bool:
        return len(choice.kept) == len(self._rows)

    def _errors(self, kept: Sequence[OperationLoss]) -> Errors:
        return self._simulation.errors({row.result for row in self._rows} - {row.result for row in kept})
