"""Killed at any moment, on a disk that fills up, two runs at once: the next run has nine right conversions.

Each test draws its moment (or number of bytes) from its seed. DSCOREML_KILLS=N makes N of every kind instead of a few.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.variants import default_specs

KILLS = int(os.environ.get("DSCOREML_KILLS", "7"))
NAMES = [spec.name for spec in default_specs()]
FILES = {".mlmodel": [""], ".mlpackage": ["Manifest.json", "Data/model.mlmodel", "Data/weights.bin"]}
SIZE = 20_000
#: How often, at least, a run touches a file in its cache.
OPERATIONS = 140

# A converter that writes piece by piece, so that there is a moment for everything; it outlives who started it.
WRITING = """
import hashlib
with open({workers!r}, "a") as file:
    file.write(str(os.getpid()) + "\\n")
for job in request["jobs"]:
    begin(job)
    for name in {files!r}[os.path.splitext(job["file"])[1]]:
        path = os.path.join(job["file"], name).rstrip("/")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        content = hashlib.sha256((job["id"] + name).encode()).digest() * {size}
        with open(path, "wb", buffering=0) as file:
            for start in range(0, {size}, 4000):
                piece = content[start : min(start + 4000, {size})]
                if file.write(piece) != len(piece):
                    raise OSError("not all of it was written")
                time.sleep(0.0005)
    say(event="done", job=job["id"], route="fake", seconds={{"convert": 0.25}}, warnings=[], op_counts={{"linear": 6}},
        interface={{"inputs": [], "outputs": [], "specification_version": 6}})
say(event="finished")
"""

# Runs the rest of its command line, a Python program, up to the n-th time that it touches a file in its cache.
UP_TO = """
import os, signal, sys
left, cache = int(sys.argv[1]), sys.argv[6]
def watch(event, arguments):
    global left
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and cache in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
program, sys.argv[1:] = sys.argv[4], sys.argv[5:]
exec(program)
"""

# Runs the rest of its command line with no more than so many bytes to a file; Python ignores the signal that comes.
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""

# The same on a disk of so many bytes, mounted over a folder for this process alone; then copies what is left there.
SMALL_DISK = """
import shutil, subprocess, sys
size, folder, left, *command = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "none", folder], check=True)
status = subprocess.run(command).returncode
shutil.copytree(folder, left)
sys.exit(status)
"""
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def workers(tmp_path):
    """Read the process ids of the converters that were started."""

    def read():
        path = tmp_path / "workers"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read


@pytest.fixture
def writing(fake, tmp_path, workers):
    yield fake(WRITING.format(workers=str(tmp_path / "workers"), files=FILES, size=SIZE))
    for worker in workers():
        kill(worker)


def kill(number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def expected(name, file):
    content = hashlib.sha256((name + file).encode()).digest() * SIZE
    return hashlib.sha256(content[:SIZE]).hexdigest()


def right(conversion):
    """The files of a conversion are those that the converter writes for it, to the byte."""
    assert isinstance(conversion, Conversion), conversion
    folder = conversion.path
    names = FILES[folder.suffix]
    present = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else [folder]
    assert sorted(present) == sorted(folder / name if name else folder for name in names)
    for name in names:
        found = hashlib.sha256((folder / name if name else folder).read_bytes()).hexdigest()
        assert found == expected(conversion.spec.name, name)


@pytest.fixture
def next_run(run, writing, cache, whole, workers, ended, until):
    """Run again: nine right conversions, whatever the runs before have left; and nothing remains of those."""

    def check():
        for again in (False, True):
            results = run(writing)
            assert list(results) == NAMES
            for conversion in results.values():
                right(conversion)
                assert conversion.cached or not again
        assert len(whole()) == 9
        until(lambda: all(map(ended, workers())))
        cache.sweep(older_than=-10.0)
        assert list((cache.directory / "aside").iterdir()) == []

    return check


@pytest.fixture
def start(ask, writing):
    """Start a run in a process group of its own, which the converter is not in."""
    return functools.partial(ask, writing, NAMES, start_new_session=True)


def seeds(kind):
    return pytest.mark.parametrize(
        "chance", [pytest.param(random.Random(f"{kind} {n}"), id=str(n)) for n in range(KILLS)]
    )


def survived(process):
    """The answer of a run that nobody killed: it has all conversions."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert list(json.loads(out)) == NAMES
    return json.loads(out)


