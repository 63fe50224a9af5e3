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
class Measurements:
    """Of one conversion: how often it was compared, on what, and the worst that was seen.

    Attributes:
        examples: sequences compared.
        longest: steps of the longest of them.
        logits: largest absolute difference of probabilities; None where none was compared.
        states: largest absolute difference of c and h; None where none was compared.
        greedy_mismatches: frames whose most probable class differed.
        transcripts: transcriptions, with expected and obtained.
        by_step: for each length that was compared, the largest absolute difference of probabilities at each step.
    """

    examples: int = 0
    longest: int = 0
    logits: float | None = None
    states: float | None = None
    greedy_mismatches: int = 0
    transcripts: list[Transcript] = field(default_factory=list)
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

    def add(self, other: Measurements) -> None:
        """Take in what another test measured of the same conversion."""
        self.examples += other.examples
        self.longest = max(self.longest, other.longest)
        if other.logits is not None:
            self.saw_logits(other.logits)
        if other.states is not None:
            self.saw_states(other.states)
        self.greedy_mismatches += other.greedy_mismatches
        self.transcripts += other.transcripts
        for errors in other.by_step.values():
            self.saw_steps(errors)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Measurements:
        """The reverse of `to_json`."""
        # Keys that went through JSON are text.
        by_step = {int(length): errors for length, errors in data["by_step"].items()}
        return cls(
            **{
                **data,
                "transcripts": [Transcript(**entry) for entry in data["transcripts"]],
                "by_step": by_step,
            }
        )
