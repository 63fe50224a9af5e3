"""Kills real runs of the gate at random moments, and looks that the next run has nine right conversions.

    python benchmarks/killed_runs.py [--kills 20] [--seed 1]

One run of `pytest --dscoreml-model=demo` that nobody disturbs says how long it takes, and what the nine conversions and
those of the documented recipe are, to the byte. Then, time after time with an empty cache, one or two runs are started
and one of them, all of them, or a run with its converter is killed by SIGKILL; the next run must pass, and leave the
conversions of the first one. Of the suite only those tests are run that need no more than the conversions.
tests/unit/conversion/test_killed_runs.py does the same with a stand-in for the converter, many times faster.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_dscoreml.conversion.cache import RECORD
from pytest_dscoreml.conversion.variants import default_specs

WAYS = ("process", "group", "process and converter", "converter", "one of two", "both of two")
#: Holds names that coremltools draws at random for each package it writes.
DRAWN = "Manifest.json"
#: They need every conversion, and little time.
TESTS = "test_interface or test_recipe"


def main() -> None:
    """Print a line for each kill; exit with 1 where a next run was not right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how many times (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        earliest, latest = undisturbed(folder, "first")
        expected = digests(folder / "first")
        print(
            f"undisturbed: conversions from {earliest:.1f} to {latest:.1f} s, {len(expected)} files of models",
            flush=True,
        )
        for number in range(given.kills):
            way = WAYS[number % len(WAYS)]
            # Half of the time goes into imports; what lies behind the last conversion would say little.
            moment = chance.uniform(chance.choice([0.0, earliest]), latest)
            cache = f"cache-{number}"
            started = [start(folder, cache) for _ in range(2 if way.endswith("two") else 1)]
            time.sleep(moment)
            kill(way, started)
            held = len(list((folder / cache).glob("entries/*")))
            for process in started:
                process.communicate()
            statuses = [process.returncode for process in started]
            begun = time.monotonic()
            status = finish(start(folder, cache), check=False)
            right = status == 0 and digests(folder / cache) == expected
            wrong += not right
            print(
                f"{number + 1}: {way}, at {moment:.1f} s, {held} conversions in the cache, ended with {statuses}; "
                f"next run: status {status}, {time.monotonic() - begun:.1f} s, {'right' if right else 'WRONG'}",
                flush=True,
            )
    print(f"{given.kills - wrong} of {given.kills} next runs were right")
    sys.exit(1 if wrong else 0)


def start(folder: Path, cache: str) -> subprocess.Popen[str]:
    """A run of the gate, in a process group of its own."""
    command = [sys.executable, "-m", "pytest", "--dscoreml-model=demo", f"--dscoreml-cache-dir={folder / cache}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [*command, "-q", "-p", "no:cacheprovider", "-k", TESTS],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], *, check: bool = True) -> int:
    """Wait for a run that must pass; its output is shown if it does not."""
    output, _ = process.communicate()
    if process.returncode:
        print(output)
        if check:
            sys.exit("the run that nobody disturbed has failed")
    return process.returncode


def undisturbed(folder: Path, cache: str) -> tuple[float, float]:
    """Seconds until the first and until the last conversion was in the cache, in a run that must pass."""
    begun = time.monotonic()
    appeared: list[float] = []
    process = start(folder, cache)
    while process.poll() is None:
        new = len(list((folder / cache).glob("entries/*"))) - len(appeared)
        appeared += [time.monotonic() - begun] * new
        time.sleep(0.05)
    finish(process)
    if len(appeared) < len(default_specs()):
        sys.exit(f"the run that nobody disturbed made {len(appeared)} conversions")
    return appeared[0], appeared[-1]


def kill(way: str, processes: list[subprocess.Popen[str]]) -> None:
    """Kill what the way says, if it is still there."""
    victim = processes[0].pid
    victims = [] if way == "converter" else [victim]
    if "converter" in way:
        victims += children_of(victim)
    if way == "both of two":
        victims.append(processes[1].pid)
    for number in victims:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if way == "group" else os.kill)(number, signal.SIGKILL)


def children_of(parent: int) -> list[int]:
    """The processes that a process has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, of in pairs if int(of) == parent]


def digests(cache: Path) -> dict[str, str]:
    """Sha256 of the models' files in a cache, by the conversion's key and the file's name."""
    return {
        path.relative_to(cache).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in cache.glob("entries/**/*")
        if path.is_file() and path.name not in (DRAWN, RECORD)
    }


if __name__ == "__main__":
    main()
