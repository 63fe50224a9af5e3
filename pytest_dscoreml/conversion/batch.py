"""One run of the worker: hands it a batch of jobs, follows what it answers, and checks every word of it.

Imports the standard library, `conversion.describe`, `progress` and the errors only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

from pytest_dscoreml.conversion.describe import Interface, Selectable, op_counts_from_json, selectable_from_json
from pytest_dscoreml.errors import ConversionError
from pytest_dscoreml.progress import Task

_POLL_SECONDS = 0.05
_LOG_LINES = 15


@dataclass(frozen=True)
class Job:
    """One conversion for the worker: `request` holds what decides the result, `file` is where to write it.

    Where `model` is given, that converted file is what it starts from, and not the graph.
    """

    name: str
    graph: Path
    request: Mapping[str, Any]
    file: Path
    model: Path | None = None


@dataclass(frozen=True)
class Done:
    """The worker's checked answer to a job; `seconds` by phase, `selectable` where operations were to be kept in float32."""

    seconds: Mapping[str, float]
    interface: Interface
    op_counts: Mapping[str, int]
    warnings: tuple[str, ...]
    route: str
    versions: Mapping[str, str]
    selectable: tuple[Selectable, ...] = ()


Outcome = tuple[Job, Union[Done, ConversionError]]


class _NonsenseError(Exception):
    """An answer that is none; says why."""


