"""What a run leaves behind when its tests are over: the comparison with a baseline, or a new one, and the reports."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.finishing import is_complete, is_over
from pytest_dscoreml.options import BASELINE, REPORT, WRITE_BASELINE, Settings
from pytest_dscoreml.report import baseline, github, json_file, terminal
from pytest_dscoreml.report.page import rendering
from pytest_dscoreml.report.portraits import Gallery, paint, speeds
from pytest_dscoreml.report.results import Results
from pytest_dscoreml.report.side_by_side import Pair, pairs
from pytest_dscoreml.run import Run


def check(settings: Settings) -> None:
    """See that everything can be written that will be.

    Raises:
        UsageError: something cannot, or would claim what did not happen.
    """
    if settings.baseline is not None and settings.write_baseline is not None:
        raise UsageError(
            f"{BASELINE.flag}, {WRITE_BASELINE.flag}: a run compares with a baseline or writes one; leave one of them out"
        )
    if settings.report is not None:
        json_file.check(settings.report, f"{REPORT.flag}={settings.report}")
        rendering.check(f"{REPORT.flag}={settings.report}")
    if settings.write_baseline is not None:
        json_file.check(settings.write_baseline.parent, f"{WRITE_BASELINE.flag}={settings.write_baseline}")


class Ending:
    """Of a run without workers, or of the controller of one that has some.

    Raises:
        UsageError: the baseline cannot be read, or is of a run that this one cannot be compared with.
    """

    def __init__(self, gate: Run) -> None:
        self.gate = gate
        self.against: baseline.Against | None = None
        self._report: tuple[Mapping[str, Any], str] | None = None
        self._words: list[str] = []
        file = gate.settings.baseline
        self._baseline = None if file is None else baseline.read(file, gate.conditions)

    def tests_are_over(self, results: Results, session: pytest.Session) -> bool:
        """Compare with the baseline, or write one, and make the report; returns whether the run is worse than its baseline.

        Raises:
            UsageError: the baseline cannot be written.
        """
        file = self.gate.settings.write_baseline
        finished = is_complete(session) and bool(results.conversions)
        if file is not None and finished:
            json_file.write(file, json_file.document(self.gate, results), f"{WRITE_BASELINE.flag}={file}")
            failed = f", {len(results.failed)} failed tests in it" if results.failed else ""
            self._words.append(f"baseline written to {file}{failed}; this run was compared with none")
        elif file is not None:
            self._words.append("no baseline was written: the run did not finish")
        worse = self._compare(results, finished)
        if self.gate.settings.report is not None:
            self._make_report(results, is_over(session))
        return worse

    def _compare(self, results: Results, finished: bool) -> bool:
        """Whether the run is worse than its baseline; false where it has none."""
        if self._baseline is None:
            return False
        if not finished:
            self._words.append("nothing was compared with the baseline: the run did not finish")
            return True
        selected = [spec.name for spec in (*self.gate.specs, *self.gate.compressed)]
        self.against = baseline.compare(self._baseline, json_file.document(self.gate, results), selected)
        return not self.against.passed

    def _make_report(self, results: Results, over: bool) -> None:
        """Before the summary, so that nothing is left to wait for when that is shown."""
        names = list(results.conversions)
        gallery = paint(self.gate, names) if over else Gallery(why_empty=["the run was interrupted"])
        with self.gate.progress.task("drawing the report"):
            page = rendering.page(self.gate, results, gallery, self.against, self._pairs(results))
        self._report = {**json_file.document(self.gate, results), "speed": speeds(gallery)}, page

    def _pairs(self, results: Results) -> Sequence[Pair]:
        several = len(self.gate.versions) > 1
        return pairs(self.gate, json_file.document(self.gate, results)) if several else []

    def show(self, reporter: pytest.TerminalReporter, results: Results) -> None:
        """The summary on the terminal, and what GitHub reads of it."""
        terminal.summary(reporter, self.gate, results)
        found = self._pairs(results)
        terminal.side_by_side(reporter, found)
        if self.against is not None and self.gate.settings.baseline is not None:
            terminal.against(reporter, self.gate.settings.baseline, self.against)
        for line in [*self._words, *self._for_github(results, found)]:
            reporter.write_line(line)

    def _for_github(self, results: Results, found: Sequence[Pair]) -> Iterator[str]:
        if not results.conversions:
            return
        if os.environ.get(github.ANNOTATED) == "true":
            yield from github.commands(self.gate, results, self.against)
        try:
            github.write(os.environ, github.summary(self.gate, results, self.against, found))
        except OSError as error:
            yield f"{github.SUMMARY}={os.environ[github.SUMMARY]} cannot be written: {error.strerror or error}"

    def everything_is_shown(self) -> None:
        """Write the report, as data and as a page.

        Raises:
            UsageError: it cannot be written.
        """
        directory = self.gate.settings.report
        if directory is not None and self._report is not None:
            option = f"{REPORT.flag}={directory}"
            document, text = self._report
            json_file.write(directory / json_file.FILE_NAME, document, option)
            json_file.write_text(directory / rendering.FILE_NAME, text, option)
