"""`--dscoreml-record`: has a run keep its cases, and makes a bundle of them and its conversions at the end.

A plugin of its own beside the gate's session, registered where the option was given, on the controller only: workers of
pytest-xdist write their cases into the same folder.
"""

from __future__ import annotations

import dataclasses
import datetime
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from pytest_dscoreml import __version__
from pytest_dscoreml.agreement.tolerances import BY_PRECISION
from pytest_dscoreml.bundle.manifest import CASES, model_to_json, spec_to_json
from pytest_dscoreml.bundle.recorder import Staging
from pytest_dscoreml.bundle.writing import OPTION, make_staging, write_bundle
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.finishing import is_complete
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.heavy import tensorflow_version

#: Under which name workers of pytest-xdist get the folder that cases are kept in.
STAGING = "dscoreml_staging"


class Node(Protocol):
    """What pytest-xdist hands to `pytest_configure_node`."""

    workerinput: dict[str, Any]


def record(config: pytest.Config, gate: Gate, directory: Path) -> None:
    """Have a gate's cases kept; on the controller, and in runs without workers, a bundle is made at the end.

    Raises:
        UsageError: the directory cannot be written, or a worker does not reach the controller's folder.
    """
    alphabet = gate.model.metadata.alphabet
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is not None:
        folder = Path(given[STAGING]) / CASES
        if not folder.is_dir():
            raise UsageError(
                f"{OPTION}={directory}: worker {given['workerid']} cannot reach {folder}; record with workers on one host"
            )
        gate.recorder = Staging(folder, alphabet)
    elif not config.option.collectonly:
        staging = make_staging(directory)
        config.add_cleanup(lambda: shutil.rmtree(staging, ignore_errors=True))
        gate.recorder = Staging(staging / CASES, alphabet)
        config.pluginmanager.register(Record(gate, directory, staging), "dscoreml-record")


class Record:
    """Hands the folder to workers, makes the bundle, and tells of it."""

    def __init__(self, gate: Gate, directory: Path, staging: Path) -> None:
        self._gate = gate
        self._directory = directory
        self._staging = staging
        self._said = ""
        self._is_written = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Node) -> None:
        """Tell a worker where to keep its cases."""
        node.workerinput[STAGING] = str(self._staging)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make the bundle, before the terminal's summary tells of it."""
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            self._said = "no bundle was written: no test was run"
        elif not is_complete(session):
            self._said = "no bundle was written: the run was stopped before its end"
        else:
            try:
                self._write(failed=session.exitstatus != pytest.ExitCode.OK)
            except UsageError as error:
                self._said = f"no bundle was written: {error}"
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _write(self, *, failed: bool) -> None:
        gate = self._gate
        # A run of a few tests may have needed a few conversions: the bundle holds all that were selected.
        gate.convert(gate.specs)
        made = [gate.conversions[spec.name] for spec in gate.specs if spec.name in gate.conversions]
        if not made:
            self._said = "no bundle was written: no conversion was made"
            return
        with gate.progress.task(f"writing the bundle {self._directory}"):
            written = write_bundle(self._directory, self._staging, _facts(gate), made)
        missing = len(gate.specs) - len(made)
        self._is_written = True
        self._said = (
            f"bundle written to {self._directory}: {written.conversions} conversions, {written.cases} cases, "
            f"{_size(written.size)}"
            + (f"; {missing} conversions failed and are not in it" if missing else "")
            + ("; compressed conversions are not in it" if gate.compressed else "")
            + ("; tests failed, what it expects is TensorFlow's all the same" if failed else "")
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Where the bundle is and what is in it, or why there is none."""
        terminalreporter.write_line(f"dscoreml: {self._said}", green=self._is_written, red=not self._is_written)


def _facts(gate: Gate) -> dict[str, Any]:
    """What the bundle says of the run, but for its conversions and cases."""
    settings = gate.settings
    missing = {spec: str(reason) for spec, reason in gate.unavailable.items() if not spec.compression}
    # Only the first line: behind it is what the converter said, with places on this machine.
    failures = {spec: gate.failures[spec.name] for spec in gate.specs if spec.name in gate.failures}
    missing.update({spec: f"it failed when recorded: {text.splitlines()[0]}" for spec, text in failures.items()})
    width = gate.model.metadata.beam_width if settings.beam_width is None else settings.beam_width
    return {
        "version": __version__,
        "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "model": model_to_json(gate.model),
        "settings": {
            "engine": gate.engine_name,
            "front_end": settings.front_end,
            "max_steps": settings.max_steps,
            "max_examples": settings.max_examples,
            "seed": settings.seed,
            "longest": gate.longest,
            "beam_width": width,
        },
        "converters": {label: dict(versions) for label, versions in gate.versions.items()},
        "here": {
            "python": platform.python_version(),
            "tensorflow": tensorflow_version(),
            "numpy": np.__version__,
            "hypothesis": metadata.version("hypothesis"),
        },
        "tolerances": {
            precision: dataclasses.asdict(BY_PRECISION[precision])
            for precision in sorted({spec.precision.value for spec in gate.specs})
        },
        "missing": {spec.name: {**spec_to_json(spec), "reason": reason} for spec, reason in missing.items()},
    }


def _size(count: int) -> str:
    """Bytes, as a reader takes them in."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
