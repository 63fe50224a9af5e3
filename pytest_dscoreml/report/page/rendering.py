"""The page itself, filled in: HTML with its style, its script and its charts in one text. Jinja2 is imported late."""

from __future__ import annotations

import datetime
import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.report import compression, terminal
from pytest_dscoreml.report.baseline import Against
from pytest_dscoreml.report.page import contents
from pytest_dscoreml.report.portraits import TIMED, Gallery
from pytest_dscoreml.report.results import PASSED, Results
from pytest_dscoreml.report.side_by_side import COLUMNS, Pair
from pytest_dscoreml.run import Run

FILE_NAME = "report.html"


def check(option: str) -> None:
    """See that a page can be made, before the run and not after it.

    Raises:
        UsageError: a package that makes it is not installed, as it may be where a bundle is replayed.
    """
    missing = [name for name in ("jinja2", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        raise UsageError(f"{option}: the page is made by {names}, not installed here; pip install {' '.join(missing)}")


def rendered(template: str, **values: Any) -> str:
    """A template of this package, filled in; whatever comes from outside is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**values)


def page(run: Run, results: Results, gallery: Gallery, against: Against | None, found: Sequence[Pair]) -> str:
    """The whole report of a run, which opens anywhere and asks no network for anything."""
    with warnings.catch_warnings():
        # What matplotlib says to the libraries below it must not end a run whose warnings are errors.
        warnings.simplefilter("ignore")
        shown = contents.entries(run, results, gallery)
        sizes = contents.sizes(run, results, shown)
    plain, compressed = ([entry for entry in shown if bool(entry.compression) is flag] for flag in (False, True))
    told = {test for result in results.conversions.values() for test in result.failures}
    return rendered(
        "report.html",
        run=run,
        title=f"{run.model.name} on the {run.engine_name} engine",
        outcome=_outcome(plain, compressed),
        green=all(entry.verdict == PASSED for entry in shown) and not results.failed and bool(shown),
        # Local time with its offset: whoever reads it may be elsewhere.
        written=datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        seconds=results.seconds,
        header=terminal.header(run),
        columns=contents.COLUMNS,
        entries=shown,
        matrix=[(entry.cells, entry.facets, entry.verdict) for entry in plain],
        sizes=sizes,
        size_columns=compression.COLUMNS,
        size_legend=compression.LEGEND,
        facets=contents.facets(shown),
        timed_steps=TIMED,
        speed_columns=contents.SPEED_COLUMNS,
        speeds=contents.speeds(gallery),
        heard=terminal.transcriptions(run, results),
        notes=[*terminal.known_defects(run, results), *terminal.missing(run)],
        others=[(test, text) for test, text in results.failed.items() if test not in told],
        against=against,
        verdict=None if against is None else terminal.verdict(against),
        pair_columns=COLUMNS,
        pairs=found,
    )


def _outcome(plain: Sequence[contents.Entry], compressed: Sequence[contents.Entry]) -> str:
    """How many conversions passed; of the compressed, how many keep their own promises."""
    words = []
    if plain or not compressed:
        words.append(f"{_passed(plain)} of {len(plain)} conversions passed")
    if compressed:
        words.append(f"{_passed(compressed)} of {len(compressed)} compressed ones keep their promises")
    return ", ".join(words)


def _passed(entries: Sequence[contents.Entry]) -> int:
    return sum(entry.verdict == PASSED for entry in entries)
