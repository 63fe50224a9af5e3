"""What the comparisons of one test measured, in a form that travels between processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Transcript:
    """A transcription and the verdict on it."""

    audio: str
    decoder: str
    expected: str
    obtained: str

    @property
    def agrees(self) -> bool:
        """Whether the conversion heard what the reference heard."""
        return self.expected == self.obtained


@dataclass
class Errors:
    """What was measured against TensorFlow on one kind of sequences, and not judged.

    Attributes:
        logits: largest absolute difference of probabilities.
        states: largest absolute difference of c and h.
        greedy_mismatches: frames whose most probable class differed.
        greedy_frames: of so many.
    """

    logits: float = 0.0
    states: float = 0.0
    greedy_mismatches: int = 0
    greedy_frames: int = 0

    def add(self, other: Errors) -> None:
        """Take in what was measured on other sequences of the kind."""
        self.logits = max(self.logits, other.logits)
        self.states = max(self.states, other.states)
        self.greedy_mismatches += other.greedy_mismatches
        self.greedy_frames += other.greedy_frames


@dataclass
class Measurements:
    """Of one conversion: how often it was compared, on what, and the worst that was seen.

    Attributes:
        examples: sequences compared.
        longest: steps of the longest of them.
        logits: largest absolute difference of probabilities; None where none was compared.
        states: largest absolute difference of c and h; None where none was compared.
        greedy_mismatches: frames whose most probable class differed.
        transcripts: transcriptions, with expected and obtained.
        greedy_frames: frames whose most probable classes were compared.
        unjudged: for a compressed conversion, its errors on `recordings` and on `drawn` sequences, by these names.
        by_step: for each length that was compared, the largest absolute difference of probabilities at each step.
    """

    examples: int = 0
    longest: int = 0
    logits: float | None = None
    states: float | None = None
    greedy_mismatches: int = 0
    transcripts: list[Transcript] = field(default_factory=list)
    greedy_frames: int = 0
    unjudged: dict[str, Errors] = field(default_factory=dict)
    by_step: dict[int, list[float]] = field(default_factory=dict)

    def sequence(self, length: int) -> None:
        """Count a sequence that is being compared."""
        self.examples += 1
        self.longest = max(self.longest, length)

    def saw_logits(self, error: float) -> None:
        """Keep the largest difference of probabilities."""
        self.logits = error if self.logits is None else max(self.logits, error)

    def saw_steps(self, errors: Sequence[float]) -> None:
        """Keep the largest difference of probabilities at each step of a sequence of that length."""
        # Three digits are what a chart shows, and this travels with the report of each test.
        rounded = [float(f"{error:.2e}") for error in errors]
        before = self.by_step.get(len(rounded), rounded)
        self.by_step[len(rounded)] = list(map(max, rounded, before))

    def saw_states(self, error: float) -> None:
        """Keep the largest difference of states."""
        self.states = error if self.states is None else max(self.states, error)

    def saw_greedy(self, mismatches: int, frames: int) -> None:
        """Count frames whose most probable class differed, of so many compared."""
        self.greedy_mismatches += mismatches
        self.greedy_frames += frames

    def saw_unjudged(self, kind: str, errors: Errors) -> None:
        """Keep errors on a kind of sequences that were measured and not judged."""
        self.saw_logits(errors.logits)
        self.saw_states(errors.states)
        self.saw_greedy(errors.greedy_mismatches, errors.greedy_frames)
        self.unjudged.setdefault(kind, Errors()).add(errors)

    def add(self, other: Measurements) -> None:
        """Take in what another test measured of the same conversion."""
        self.examples += other.examples
        self.longest = max(self.longest, other.longest)
        if other.logits is not None:
            self.saw_logits(other.logits)
        if other.states is not None:
            self.saw_states(other.states)
        self.saw_greedy(other.greedy_mismatches, other.greedy_frames)
        self.transcripts += other.transcripts
        for kind, errors in other.unjudged.items():
            self.unjudged.setdefault(kind, Errors()).add(errors)
        for steps in other.by_step.values():
            self.saw_steps(steps)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Measurements:
        """The reverse of `to_json`."""
        return cls(
            **{
                **data,
                "transcripts": [Transcript(**entry) for entry in data["transcripts"]],
                "unjudged": {kind: Errors(**entry) for kind, entry in data["unjudged"].items()},
                # Keys that went through JSON are text.
                "by_step": {int(length): errors for length, errors in data["by_step"].items()},
            }
        )
