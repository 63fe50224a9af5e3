"""What is different between two results of one conversion: by which rule, and in which words."""

from __future__ import annotations

import copy

import pytest

from pytest_dscoreml.report.changes import changes, cost, failures

FEATURE = {"name": "input_node", "dtype": "float32", "shape": [1, 16], "ranges": [], "enumerated": []}


def entry():
    return copy.deepcopy(
        {
            "verdict": "passed",
            "tests": {"passed": 3, "failed": [], "skipped": [], "known_defects": {}},
            "max_abs_error": {"logits": 3e-6, "states": 8e-6},
            "greedy_mismatches": 0,
            "error": None,
            "conversion": {
                "seconds": 2.0,
                "bytes": 100_000,
                "op_counts": {"linear": 5, "add": 1},
                "interface": {"inputs": [FEATURE], "outputs": [], "specification_version": 6},
            },
        }
    )


@pytest.fixture
def before():
    return entry()


@pytest.fixture
def now():
    return entry()


def told(found):
    return [(change.kind, change.text, change.worse) for change in found]


def test_nothing_changed(before, now):
    assert [*changes(before, now), *failures(before, now), *cost(before["conversion"], now["conversion"])] == []


@pytest.mark.parametrize(
    ("quantity", "was", "is_now", "drift"),
    [
        ("logits", 3e-6, 5.9e-6, False),
        ("logits", 3e-6, 6.1e-6, True),
        ("logits", 1e-9, 9e-8, False),
        ("logits", 0.0, 1.1e-7, True),
        ("logits", 3e-6, "infinite", True),
        ("logits", "infinite", "infinite", False),
        ("logits", "infinite", 1e-6, False),
        ("logits", 3e-6, 1e-7, False),
        ("logits", None, 1.0, False),
        ("states", 8e-6, 3.1e-5, False),
        ("states", 8e-6, 3.3e-5, True),
        ("states", 1e-9, 9e-7, False),
    ],
)
def test_drift(before, now, quantity, was, is_now, drift):
    before["max_abs_error"][quantity], now["max_abs_error"][quantity] = was, is_now
    assert [change.kind for change in changes(before, now)] == (["drift"] if drift else [])


def test_the_words_for_drift(before, now):
    now["max_abs_error"]["states"] = 1e-4
    now["greedy_mismatches"] = 3
    assert told(changes(before, now)) == [
        ("drift", "states drifted from 8.0e-06 to 1.0e-04, more than 4 times", True),
        ("drift", "frames of another class: 0 to 3", True),
    ]


def test_operations_are_told_and_are_no_step_back(before, now):
    now["conversion"]["op_counts"] = {"linear": 6, "mul": 1}
    assert told(changes(before, now)) == [("operations", "new: mul", False), ("operations", "gone: add", False)]


def test_interface(before, now):
    now["conversion"]["interface"]["inputs"][0] = {**FEATURE, "shape": [1, 2]}
    now["conversion"]["interface"]["outputs"] = [{**FEATURE, "name": "logits"}]
    now["conversion"]["interface"]["specification_version"] = 7
    assert told(changes(before, now)) == [
        ("interface", "input input_node float32 [1, 2], was input_node float32 [1, 16]", True),
        ("interface", "output logits float32 [1, 16], was not there", True),
        ("interface", "specification version 6 to 7", True),
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (104_000, []),
        (106_000, [("size", "size grew from 100 to 106 kB", True)]),
        (90_000, [("smaller", "size fell from 100 to 90 kB", False)]),
    ],
)
def test_size(before, now, size, expected):
    now["conversion"]["bytes"] = size
    assert told(cost(before["conversion"], now["conversion"])) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (3.9, []),
        (5.0, [("seconds", "converting took 2.5 times as long, 5.0 s", False)]),
        (0.5, [("seconds", "converting took 0.25 times as long, 0.5 s", False)]),
        (0.0, []),
    ],
)
def test_seconds_are_never_a_step_back(before, now, seconds, expected):
    now["conversion"]["seconds"] = seconds
    assert told(cost(before["conversion"], now["conversion"])) == expected


def test_failures(before, now):
    before["tests"]["failed"], now["tests"]["failed"] = ["a", "b"], ["b", "c"]
    now["error"] = "it crashed"
    assert told(failures(before, now)) == [
        ("failure", "fails now: c", True),
        ("fixed", "no longer fails: a", False),
        ("failure", "is no longer converted: it crashed", True),
    ]


def test_known_defects_and_verdict(before, now):
    before["tests"]["known_defects"], now["tests"]["known_defects"] = {"t": "old"}, {"t": "new"}
    now["verdict"], now["conversion"] = "not compared", None
    assert told(changes(before, now)) == [
        ("verdict", "was passed", False),
        ("known defect", "known defect: new", False),
        ("known defect", "no longer: old", False),
    ]
