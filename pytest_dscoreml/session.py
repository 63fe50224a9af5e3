"""The active gate or replay in a pytest run: registered only where `--dscoreml-model` or `--dscoreml-replay` was given."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_dscoreml import replay_suite, suite
from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.bundle.writing import check_target
from pytest_dscoreml.collecting import BuiltInSuite
from pytest_dscoreml.conversion.defects import KnownDefect
from pytest_dscoreml.diverging import Diverging
from pytest_dscoreml.errors import DscoremlError, UsageError
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.options import RECORD, REPRODUCE, WRITE_BASELINE, Settings
from pytest_dscoreml.parametrizing import COMPARED, GATE, conversions_of, draws
from pytest_dscoreml.record import Node, record
from pytest_dscoreml.replay import Replay
from pytest_dscoreml.report import ending, properties, terminal
from pytest_dscoreml.report.failure import REPORTED, failure_text
from pytest_dscoreml.report.results import Results
from pytest_dscoreml.reproducing import check_version
from pytest_dscoreml.run import Run
from pytest_dscoreml.showing import Showing, progress_of

#: Under which name workers of pytest-xdist get the failed conversions, and reports carry what was measured, and the id of
#: the known defect that the test was expected to show.
FAILED, CARRIED, KNOWN = "dscoreml_failed", "dscoreml", "dscoreml_known_defect"
#: The files of the suite that are about several converters, and about compressed weights.
CONVERTERS, COMPRESSION = (Path(suite.__file__).with_name(f"test_{name}.py") for name in ("converters", "compression"))
DEFECT: pytest.StashKey[KnownDefect] = pytest.StashKey()
#: On a worker: why a test must not be run.
REFUSED: pytest.StashKey[str] = pytest.StashKey()


def start(config: pytest.Config) -> None:
    """Open the gate and register its session.

    Raises:
        pytest.UsageError: something that was asked for cannot be used; the message says what and what to do.
    """
    try:
        settings = Settings.of(config)
        is_worker = hasattr(config, "workerinput")
        if not is_worker:
            ending.check(settings)
        gate = _open(config, settings)
        after = None if is_worker else ending.Ending(gate)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[GATE] = gate
    config.pluginmanager.register(GateSession(config, gate, after), "dscoreml-session")
    directory = Path(str((suite if gate.replayed is None else replay_suite).__file__)).parent
    names = [spec.name for spec in gate.specs]

    def is_ours(file: str, test: str) -> bool:
        return Path(os.path.normpath(config.rootpath / file)).parent == directory or any(name in test for name in names)

    config.pluginmanager.register(Showing(gate.progress, is_ours), "dscoreml-showing")
    config.pluginmanager.register(BuiltInSuite(config, directory, settings.suite), "dscoreml-suite")


def _open(config: pytest.Config, settings: Settings) -> Run:
    """A gate, or where a bundle was given its replay."""
    if settings.replay is not None:
        return Replay(settings, settings.replay, progress_of(config))
    if settings.reproduce is not None:
        check_version(settings.reproduce)
        for option, value in ((RECORD, settings.record), (WRITE_BASELINE, settings.write_baseline)):
            if value is not None:
                raise UsageError(
                    f"{option.flag}={value}: {REPRODUCE.flag} runs one example only; leave one of them out"
                )
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if settings.record is not None and given is None:
        check_target(settings.record)
    gate = Gate(settings, failed=None if given is None else given.get(FAILED), progress=progress_of(config))
    if settings.record is not None:
        record(config, gate, settings.record)
    return gate


class GateSession:
    """Collects the suite, and carries measurements from tests to where the run ends; `after` is None on workers."""

    def __init__(self, config: pytest.Config, gate: Run, after: ending.Ending | None) -> None:
        self.config = config
        self.gate = gate
        self.after = after
        self.results = Results()
        # A bundle has no graph whose inner values could be asked for.
        self.diverging = Diverging(gate) if isinstance(gate, Gate) else None

    @property
    def _is_controller(self) -> bool:
        """Whether this process only hands tests to workers of pytest-xdist."""
        return bool(getattr(self.config.option, "tx", None)) and not hasattr(self.config, "workerinput")

    def pytest_report_header(self) -> list[str]:
        """Versions, engine, decoder and model."""
        return terminal.header(self.gate)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Convert before workers start: each would wait for it anyway, and none of them has a terminal."""
        if self._is_controller and not self.config.option.collectonly:
            self.gate.convert(self.gate.possible)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """One converter has none to agree with, and what was not to be compressed promises nothing about it."""
        alone = collection_path == CONVERTERS and len(self.gate.versions) == 1
        return True if alone or (collection_path == COMPRESSION and not self.gate.compressed) else None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """What a known defect of its converter breaks is expected to fail; and JUnit's file names the conversions."""
        for item in items:
            properties.describe(item, self.gate)
            defect = self._defect_of(item)
            if defect is not None:
                item.stash[DEFECT] = defect
                item.user_properties.append((f"{properties.PREFIX}known_defect", defect.id))
                item.add_marker(pytest.mark.xfail(reason=str(defect), raises=REPORTED, strict=True))

    def _defect_of(self, item: pytest.Item) -> KnownDefect | None:
        promise, test = item.path.stem.replace("test_", "", 1), item.name.split("[")[0]
        affecting = (
            defect
            for defect in self.gate.defects
            for spec in conversions_of(item)
            if defect.affects(
                coremltools=self.gate.coremltools_of(spec), promise=promise, test=test, conversion=spec.kind
            )
        )
        return next(affecting, None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Node) -> None:
        """Tell a worker which conversions failed, so that it does not try them again."""
        node.workerinput[FAILED] = self.gate.failures

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """End the run with the words of a worker that cannot use what it was given: xdist would start others for ever."""
        _, refused, words = str(error).rpartition("UsageError: ")
        if refused:
            pytest.exit(f"worker {node.gateway.id}: {words.splitlines()[0]}", returncode=pytest.ExitCode.USAGE_ERROR)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Only what the collected tests ask for will be converted; and an example is of one test."""
        self._check_reproduced(session)
        asked = {spec for item in session.items for spec in conversions_of(item)}
        self.gate.wanted = [spec for spec in self.gate.possible if spec in asked]

    def _check_reproduced(self, session: pytest.Session) -> None:
        blob = self.gate.settings.reproduce
        drawing = [item for item in session.items if draws(item)]
        if blob is None or len(drawing) == 1 or self.config.option.collectonly:
            return
        refused = (
            f"{REPRODUCE.flag}={blob}: an example of one test, and {len(drawing)} that draw are selected; select it "
            "with -k, as the failure's command does"
        )
        if not hasattr(self.config, "workerinput"):
            raise pytest.UsageError(refused)
        for item in drawing:  # a worker that ends while it collects is a crash to pytest-xdist
            item.stash[REFUSED] = refused

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A test that cannot be given what it was to be given ends with that."""
        if REFUSED in item.stash:
            raise UsageError(item.stash[REFUSED])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach what the test measured; extra attributes of a report travel from workers to the controller."""
        if call.when == "call":
            properties.measure(item)
        report = yield
        if call.excinfo is not None and call.excinfo.errisinstance(REPORTED):
            divergence = self._divergence(item, call.excinfo.value)
            report.longrepr = failure_text(call.excinfo.value, item, self.config, divergence)
        defect = item.stash.get(DEFECT, None)
        if defect is not None and hasattr(report, "wasxfail"):
            setattr(report, KNOWN, defect.id)
        elif defect is not None and report.when == "call" and report.failed and call.excinfo is None:
            report.longrepr = defect.stale
        compared = item.stash.get(COMPARED, {})
        if report.when == "call" or report.outcome != "passed":
            names = [spec.usual.name for spec in conversions_of(item)]
            carried = {name: compared[name].measured.to_json() if name in compared else None for name in names}
            setattr(report, CARRIED, carried)
        return report

    def _divergence(self, item: pytest.Item, error: BaseException) -> list[str]:
        """Where the conversion that a disagreement speaks of departs first, if the test said what it fed it."""
        if self.diverging is None or not isinstance(error, Disagreement):
            return []
        for spec in conversions_of(item):
            comparison = item.stash.get(COMPARED, {}).get(spec.name)
            if comparison is not None and comparison.fed is not None and comparison.label in str(error):
                try:
                    return self.diverging.lines_once(spec, comparison.fed, item.nodeid)
                except DscoremlError as reason:
                    return [f"first divergence: cannot be looked for: {reason}"]
                except Exception as fault:
                    # An exception here would end the run: the failure is worth more than where it began.
                    return [
                        f"first divergence: the search failed, a fault of this program: {type(fault).__name__}: {fault}"
                    ]
        return []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect, on the controller and in runs without workers."""
        self.results.add(report, getattr(report, CARRIED, {}), getattr(report, KNOWN, None))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One row per conversion, and what became of the baseline."""
        if self.after is not None:
            self.after.show(terminalreporter, self.results)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Compare with the baseline before the terminal's summary, and write the report after all that it shows."""
        if self.after is None or self.config.option.collectonly:
            return (yield)
        try:
            worse = self.after.tests_are_over(self.results, session)
            if worse and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            yield
            self.after.everything_is_shown()
        except UsageError as error:
            # A UsageError would be reported as a crash here; this is the exception that ends a run with words.
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
