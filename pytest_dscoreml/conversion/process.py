"""The converter as an interpreter: finds it, asks its versions, and has it convert batch after batch by `worker.py`.

Imports the standard library and its neighbours in `conversion`; coremltools and TensorFlow live in the other process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_dscoreml.conversion.batch import Batch, Job, Outcome, ending, quoted
from pytest_dscoreml.errors import ConversionError, UsageError
from pytest_dscoreml.progress import Task

WORKER = Path(__file__).with_name("worker.py")
OPTION = "--dscoreml-converter"
#: Without any sign from the converter for that long, it hangs: a full-size graph takes 20 to 60 s without one on two
#: cores, and took 213 s with a converter that prints the graph while loading it.
TIMEOUT_SECONDS = 900.0
VERSIONS_TIMEOUT_SECONDS = 60.0
_VERSION_NAMES = ("python", "coremltools", "tensorflow", "numpy", "protobuf")


class Converter:
    """A coremltools and its Python: `python` is an interpreter (None: this one) that has coremltools and TensorFlow.

    It counts as hung, and is killed, after `timeout_seconds` without an answer.
    """

    def __init__(self, python: Path | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.python = _interpreter(python)
        self.timeout_seconds = timeout_seconds
        self._installed: dict[str, str] | None = None

    def versions(self) -> Mapping[str, str]:
        """Versions of python, coremltools, tensorflow, numpy and protobuf there; imports neither of the heavy ones.

        Raises:
            UsageError: if it is no Python interpreter, or has no coremltools or no TensorFlow.
        """
        installed = self._ask_versions()
        return {name: installed[name] for name in _VERSION_NAMES}

    def sklearn(self) -> str | None:
        """The version of scikit-learn there, which k-means needs; None without it. Raises as `versions` does."""
        return self._ask_versions().get("scikit-learn")

    def fingerprint(self) -> str:
        """Changes when a file of the installed coremltools does; raises as `versions` does."""
        return self._ask_versions()["fingerprint"]

    def __str__(self) -> str:
        if self._installed is None:
            return str(self.python)
        return f"coremltools {self._installed['coremltools']}, {self.python}"

    def _ask_versions(self) -> dict[str, str]:
        if self._installed is None:
            self._installed = self._read_versions()
        return self._installed

    def _read_versions(self) -> dict[str, str]:
        timeout = min(self.timeout_seconds, VERSIONS_TIMEOUT_SECONDS)
        command = [str(self.python), str(WORKER), "--versions"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                env=self._environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UsageError(
                f"{OPTION}: {self.python} did not tell its versions within {timeout:g} s; is it a Python interpreter?"
            ) from None
        except OSError as error:
            raise UsageError(f"{OPTION}: cannot run {self.python}: {error.strerror or error}") from None
        installed = _last_object(done.stdout)
        if done.returncode != 0 or installed is None or not isinstance(installed.get("python"), str):
            raise UsageError(
                f"{OPTION}: {self.python} is not a Python 3.7 or later: "
                f"asked for its versions, it {ending(done.returncode)}" + quoted(done.stderr or done.stdout)
            )
        for package in ("coremltools", "tensorflow"):
            if not isinstance(installed.get(package), str):
                raise UsageError(
                    f"{OPTION}: {self.python} (Python {installed['python']}) has no {package}; "
                    "install it there, or name another interpreter"
                )
        told = {name: str(installed.get(name)) for name in (*_VERSION_NAMES, "fingerprint")}
        sklearn = installed.get("scikit-learn")
        return {**told, "scikit-learn": sklearn} if isinstance(sklearn, str) else told

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        if self.python != Path(sys.executable):
            # These describe the Python that runs here; another one would load packages that were not built for it.
            for name in ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__"):
                environment.pop(name, None)
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Folding a graph's constants needs no GPU, and TensorFlow would take all of its memory.
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
        environment["PYTHONUTF8"] = "1"
        environment["PYTHONUNBUFFERED"] = "1"
        return environment

    def run(self, jobs: Sequence[Job], *, workspace: Path, task: Task) -> Generator[Outcome, None, None]:
        """Convert a batch in one process; yields each outcome as it comes.

        When the process crashes, hangs or answers nonsense, the job it was at fails and the rest go to a fresh process. So
        they do when it was at none, having done some; where it did nothing at all, all fail, for another would do no more.
        """
        remaining = list(jobs)
        attempt = 0
        while remaining:
            attempt += 1
            batch = Batch(
                command=[str(self.python), str(WORKER)],
                environment=self._environment(),
                timeout_seconds=self.timeout_seconds,
                converter=str(self),
                jobs=tuple(remaining),
                folder=workspace / f"run-{attempt}",
                task=task,
            )
            for job, outcome in batch.run():
                remaining.remove(job)
                yield job, outcome
            if not remaining:
                return
            did_nothing = len(remaining) == len(batch.jobs)
            failed = [batch.at] if batch.at is not None else list(remaining) if did_nothing else []
            for job in failed:
                remaining.remove(job)
                yield job, ConversionError(f"{job.name}: the converter ({self}) {batch.fault}")


def _interpreter(python: Path | None) -> Path:
    """The absolute path of the interpreter. Links are kept: a virtual environment's python is one."""
    if python is None:
        return Path(sys.executable)
    text = str(python)
    if os.sep not in text:
        found = shutil.which(text)
        if found is not None:
            return Path(found).absolute()
    path = Path(text).expanduser().absolute()
    if path.is_dir():
        raise UsageError(f"{OPTION}: {path} is a directory; name the Python interpreter in it, such as bin/python")
    if not path.exists():
        raise UsageError(f"{OPTION}: there is no {path}; name a Python interpreter that has coremltools and TensorFlow")
    if not os.access(path, os.X_OK):
        raise UsageError(f"{OPTION}: {path} is not executable; name a Python interpreter")
    return path


def _last_object(output: bytes) -> dict[str, Any] | None:
    """The last line as a JSON object; a start-up file may have printed something before it."""
    for line in reversed(output.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
    return None
