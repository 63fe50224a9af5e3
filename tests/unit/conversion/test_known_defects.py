"""Known defects: which tests an entry affects, and what is said of a file that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dscoreml.conversion.defects import SHIPPED, known_defects
from pytest_dscoreml.errors import UsageError

ENTRY = """
[[defect]]
id = "gates-swapped"
coremltools = ">=6.0,<6.3"
promise = "states"
conversions = ["dynamic-*", "pinned-mlprogram-float16"]
reason = "the gates are read in another order"
link = "https://example.org/1"
"""


@pytest.fixture
def write(tmp_path):
    def make(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return make


def test_an_entry(write):
    path = write(ENTRY)
    *shipped, mine = known_defects([path])
    assert [one.file for one in shipped] == [SHIPPED] * len(shipped)
    assert (mine.id, mine.promise, mine.link, mine.file) == ("gates-swapped", "states", "https://example.org/1", path)
    assert str(mine) == "known defect gates-swapped: the gates are read in another order (https://example.org/1)"
    assert mine.stale == (
        "known defect gates-swapped is stale: this passes; narrow its versions (coremltools <6.3,>=6.0), or remove it "
        f"from {path}"
    )


@pytest.mark.parametrize(
    ("version", "promise", "test", "conversion", "affected"),
    [
        ("6.0", "states", "test_states_agree", "dynamic-mlprogram-float32", True),
        ("6.2.1", "states", "test_states_agree", "pinned-mlprogram-float16", True),
        ("6.1b2", "states", "test_states_agree", "dynamic-neuralnetwork-float32", True),
        ("6.0b1", "states", "test_states_agree", "dynamic-neuralnetwork-float32", False),
        ("6.3", "states", "test_states_agree", "dynamic-mlprogram-float32", False),
        ("6.0", "greedy", "test_greedy_paths_agree", "dynamic-mlprogram-float32", False),
        ("6.0", "states", "test_states_agree", "static-mlprogram-float16", False),
        ("somebody's", "states", "test_states_agree", "dynamic-mlprogram-float32", False),
    ],
)
def test_what_an_entry_affects(write, version, promise, test, conversion, affected):
    mine = known_defects([write(ENTRY)])[-1]
    assert mine.affects(coremltools=version, promise=promise, test=test, conversion=conversion) is affected


def test_an_entry_for_one_test_of_a_promise(write):
    mine = known_defects([write(ENTRY.replace('"states"', '"test_types"'))])[-1]
    where = {"coremltools": "6.0", "promise": "interface", "conversion": "dynamic-mlprogram-float32"}
    assert mine.affects(test="test_types", **where)
    assert not mine.affects(test="test_names", **where)


def test_a_version_that_says_nothing_counts_as_the_newest(write):
    mine = known_defects([write(ENTRY.replace(">=6.0,<6.3", ">=7.0"))])[-1]
    assert mine.affects(coremltools="my build", promise="states", test="test", conversion="dynamic-mlprogram-float32")


def test_the_range_that_the_documented_recipe_declares():
    """Measured: 1..2 steps from coremltools 7.0 on, and the graph's own before."""
    (shipped,) = known_defects([])
    where = {"promise": "recipe", "test": "test_recipe_admits_every_length"}
    for version, conversion, affected in (
        ("6.3.0", "dynamic-mlprogram-float32", False),
        ("7.0", "dynamic-mlprogram-float32", True),
        ("9.0", "dynamic-mlprogram-float16", True),
        ("9.0", "dynamic-neuralnetwork-float32", False),
    ):
        assert shipped.affects(coremltools=version, conversion=conversion, **where) is affected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[defect", "no TOML: "),
        ("defect = 1", "expected [[defect]] tables and nothing else"),
        ("[[defects]]", "expected [[defect]] tables and nothing else"),
        ("[[defect]]", "defect number 1: id must be a text"),
        (
            ENTRY.replace("reason", "because"),
            "defect gates-swapped: 'because' is no field of it (they are id, coremltools, ",
        ),
        (ENTRY.replace('"states"', "3"), "defect gates-swapped: promise must be a text"),
        (ENTRY.replace('"the gates are read in another order"', '" "'), "defect gates-swapped: reason must be a text"),
        (ENTRY.replace('"https://example.org/1"', "false"), "defect gates-swapped: link must be a text"),
        (
            ENTRY.replace('["dynamic-*", "pinned-mlprogram-float16"]', '"dynamic-*"'),
            'defect gates-swapped: conversions must be a list of patterns, such as ["dynamic-mlprogram-*"]',
        ),
        (
            ENTRY.replace(">=6.0,<6.3", "six"),
            "defect gates-swapped: coremltools must be versions as PEP 440 specifies them, such as '>=7.0,<9.1', not 'six'",
        ),
    ],
)
def test_files_that_are_none(write, text, words):
    path = write(text)
    with pytest.raises(UsageError) as caught:
        known_defects([path])
    assert str(caught.value).startswith(f"--dscoreml-xfails={path}: {words}")


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "none.toml"
    with pytest.raises(UsageError) as caught:
        known_defects([path])
    assert (
        str(caught.value) == f"--dscoreml-xfails={path}: No such file or directory; give a TOML file of known defects"
    )


def test_no_two_entries_have_the_same_id(write):
    one, two = write(ENTRY), write(ENTRY, "other.toml")
    with pytest.raises(UsageError) as caught:
        known_defects([one, two])
    assert str(caught.value) == f"--dscoreml-xfails={two}: 'gates-swapped' stands in {one} too; give it another id"


def test_the_file_that_comes_with_the_package_is_a_file_of_the_package():
    assert Path(SHIPPED).is_file()
