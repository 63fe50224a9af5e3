"""Weights: what a set of variables must hold, and the geometry that follows."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_dscoreml.errors import ModelError
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import LSTM_BIAS, LSTM_KERNEL, VARIABLES, Geometry, Weights


def test_geometry_follows_from_the_shapes(tiny_weights):
    assert tiny_weights.geometry == Geometry(n_hidden=8, n_classes=5, n_input=26, n_context=9)
    assert str(tiny_weights.geometry) == "n_hidden 8, 5 classes, windows 19 x 26"


def test_layers_may_have_widths_of_their_own(tiny_weights):
    random = np.random.default_rng(0)
    arrays = {
        **tiny_weights.arrays,
        "layer_5/weights": random.normal(size=(8, 3)).astype(np.float32),
        "layer_5/bias": np.zeros(3, np.float32),
        "layer_6/weights": random.normal(size=(3, 5)).astype(np.float32),
    }

    assert Weights(arrays).geometry == tiny_weights.geometry


@pytest.mark.parametrize("name", VARIABLES)
def test_a_missing_variable_is_named(tiny_weights, refusal, name):
    arrays = {key: value for key, value in tiny_weights.arrays.items() if key != name}

    assert refusal(ModelError, Weights, arrays) == (
        f"variables missing: {name}; a DeepSpeech acoustic model has all of these"
    )


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("layer_1/weights", (494, 7), "layer_1/weights has shape [494, 7], expected [494, 8]"),
        ("layer_1/weights", (520, 8), "layer_1/weights has shape [520, 8], expected [494, 8]"),
        ("layer_6/weights", (5, 8), "layer_6/weights has shape [5, 8], expected [8, 5]"),
        (LSTM_KERNEL, (16, 24), f"{LSTM_KERNEL} has shape [16, 24], expected [16, 32]"),
        ("layer_2/bias", (8, 1), "layer_2/bias has shape [8, 1], expected [8]"),
        (
            LSTM_BIAS,
            (30,),
            "layer_5/weights has shape [8, 8], expected [7, 8]; "
            f"{LSTM_KERNEL} has shape [16, 32], expected [15, 28]; {LSTM_BIAS} has shape [30], expected [28]",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_listed(tiny_weights, refusal, name, shape, words):
    arrays = {**tiny_weights.arrays, name: np.zeros(shape, np.float32)}

    assert refusal(ModelError, Weights, arrays) == f"variables do not fit together: {words}"


def test_metadata_in_samples():
    assert (Metadata().window_samples, Metadata().stride_samples) == (512, 320)
    assert (Metadata(sample_rate=8000).window_samples, Metadata(sample_rate=8000).stride_samples) == (256, 160)
