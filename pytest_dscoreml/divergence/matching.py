"""Which of TensorFlow's values an operation of a converted model should have, and from which step on it has another.

Names come first: the converter keeps those of TensorFlow's nodes (`/` becomes `_` in ML Programs, casts add a suffix). What
has no such name is matched by value: outside of the loop with every node, inside with the BlockLSTM's quantities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pytest_dscoreml.agreement.tolerances import Tolerance
from pytest_dscoreml.divergence.expected import Expected
from pytest_dscoreml.divergence.quantities import MADE_OF, Array

_SUFFIX = re.compile(r"(_cast_fp16|_cast_fp32|_cast_uint16|_to_fp16|_to_fp32|_fp16|_cast(_\d+)?|@\d+)$")


@dataclass(frozen=True)
class Match:
    """One result of an operation beside what TensorFlow has.

    Attributes:
        source: the node or quantity that it was compared with; empty where none is known.
        expected, obtained: both sides, as far as they were compared, the steps first inside of the loop.
        departs: from which step on they differ (0 outside of the loop); None where they agree.
    """

    source: str
    expected: Array | None
    obtained: Array
    departs: int | None

    @property
    def agrees(self) -> bool:
        """Whether TensorFlow has this very value."""
        return self.departs is None

    @property
    def is_known(self) -> bool:
        """Whether there is something to compare it with."""
        return self.expected is not None


class Matcher:
    """Compares with one call of TensorFlow, within a tolerance of the values' largest magnitude."""

    def __init__(self, expected: Expected, tolerance: Tolerance) -> None:
        self._expected = expected
        self._tolerance = tolerance
        self._by_name = {form: name for name in expected.values for form in (name.replace("/", "_"), name)}
        self._steps = {} if expected.lstm is None else expected.lstm.steps
        self._whole = {} if expected.lstm is None else expected.lstm.whole

    # -- outside of the loop ------------------------------------------------------------------------------------------

    def named(self, name: str, obtained: Array) -> Match | None:
        """By the name of the result; None where no node has it."""
        stem, known = name, self._by_name.get(name)
        while known is None and _SUFFIX.search(stem):
            stem = _SUFFIX.sub("", stem)
            known = self._by_name.get(stem)
        if known is None:
            return None
        expected = self._expected.values[known]
        if known in self._expected.unmasked:
            # A history has a row more than there are steps: the state before them.
            rows = self._expected.length + len(expected) - self._expected.steps
            expected, obtained = expected[:rows], obtained[:rows]
        return Match(known, expected, obtained, None if self._same(expected, obtained) else 0)

    def valued(self, obtained: Array) -> Match:
        """By the value: any node's, or a history of the BlockLSTM's as far as the steps are real."""
        for source, expected in self._expected.values.items():
            if obtained.size > 1 and expected.shape == obtained.shape and self._same(expected, obtained):
                return Match(source, expected, obtained, None)
        for source, history in self._whole.items():
            if len(history) and obtained.ndim and len(obtained) >= len(history) and obtained[0].size == history[0].size:
                rows = _flat(obtained[: len(history)])
                if self._same(history, rows):
                    return Match(self._inside(source), history, rows, None)
        return Match("", None, obtained, 0)

    # -- inside of it -------------------------------------------------------------------------------------------------

    def stepwise(self, obtained: Array, sources: Iterable[str] = (), claimed: Iterable[str] = ()) -> Match:
        """A value of every pass, [passes, ...], as the quantity with which it agrees for the most steps.

        Where it agrees with none, it is compared with what should be made of the quantities `sources`, which the operation
        is given, or else with the nearest of those that nothing before it has `claimed`.
        """
        rows = _flat(obtained[: self._expected.length])
        best: tuple[int, str] = (0, "")
        for source, expected in self._candidates(rows):
            steps = self._agreeing(expected, rows)
            best = max(best, (steps, source), key=lambda found: found[0])
            if steps == len(rows):
                return Match(self._inside(source), expected, rows, None)
        steps, source = best
        made = MADE_OF.get(frozenset(sources))
        if made is not None and self._steps[made].shape[1] == rows.shape[1]:
            source, steps = made, self._agreeing(self._steps[made][: len(rows)], rows)
        elif not source:
            left = [
                (self._distance(expected, rows), name)
                for name, expected in self._candidates(rows)
                if name not in claimed
            ]
            if not left:
                return Match("", None, rows, 0)
            source = min(left)[1]
        return Match(self._inside(source), self._steps[source][: len(rows)], rows, steps)

    def quantity(self, match: Match) -> str:
        """The quantity that a match inside of the loop is with."""
        return match.source.rpartition(", ")[2]

    def _inside(self, quantity: str) -> str:
        return f"{self._expected.lstm_node}, {quantity}"

    def _candidates(self, rows: Array) -> Iterator[tuple[str, Array]]:
        for source, expected in self._steps.items():
            if expected.shape[1] == rows.shape[1]:
                yield source, expected[: len(rows)]

    # -- values -------------------------------------------------------------------------------------------------------

    def _limit(self, expected: Array) -> float:
        finite = np.abs(expected[np.isfinite(expected)]) if expected.size else expected
        return self._tolerance.limit(float(finite.max()) if finite.size else 0.0, self._expected.length)

    def _same(self, expected: Array, obtained: Array) -> bool:
        if expected.size != obtained.size:
            return False
        wanted, given = expected.astype(np.float64).ravel(), obtained.astype(np.float64).ravel()
        with np.errstate(invalid="ignore"):
            return bool(np.all((np.abs(wanted - given) <= self._limit(wanted)) | (wanted == given)))

    def _agreeing(self, expected: Array, rows: Array) -> int:
        """How many steps agree from the first on."""
        limit = self._limit(expected.astype(np.float64))
        with np.errstate(invalid="ignore"):
            good = (np.abs(expected.astype(np.float64) - rows.astype(np.float64)) <= limit).all(axis=1)
        return len(good) if good.all() else int(np.argmin(good))

    def _distance(self, expected: Array, rows: Array) -> float:
        with np.errstate(invalid="ignore", over="ignore"):
            distance = float(np.mean(np.abs(expected.astype(np.float64) - rows.astype(np.float64))))
        return distance if np.isfinite(distance) else float("inf")


def _flat(rows: Array) -> Array:
    """As [rows, size], where there are none too."""
    return rows.reshape(len(rows), math.prod(rows.shape[1:]))


def shown(sources: Mapping[str, Match]) -> list[str]:
    """The inputs of an operation, each with whether it agrees."""
    lines = []
    for name, match in sources.items():
        state = "agrees" if match.agrees else "departs" if match.is_known else "has no counterpart"
        lines.append(f"{name} {state}" + (f" ({match.source})" if match.source and match.source != name else ""))
    return lines
