"""What a report shows of each conversion beyond what its tests measured: run for the report, on this run's engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.agreement import metrics
from pytest_dscoreml.conversion.variants import ConversionSpec, Variant
from pytest_dscoreml.engines.protocol import Engine, Floats, State
from pytest_dscoreml.engines.streaming import Stream, Timing, timed
from pytest_dscoreml.errors import DscoremlError
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.run import Recording, Run
from pytest_dscoreml.speech.audio import read_wav
from pytest_dscoreml.strategies import Case

#: Steps of the long sequence over which states drift: 20 s of speech.
LONG = 1000
#: Steps that are timed where there is no recording.
TIMED = 200


@dataclass(frozen=True, eq=False)
class Heard:
    """A recording by TensorFlow and by a conversion.

    Attributes:
        recording: its name.
        samples: int16 at `sample_rate`; None where there is no sound, as in a bundle.
        sample_rate: in Hz.
        step: seconds from one row to the next.
        expected, obtained: probabilities [T, classes].
    """

    recording: str
    samples: NDArray[np.int16] | None
    sample_rate: int
    step: float
    expected: Floats
    obtained: Floats

    @property
    def error(self) -> float:
        """The largest absolute difference of probabilities."""
        return metrics.largest_difference(expected=self.expected, obtained=self.obtained)


@dataclass(frozen=True, eq=False)
class Drift:
    """How far the states are off along a sequence: after `steps` steps, the largest absolute difference of c and of h."""

    steps: Sequence[int]
    c: Sequence[float]
    h: Sequence[float]


@dataclass(frozen=True, eq=False)
class Portrait:
    """Of one conversion.

    Attributes:
        heard: every recording.
        drift: of the states over a long sequence; None where TensorFlow is not there to say what they should be.
        timing: of recognising the longest recording, or where there is none, `TIMED` steps of speech.
        missing: why something is not there, in words.
    """

    heard: Sequence[Heard] = ()
    drift: Drift | None = None
    timing: Timing | None = None
    missing: Sequence[str] = ()

    @property
    def worst(self) -> Heard | None:
        """The recording with the largest difference, the first of them where several have it."""
        return max(self.heard, key=lambda one: one.error) if self.heard else None

    @property
    def margins(self) -> Floats:
        """By how much TensorFlow preferred the likeliest class, over the frames of all recordings."""
        return np.concatenate([np.zeros(0, np.float32), *(metrics.greedy_margins(one.expected) for one in self.heard)])

    @property
    def flips(self) -> Floats:
        """The same of those frames whose likeliest class differs."""
        found = [np.zeros(0, np.float32)]
        for one in self.heard:
            places = metrics.greedy_flips(expected=one.expected, obtained=one.obtained)
            found.append(metrics.greedy_margins(one.expected)[places])
        return np.concatenate(found)


@dataclass(frozen=True)
class Speed:
    """The static graph chunk by chunk beside the dynamic one fed whole, on one recording, by one engine.

    Attributes:
        kind: target, precision, and the converter where there are several.
        recording: the name of what was recognised, the longest recording where there is one.
        seconds: how long it is.
        static, dynamic: how long each took.
    """

    kind: str
    recording: str
    seconds: float
    static: Timing
    dynamic: Timing

    @property
    def ratio(self) -> float:
        """The static one's time as a multiple of the dynamic one's."""
        return self.static.seconds / self.dynamic.seconds


@dataclass
class Gallery:
    """The portraits of a run, by the conversions' names, what compares several of them, and why others have none."""

    portraits: dict[str, Portrait] = field(default_factory=dict)
    speeds: list[Speed] = field(default_factory=list)
    why_empty: Sequence[str] = ()


def paint(run: Run, names: Sequence[str]) -> Gallery:
    """The portraits of the conversions of those names, as far as they were made."""
    both = (*run.specs, *run.compressed)
    specs = [spec for spec in both if spec.name in names and spec.name in run.conversions]
    gallery = Gallery()
    painter = _Painter(run)
    with run.progress.task("running conversions for the report", total=len(specs)) as task:
        for number, spec in enumerate(specs, start=1):
            task.at(number, f"running {spec.name} for the report")
            gallery.portraits[spec.name] = painter.portrait(spec)
    gallery.speeds = _speeds(run, specs, gallery, painter)
    return gallery


