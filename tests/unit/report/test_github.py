"""What GitHub Actions reads: workflow commands, word for word, and the summary of the step."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_dscoreml.report import github, json_file
from pytest_dscoreml.report.baseline import Against
from pytest_dscoreml.report.changes import Change
from pytest_dscoreml.report.side_by_side import pairs


@pytest.fixture
def against():
    found = {"one": (Change("drift", "logits drifted"), Change("operations", "new: mul")), "two": ()}
    return Against({"converter": {"coremltools": "8.3.0"}}, found, [], 1.5)


def test_commands(gate, results, against):
    assert github.commands(gate, results, against) == [
        "::error title=static-neuralnetwork-float32::2 of 5 tests failed; test_a%0Abroken promise: so it is%0A"
        "logits differ: 5 values",
        "::error title=test_c::alone",
        "::error title=one%3A worse than the baseline::logits drifted",
        "::warning title=pinned-mlprogram-float16::the converter ended with signal 11",
        "::warning title=known defect::known defect one: two steps; in dynamic-mlprogram-float32",
    ]


def test_nothing_compared_with_a_baseline_is_an_error(gate, results):
    nothing = Against({"converter": {"coremltools": "8.3.0"}}, {}, ["one"], None)
    assert "::error title=baseline::nothing was compared with the baseline" in github.commands(gate, results, nothing)


def test_what_would_end_a_line_or_a_title_is_escaped(gate, results):
    results.conversions, results.failed = {}, {"a::b[c, d]": "100 %\r\nwrong: yes"}
    assert github.commands(gate, results, None) == ["::error title=a%3A%3Ab[c%2C d]::100 %25%0Awrong: yes"]


def test_no_more_than_are_shown(gate, results):
    results.conversions, results.failed = {}, {f"test_{number}": "no" for number in range(14)}
    lines = github.commands(gate, results, None)
    assert len(lines) == github.MOST
    assert lines[-1] == "::error title=more::5 more are in the log"


def test_the_summary(gate, results, against):
    lines = github.summary(gate, results, against).splitlines()
    assert lines[:7] == [
        "### static.pb on the reference engine",
        "",
        "| conversion | verdict | tests | examples | longest | logits | states | greedy | transcriptions |",
        "|---|---|---|---|---|---|---|---|---|",
        "| static-neuralnetwork-float32 | **failed** | 3/5 | 7 | 17 | inf | - | 5 | 0 of 2 agree |",
        "| pinned-mlprogram-float16 | *not compared* | 0/0 | 0 | 0 | - | - | 0 | none |",
        "| dynamic-mlprogram-float32 | passed | 12/12 | 34 | 64 | 1.3e-06 | 3.0e-05 | 0 | 1 of 1 agree |",
    ]
    assert "- known defect one: two steps; in dynamic-mlprogram-float32" in lines
    assert lines[-8:] == [
        "#### Against the baseline (coremltools 8.3.0)",
        "",
        "2 of 2 conversions compared with the baseline, 1 worse; converting took 1.50 times as long",
        "",
        "| conversion |  | changed |",
        "|---|---|---|",
        "| one | **worse** | logits drifted |",
        "| one |  | new: mul |",
    ]


def test_it_is_added_to_the_file_that_the_environment_names(tmp_path):
    file = tmp_path / "summary.md"
    file.write_text("before\n", encoding="utf-8")
    github.write({github.SUMMARY: str(file)}, "after\n")
    github.write({github.SUMMARY: ""}, "nowhere\n")
    github.write({}, "nowhere\n")
    assert file.read_text(encoding="utf-8") == "before\nafter\n"


def test_two_converters_are_shown_side_by_side(gate, results):
    from pytest_dscoreml.conversion.variants import ConversionSpec

    first, second = (
        ConversionSpec("dynamic", "mlprogram", "float32", converter=label) for label in ("ct8.3.0", "ct9.0")
    )
    gate.versions = {"ct8.3.0": {**gate.versions[""], "coremltools": "8.3.0"}, "ct9.0": gate.versions[""]}
    gate.specs = (first, second)
    (made,) = gate.conversions.values()
    larger = SimpleNamespace(**{**vars(made), "size": 9999, "op_counts": {"linear": 6}})
    gate.conversions = {first.name: made, second.name: larger}
    result = results.conversions["dynamic-mlprogram-float32"]
    results.conversions = {first.name: result, second.name: result}

    text = github.summary(gate, results, None, pairs(gate, json_file.document(gate, results)))

    assert (
        "| dynamic-mlprogram-float32 | ct8.3.0 / ct9.0 | 1.3e-06 / 1.3e-06 | 3.0e-05 / 3.0e-05 | 6 / 6 | 4.5 / 4.5 | 1 / 10 "
        "| gone: while_loop; size grew from 1 to 10 kB |"
    ) in text.splitlines()
