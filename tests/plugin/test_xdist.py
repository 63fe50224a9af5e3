"""pytest-xdist: the same verdicts, each conversion made once, the summary on the controller; and two runs at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TWO = ("--dscoreml-variant=static,dynamic", "--dscoreml-target=mlprogram", "--dscoreml-precision=float32")
TESTS = (
    "-k",
    "test_names or test_states or test_any_cut or test_variants_agree or (test_transcription_agrees and thats)",
)


def made(path):
    """Of each conversion of a report, whether it was found in the cache."""
    conversions = json.loads((path / "results.json").read_text())["conversions"]
    return {name: entry["conversion"]["cached"] for name, entry in conversions.items()}


def test_same_verdicts_and_one_conversion_of_each(gate, pytester, tmp_path, summary):
    cache = tmp_path / "cache"
    args = (*TWO, "--dscoreml-max-examples=2", *TESTS)
    parallel = gate(*args, "-n", "2", "--dscoreml-report=parallel", select=(), cache=cache, process=True)
    single = gate(*args, "--dscoreml-report=single", select=(), cache=cache)
    for result in (parallel, single):
        result.assert_outcomes(passed=2 * 4 + 1)
    # And the documented recipe of the dynamic one: the workers are still to say what they will ask for.
    assert len(list((cache / "entries").iterdir())) == 3
    assert summary(parallel) == summary(single)
    assert {row["verdict"] for row in summary(parallel).values()} == {"passed"}
    text = parallel.stdout.str()
    assert text.count("on the reference engine") == 1
    assert set(made(pytester.path / "parallel").values()) == {False}
    assert set(made(pytester.path / "single").values()) == {True}


def test_a_failed_conversion_is_tried_once(gate, script, pytester, tmp_path):
    """Workers get the failure from the controller and do not try again."""
    log = pytester.path / "tries.txt"
    script(f'[ "$2" = --versions ] && exec {sys.executable} "$@"\necho tried >> {log}\nexit 3')
    options = ("--dscoreml-converter=./converter", "-k", "test_names or test_states", "-n", "2")
    result = gate(*options, cache=tmp_path / "cache", process=True)
    result.assert_outcomes(errors=2)
    assert log.read_text() == "tried\n"
    assert result.stdout.str().count("ended with exit status 3") >= 2
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_two_runs_at_once_share_an_empty_cache(pytester, tmp_path):
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--dscoreml-model=demo",
            *TWO,
            "--dscoreml-variant=dynamic",
        ),
        *("-k", "test_names or test_states", f"--dscoreml-cache-dir={tmp_path / 'cache'}", "--dscoreml-max-examples=2"),
    ]
    runs = [
        subprocess.Popen([*command, f"--dscoreml-report={name}"], stdout=subprocess.PIPE, text=True, cwd=pytester.path)
        for name in ("one", "other")
    ]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [pytest.ExitCode.OK] * 2, "\n".join(outputs)
    assert len(list((tmp_path / "cache" / "entries").iterdir())) == 1
    cached = [found for name in ("one", "other") for found in made(pytester.path / name).values()]
    assert sorted(cached) == [False, True]
