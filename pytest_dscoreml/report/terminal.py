"""The header and the summary on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from pytest_dscoreml import __version__
from pytest_dscoreml.heavy import tensorflow_version
from pytest_dscoreml.report import compression
from pytest_dscoreml.report.baseline import Against
from pytest_dscoreml.report.results import FAILED, PASSED, ConversionResult, Results, error_text
from pytest_dscoreml.report.side_by_side import COLUMNS as PAIR_COLUMNS
from pytest_dscoreml.report.side_by_side import Pair
from pytest_dscoreml.run import Run

COLUMNS = ("conversion", "verdict", "tests", "examples", "longest", "logits", "states", "greedy", "transcriptions")


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
    """One row per conversion, failures first; compressed ones have a table of their own."""
    if not results.conversions:
        return
    shown = ordered(gate, results)
    reporter.write_sep("=", f"dscoreml: {gate.model.name} on the {gate.engine_name} engine")
    if shown:
        lines = _aligned([COLUMNS, *(row(name, result) for name, result in shown)])
        for line, verdict in zip(lines, ["", *(result.verdict for _, result in shown)]):
            reporter.write_line(line, red=verdict == FAILED, green=verdict == PASSED)
        for line in transcriptions(gate, results):
            reporter.write_line(line)
        reporter.write_line(
            "logits, states: largest absolute difference; greedy: frames whose most probable class differs"
        )
    sizes(reporter, compression.rows(gate, results))
    for line in (*known_defects(gate, results), *missing(gate)):
        reporter.write_line(line, yellow=True)
    for name, reason in gate.failures.items():
        reporter.write_line(f"{name} was not converted: {reason}", red=True)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in rows]


def sizes(reporter: pytest.TerminalReporter, found: Sequence[compression.SizeRow]) -> None:
    """Accuracy against size, where something was compressed; nothing of it is green, for its numbers are not judged."""
    if not found:
        return
    reporter.write_sep("-", f"dscoreml: {compression.TITLE}")
    for line, one in zip(_aligned([compression.COLUMNS, *(one.cells for one in found)]), [None, *found]):
        reporter.write_line(line, red=one is not None and one.broken)
    for line in compression.LEGEND:
        reporter.write_line(line)


def side_by_side(reporter: pytest.TerminalReporter, found: Sequence[Pair]) -> None:
    """What several converters made of each conversion."""
    if not found:
        return
    reporter.write_sep("=", "dscoreml: converters side by side")
    for line, pair in zip(_aligned([PAIR_COLUMNS, *(pair.cells for pair in found)]), [None, *found]):
        reporter.write_line(line, yellow=pair is not None and any(change.worse for change in pair.found))


def ordered(gate: Run, results: Results) -> list[tuple[str, ConversionResult]]:
    """The conversions, but for the compressed, failures first."""
    return sorted(results.without(compression.names(gate)).items(), key=lambda entry: entry[1].verdict == PASSED)


def against(reporter: pytest.TerminalReporter, file: Path, compared: Against) -> None:
    """What changed since the baseline: what is worse first, then what is merely different, and the verdict."""
    made_by = compared.baseline["converter"]["coremltools"]
    reporter.write_sep("=", f"dscoreml: against the baseline {file.name} (coremltools {made_by})")
    for worse in (True, False):
        for name, found in compared.found.items():
            for change in found:
                if change.worse is worse:
                    reporter.write_line(f"{name}: {change.text}", red=worse)
    if compared.unselected:
        reporter.write_line(f"not in this run: {', '.join(compared.unselected)}", yellow=True)
    reporter.write_line(verdict(compared), red=not compared.passed, green=compared.passed)


def verdict(compared: Against) -> str:
    """How many conversions were compared with a baseline, how many are worse, and how long converting took."""
    took = "" if compared.seconds is None else f"; converting took {compared.seconds:.2f} times as long"
    worse = f"{len(compared.worse)} worse" if compared.worse else "none worse" if compared.compared else "nothing shown"
    return f"{compared.compared} of {len(compared.found)} conversions compared with the baseline, {worse}{took}"


def known_defects(gate: Run, results: Results) -> list[str]:
    """The known defects that showed, with the conversions they broke."""
    broken: dict[str, list[str]] = {}
    for name, result in results.conversions.items():
        for defect in sorted(set(result.known.values())):
            broken.setdefault(defect, []).append(name)
    return [f"{defect}; in {', '.join(broken[defect.id])}" for defect in gate.defects if defect.id in broken]


def missing(gate: Run) -> list[str]:
    """What the converter cannot make at all."""
    names: dict[str, list[str]] = {}
    for spec, reason in gate.unavailable.items():
        names.setdefault(reason, []).append(spec.name)
    return [f"no {', '.join(those)}: {reason}" for reason, those in names.items()]


def transcriptions(gate: Run, results: Results) -> list[str]:
    """What was heard in each recording by each decoder, and how many conversions heard the same, but for the compressed."""
    heard: dict[tuple[str, str, str], list[bool]] = {}
    for result in results.without(compression.names(gate)).values():
        for transcript in result.measured.transcripts:
            heard.setdefault((transcript.audio, transcript.decoder, transcript.expected), []).append(transcript.agrees)
    return [
        f"{audio}, {decoder}: {expected!r}, {sum(agreeing)} of {len(agreeing)} conversions agree"
        for (audio, decoder, expected), agreeing in heard.items()
    ]


def row(name: str, result: ConversionResult) -> Sequence[str]:
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
        error_text(measured.logits),
        error_text(measured.states),
        str(measured.greedy_mismatches),
        f"{agreeing} of {len(measured.transcripts)} agree" if measured.transcripts else "none",
    )
