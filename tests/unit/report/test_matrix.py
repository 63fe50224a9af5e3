"""Several runs as one table: their order, what changed from version to version, and the three ways to show it."""

from __future__ import annotations

import json

import pytest

from pytest_dscoreml.__main__ import main
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.report.matrix import COLUMNS, read_runs, rows

NAME = "dynamic-mlprogram-float32"


def entry(verdict="passed", ops=(("linear", 5), ("add", 1)), upper=None, defects=(), version=6):
    feature = {
        "name": "input_node",
        "dtype": "float32",
        "shape": [1, 16],
        "ranges": [[1, 1], [1, upper]],
        "enumerated": [],
    }
    return {
        "verdict": verdict,
        "tests": {"passed": 3, "failed": [], "skipped": [], "known_defects": {f"test_{id}": id for id in defects}},
        "max_abs_error": {"logits": 1.5e-6, "states": "infinite" if verdict == "failed" else None},
        "conversion": {
            "seconds": 1.25,
            "bytes": 123456,
            "op_counts": dict(ops),
            "interface": {"inputs": [feature], "outputs": [], "specification_version": version},
        },
    }


@pytest.fixture
def write(tmp_path):
    def make(environment, coremltools, conversions, seconds=30.0, **more):
        folder = tmp_path / environment
        folder.mkdir()
        converter = {
            "coremltools": coremltools,
            "python": "3.9.18",
            "tensorflow": "2.12.1",
            "numpy": "1",
            "protobuf": "4",
        }
        for one in conversions.values():
            if one["conversion"] is not None:
                one["conversion"]["versions"] = converter
        document = {"schema": 1, "converter": converter, "seconds": seconds, "conversions": conversions, **more}
        (folder / "results.json").write_text(json.dumps(document), encoding="utf-8")
        return tmp_path

    return make


@pytest.fixture
def three(write):
    """As their folders sort, the newest version would come first."""
    write("ct10", "10.0", {NAME: entry("failed", ops=[("linear", 6), ("mul", 2)], version=7)}, seconds=60)
    write("ct63", "6.3.0", {NAME: entry()})
    return write("ct70", "7.0", {NAME: entry(upper=2, defects=["two"]), "pinned": entry()})


def test_versions_in_their_order(three):
    assert [run.converter["coremltools"] for run in read_runs(three)] == ["6.3.0", "7.0", "10.0"]


def test_rows(three):
    first, second, new, last = rows(read_runs(three))
    assert (first.environment, first.coremltools, first.conversion, first.verdict) == ("ct63", "6.3.0", NAME, "passed")
    assert (first.logits, first.states, first.operations, first.seconds, first.size) == (1.5e-6, None, 6, 1.25, 123456)
    assert first.changed == ()
    assert second.known_defects == ("two",)
    assert second.changed == (
        "input input_node float32 [1, 1..2], was input_node float32 [1, 1..]",
        "known defect: two",
    )
    assert (new.conversion, new.changed) == ("pinned", ())
    assert last.states == "infinite"
    assert last.changed == (
        "was passed",
        "new: mul",
        "gone: add",
        "input input_node float32 [1, 1..], was input_node float32 [1, 1..2]",
        "specification version 6 to 7",
        "no longer: two",
    )


def test_a_conversion_that_failed_has_no_file(write):
    failed = {**entry("failed"), "conversion": None, "max_abs_error": {"logits": None, "states": None}}
    write("one", "8.0", {NAME: entry()})
    row = rows(read_runs(write("two", "9.0", {NAME: failed})))[-1]
    assert (row.operations, row.seconds, row.size, row.changed) == (None, None, None, ("was passed",))


def test_markdown(three, capsys):
    assert main(["matrix", str(three)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "| environment | python | coremltools | tensorflow | numpy | protobuf | seconds | share |",
        "|---|---|---|---|---|---|---|---|",
        "| ct63 | 3.9.18 | 6.3.0 | 2.12.1 | 1 | 4 | 30 | 25% |",
    ]
    assert lines[6] == f"| {' | '.join(COLUMNS)} |"
    assert lines[8] == f"| ct63 | 6.3.0 | {NAME} | passed | 1.5e-06 |  | 6 | 1.2 | 123 |  |  |"
    assert lines[-1].startswith(f"| ct10 | 10.0 | {NAME} | failed | 1.5e-06 | infinite | 8 |")


def test_json(three, capsys):
    assert main(["matrix", str(three), "--format=json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["share"] for one in document["environments"]] == [0.25, 0.25, 0.5]
    assert document["rows"][1]["known_defects"] == ["two"]
    assert len(document["rows"]) == 4


def test_html_is_one_page_that_needs_nothing_else(three, capsys):
    assert main(["matrix", str(three), "--format=html"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("<!doctype html>")
    assert page.count("<table>") == 2
    assert page.count("<tr>") == 2 + 3 + 4
    assert "http" not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no report of a run (--dscoreml-report writes them)"),
        ("[]", "no report of a run (--dscoreml-report writes them)"),
        ('{"schema": 2}', "its schema is 2, expected 1"),
    ],
)
def test_reports_that_are_none(tmp_path, text, words):
    file = tmp_path / "one" / "results.json"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_runs(tmp_path)
    assert str(caught.value) == f"{file}: {words}"


def test_no_reports(tmp_path, capsys):
    assert main(["matrix", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: there is no */results.json in it; give the directory of several reports\n"
    )
