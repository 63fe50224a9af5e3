"""Results gathered from test reports: counts, verdicts, and measurements that add up."""

from __future__ import annotations

import pytest

from pytest_dscoreml.agreement.measurements import Measurements
from pytest_dscoreml.report.results import ConversionResult, Results

MEASURED = Measurements(examples=3, longest=17, logits=1e-6, states=2e-6, greedy_mismatches=1)


def report(nodeid, outcome, when="call"):
    return pytest.TestReport(nodeid, ("file.py", 1, nodeid), {}, outcome, None, when)


@pytest.fixture
def results():
    return Results()


def test_what_each_outcome_counts_for(results):
    results.add(report("a", "passed"), {"one": MEASURED.to_json()})
    results.add(report("b", "failed"), {"one": MEASURED.to_json()})
    results.add(report("c", "skipped"), {"one": None})
    results.add(report("d", "failed", "setup"), {"one": None})

    result = results.conversions["one"]
    assert (result.passed, result.failures, result.skipped) == (1, ["b", "d"], ["c"])
    assert (result.measured.examples, result.measured.longest, result.measured.greedy_mismatches) == (6, 17, 2)
    assert result.verdict == "failed"


def test_a_test_of_several_conversions_counts_for_each(results):
    results.add(report("a", "passed"), {"one": MEASURED.to_json(), "two": None})

    assert list(results.conversions) == ["one", "two"]
    assert [result.passed for result in results.conversions.values()] == [1, 1]
    assert [result.measured.examples for result in results.conversions.values()] == [3, 0]


def test_a_test_of_no_conversion_counts_for_none(results):
    results.add(report("a", "passed"), {})

    assert results.conversions == {}


@pytest.mark.parametrize(
    ("passed", "failures", "examples", "verdict"),
    [
        (2, [], 5, "passed"),
        (2, ["a"], 5, "failed"),
        (0, ["a"], 0, "failed"),
        (2, [], 0, "not compared"),
        (0, [], 5, "not compared"),
        (0, [], 0, "not compared"),
    ],
)
def test_verdicts(passed, failures, examples, verdict):
    result = ConversionResult(passed, failures, [], Measurements(examples=examples))

    assert result.verdict == verdict
