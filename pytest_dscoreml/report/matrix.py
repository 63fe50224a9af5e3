"""The results of several runs, each with another converter, as one table: version by version, conversion by conversion.

Reads what `--dscoreml-report` wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from pytest_dscoreml.conversion.versions import version_of
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.report.changes import changes
from pytest_dscoreml.report.json_file import FILE_NAME, SCHEMA_VERSION
from pytest_dscoreml.report.markdown import table
from pytest_dscoreml.report.page.rendering import check, rendered
from pytest_dscoreml.report.results import error_text

COLUMNS = (
    "environment",
    "coremltools",
    "conversion",
    "verdict",
    "logits",
    "states",
    "operations",
    "seconds",
    "kB",
    "known defects",
    "changed against the version before",
)


@dataclass(frozen=True)
class Row:
    """One conversion in one environment.

    Attributes:
        environment: the folder its results were in.
        coremltools: the converter's version.
        conversion: `variant-target-precision`.
        verdict: as in the run's report.
        logits, states: largest absolute differences; None where none was compared, the text `infinite`.
        operations: how many the file has; None where there is no file.
        seconds: that the conversion took.
        size: of the file, in bytes.
        known_defects: ids of those that showed.
        changed: what is different from the same conversion by the version before, in words.
    """

    environment: str
    coremltools: str
    conversion: str
    verdict: str
    logits: Any
    states: Any
    operations: Optional[int]
    seconds: Optional[float]
    size: Optional[int]
    known_defects: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One environment: its name, the versions in the converter, how long its run took, and its report."""

    environment: str
    converter: Mapping[str, str]
    seconds: float
    conversions: Mapping[str, Any]


def read_runs(directory: Path) -> list[Run]:
    """The runs whose reports are in folders of a directory, oldest coremltools first.

    Raises:
        UsageError: there is none, or one cannot be read; names the file and what was expected.
    """
    files = sorted(directory.glob(f"*/{FILE_NAME}"))
    if not files:
        raise UsageError(f"{directory}: there is no */{FILE_NAME} in it; give the directory of several reports")
    return sorted(map(_run, files), key=lambda run: (version_of(run.converter["coremltools"]), run.environment))


def _run(file: Path) -> Run:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA_VERSION:
            raise UsageError(f"{file}: its schema is {document['schema']}, expected {SCHEMA_VERSION}")
        return Run(file.parent.name, document["converter"], document["seconds"], document["conversions"])
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{file}: no report of a run (--dscoreml-report writes them)") from None


def rows(runs: Sequence[Run]) -> list[Row]:
    """A row for each conversion of each run, in the order of the runs."""
    found: list[Row] = []
    before: dict[str, Any] = {}
    for run in runs:
        for name, entry in run.conversions.items():
            made, errors = entry["conversion"], entry["max_abs_error"]
            found.append(
                Row(
                    environment=run.environment,
                    coremltools=run.converter["coremltools"] if made is None else made["versions"]["coremltools"],
                    conversion=name,
                    verdict=entry["verdict"],
                    logits=errors["logits"],
                    states=errors["states"],
                    operations=None if made is None else sum(made["op_counts"].values()),
                    seconds=None if made is None else made["seconds"],
                    size=None if made is None else made["bytes"],
                    known_defects=tuple(sorted(set(entry["tests"]["known_defects"].values()))),
                    changed=tuple(change.text for change in changes(before[name], entry)) if name in before else (),
                )
            )
        before.update(run.conversions)
    return found


def to_json(runs: Sequence[Run]) -> str:
    """The table as JSON: the environments with their versions and seconds, and the rows."""
    total = sum(run.seconds for run in runs)
    environments = [
        {
            "name": run.environment,
            "converter": dict(run.converter),
            "seconds": run.seconds,
            "share": round(run.seconds / total, 3) if total else 0.0,
        }
        for run in runs
    ]
    document = {"environments": environments, "rows": [asdict(row) for row in rows(runs)]}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def to_markdown(runs: Sequence[Run]) -> str:
    """The table as Markdown: environments first, then the rows."""
    return "\n\n".join("\n".join(table(*each)) for each in _tables(runs)) + "\n"


def to_html(runs: Sequence[Run]) -> str:
    """The table as one HTML page that needs nothing else.

    Raises:
        UsageError: a package that makes it is not installed.
    """
    check("--format=html")
    return rendered("matrix.html", tables=_tables(runs))


def _tables(runs: Sequence[Run]) -> list[tuple[Sequence[str], list[Sequence[str]]]]:
    total = sum(run.seconds for run in runs)
    names = ("python", "coremltools", "tensorflow", "numpy", "protobuf")
    environments: list[Sequence[str]] = [
        (
            run.environment,
            *(run.converter[name] for name in names),
            f"{run.seconds:.0f}",
            f"{run.seconds / total:.0%}" if total else "",
        )
        for run in runs
    ]
    return [(("environment", *names, "seconds", "share"), environments), (COLUMNS, [_cells(row) for row in rows(runs)])]


def _cells(row: Row) -> Sequence[str]:
    return (
        row.environment,
        row.coremltools,
        row.conversion,
        row.verdict,
        error_text(row.logits, missing=""),
        error_text(row.states, missing=""),
        "" if row.operations is None else str(row.operations),
        "" if row.seconds is None else f"{row.seconds:.1f}",
        "" if row.size is None else f"{row.size / 1000:.0f}",
        ", ".join(row.known_defects),
        "; ".join(row.changed),
    )
