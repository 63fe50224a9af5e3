"""What the page says, as plain values for its template: the matrix of conversions, failures first, then each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_dscoreml.agreement.transcripts import aligned
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.report import compression, terminal
from pytest_dscoreml.report.page import charts
from pytest_dscoreml.report.portraits import Gallery, Portrait
from pytest_dscoreml.report.results import FAILED, ConversionResult, Results
from pytest_dscoreml.run import Run

#: Columns of the matrix.
COLUMNS = (*terminal.COLUMNS, "kB", "operations", "seconds to convert", "seconds to run")
SPEED_COLUMNS = ("kind", "recording", "static, chunk by chunk", "dynamic, at once", "static / dynamic")


@dataclass(frozen=True)
class Figure:
    """A chart with its caption and the words for who cannot see it; a `wide` one scrolls where the page is narrow."""

    svg: str
    title: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Text:
    """A transcription by both sides, in pieces that belong together."""

    audio: str
    decoder: str
    agrees: bool
    pieces: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Entry:
    """One conversion.

    Attributes:
        name, verdict: as in the summary.
        compression: of the weights; empty where they are as converted. What is compressed keeps promises of its own and is
            in a table of its own.
        facets: what filters go by: the value of each facet.
        cells: of its row in the matrix, under COLUMNS.
        failures: node ids of the tests that failed, with their texts.
        facts: what is to be said of it, by name.
        interface: name, kind and declaration of each input and output; empty where it failed, as is what follows.
        operations: how many of each type.
        figures: its charts.
        texts: what was heard.
        missing: why something is not shown.
    """

    name: str
    verdict: str
    compression: str
    facets: dict[str, str]
    cells: Sequence[str]
    failures: Sequence[tuple[str, str]]
    facts: dict[str, str]
    interface: Sequence[tuple[str, str, str]]
    operations: Mapping[str, int]
    figures: Sequence[Figure]
    texts: Sequence[Text]
    missing: Sequence[str]


def entries(run: Run, results: Results, gallery: Gallery) -> list[Entry]:
    """Every conversion that has results, failures first; those with compressed weights behind all others."""
    compressed = compression.names(run)
    behind = [(name, result) for name, result in results.conversions.items() if name in compressed]
    shown = [*terminal.ordered(run, results), *sorted(behind, key=lambda entry: not entry[1].failures)]
    specs = {spec.name: spec for spec in (*run.specs, *run.compressed)}
    return [_entry(run, specs[name], result, results.failed, gallery) for name, result in shown]


def _entry(
    run: Run, spec: ConversionSpec, result: ConversionResult, failed: Mapping[str, str], gallery: Gallery
) -> Entry:
    portrait = gallery.portraits.get(spec.name, Portrait(missing=gallery.why_empty))
    made = run.conversions.get(spec.name)
    return Entry(
        name=spec.name,
        verdict=result.verdict,
        compression=spec.compression,
        facets=_facets(spec, result, len(run.versions) > 1),
        cells=(*terminal.row(spec.name, result), *_costs(made, portrait)),
        failures=[(test, failed[test]) for test in result.failures if test in failed],
        facts=_facts(run, spec.name, result, made, portrait),
        interface=() if made is None else _interface(made),
        operations={} if made is None else made.op_counts,
        figures=_figures(run, spec, result, portrait),
        texts=[
            Text(one.audio, one.decoder, one.agrees, aligned(expected=one.expected, obtained=one.obtained))
            for one in result.measured.transcripts
        ],
        missing=portrait.missing,
    )


@dataclass(frozen=True)
class Sizes:
    """Accuracy against size: the cells of each row with what filters go by and its verdict, and the rows as a chart."""

    rows: Sequence[tuple[Sequence[str], Mapping[str, str], str]]
    chart: Figure


def sizes(run: Run, results: Results, shown: Sequence[Entry]) -> Sizes | None:
    """The table of what was compressed; None where nothing was. It knows broken promises, for the numbers are not judged."""
    found = compression.rows(run, results)
    if not found:
        return None
    facets = {entry.name: entry.facets for entry in shown}
    return Sizes(
        [(row.cells, facets.get(row.conversion, {}), FAILED if row.broken else "") for row in found],
        Figure(
            charts.accuracy(found, "sizes"),
            "Accuracy against size",
            "Each compressed conversion by the size of its file, as a share of the uncompressed one's, and the largest "
            "difference of its probabilities from TensorFlow's on recordings.",
        ),
    )


def _interface(made: Conversion) -> list[tuple[str, str, str]]:
    sides = (("input", made.interface.inputs), ("output", made.interface.outputs))
    return [(tensor.name, kind, str(tensor)) for kind, tensors in sides for tensor in tensors]


def speeds(gallery: Gallery) -> list[tuple[str, ...]]:
    """The cells of a row for each pair of a static and a dynamic conversion, under SPEED_COLUMNS."""
    return [
        (
            speed.kind,
            f"{speed.recording}, {speed.seconds:.1f} s",
            f"{speed.static.seconds:.4f} s in {speed.static.calls} calls",
            f"{speed.dynamic.seconds:.4f} s in {speed.dynamic.calls} call",
            f"{speed.ratio:.2f}",
        )
        for speed in gallery.speeds
    ]


def _facets(spec: ConversionSpec, result: ConversionResult, several: bool) -> dict[str, str]:
    facets = {
        "verdict": result.verdict,
        "variant": str(spec.variant),
        "target": str(spec.target),
        "precision": str(spec.precision),
    }
    return {**facets, "converter": spec.converter} if several else facets


def facets(shown: Sequence[Entry]) -> dict[str, list[str]]:
    """The values that conversions can be filtered by, by facet; a facet that all share is none."""
    values: dict[str, list[str]] = {}
    for entry in shown:
        for facet, value in entry.facets.items():
            known = values.setdefault(facet, [])
            if value not in known:
                known.append(value)
    return {facet: known for facet, known in values.items() if len(known) > 1}


def _costs(made: Conversion | None, portrait: Portrait) -> Sequence[str]:
    timing = "-" if portrait.timing is None else f"{portrait.timing.seconds:.3f}"
    if made is None:
        return ("-", "-", "-", timing)
    return (f"{made.size / 1000:.0f}", str(sum(made.op_counts.values())), f"{made.seconds:.1f}", timing)


def _facts(
    run: Run, name: str, result: ConversionResult, made: Conversion | None, portrait: Portrait
) -> dict[str, str]:
    facts = {}
    if name in run.failures:
        facts["not converted"] = run.failures[name]
    if made is not None:
        versions = ", ".join(f"{package} {version}" for package, version in made.versions.items())
        found = " (found in the cache)" if made.cached else ""
        facts["converted by"] = versions
        facts["converting took"] = f"{made.seconds:.2f} s{found}"
        facts["size"] = f"{made.size:,} bytes"
        facts["specification version"] = str(made.interface.specification_version)
        facts.update({f"warning {number}": text for number, text in enumerate(made.warnings, start=1)})
    if portrait.timing is not None:
        calls = f"{portrait.timing.calls} call{'s' if portrait.timing.calls > 1 else ''}"
        facts["running took"] = f"{portrait.timing.seconds:.3f} s in {calls}"
    for test, defect in result.known.items():
        facts[f"known defect {defect}"] = test
    return facts


def _figures(run: Run, spec: ConversionSpec, result: ConversionResult, portrait: Portrait) -> list[Figure]:
    name, alphabet = spec.name, run.model.metadata.alphabet
    tolerance = run.tolerances(spec).probabilities
    figures = []
    # The numbers of what is compressed are held to no tolerance.
    limit = None if spec.compression else tolerance
    worst = portrait.worst
    if worst is not None:
        figures.append(
            Figure(
                charts.sound(worst, alphabet, f"{name}-sound"),
                f"What is heard in {worst.recording}",
                "The sound, and below it how probable any letter is (1 less the blank's probability), as expected and as "
                "obtained, with the letters of the two greedy paths where they begin. "
                f"Of all recordings this one differs most, by {worst.error:.1e}.",
                wide=True,
            )
        )
    if result.measured.by_step:
        lengths = sorted(result.measured.by_step)
        figures.append(
            Figure(
                charts.by_step(result.measured.by_step, limit, f"{name}-steps"),
                "Error against time step",
                f"The largest difference of the probabilities at each step: a pale line for each of {len(lengths)} "
                f"lengths that were compared ({lengths[0]} to {lengths[-1]} steps), a full one for the largest of them; "
                f"a gap where the difference is below {charts.SMALLEST:g}.",
            )
        )
    if portrait.drift is not None:
        figures.append(
            Figure(
                charts.drift(portrait.drift, f"{name}-drift"),
                "Drift of the states",
                f"The largest difference of c and of h after each chunk of {portrait.drift.steps[-1]} steps of speech.",
            )
        )
    if worst is not None:
        every, flips = portrait.margins, portrait.flips
        figures.append(
            Figure(
                charts.margins(every, flips, limit, f"{name}-margins"),
                "Greedy margins",
                f"By how much the likeliest class leads in the {len(every)} frames of all recordings; the likeliest class "
                f"differs in {len(flips)} of them, marked below.",
            )
        )
        figures.append(
            Figure(
                charts.difference(worst, alphabet, f"{name}-difference"),
                "Where the probabilities differ",
                f"Frame by class in {worst.recording}, the absolute difference; the scale ends at the largest.",
            )
        )
    return figures
