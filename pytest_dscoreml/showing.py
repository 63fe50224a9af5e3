"""Progress in a pytest run: on the terminal of whoever has one, between pytest's own lines, past its capturing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest

from pytest_dscoreml.progress import Lines, Live, Place, Progress, Task, can_rewrite

PREFIX = "dscoreml: "
#: What `currentfspath` of pytest's reporter is after a line that has all it will have, but for its end.
_COMPLETE = -2


class Reporters:
    """The line that pytest's terminal reporter is at: the path of a file and its dots, or with `-v` the name of a test."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._reporter, self._start = reporter, config.invocation_params.dir
        self._writer = config.get_terminal_writer()

    def width(self) -> int:
        """Columns of it."""
        return self._writer.width_of_current_line

    def again(self) -> str:
        """The path or the name, and where dots stood, blanks: what the reporter writes next stands where it expects it."""
        at: Any = self._reporter.currentfspath
        if at == _COMPLETE:
            self._reporter.currentfspath = None
            return ""
        text = os.path.relpath(at, self._start) if isinstance(at, Path) else at or ""
        return text[: self.width()].ljust(self.width())


def progress_of(config: pytest.Config) -> Progress:
    """The progress of a run: silent under `-q`, and on workers of pytest-xdist, which have no terminal."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or reporter.verbosity < 0 or hasattr(config, "workerinput"):
        return Progress()
    parallel = bool(getattr(config.option, "tx", None))
    # Where tests write to the terminal too, or several of them end at any moment, a line that is rewritten would be broken.
    shared = parallel or config.getoption("capture") == "no" or config.getini("log_cli")
    display = Live if can_rewrite(sys.stdout) and not shared else Lines
    place: Place = Reporters(config, reporter)
    return Progress(display(_stream(config), place, PREFIX), parallel=parallel)


def _stream(config: pytest.Config) -> TextIO:
    """Standard output as it is while nothing is captured, which is so when pytest is configured.

    Its descriptor is copied: during a test pytest puts a file in its place, and a thread must not meddle with that.
    """
    try:
        descriptor = os.dup(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):  # no file, but an object of somebody who captures the whole run
        return sys.stdout
    stream = os.fdopen(descriptor, "w", encoding=sys.stdout.encoding or "utf-8", errors="replace")
    config.add_cleanup(stream.close)
    return stream


class Showing:
    """Tells of tests that take long, on the controller of pytest-xdist of those of its workers, and makes way for pytest.

    Args:
        progress: of the run.
        is_ours: whether a test, by its file and its name, is about a conversion: others are none of our business.
    """

    def __init__(self, progress: Progress, is_ours: Callable[[str, str], bool]) -> None:
        self._progress, self._is_ours = progress, is_ours
        self._running: dict[str, Task] = {}

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """A test begins, here or on a worker."""
        file, _, name = location
        if self._is_ours(file, name):
            self._over(nodeid)
            self._running[nodeid] = self._progress.begin(f"running {name}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pytest is about to write; the test of a worker that crashed ends with a report of no phase."""
        self._progress.give_back()
        if report.when not in ("setup", "call", "teardown"):
            self._over(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test is over."""
        self._over(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """All tests are over, those too that were cut short."""
        for nodeid in list(self._running):
            self._over(nodeid)

    def pytest_enter_pdb(self) -> None:
        """The terminal is the debugger's."""
        self._progress.mute(True)

    def pytest_leave_pdb(self) -> None:
        """It no longer is."""
        self._progress.mute(False)

    def _over(self, nodeid: str) -> None:
        task = self._running.pop(nodeid, None)
        if task is not None:
            self._progress.end(task)
