"""`--dscoreml-converter` given twice: both are tested, side by side and against each other."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

QUICK = ("-k", "test_names or test_converters or recipe")


@pytest.fixture
def candidate(script):
    """An interpreter whose coremltools says that it is a later one, and that has a defect where one is named."""

    def make(command=""):
        newer = f"""{sys.executable} "$@" | sed 's/"coremltools": "9.0"/"coremltools": "9.1.dev0"/'"""
        script(f'if [ "$2" = --versions ]; then {newer}; else exec {sys.executable} {command} "$@"; fi')
        return (f"--dscoreml-converter={sys.executable}", "--dscoreml-converter=./converter")

    return make


def test_both_are_tested_side_by_side_and_against_each_other(gate, candidate, summary, pytester):
    result = gate(*QUICK, *candidate(), "--dscoreml-report=report")
    result.assert_outcomes(passed=3, xfailed=2)
    assert sorted(summary(result)) == ["dynamic-mlprogram-float32-ct9.0", "dynamic-mlprogram-float32-ct9.1.dev0"]
    assert "known defect recipe-range-of-two" in result.stdout.str()
    lines = result.outlines
    start = next(number for number, line in enumerate(lines) if "dscoreml: converters side by side" in line)
    assert lines[start + 1].split() == [
        *("conversion", "converters", "logits", "states", "operations", "seconds", "kB", "different")
    ]
    row = lines[start + 2].split()
    assert row[:4] == ["dynamic-mlprogram-float32", "ct9.0", "/", "ct9.1.dev0"]
    document = json.loads((pytester.path / "report" / "results.json").read_text())
    assert list(document["converters"]) == ["ct9.0", "ct9.1.dev0"]
    header = [line for line in lines if line.startswith("dscoreml against: coremltools 9.1.dev0")]
    assert len(header) == 1


def test_a_second_converter_that_gets_it_wrong(gate, candidate, tmp_path):
    """It fails against TensorFlow, and against the first converter; the first one passes."""
    two = candidate(f"{Path(__file__).with_name('defects.py')} swapped-gates")
    # Its files are no other tests' business: in their cache, it looks like the one without the defect.
    result = gate("-k", "test_states or test_converters", *two, cache=tmp_path / "cache")
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    assert "broken promise: what several converters make of one graph agrees." in text
    assert "expected is converter ct9.0" in text
    assert "test_states_agree[dynamic-mlprogram-float32-ct9.1.dev0]" in text


def test_the_same_coremltools_in_two_places(gate, script, summary):
    """Numbered in their order."""
    script(f'exec {sys.executable} "$@"')
    two = (f"--dscoreml-converter={sys.executable}", "--dscoreml-converter=./converter")
    result = gate("-k", "test_names", *two)
    result.assert_outcomes(passed=2)
    assert sorted(summary(result)) == ["dynamic-mlprogram-float32-ct9.0-1", "dynamic-mlprogram-float32-ct9.0-2"]


def test_one_converter_has_none_to_agree_with(gate):
    result = gate("--collect-only", "-q")
    assert "test_converters" not in result.stdout.str()


def test_the_same_interpreter_twice(refusal):
    assert refusal(f"--dscoreml-converter={sys.executable}", f"--dscoreml-converter={sys.executable}") == (
        "--dscoreml-converter: the same interpreter twice; give two whose coremltools are to be compared"
    )


def test_with_workers(gate, candidate, summary):
    result = gate("-k", "test_names or test_converters", *candidate(), "-n", "2", process=True)
    result.assert_outcomes(passed=3)
    rows = summary(result)
    assert {name[-7:]: row["tests"] for name, row in rows.items()} == {"2-ct9.0": "2/2", ".1.dev0": "2/2"}
    # What was compared is one conversion with the other: that says nothing of either beside TensorFlow.
    assert {row["verdict"] for row in rows.values()} == {"not compared"}