@pytest.mark.parametrize("whom", ["process", "group"])
@seeds("run")
def test_a_run_is_killed(start, next_run, chance, whom):
    process = start()
    time.sleep(chance.uniform(0.0, 0.6))

    (os.kill if whom == "process" else os.killpg)(process.pid, signal.SIGKILL)

    process.wait()
    next_run()


@seeds("operation")
def test_a_run_is_killed_between_two_operations(start, next_run, cache, chance):
    """At a moment that a clock seldom meets: just before it opens, makes, renames or removes something in the cache."""
    number = chance.randint(1, OPERATIONS)

    process = start(before=[sys.executable, "-c", UP_TO, str(number)])

    assert process.wait() == -signal.SIGKILL
    next_run()


@seeds("converter")
def test_the_converter_is_killed(start, next_run, workers, until, chance):
    """The run goes on with what is left; one conversion at most is missing from its answer."""
    process = start()
    until(workers)
    time.sleep(chance.uniform(0.0, 0.3))

    kill(workers()[0])

    told = survived(process)
    assert sum(isinstance(made, str) for made in told.values()) in (0, 1, 9)
    assert all("was killed by SIGKILL" in made for made in told.values() if isinstance(made, str))
    next_run()


@seeds("both")
def test_a_run_is_killed_with_its_converter(start, next_run, workers, until, chance):
    process = start()
    until(workers)
    time.sleep(chance.uniform(0.0, 0.3))

    for number in chance.sample([process.pid, workers()[0]], 2):
        kill(number)

    process.wait()
    next_run()


@seeds("one of two")
def test_one_of_two_runs_is_killed(start, next_run, chance):
    """The other one has all nine, some of which it would have got from the first."""
    processes = [start(), start()]
    time.sleep(chance.uniform(0.0, 0.6))
    victim, other = chance.sample(processes, 2)

    kill(victim.pid)

    assert all(not isinstance(made, str) for made in survived(other).values())
    next_run()


@seeds("three")
def test_three_runs_are_killed_one_after_another(start, next_run, chance):
    processes = [start(), start(), start()]

    for process in chance.sample(processes, 3):
        time.sleep(chance.uniform(0.0, 0.3))
        kill(process.pid)

    for process in processes:
        process.wait()
    next_run()


def refused_or_told(process):
    """A run that could not write ends in a message or in errors of conversions, and in no traceback of its own."""
    out, err = process.communicate(timeout=60)
    assert "Traceback (most recent call last)" not in err.replace("\n    Traceback", ""), err
    if process.returncode == 0:
        assert list(json.loads(out)) == NAMES
    else:
        assert "refused: cannot write to the cache directory" in err
    return process.returncode, out


@seeds("long file")
def test_files_end_at_a_byte(start, next_run, chance):
    """Every process of the run is refused to write beyond that byte of any file."""
    pytest.importorskip("resource")
    most = chance.randrange(SIZE + 4000)

    refused_or_told(start(before=[sys.executable, "-IS", "-c", LIMITED, str(most)]))

    next_run()


@functools.cache
def may_mount():
    if shutil.which(NAMESPACE[0]) is None:
        return False
    command = [*NAMESPACE, "sh", "-c", 'mount -t tmpfs none "$0"', os.curdir]
    return subprocess.run(command, capture_output=True).returncode == 0


@seeds("full disk")
def test_the_disk_is_full(start, next_run, cache, tmp_path, chance):
    if not may_mount():
        pytest.skip("no disk can be mounted here")
    size = chance.randrange(16, 800) * 1024
    left = tmp_path / "left"
    command = [*NAMESPACE, sys.executable, "-IS", "-c", SMALL_DISK, str(size), str(cache.directory), str(left)]

    refused_or_told(start(before=command))

    shutil.rmtree(cache.directory)
    left.rename(cache.directory)
    next_run()
