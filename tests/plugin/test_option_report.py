"""`--dscoreml-report`: the results as JSON; test_report_page.py is about the page beside it."""

from __future__ import annotations

import importlib.util
import json
import math
import re

import hypothesis
import numpy as np
import pytest

import pytest_dscoreml
from pytest_dscoreml.conversion.variants import default_specs

NINE = [spec.name for spec in default_specs()]


def test_the_run(demo_report, demo_run):
    report = dict(demo_report)
    conversions, model, _ = report.pop("conversions"), report.pop("model"), report.pop("speed")
    assert list(conversions) == NINE
    assert 0 < report.pop("seconds") < 3600
    converter = report.pop("converter")
    assert report.pop("converters") == {"": converter}
    assert sorted(converter) == ["coremltools", "numpy", "protobuf", "python", "tensorflow"]
    text = demo_run[0].stdout.str()
    first = f"coremltools {converter['coremltools']}, tensorflow {converter['tensorflow']}, numpy {converter['numpy']} in the"
    assert first in text
    (decoder,) = report.pop("decoders")
    assert f"; decoders: {decoder}; " in text
    conditions = report.pop("conditions")
    recordings = conditions.pop("recordings")
    assert conditions == {
        "model": model["sha256"],
        "engine": "reference",
        "features": "numpy",
        "max steps": 64,
        "max examples": 4,
        "seed": None,
        "draws": f"of pytest-dscoreml {pytest_dscoreml.__version__} with Hypothesis {hypothesis.__version__}",
    }
    assert len(recordings) == 4
    assert (report.pop("compressed"), report.pop("accuracy_against_size")) == ({}, [])
    assert report == {
        "schema": 1,
        "version": pytest_dscoreml.__version__,
        "numpy": np.__version__,
        "engine": "reference",
        "features": "numpy",
        "replayed": None,
    }
    sha256 = model.pop("sha256")
    assert re.fullmatch("[0-9a-f]{64}", sha256)
    assert f", sha256 {sha256[:12]}\n" in text
    graphs = model.pop("graphs")
    assert model == {"name": "demo", "n_hidden": 64, "n_classes": 29, "n_steps": 16}
    assert {kind: graph["exported"] for kind, graph in graphs.items()} == {"static": False, "dynamic": False}


@pytest.mark.parametrize("name", NINE)
def test_a_conversion_as_in_the_summary(demo_report, demo_run, summary, name):
    entry, row = demo_report["conversions"][name], summary(demo_run[0])[name]
    tests = entry["tests"]
    assert entry["verdict"] == row["verdict"] == "passed"
    assert f"{tests['passed']}/{tests['passed']}" == row["tests"]
    assert (tests["failed"], tests["skipped"]) == ([], [])
    dynamic_program = name in ("dynamic-mlprogram-float32", "dynamic-mlprogram-float16")
    assert list(tests["known_defects"].values()) == (["recipe-range-of-two"] if dynamic_program else [])
    assert (str(entry["examples"]), str(entry["longest"])) == (row["examples"], row["longest"])
    assert str(entry["greedy_mismatches"]) == row["greedy"]
    for quantity in ("logits", "states"):
        assert f"{entry['max_abs_error'][quantity]:.1e}" == row[quantity]
    assert len(entry["transcriptions"]) == 4
    for heard in entry["transcriptions"]:
        assert sorted(heard) == ["agrees", "audio", "decoder", "expected", "obtained"]
        assert heard["agrees"]
        assert heard["expected"] == heard["obtained"] != ""
    assert entry["error"] is None


@pytest.mark.parametrize("name", NINE)
def test_how_a_conversion_was_made(demo_report, conversions, name):
    made = demo_report["conversions"][name]["conversion"]
    keys = ["bytes", "cached", "interface", "op_counts", "seconds", "versions", "warnings"]
    assert sorted(made) == keys
    assert made["versions"].items() >= {"coremltools": demo_report["converter"]["coremltools"]}.items()
    assert made["seconds"] > 0
    assert made["bytes"] > 100_000
    assert isinstance(made["cached"], bool)
    assert sum(made["op_counts"].values()) > 20
    inputs = [feature["name"] for feature in made["interface"]["inputs"]]
    assert sorted(inputs) == ["input_lengths", "input_node", "previous_state_c", "previous_state_h"]


def test_static_beside_dynamic(demo_report):
    """A row for each kind that has both: the longest recording, chunk by chunk and at once."""
    rows = demo_report["speed"]
    assert [row["kind"] for row in rows] == ["neuralnetwork-float32", "mlprogram-float32", "mlprogram-float16"]
    for row in rows:
        assert (row["recording"], row["seconds"]) == ("sixteen_frames.wav", pytest.approx(9.36))
        assert (row["static"]["calls"], row["dynamic"]["calls"]) == (30, 1)
        assert 0 < row["static"]["seconds"] < 60
        assert row["ratio"] == pytest.approx(row["static"]["seconds"] / row["dynamic"]["seconds"])


def test_written_whole(demo_run):
    """Data that ends in a newline and a page, nothing beside them, in a directory that was made for them."""
    _, folder = demo_run
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "results.json"]
    text = (folder / "results.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    assert math.isfinite(len(json.loads(text, parse_constant=refuse)))


def test_an_older_report_is_replaced(gate, pytester):
    (pytester.path / "report").mkdir()
    path = pytester.path / "report" / "results.json"
    path.write_text("older")
    gate("-k", "test_names", "--dscoreml-report=report").assert_outcomes(passed=1)
    assert json.loads(path.read_text())["schema"] == 1


def test_refused_at_the_start_where_it_cannot_be_written(refusal, pytester):
    pytester.makefile(".txt", taken="a file")
    assert refusal("--dscoreml-report=taken.txt") == (
        "--dscoreml-report=taken.txt: cannot be written (File exists); give another"
    )
    assert refusal("--dscoreml-report=taken.txt/sub") == (
        "--dscoreml-report=taken.txt/sub: cannot be written (Not a directory); give another"
    )


def test_refused_at_the_start_where_the_page_cannot_be_made(refusal, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *args: None if name == "jinja2" else find(name, *args)
    )
    assert refusal("--dscoreml-report=report") == (
        "--dscoreml-report=report: the page is made by jinja2, not installed here; pip install jinja2"
    )


def test_said_at_the_end_where_it_can_no_longer_be_written(gate, pytester):
    """The directory went away under the run: the summary is there, then one line, and the run has not succeeded."""
    pytester.makepyfile(
        test_mine="""
        from pathlib import Path

        def test_mine(dscoreml_model):
            Path("report").rmdir()
            Path("report").touch()
        """
    )
    result = gate("test_mine.py", "--dscoreml-report=report")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.assert_outcomes(passed=1)
    assert [line for line in result.errlines if line] == [
        "Exit: --dscoreml-report=report: cannot be written (File exists); give another"
    ]
