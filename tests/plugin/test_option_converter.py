"""`--dscoreml-converter`, `--dscoreml-converter-timeout`: the interpreter that converts, and what it may do wrong."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import pytest

#: The conversion that `gate` selects where it is not told otherwise.
ONE_NAME = "dynamic-mlprogram-float32"


ASK_VERSIONS = f'if [ "$2" = --versions ]; then exec {sys.executable} "$@"; fi\n'
#: Which file the answers go to stands in the request, the last argument.
FIND_ANSWERS = (
    f'answers=$({sys.executable} -IS -c \'import json, sys; print(json.load(open(sys.argv[1]))["answers"])\' "$2")\n'
)

#: What an interpreter does with a job, and how the failure tells it.
FAULTS = {
    "crashes": ("echo it hurts >&2; kill -SEGV $$", "was killed by SIGSEGV; its last output:\n    it hurts"),
    "exits": ("echo no more; exit 3", "ended with exit status 3; its last output:\n    no more"),
    "says nothing": ("exit 0", "ended without an answer"),
    "hangs": ("exec sleep 300", "gave no sign for 2 s and was stopped"),
    "answers nonsense": (
        FIND_ANSWERS + 'echo well, now >> "$answers"; exec sleep 300',
        "answered nonsense: well, now is not JSON",
    ),
}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_the_running_interpreter_by_name(gate, header, pytester):
    """Naming the default changes nothing: the same conversion is found in the cache."""
    gate("-k", "test_names").assert_outcomes(passed=1)
    named = gate("-k", "test_names", f"--dscoreml-converter={sys.executable}", "--dscoreml-report=report")
    named.assert_outcomes(passed=1)
    report = json.loads((pytester.path / "report" / "results.json").read_text(encoding="utf-8"))
    assert report["conversions"][ONE_NAME]["conversion"]["cached"]
    assert header() == header(f"--dscoreml-converter={sys.executable}")


def test_missing(refusal):
    assert refusal("--dscoreml-converter=/nowhere/python") == (
        "--dscoreml-converter: there is no /nowhere/python; name a Python interpreter that has coremltools and TensorFlow"
    )


def test_not_executable(refusal, pytester):
    path = pytester.makefile("", python="#!/bin/sh\n")
    assert refusal("--dscoreml-converter=./python") == (
        f"--dscoreml-converter: {path} is not executable; name a Python interpreter"
    )


def test_a_directory(refusal, pytester):
    assert refusal("--dscoreml-converter=.") == (
        f"--dscoreml-converter: {pytester.path} is a directory; name the Python interpreter in it, such as bin/python"
    )


def test_no_interpreter(refusal, script):
    path = script("echo nonsense\nexit 3")
    assert refusal("--dscoreml-converter=./converter") == (
        f"--dscoreml-converter: {path} is not a Python 3.7 or later: asked for its versions, it ended with exit status 3; "
        "its last output:\n    nonsense"
    )


def test_hangs_when_asked_for_its_versions(refusal, script):
    path = script("exec sleep 300")
    assert refusal("--dscoreml-converter=./converter", "--dscoreml-converter-timeout=1") == (
        f"--dscoreml-converter: {path} did not tell its versions within 1 s; is it a Python interpreter?"
    )


def test_without_coremltools(refusal, script):
    path = script(f'exec {sys.executable} -IS "$@"')
    version = ".".join(map(str, sys.version_info[:3]))
    assert refusal("--dscoreml-converter=./converter") == (
        f"--dscoreml-converter: {path} (Python {version}) has no coremltools; install it there, or name another interpreter"
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(gate, script, cache, summary, left_behind, tmp_path, fault):
    """A failure that names the converter and what it did, no traceback, nothing half-written; every test of it fails."""
    does, words = FAULTS[fault]
    path = script(f"{ASK_VERSIONS}\necho $$ >> {tmp_path}/started\n{does}")
    args = ("-k", "test_names or test_states", "--dscoreml-converter=./converter", "--dscoreml-converter-timeout=2")
    result = gate(*args, cache=cache)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=2)
    output = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in output
    assert result.errlines == []
    failure = f"{ONE_NAME}: the converter (coremltools {version('coremltools')}, {path}) {words}"
    assert output.count(f"ConversionError: {failure}") == 2
    assert f"{ONE_NAME} was not converted: {failure}" in output
    assert len((tmp_path / "started").read_text().splitlines()) == 1
    row = summary(result)[ONE_NAME]
    assert (row["verdict"], row["tests"], row["examples"], row["logits"]) == ("failed", "0/2", "0", "-")
    assert left_behind(cache) == []
    assert list((cache / "entries").iterdir()) == []


def test_the_next_run_works(gate, script, cache, left_behind):
    """After a converter that crashed half-way through writing, the good one finds a clean cache."""
    script(ASK_VERSIONS + "mkdir -p dynamic-mlprogram-float32/model.mlpackage; kill -KILL $$")
    args = ("-k", "test_names or test_states")
    gate(*args, "--dscoreml-converter=./converter", cache=cache).assert_outcomes(errors=2)
    gate(*args, cache=cache).assert_outcomes(passed=2)
    assert left_behind(cache) == []
    assert len(list((cache / "entries").iterdir())) == 1


OLD = (
    f'if [ "$2" = --versions ]; then {sys.executable} "$@" | '
    'sed \'s/"coremltools": "[^"]*"/"coremltools": "4.1"/\'; exit; fi\n'
    f'exec {sys.executable} "$@"\n'
)


def test_what_an_old_converter_cannot_write_is_skipped(gate, script):
    """Every variant and target that the version has; the rest is skipped with the reason, and told of in the summary."""
    script(OLD)
    args = ("-k", "test_names", "-rs", "--dscoreml-converter=./converter", "--dscoreml-variant=static")
    result = gate(*args, select=())
    result.assert_outcomes(passed=1, skipped=2)
    reason = "coremltools 4.1 writes no ML Programs; 5.0 was the first that did"
    result.stdout.fnmatch_lines(
        [f"no static-mlprogram-float32, static-mlprogram-float16: {reason}", f"SKIPPED *: {reason}"]
    )


def test_what_an_old_converter_cannot_write_is_an_error_where_it_is_asked_for_by_name(refusal, script):
    script(OLD)
    assert refusal("--dscoreml-converter=./converter") == (
        "--dscoreml-target=mlprogram: coremltools 4.1 writes no ML Programs; 5.0 was the first that did; choose another "
        "target or converter"
    )
