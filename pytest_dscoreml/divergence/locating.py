"""Finds the call of a sequence that departs, and the fewest steps that show it, before anybody looks inside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_dscoreml.agreement.metrics import largest_difference
from pytest_dscoreml.agreement.tolerances import Tolerances
from pytest_dscoreml.divergence.expected import Graph
from pytest_dscoreml.divergence.finding import Departure, first_departure
from pytest_dscoreml.engines.protocol import Engine, Floats, Outputs, State
from pytest_dscoreml.engines.reference import ReferenceEngine
from pytest_dscoreml.engines.streaming import Fed, calls
from pytest_dscoreml.progress import Task

#: How many of the last steps before a departure are tried alone, from TensorFlow's state before them.
_FEW = (1, 2, 4, 8)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a sequence, from the state that TensorFlow has before it.

    Attributes:
        first: the step of the sequence that it begins with.
        windows: as the engine gets them, with their padding.
        length: real steps.
        state: TensorFlow's.
    """

    first: int
    windows: Floats
    length: int
    state: State


@dataclass(frozen=True)
class Divergence:
    """Where a conversion departs.

    Attributes:
        call: the call that shows it.
        departure: the operation; None where no single one departs beyond the tolerance although the outputs do.
        converter: whether the file is at fault; False where the reference engine makes of it what TensorFlow does.
        seconds: that finding it took.
    """

    call: Call
    departure: Departure | None
    converter: bool
    seconds: float


class Locator:
    """Compares a conversion with the graph it was made from, call by call.

    Args:
        graph: TensorFlow's.
        path: the converted file.
        engine: what ran it when it was found to disagree.
        tolerances: of its precision.
        task: is told how far the search is, in steps of the sequence.
    """

    def __init__(
        self, graph: Graph, path: Path, engine: Engine, tolerances: Tolerances, task: Task | None = None
    ) -> None:
        self._graph = graph
        self._engine = engine
        self._tolerances = tolerances
        self._task = task
        self._reference = (
            engine if isinstance(engine, ReferenceEngine) else ReferenceEngine(path, engine.geometry, engine.n_steps)
        )

    def find(self, sequence: Fed) -> Divergence | None:
        """The first departure in a sequence, or None where every call agrees that begins with TensorFlow's state."""
        begun = time.monotonic()
        calls = self._calls(sequence)
        found = next((call for call, given in calls if self._differs(self._engine, call, sequence, given)), None)
        if found is None:
            return None
        if self._reference is not self._engine and not self._differs(self._reference, found, sequence):
            return Divergence(found, None, converter=False, seconds=time.monotonic() - begun)
        self._say(found, "how few steps show it")
        call = self._shortened(found, sequence)
        self._say(call, "operation by operation")
        expected = self._graph.run(call.windows, call.length, call.state)
        inner = self._reference.inner(call.windows, call.length, call.state)
        tolerance = self._tolerances.state_c
        departure = first_departure(self._reference.model.program, inner, expected, tolerance)
        return Divergence(call, departure, converter=True, seconds=time.monotonic() - begun)

    def _calls(self, sequence: Fed) -> Iterator[tuple[Call, Outputs]]:
        """Each call, with TensorFlow's outputs: the next one starts from their state."""
        windows, state = sequence.windows, sequence.state
        if sequence.length is not None:
            call = Call(0, windows, sequence.length, state)
            yield call, self._expected(call)
            return
        for first, chunk, length in calls(windows, self._engine.n_steps, cuts=sequence.cuts):
            call = Call(first, chunk, length, state)
            self._say(call, "call by call")
            expected = self._expected(call)
            yield call, expected
            state = expected.state

    def _say(self, call: Call, doing: str) -> None:
        if self._task is not None:
            self._task.at(call.first + 1, doing=doing)

    def _expected(self, call: Call) -> Outputs:
        """TensorFlow's outputs of a call."""
        return self._graph.engine.run(call.windows, call.length, call.state)

    def _differs(self, engine: Engine, call: Call, sequence: Fed, expected: Outputs | None = None) -> bool:
        """Whether an engine's outputs of a call are beyond the tolerances; `expected` where they are known already."""
        if expected is None:
            expected = self._expected(call)
        obtained = engine.run(call.windows, call.length, call.state)
        rows = len(call.windows) if sequence.length is not None else call.length
        return self._beyond(expected, obtained, rows, call.length)

    def _beyond(self, expected: Outputs, obtained: Outputs, rows: int, steps: int) -> bool:
        pairs = (
            (self._tolerances.probabilities, expected.logits[:rows], obtained.logits[:rows]),
            (self._tolerances.state_c, expected.state.c, obtained.state.c),
            (self._tolerances.state_h, expected.state.h, obtained.state.h),
        )
        return any(
            not largest_difference(expected=wanted, obtained=given)
            <= tolerance.limit(float(np.abs(wanted).max(initial=0.0)), steps)
            for tolerance, wanted, given in pairs
        )

    def _shortened(self, call: Call, sequence: Fed) -> Call:
        """The fewest steps that still differ, where any number may be given: what is looked into stays small."""
        if self._engine.n_steps is not None or sequence.length is not None:
            return call
        low, high = 0, call.length
        while high - low > 1:
            middle = (low + high) // 2
            if self._differs(self._reference, _part(call, 0, middle, call.state), sequence):
                high = middle
            else:
                low = middle
        for few in _FEW:
            if few < high:
                before = self._expected(_part(call, 0, high - few, call.state)).state
                part = _part(call, high - few, high, before)
                if self._differs(self._reference, part, sequence):
                    return part
        part = _part(call, 0, high, call.state)
        return part if self._differs(self._reference, part, sequence) else call


def _part(call: Call, first: int, end: int, state: State) -> Call:
    return Call(call.first + first, call.windows[first:end], end - first, state)
