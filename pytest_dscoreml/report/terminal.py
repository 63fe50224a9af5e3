"""The header and the summary on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from pytest_dscoreml import __version__
from pytest_dscoreml.heavy import tensorflow_version
from pytest_dscoreml.report.results import FAILED, PASSED, ConversionResult, Results
from pytest_dscoreml.run import Run

_COLUMNS = ("conversion", "verdict", "tests", "examples", "longest", "logits", "states", "greedy", "transcriptions")


def header(gate: Run) -> list[str]:
    """What the run depends on: versions, engine, decoders, model."""
    model = gate.model
    first, *others = gate.versions.values()
    exported = [kind for kind, graph in model.graphs.items() if graph.exported]
    opening = [
        f"dscoreml {__version__}: {_converter(first)}; tensorflow {tensorflow_version()}, numpy {np.__version__} here",
        *(f"dscoreml against: {_converter(other)}" for other in others),
    ]
    if gate.replayed is not None:
        made_by = " and ".join(versions["coremltools"] for versions in gate.versions.values())
        opening = [
            f"dscoreml {__version__}: replaying {gate.replayed.directory}, recorded on {gate.replayed.made[:10]} with "
            f"coremltools {made_by}; numpy {np.__version__} here"
        ]
    return [
        *opening,
        f"dscoreml engine: {gate.engine_name}; decoders: {', '.join(decoder.name for decoder in gate.decoders)}; "
        f"features: {gate.settings.front_end}",
        f"dscoreml model: {model.name}, {model.geometry}, static graph of {model.n_steps} steps, sha256 {model.hash[:12]}"
        + (f" ({' and '.join(exported)} graph exported from its weights)" if exported else ""),
    ]


def _converter(versions: Mapping[str, str]) -> str:
    return (
        f"coremltools {versions['coremltools']}, tensorflow {versions['tensorflow']}, numpy {versions['numpy']} "
        f"in the converter (python {versions['python']})"
    )


def summary(reporter: pytest.TerminalReporter, gate: Run, results: Results) -> None:
    """One row per conversion, failures first."""
    if not results.conversions:
        return
    ordered = sorted(results.conversions.items(), key=lambda entry: entry[1].verdict == PASSED)
    rows = [_COLUMNS, *(_row(name, result) for name, result in ordered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    reporter.write_sep("=", f"dscoreml: {gate.model.name} on the {gate.engine_name} engine")
    for row, verdict in zip(rows, ["", *(result.verdict for _, result in ordered)]):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        reporter.write_line(line, red=verdict == FAILED, green=verdict == PASSED)
    for line in transcriptions(results):
        reporter.write_line(line)
    reporter.write_line("logits, states: largest absolute difference; greedy: frames whose most probable class differs")
    for line in (*known_defects(gate, results), *_missing(gate)):
        reporter.write_line(line, yellow=True)
    for name, reason in gate.failures.items():
        reporter.write_line(f"{name} was not converted: {reason}", red=True)


def known_defects(gate: Run, results: Results) -> list[str]:
    """The known defects that showed, with the conversions they broke."""
    broken: dict[str, list[str]] = {}
    for name, result in results.conversions.items():
        for defect in sorted(set(result.known.values())):
            broken.setdefault(defect, []).append(name)
    return [f"{defect}; in {', '.join(broken[defect.id])}" for defect in gate.defects if defect.id in broken]


def _missing(gate: Run) -> list[str]:
    """What the converter cannot make at all."""
    names: dict[str, list[str]] = {}
    for spec, reason in gate.unavailable.items():
        names.setdefault(reason, []).append(spec.name)
    return [f"no {', '.join(those)}: {reason}" for reason, those in names.items()]


def transcriptions(results: Results) -> list[str]:
    """What was heard in each recording by each decoder, and how many conversions heard the same."""
    heard: dict[tuple[str, str, str], list[bool]] = {}
    for result in results.conversions.values():
        for transcript in result.measured.transcripts:
            heard.setdefault((transcript.audio, transcript.decoder, transcript.expected), []).append(transcript.agrees)
    return [
        f"{audio}, {decoder}: {expected!r}, {sum(agreeing)} of {len(agreeing)} conversions agree"
        for (audio, decoder, expected), agreeing in heard.items()
    ]


def _row(name: str, result: ConversionResult) -> Sequence[str]:
    """The cells of a conversion."""
    measured = result.measured
    total = result.passed + len(result.failures)
    agreeing = sum(transcript.agrees for transcript in measured.transcripts)
    return (
        name,
        result.verdict,
        f"{result.passed}/{total}",
        str(measured.examples),
        str(measured.longest),
        _error(measured.logits),
        _error(measured.states),
        str(measured.greedy_mismatches),
        f"{agreeing} of {len(measured.transcripts)} agree" if measured.transcripts else "none",
    )


def _error(value: float | None) -> str:
    """A largest difference; a dash where nothing was compared."""
    return "-" if value is None else f"{value:.1e}"
