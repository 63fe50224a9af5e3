"""``-p pytest_dscoreml.coremltools_tests``: coremltools' own tests, with numbers, on any system.

coremltools' wheel carries its tests. Off macOS they convert and compare nothing, since ``MLModel.predict`` needs Apple's
framework. This plugin hands the prediction to the NumPy runtime; no file of coremltools is edited. See
``docs/coremltools-tests.md``.

``setup`` says what is replaced and why, ``proxy`` predicts, ``records`` keeps what each test did, ``causes`` says why one
failed, ``tally`` counts, ``summary`` prints. Imports the runtime, ``files`` and the errors; coremltools late.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, Optional

import pytest

from pytest_dscoreml.coremltools_tests.causes import CRASHED, cause_of
from pytest_dscoreml.coremltools_tests.records import Recorder, TestRecord
from pytest_dscoreml.coremltools_tests.sampling import in_sample, seed_of

_FP32_TESTS = "INCLUDE_MIL_FP32_UNIT_TESTS"
_ATTRIBUTE = "coremltools_record"
_RECORDER = pytest.StashKey[Recorder]()
_RECORDS = pytest.StashKey[list[TestRecord]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add this plugin's two options."""
    group = parser.getgroup("coremltools-tests", "coremltools' own tests, predicted by the NumPy runtime")
    group.addoption(
        "--coremltools-tests-report",
        metavar="FILE",
        type=Path,
        default=None,
        help="Write what each test did, and the pass rates, to this file as JSON.",
    )
    group.addoption(
        "--coremltools-tests-sample",
        metavar="N",
        type=_positive,
        default=1,
        help="Run about one test in N, chosen by a hash of its name: the same ones each time (default: 1, all).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Ask for float32 ML Programs, which coremltools leaves out unless told, and prepare coremltools where tests run."""
    config.addinivalue_line("markers", "slow: used by coremltools' tests")
    config.stash[_RECORDS] = []
    if config.option.help or config.option.version:
        return
    os.environ.setdefault(_FP32_TESTS, "1")
    if not _only_distributes(config):
        from pytest_dscoreml.coremltools_tests.setup import prepare

        config.stash[_RECORDER] = Recorder()
        prepare(config.stash[_RECORDER])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the sample."""
    one_in: int = config.option.coremltools_tests_sample
    if one_in > 1:
        kept = [item for item in items if in_sample(_test_id(item), one_in)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take all that exists by now out of the garbage collector's sight."""
    if _RECORDER in session.config.stash:
        from pytest_dscoreml.coremltools_tests.setup import freeze

        freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """One record a test."""
    from pytest_dscoreml.coremltools_tests.setup import seed

    name = _test_id(item)
    seed(seed_of(name))
    item.config.stash[_RECORDER].begin(name, _parameters(item))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the record to the test's report, which pytest-xdist carries to the controller."""
    report = yield
    record = item.config.stash[_RECORDER].current
    record.seconds += call.duration
    if report.when == "call" or not report.passed:
        record.outcome = "xfailed" if report.skipped and hasattr(report, "wasxfail") else report.outcome
        if report.failed and call.excinfo is not None:
            record.cause, record.detail = cause_of(call.excinfo, record)
        elif report.failed:
            record.cause, record.detail = "unexpected pass", str(report.longrepr)
        elif report.skipped:
            record.detail = str(getattr(report, "wasxfail", "") or _skip_reason(report))
    if report.when == "teardown":
        setattr(report, _ATTRIBUTE, record.to_json())
    return report


class _Collector:
    """Receives the reports, on the controller or in the only process."""

    def __init__(self, records: list[TestRecord]) -> None:
        self._records = records

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the record that came with the last report of a test."""
        attached = getattr(report, _ATTRIBUTE, None)
        if attached is not None:
            self._records.append(TestRecord.from_json(attached))
        elif report.when not in ("setup", "call", "teardown"):
            # A process of pytest-xdist that died; what the test did died with it.
            self._records.append(TestRecord(report.nodeid, "failed", CRASHED, str(report.longrepr)))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to reports where they end up."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(_Collector(session.config.stash[_RECORDS]), "coremltools-tests-collector")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the pass rates and write the report."""
    from pytest_dscoreml.coremltools_tests.summary import render
    from pytest_dscoreml.coremltools_tests.tally import document

    records = config.stash[_RECORDS]
    if not records:
        return
    summary = document(records, sample=config.option.coremltools_tests_sample)
    for line in render(summary):
        terminalreporter.write_line(line)
    path: Optional[Path] = config.option.coremltools_tests_report
    if path is not None:
        from pytest_dscoreml.coremltools_tests.tally import write

        write(path, summary)
        terminalreporter.write_line(f"written: {path}")


def _only_distributes(config: pytest.Config) -> bool:
    """Whether this process is pytest-xdist's controller, which runs no test itself."""
    return not hasattr(config, "workerinput") and getattr(config.option, "dist", "no") != "no"


def _test_id(item: pytest.Item) -> str:
    """A test's name with its file's path from coremltools' own folder on, wherever that is installed."""
    parts = item.path.parts
    package = len(parts) - 1 - parts[::-1].index("coremltools") if "coremltools" in parts else -1
    file = "/".join(parts[package + 1 :]) if package >= 0 else item.path.name
    return f"{file}::{item.nodeid.partition('::')[2]}"


def _parameters(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return {} if callspec is None else dict(callspec.params)


def _skip_reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value
