"""Accuracy against size: what each compression of the weights saved, and how far it is from TensorFlow's numbers.

Nothing here is a verdict on those numbers: they are measured. What is judged are the promises in the suite's
`test_compression.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

from pytest_dscoreml.agreement.measurements import Errors, Transcript
from pytest_dscoreml.agreement.transcripts import character_errors
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.report.results import ConversionResult, Results, error_text, finite
from pytest_dscoreml.run import Run

COLUMNS = ("conversion", "promises", "kB", "size", "logits", "states", "greedy", "transcriptions", "CER")
LEGEND = (
    "measured against TensorFlow, not judged: logits, states, greedy, CER; compressed: on recordings / on drawn sequences",
    "size: of the uncompressed file; greedy: frames of another most probable class; CER: wrong characters of the beam search",
)
TITLE = "accuracy against size"


@dataclass(frozen=True)
class SizeRow:
    """One conversion in the table; the uncompressed one comes before what was made of it.

    Attributes:
        conversion: its name.
        compression: its compression; empty for the uncompressed one.
        uncompressed: the name of the conversion that it was made of.
        kept, promises: tests that passed, of how many, known defects left out; those of the compression suite, or for the
            uncompressed conversion those of all the others.
        bytes: of the file; None where there is none.
        ratio: to the uncompressed file's.
        logits, states: largest absolute differences from TensorFlow, over all sequences; None where none was compared.
        greedy_mismatches, greedy_frames: frames of another most probable class, of how many.
        recordings, drawn: the same of a compressed conversion on recordings and on drawn sequences alone.
        agreeing, transcriptions: transcriptions that agree with TensorFlow's, of how many.
        character_error_rate: of the beam search's transcriptions against TensorFlow's; None without any.
    """

    conversion: str
    compression: str
    uncompressed: str
    kept: int
    promises: int
    bytes: Optional[int]
    ratio: Optional[float]
    logits: Optional[float]
    states: Optional[float]
    greedy_mismatches: int
    greedy_frames: int
    recordings: Optional[Errors]
    drawn: Optional[Errors]
    agreeing: int
    transcriptions: int
    character_error_rate: Optional[float]

    @property
    def broken(self) -> bool:
        """Whether a promise was broken."""
        return self.kept < self.promises

    @property
    def cells(self) -> Sequence[str]:
        """The row of a table."""
        both = [self.recordings, self.drawn] if self.compression else []
        logits = [self.logits] if not both else [None if one is None else one.logits for one in both]
        states = [self.states] if not both else [None if one is None else one.states for one in both]
        frames = [(self.greedy_mismatches, self.greedy_frames)]
        if both:
            frames = [(0, 0) if one is None else (one.greedy_mismatches, one.greedy_frames) for one in both]
        return (
            self.conversion,
            f"{self.kept} of {self.promises} kept" if self.promises else "none run",
            "-" if self.bytes is None else f"{self.bytes / 1000:.0f}",
            "-" if self.ratio is None else f"{self.ratio:.0%}",
            " / ".join(map(error_text, logits)),
            " / ".join(map(error_text, states)),
            " / ".join(f"{wrong} of {frames}" if frames else "-" for wrong, frames in frames),
            f"{self.agreeing} of {self.transcriptions} agree" if self.transcriptions else "none",
            "-" if self.character_error_rate is None else f"{self.character_error_rate:.1%}",
        )


def rows(gate: Run, results: Results) -> list[SizeRow]:
    """The table of a run: each conversion that was compressed, uncompressed first; empty where nothing was to be compressed.

    What no test was run for is left out.
    """
    found: dict[ConversionSpec, None] = {}
    for spec in gate.compressed:
        if spec.name in results.conversions:
            found.setdefault(spec.uncompressed)
            found.setdefault(spec)
    ordered = sorted(found, key=lambda spec: [*found].index(spec.uncompressed))
    return [_row(gate, spec, results.conversions.get(spec.name, ConversionResult())) for spec in ordered]


def names(gate: Run) -> set[str]:
    """The names of the compressed conversions, which tables of agreement with TensorFlow leave out."""
    return {spec.name for spec in gate.compressed}


def _row(gate: Run, spec: ConversionSpec, result: ConversionResult) -> SizeRow:
    made, plain = gate.conversions.get(spec.name), gate.conversions.get(spec.uncompressed.name)
    measured = result.measured
    return SizeRow(
        conversion=spec.name,
        compression=spec.compression,
        uncompressed=spec.uncompressed.name,
        kept=result.passed,
        promises=result.passed + len(result.failures),
        bytes=None if made is None else made.size,
        ratio=None if made is None or plain is None else made.size / plain.size,
        logits=measured.logits,
        states=measured.states,
        greedy_mismatches=measured.greedy_mismatches,
        greedy_frames=measured.greedy_frames,
        recordings=measured.unjudged.get("recordings"),
        drawn=measured.unjudged.get("drawn"),
        agreeing=sum(transcript.agrees for transcript in measured.transcripts),
        transcriptions=len(measured.transcripts),
        character_error_rate=character_error_rate(measured.transcripts),
    )


def character_error_rate(transcripts: Sequence[Transcript]) -> float | None:
    """Characters that are wrong in all of the transcriptions, to those that are expected; None where none are."""
    expected = sum(len(one.expected) for one in transcripts)
    wrong = sum(character_errors(expected=one.expected, obtained=one.obtained) for one in transcripts)
    return wrong / expected if expected else None


def to_json(gate: Run, results: Results) -> list[dict[str, Any]]:
    """The rows as plain values; differences that are infinite are the text `infinite`, as everywhere in the report."""
    return [finite(asdict(row)) for row in rows(gate, results)]