@dataclass
class Batch:
    """One process and its answers. If jobs are left after `run`, `fault` says what went wrong and `at` in which job."""

    command: Sequence[str]
    environment: Mapping[str, str]
    timeout_seconds: float
    converter: str
    jobs: Sequence[Job]
    folder: Path
    task: Task
    at: Job | None = None
    fault: str = ""
    _phase: str = "start"
    _versions: dict[str, str] = field(default_factory=dict)
    _answered: list[Job] = field(default_factory=list)
    _finished: bool = False

    def run(self) -> Generator[Outcome, None, None]:
        """Start the process and yield each job's outcome as it comes; the process is gone when this ends, however."""
        self.folder.mkdir(parents=True)
        answers = self.folder / "answers.jsonl"
        answers.touch()
        request = self.folder / "request.json"
        request.write_text(json.dumps(self._request(answers), indent=1), encoding="utf-8")
        self.task.at(0, f"starting the converter ({self.converter})")
        with (self.folder / "log.txt").open("wb") as log:
            try:
                process = subprocess.Popen(
                    [*self.command, str(request)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env=self.environment,
                    start_new_session=True,  # so that whatever it starts can be killed with it
                )
            except OSError as error:
                self.fault = f"cannot be started: {error.strerror or error}"
                return
        try:
            with contextlib.suppress(OSError):
                # From here on the worker takes the end of its stdin for the end of this process.
                assert process.stdin is not None
                process.stdin.write(b"watch\n")
                process.stdin.flush()
            yield from self._follow(process, answers)
        except _NonsenseError as nonsense:
            self.fault = f"answered nonsense{self._where()}: {nonsense}"
        finally:
            _end(process)

    def _request(self, answers: Path) -> dict[str, Any]:
        jobs = [
            {
                **job.request,
                "id": job.name,
                "graph": str(job.graph.absolute()),
                "model": None if job.model is None else str(job.model),
                "file": str(job.file),
            }
            for job in self.jobs
        ]
        return {"answers": str(answers), "jobs": jobs}

    def _follow(self, process: subprocess.Popen[bytes], answers: Path) -> Generator[Outcome, None, None]:
        heard = time.monotonic()
        rest = b""
        with answers.open("rb") as file:
            while True:
                status = process.poll()  # before reading: what is written before the end is then read for certain
                *lines, rest = (rest + file.read()).split(b"\n")
                now = time.monotonic()
                for line in lines:
                    heard = now
                    outcome = self._answer(line)
                    if outcome is not None:
                        yield outcome
                        heard = time.monotonic()
                if len(self._answered) == len(self.jobs):
                    return  # what the process still does on its way out (seconds, with TensorFlow) is of no interest
                if status is not None:
                    self._ended(status)
                    return
                if now - heard > self.timeout_seconds:
                    self.fault = (
                        f"gave no sign for {self.timeout_seconds:g} s{self._where()} and was stopped" + self._log()
                    )
                    return
                time.sleep(_POLL_SECONDS)

    def _ended(self, status: int) -> None:
        if status == 0 and self._finished:
            self.fault = "finished without answering this job"
        elif status == 0 and self.at is None:
            self.fault = self.fault or "ended without an answer" + self._log()
        else:
            self.fault = f"{ending(status)}{self._where()}" + self._log()

    def _where(self) -> str:
        return f" in {self.at.name} ({self._phase})" if self.at is not None else ""

    def _log(self) -> str:
        return quoted((self.folder / "log.txt").read_bytes())

    def _answer(self, line: bytes) -> Outcome | None:
        try:
            answer = json.loads(line)
        except ValueError:
            raise _NonsenseError(f"{_shortened(line)} is not JSON") from None
        event = answer.get("event") if isinstance(answer, dict) else None
        if event == "started":
            self.task.at(0, "the converter imports TensorFlow and coremltools")
        elif event == "versions":
            self._versions = {name: _text(answer, name) for name in ("coremltools", "tensorflow")}
        elif event == "finished":
            self._finished = True
        elif event == "phase":
            self.at, self._phase = self._job(answer), _text(answer, "phase")
            number, total = len(self._answered) + 1, len(self.jobs)
            self.task.at(number, f"converting {self.at.name}", total=total, doing=self._phase)
        elif event == "failed" and answer.get("job") is None:
            self.fault = f"cannot be used: {_raised(answer)}"
        elif event == "failed":
            return self._close(self._job(answer), self._failure(answer))
        elif event == "done":
            job = self._job(answer)
            return self._close(job, self._done(job, answer))
        else:
            raise _NonsenseError(f"{_shortened(line)} is none of its answers")
        return None

    def _close(self, job: Job, outcome: Done | ConversionError) -> Outcome:
        self.at = None
        self._answered.append(job)
        return job, outcome

    def _job(self, answer: Mapping[str, Any]) -> Job:
        for job in self.jobs:
            if job.name == answer.get("job"):
                if job in self._answered:
                    raise _NonsenseError(f"it speaks of {job.name} after it was done with it")
                return job
        raise _NonsenseError(f"it speaks of a job {answer.get('job')!r} that it was not given")

    def _failure(self, answer: Mapping[str, Any]) -> ConversionError:
        where = f" ({self._phase})" if self.at is not None else ""
        name = answer["job"]
        return ConversionError(f"{name}: the converter ({self.converter}) refused it{where}: {_raised(answer)}")

    def _done(self, job: Job, answer: Mapping[str, Any]) -> Done:
        seconds = answer.get("seconds")
        warnings = answer.get("warnings")
        if not isinstance(seconds, dict) or not all(isinstance(value, (int, float)) for value in seconds.values()):
            raise _NonsenseError(f"seconds {_shortened(repr(seconds).encode())} are not numbers by phase")
        if not isinstance(warnings, list) or not all(isinstance(text, str) for text in warnings):
            raise _NonsenseError(f"warnings {_shortened(repr(warnings).encode())} are not a list of texts")
        if not job.file.exists():
            raise _NonsenseError(f"it says that it wrote {job.file.name}, which is not there")
        try:
            interface = Interface.from_json(answer.get("interface"))
            op_counts = op_counts_from_json(answer.get("op_counts"))
            selectable = selectable_from_json(answer.get("selectable", []))
        except ConversionError as error:
            raise _NonsenseError(str(error)) from None
        return Done(
            seconds={name: float(value) for name, value in seconds.items()},
            interface=interface,
            op_counts=op_counts,
            warnings=tuple(warnings),
            route=_text(answer, "route"),
            versions=dict(self._versions),
            selectable=selectable,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started, if it is still there, and clean up after it."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def ending(status: int) -> str:
    """How a process ended, by the status that `subprocess` reports."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _raised(answer: Mapping[str, Any]) -> str:
    """What a failed answer says was raised, with the end of its traceback indented below."""
    text = f"{_text(answer, 'error')}: {_text(answer, 'message')}"
    return text + quoted(_text(answer, "traceback").encode(), lead="\n  the end of its traceback:")


def quoted(output: bytes, lead: str = "; its last output:") -> str:
    """The last lines of some output, indented; of a progress bar, which overwrites itself, its last state."""
    lines = [line.split("\r")[-1].rstrip() for line in output.decode("utf-8", "replace").split("\n")]
    lines = [line[:300] for line in lines if line][-_LOG_LINES:]
    return "".join([lead, *(f"\n    {line}" for line in lines)]) if lines else ""


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise _NonsenseError(f"{name} is {_shortened(repr(value).encode())}, not text")
    return value


def _shortened(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return text if len(text) <= 120 else text[:117] + "..."
