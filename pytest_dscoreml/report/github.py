"""What GitHub Actions shows of a run: annotations, which are lines of the log, and the summary of the step, a file.

Their formats: docs.github.com, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_dscoreml.report import compression, terminal
from pytest_dscoreml.report.baseline import Against
from pytest_dscoreml.report.markdown import table
from pytest_dscoreml.report.results import FAILED, NOT_COMPARED, PASSED, Results
from pytest_dscoreml.report.side_by_side import COLUMNS, Pair
from pytest_dscoreml.run import Run

#: Set to `true` where annotations are read, and the path of the file that is shown under the job.
ANNOTATED, SUMMARY = "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"
#: Lines of a failure that an annotation holds: the promise, the quantity, the first value.
_LINES = 4
#: GitHub shows no more annotations of a step than this; the rest is counted in one.
MOST = 10


def commands(gate: Run, results: Results, against: Against | None) -> list[str]:
    """An error for each conversion that failed, for each test that failed beside them, and for each that is worse than
    the baseline's; a warning for each that was not compared, and for each known defect that showed.
    """
    found = [*_errors(gate, results, against), *_warnings(gate, results)]
    if len(found) > MOST:
        rest = len(found) - MOST + 1
        found[MOST - 1 :] = [_command("error", "more", f"{rest} more are in the log")]
    return found


def _errors(gate: Run, results: Results, against: Against | None) -> Iterator[str]:
    for name, result in results.conversions.items():
        if result.failures:
            first = result.failures[0]
            tests = result.passed + len(result.failures)
            text = f"{len(result.failures)} of {tests} tests failed; {first}\n{_head(results.failed[first])}"
            yield _command("error", name, text)
    told = {test for result in results.conversions.values() for test in result.failures}
    for test, text in results.failed.items():
        if test not in told:
            yield _command("error", test, _head(text))
    if against is not None:
        for name in against.worse:
            words = [change.text for change in against.found[name] if change.worse]
            yield _command("error", f"{name}: worse than the baseline", "\n".join(words))
        if not against.compared:
            yield _command("error", "baseline", "nothing was compared with the baseline")


def _warnings(gate: Run, results: Results) -> Iterator[str]:
    for name, result in results.conversions.items():
        if result.verdict == NOT_COMPARED:
            yield _command("warning", name, gate.failures.get(name, "no comparison with TensorFlow happened"))
    for line in terminal.known_defects(gate, results):
        yield _command("warning", "known defect", line)


def _head(text: str) -> str:
    return "\n".join(text.splitlines()[:_LINES])


def _command(kind: str, title: str, text: str) -> str:
    """A workflow command; what ends a line, a property or a title is escaped as GitHub has it."""
    data = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    escaped = (
        title.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")
    )
    return f"::{kind} title={escaped}::{data}"


def summary(gate: Run, results: Results, against: Against | None, found: Sequence[Pair] = ()) -> str:
    """The run as Markdown: one row per conversion, failures first, what was heard, converters side by side, what changed."""
    mark = {PASSED: "passed", FAILED: "**failed**", NOT_COMPARED: "*not compared*"}
    rows = [
        (name, mark[result.verdict], *terminal.row(name, result)[2:])
        for name, result in terminal.ordered(gate, results)
    ]
    lines = [f"### {gate.model.name} on the {gate.engine_name} engine", "", *table(terminal.COLUMNS, rows), ""]
    lines += [f"- {line}" for line in (*terminal.header(gate), *terminal.transcriptions(gate, results))]
    lines += [f"- {line}" for line in (*terminal.known_defects(gate, results), *terminal.missing(gate))]
    sizes = compression.rows(gate, results)
    if sizes:
        cells = [one.cells for one in sizes]
        title = compression.TITLE.capitalize()
        lines += [
            "",
            f"#### {title}",
            "",
            *table(compression.COLUMNS, cells),
            "",
            *(f"- {line}" for line in compression.LEGEND),
        ]
    if found:
        lines += ["", "#### Side by side", "", *table(COLUMNS, [pair.cells for pair in found])]
    if against is not None:
        told = [
            (name, "**worse**" if change.worse else "", change.text)
            for name, found in against.found.items()
            for change in found
        ]
        made_by = against.baseline["converter"]["coremltools"]
        lines += ["", f"#### Against the baseline (coremltools {made_by})", "", terminal.verdict(against), ""]
        lines += table(("conversion", "", "changed"), told) if told else []
    return "\n".join(lines) + "\n"


def write(environment: Mapping[str, str], text: str) -> None:
    """Add to the summary of the step, where there is one; raises OSError where it cannot be written."""
    if environment.get(SUMMARY):
        with Path(environment[SUMMARY]).open("a", encoding="utf-8") as stream:
            stream.write(text)
