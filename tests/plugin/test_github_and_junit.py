"""What a CI reads of a run: GitHub's annotations and step summary where the environment says so, and JUnit's properties."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

QUICK = ("-k", "test_states or test_names or test_graphs")


@pytest.fixture
def github(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    return tmp_path / "step.md"


@pytest.fixture
def elsewhere(monkeypatch):
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def test_a_failure_on_github(gate, github, converter_with):
    python, cache = converter_with("swapped-gates")
    result = gate("-k", "test_states or test_names", f"--dscoreml-converter={python}", cache=cache)
    result.assert_outcomes(passed=1, failed=1)
    (line,) = [line for line in result.outlines if line.startswith("::")]
    assert line.startswith("::error title=dynamic-mlprogram-float32::1 of 2 tests failed; ")
    assert "%0Abroken promise: the states after a sequence are TensorFlow's.%0Anew_state_" in line
    assert "| dynamic-mlprogram-float32 | **failed** | 1/2 |" in github.read_text(encoding="utf-8")


def test_a_run_with_workers_on_github(gate, github):
    result = gate(*QUICK, "-n", "2", process=True)
    result.assert_outcomes(passed=3)
    assert github.read_text(encoding="utf-8").count("### demo on the reference engine") == 1
    assert "::error" not in result.stdout.str()


def test_a_summary_that_cannot_be_written_is_said_and_is_no_crash(gate, github):
    github.mkdir()
    result = gate("-k", "test_names")
    result.assert_outcomes(passed=1)
    assert f"GITHUB_STEP_SUMMARY={github} cannot be written: Is a directory" in result.outlines


def test_nothing_of_it_elsewhere(gate, elsewhere, converter_with):
    python, cache = converter_with("swapped-gates")
    result = gate("-k", "test_states", f"--dscoreml-converter={python}", cache=cache)
    result.assert_outcomes(failed=1)
    assert not [line for line in result.outlines if line.startswith("::")]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_properties_of_every_test(gate, elsewhere, pytester, workers):
    pytester.makepyfile(test_mine="def test_mine(dscoreml_model): pass")
    selection = ("-k", "test_states or test_names or test_graphs or test_mine or recipe")
    result = gate(*selection, "--junitxml=junit.xml", "--dscoreml-suite=on", *workers, process=bool(workers))
    result.assert_outcomes(passed=4, xfailed=1)
    cases = ElementTree.parse(pytester.path / "junit.xml").getroot().iter("testcase")
    found = {
        case.get("name").split("[")[0]: {one.get("name"): one.get("value") for one in case.iter("property")}
        for case in cases
    }
    assert len(found) == 5
    for properties in found.values():
        assert properties["dscoreml_engine"] == "reference"
        assert properties["dscoreml_coremltools"] == "9.0"
        assert len(properties["dscoreml_model"]) == 64
    assert found["test_names"]["dscoreml_conversion"] == "dynamic-mlprogram-float32"
    assert "dscoreml_conversion" not in found["test_mine"]
    states = found["test_states_agree"]
    assert states["dscoreml_examples"] == "2"
    assert 0 < float(states["dscoreml_max_error_states"]) < 1e-4
    assert found["test_recipe_admits_every_length"]["dscoreml_known_defect"] == "recipe-range-of-two"
