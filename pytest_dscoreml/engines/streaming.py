"""Feeds a sequence to an engine, whole or in chunks: pads the tail, carries the state, joins the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_dscoreml.engines.protocol import Engine, Floats, Outputs, State


@dataclass(frozen=True, eq=False)
class Fed:
    """A sequence as it was fed.

    Attributes:
        windows: [T, 19, 26].
        state: before it.
        length: real steps where it was one call with padding; None where all of them are.
        cuts: steps before which it was cut.
    """

    windows: Floats
    state: State
    length: int | None = None
    cuts: Sequence[int] = ()


def calls(windows: Floats, n_steps: int | None, *, cuts: Sequence[int] = ()) -> Iterator[tuple[int, Floats, int]]:
    """The calls that windows [T, 19, 26] are fed in: the first step, the windows of the call, how many of them are real.

    One call for each piece between the given steps; where every call has `n_steps` steps, as many as that takes, the last
    of each piece padded with zeros.
    """
    for begin, end in zip([0, *cuts], [*cuts, len(windows)]):
        limit = n_steps or max(end - begin, 1)
        for first in range(begin, end, limit):
            chunk = windows[first : min(end, first + limit)]
            length = len(chunk)
            if n_steps is not None and length < n_steps:
                chunk = np.concatenate([chunk, np.zeros((n_steps - length, *chunk.shape[1:]), np.float32)])
            yield first, chunk, length


class Stream:
    """One utterance being recognised: feed it windows as they come, in pieces of any length.

    An engine that takes any number of steps gets each piece in one call. One with a fixed number gets it in chunks of
    that many; the last is padded with zeros, its `input_lengths` says how many steps are real, and the rows of the
    padding are cut away. The state is carried from call to call either way.
    """

    def __init__(self, engine: Engine, state: State | None = None) -> None:
        self.engine = engine
        self._initial = State.zeros(engine.geometry) if state is None else state
        self.state = self._initial
        self._rows: list[Outputs] = []

    def feed(self, windows: Floats) -> Floats:
        """Recognise the next windows [T, 19, 26], T >= 0; returns their rows [T, classes]."""
        return np.concatenate([self._empty(), *(outputs.logits for outputs in self.feed_chunks(windows))])

    def feed_chunks(self, windows: Floats) -> Iterator[Outputs]:
        """As `feed`, but gives what each call gave as soon as it is there, cut to its real steps."""
        for _, chunk, length in calls(windows, self.engine.n_steps):
            given = self.engine.run(chunk, length, self.state)
            raw = None if given.raw_logits is None else given.raw_logits[:length]
            outputs = Outputs(given.logits[:length], given.state, raw)
            self.state = outputs.state
            self._rows.append(outputs)
            yield outputs

    def reset(self) -> None:
        """Start a new utterance from the state that the stream began with."""
        self.state = self._initial
        self._rows = []

    @property
    def outputs(self) -> Outputs:
        """All rows since the start or the last reset, and the state after them."""
        raw: list[Floats] = [rows.raw_logits for rows in self._rows if rows.raw_logits is not None]
        complete = bool(raw) and len(raw) == len(self._rows)
        return Outputs(
            np.concatenate([self._empty(), *(rows.logits for rows in self._rows)]),
            self.state,
            np.concatenate(raw) if complete else None,
        )

    def _empty(self) -> Floats:
        return np.zeros((0, self.engine.geometry.n_classes), np.float32)


def recognise(engine: Engine, windows: Floats, state: State | None = None, *, cuts: Sequence[int] = ()) -> Outputs:
    """A whole sequence [T, 19, 26], or one cut before the given steps, through an engine from a state.

    Without cuts, an engine that takes any length gets the sequence in one call, another gets it in its chunks.
    """
    stream = Stream(engine, state)
    for start, stop in zip([0, *cuts], [*cuts, len(windows)]):
        stream.feed(windows[start:stop])
    return stream.outputs


@dataclass(frozen=True)
class Timing:
    """How long an engine took for a sequence fed whole: seconds in so many calls."""

    calls: int
    seconds: float


def timed(engine: Engine, windows: Floats, *, rounds: int = 3) -> Timing:
    """The fastest of several rounds over windows [T, 19, 26], after one that warms up whatever a first call sets up."""
    recognise(engine, windows)
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        recognise(engine, windows)
        taken.append(time.perf_counter() - begun)
    return Timing(-(-len(windows) // (engine.n_steps or max(len(windows), 1))), min(taken))


def partial_transcriptions(
    stream: Stream, windows: Floats, decode: Callable[[Floats], str], *, chunk: int
) -> Iterator[str]:
    """Feed windows [T, 19, 26] `chunk` at a time; after each, what `decode` makes of all rows [t, classes] so far."""
    for start in range(0, len(windows), chunk):
        stream.feed(windows[start : start + chunk])
        yield decode(stream.outputs.logits)