class _Painter:
    """Runs conversions, and TensorFlow once for all of them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._samples: dict[str, NDArray[np.int16] | None] = {}

    @cached_property
    def long(self) -> Floats:
        """Speech round and round: what a gate has beside recordings."""
        assert isinstance(self.run, Gate), "a bundle has only what was recorded"
        return self.run.material.windows(Case(length=LONG, features="speech", state="zeros", seed=0))

    @cached_property
    def expected_states(self) -> list[State]:
        """TensorFlow's states after each chunk of it."""
        assert isinstance(self.run, Gate), "a bundle has no TensorFlow"
        return _states(self.run.reference, self.long, self.run.model.n_steps)

    @cached_property
    def timed(self) -> tuple[str, Floats] | None:
        """What is timed, by name; None where there is nothing."""
        if self.run.recordings:
            longest = max(self.run.recordings, key=lambda recording: len(recording.windows))
            return longest.utterance.name, longest.windows
        return (f"{TIMED} steps of speech", self.long[:TIMED]) if isinstance(self.run, Gate) else None

    @property
    def step(self) -> float:
        """Seconds from one row to the next."""
        return self.run.model.metadata.feature_win_step / 1000

    def portrait(self, spec: ConversionSpec) -> Portrait:
        """All of one conversion; what its engine refuses is said in its place."""
        try:
            engine = self.run.engine(spec)
            heard = [self._heard(spec, recording) for recording in self.run.recordings]
            timing = None if self.timed is None else timed(engine, self.timed[1])
            missing = [] if heard else [self.run.no_recording]
            if not isinstance(self.run, Gate):
                return Portrait(heard, None, timing, [*missing, "a bundle has no TensorFlow to follow states with"])
            return Portrait(heard, self._drift(engine), timing, missing)
        except DscoremlError as error:
            return Portrait(missing=[f"it cannot be run for the report: {error}"])

    def _heard(self, spec: ConversionSpec, recording: Recording) -> Heard:
        expected, obtained = self.run.expected(recording), self.run.obtained(spec, recording)
        name, rate = recording.utterance.name, self.run.model.metadata.sample_rate
        if name not in self._samples:
            there = isinstance(self.run, Gate)
            self._samples[name] = read_wav(recording.utterance.path, sample_rate=rate) if there else None
        return Heard(name, self._samples[name], rate, self.step, expected.logits, obtained.logits)

    def _drift(self, engine: Engine) -> Drift:
        """The long sequence, looked at after each chunk."""
        chunk = self.run.model.n_steps
        steps = [min(start + chunk, LONG) for start in range(0, LONG, chunk)]
        pairs = list(zip(self.expected_states, _states(engine, self.long, chunk)))
        return Drift(
            steps,
            [metrics.largest_difference(expected=one.c, obtained=other.c) for one, other in pairs],
            [metrics.largest_difference(expected=one.h, obtained=other.h) for one, other in pairs],
        )


def _states(engine: Engine, windows: Floats, chunk: int) -> list[State]:
    """The states after each chunk of a sequence that starts from zeros."""
    stream, states = Stream(engine), []
    for start in range(0, len(windows), chunk):
        stream.feed(windows[start : start + chunk])
        states.append(stream.state)
    return states


def _speeds(run: Run, specs: Sequence[ConversionSpec], gallery: Gallery, painter: _Painter) -> list[Speed]:
    """A row for each pair of a static and a dynamic conversion of one kind."""
    rows = []
    by_kind: dict[str, dict[Variant, Timing]] = {}
    for spec in specs:
        timing = gallery.portraits[spec.name].timing
        if timing is not None:
            kind = spec.name.split("-", 1)[1]
            by_kind.setdefault(kind, {})[spec.variant] = timing
    for kind, found in by_kind.items():
        if painter.timed is not None and {Variant.STATIC, Variant.DYNAMIC} <= set(found):
            name, windows = painter.timed
            seconds = len(windows) * painter.step
            rows.append(Speed(kind, name, seconds, found[Variant.STATIC], found[Variant.DYNAMIC]))
    return rows


def speeds(gallery: Gallery) -> list[dict[str, Any]]:
    """The rows of a gallery's speeds as plain values."""
    return [{**dataclasses.asdict(speed), "ratio": speed.ratio} for speed in gallery.speeds]
