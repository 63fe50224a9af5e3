"""The results as JSON: the whole document, and how it is written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_dscoreml import __version__
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.report import json_file
from pytest_dscoreml.report.results import Results


def test_the_document(gate, results, monkeypatch):
    monkeypatch.setattr(Results, "seconds", 12.345)
    document = json_file.document(gate, results)

    conversions = document.pop("conversions")
    assert document == {
        "schema": 1,
        "version": __version__,
        "converter": gate.versions[""],
        "converters": gate.versions,
        "conditions": {"model": gate.model.hash, "max steps": 64},
        "numpy": np.__version__,
        "engine": "reference",
        "decoders": ["ds", "ds + scorer"],
        "features": "numpy",
        "replayed": None,
        "seconds": 12.3,
        "compressed": {},
        "accuracy_against_size": [],
        "model": {
            "name": "static.pb",
            "sha256": gate.model.hash,
            "n_hidden": 8,
            "n_classes": 29,
            "n_steps": 16,
            "graphs": {
                "static": {"sha256": "5" * 64, "exported": False},
                "dynamic": {"sha256": "d" * 64, "exported": True},
            },
        },
    }
    assert list(conversions) == list(results.conversions)
    assert conversions["dynamic-mlprogram-float32"] == {
        "verdict": "passed",
        "tests": {"passed": 12, "failed": [], "skipped": ["test_x"], "known_defects": {"test_y": "one"}},
        "examples": 34,
        "longest": 64,
        "max_abs_error": {"logits": 1.3e-6, "states": 3e-5},
        "greedy_mismatches": 0,
        "greedy_frames": 0,
        "transcriptions": [
            {"audio": "a.wav", "decoder": "ds", "expected": "she had", "obtained": "she had", "agrees": True}
        ],
        "error": None,
        "conversion": {
            "versions": {"coremltools": "9.0", "tensorflow": "2.12.1"},
            "seconds": 4.5,
            "cached": True,
            "bytes": 1234,
            "op_counts": {"linear": 5, "while_loop": 1},
            "warnings": ["a warning"],
            "interface": {
                "inputs": [
                    {
                        "name": "input_node",
                        "dtype": "float32",
                        "shape": [1, 16, 19, 26],
                        "ranges": [[1, 1], [1, None], [19, 19], [26, 26]],
                        "enumerated": [],
                        "optional": False,
                    }
                ],
                "outputs": [
                    {
                        "name": "logits",
                        "dtype": "float32",
                        "shape": [],
                        "ranges": [],
                        "enumerated": [],
                        "optional": False,
                    }
                ],
                "specification_version": 7,
            },
        },
    }


def test_a_conversion_that_failed(gate, results):
    entry = json_file.document(gate, results)["conversions"]["pinned-mlprogram-float16"]

    assert entry == {
        "verdict": "not compared",
        "tests": {"passed": 0, "failed": [], "skipped": [], "known_defects": {}},
        "examples": 0,
        "longest": 0,
        "max_abs_error": {"logits": None, "states": None},
        "greedy_mismatches": 0,
        "greedy_frames": 0,
        "transcriptions": [],
        "error": "the converter ended with signal 11",
        "conversion": None,
    }


def test_json_has_no_infinity(gate, results):
    entry = json_file.document(gate, results)["conversions"]["static-neuralnetwork-float32"]

    assert entry["max_abs_error"] == {"logits": "infinite", "states": None}
    assert [transcript["agrees"] for transcript in entry["transcriptions"]] == [False, False]


OPTION = "--dscoreml-report=here"


def test_the_file(gate, results, tmp_path):
    path = tmp_path / "deep" / "report" / "results.json"
    json_file.write(path, json_file.document(gate, results), OPTION)

    assert list(path.parent.iterdir()) == [path]
    text = path.read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == json_file.document(gate, results)


@pytest.mark.parametrize(("place", "reason"), [("", "File exists"), ("below", "Not a directory")])
def test_a_directory_that_cannot_be_written(tmp_path, refusal, place, reason):
    (tmp_path / "file").write_text("in the way")
    directory = tmp_path / "file" / place
    words = f"{OPTION}: cannot be written ({reason}); give another"

    assert refusal(UsageError, json_file.check, directory, OPTION) == words
    assert refusal(UsageError, json_file.write, directory / "results.json", {}, OPTION) == words
    assert (tmp_path / "file").read_text() == "in the way"


def test_checking_a_directory_leaves_it_there_and_empty(tmp_path):
    json_file.check(tmp_path / "deep" / "report", OPTION)

    assert list((tmp_path / "deep" / "report").iterdir()) == []
