"""What the plugin for coremltools' own tests remembers of predictions: while a test holds them, and no longer."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from pytest_dscoreml.coremltools_tests.records import ModelKind, Recorder


class Inputs(dict[str, Any]):
    """A dictionary whose end can be watched."""


def test_a_prediction_is_known_while_it_is_held() -> None:
    recorder = Recorder()
    recorder.begin("test", {})
    held, other = np.ones(3), np.ones(3)
    recorder.predicted(ModelKind("mlprogram", "fp16", "iOS15"), {"y": held, "label": "no array"}, dict)
    recorder.predicted(ModelKind("mlprogram", "fp16", "iOS15"), {"z": other}, dict)
    found = recorder.output(held)
    assert found is not None
    assert (found.name, found.half) == ("y", True)
    assert recorder.output(np.ones(3)) is None
    recorder.begin("next", {})
    assert recorder.output(held) is None


def test_what_a_test_lets_go_of_is_forgotten_with_its_inputs() -> None:
    """One of coremltools' tests predicts fifty times on a gigabyte."""
    recorder = Recorder()
    recorder.begin("test", {})
    inputs, output = Inputs(x=np.ones(3)), np.ones(3)
    watched = weakref.ref(inputs)
    recorder.predicted(ModelKind(), {"y": output}, inputs.copy)
    del inputs
    assert watched() is not None
    del output
    recorder.predicted(ModelKind(), {"y": np.ones(3)}, dict)
    assert watched() is None
