"""A stored run: which files are one, and what a run beside it shows."""

from __future__ import annotations

import copy
import json

import pytest

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.report import baseline, json_file

NAME = "dynamic-mlprogram-float32"


@pytest.fixture
def document(gate, results):
    return json.loads(json.dumps(json_file.document(gate, results)))


@pytest.fixture
def stored(document):
    return copy.deepcopy(document)


@pytest.fixture
def file(stored, tmp_path):
    path = tmp_path / "b.json"
    path.write_text(json.dumps(stored), encoding="utf-8")
    return path


def kinds(found):
    return [change.kind for change in found]


def test_a_run_and_itself(gate, file, document):
    read = baseline.read(file, gate.conditions)
    compared = baseline.compare(read, document, [NAME])
    assert set(compared.found) == set(document["conversions"])
    assert all(found == () for found in compared.found.values())
    assert (compared.compared, compared.worse, compared.passed, compared.seconds) == (3, [], True, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max steps": 32}, "its run had max steps 64, this one has 32"),
        ({"seed": "7"}, "its run had seed null, this one has 7"),
        ({"model": "f" * 64}, "its run had model "),
    ],
)
def test_other_conditions(gate, file, change, words, refusal):
    message = refusal(UsageError, baseline.read, file, {**gate.conditions, **change})
    assert message.startswith(f"--dscoreml-baseline={file}: {words}")
    assert message.endswith("give the same, or write another with --dscoreml-write-baseline=FILE")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1}', "\x00"])
def test_files_that_are_none(gate, tmp_path, refusal, text):
    path = tmp_path / "b.json"
    path.write_text(text, encoding="utf-8")
    words = f"--dscoreml-baseline={path}: no stored run; --dscoreml-write-baseline=FILE writes one"
    assert refusal(UsageError, baseline.read, path, gate.conditions) == words


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.pop("conditions"),
        lambda document: document.update(conversions=[]),
        lambda document: document["conversions"][NAME].pop("tests"),
        lambda document: document["conversions"][NAME]["conversion"].pop("seconds"),
        lambda document: document["conversions"][NAME]["max_abs_error"].update(logits="much"),
        lambda document: document["conversions"][NAME]["conversion"]["interface"].update(inputs=None),
        lambda document: document.update(converter="9.0"),
    ],
)
def test_a_damaged_file_is_refused_before_any_test(gate, file, stored, refusal, damage):
    damage(stored)
    file.write_text(json.dumps(stored), encoding="utf-8")
    words = f"--dscoreml-baseline={file}: no stored run; --dscoreml-write-baseline=FILE writes one"
    assert refusal(UsageError, baseline.read, file, gate.conditions) == words


def test_another_schema(gate, file, stored, refusal):
    file.write_text(json.dumps({**stored, "schema": 99}), encoding="utf-8")
    words = f"--dscoreml-baseline={file}: its schema is 99, expected 1; write it again"
    assert refusal(UsageError, baseline.read, file, gate.conditions) == words


def test_a_file_that_is_missing(gate, tmp_path, refusal):
    words = (
        f"--dscoreml-baseline={tmp_path / 'b.json'}: No such file or directory; write one with "
        "--dscoreml-write-baseline=FILE, without this option"
    )
    assert refusal(UsageError, baseline.read, tmp_path / "b.json", gate.conditions) == words


def test_fewer_sequences_are_no_comparison(stored, document):
    document["conversions"][NAME]["examples"] -= 1
    compared = baseline.compare(stored, document, [])
    assert [(one.kind, one.text) for one in compared.found[NAME]] == [
        ("not compared", "33 sequences were compared, 34 in the baseline")
    ]
    assert (compared.worse, compared.passed) == ([NAME], False)


def test_a_failure_explains_that_there_are_fewer(stored, document):
    document["conversions"][NAME]["examples"] = 1
    document["conversions"][NAME]["tests"]["failed"] = ["test_x"]
    assert kinds(baseline.compare(stored, document, []).found[NAME]) == ["failure"]


def test_what_the_options_leave_out_is_told_and_what_they_do_not_is_missed(stored, document):
    del document["conversions"][NAME]
    left_out = baseline.compare(stored, document, selected=[])
    assert (left_out.unselected, left_out.passed) == ([NAME], True)
    missed = baseline.compare(stored, document, selected=[NAME])
    assert (missed.unselected, kinds(missed.found[NAME]), missed.passed) == ([], ["not compared"], False)


def test_what_the_baseline_does_not_have_is_no_pass(stored, document):
    del stored["conversions"][NAME]
    compared = baseline.compare(stored, document, [NAME])
    assert kinds(compared.found[NAME]) == ["not compared"]
    assert compared.seconds is None
    assert not compared.passed


def test_nothing_in_common_is_no_pass(stored, document):
    document["conversions"] = {}
    compared = baseline.compare(stored, document, [])
    assert (compared.compared, compared.worse, compared.passed) == (0, [], False)
