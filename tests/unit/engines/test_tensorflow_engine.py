"""The reference engine of all comparisons: TensorFlow on the frozen graph."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.engines.protocol import State
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.engines.tensorflow import TensorFlowEngine
from pytest_dscoreml.errors import EngineError, ModelError
from pytest_dscoreml.model.weights import LSTM_SCOPE
from pytest_dscoreml.speech.features import mfcc


@pytest.fixture(scope="module")
def engines(tiny_files):
    return {kind: TensorFlowEngine(path) for kind, path in tiny_files.items()}


def noise(length, seed=0):
    return np.random.default_rng(seed).normal(0, 2, (length, 19, 26)).astype(np.float32)


def random_state(seed):
    random = np.random.default_rng(seed)
    return State(*(np.tanh(random.normal(size=(1, 8))).astype(np.float32) for _ in range(2)))


def test_what_it_says_of_itself(engines, tiny_weights):
    assert (engines["static"].n_steps, engines["dynamic"].n_steps) == (16, None)
    for engine in engines.values():
        assert engine.geometry == tiny_weights.geometry
        assert re.fullmatch(r"tensorflow 2\.\d+\.\d+", engine.name)


@settings(max_examples=30, deadline=None)
@given(length=st.one_of(st.sampled_from([1, 15, 16, 17, 32]), st.integers(1, 50)), seed=st.integers(0, 99))
def test_static_in_chunks_is_dynamic_whole(engines, tiny_weights, deepspeech, length, seed):
    windows, state = noise(length, seed), random_state(seed)

    static, dynamic = (recognise(engines[kind], windows, state) for kind in ("static", "dynamic"))

    expected = deepspeech(tiny_weights.arrays, windows, length, *state)
    for outputs in (static, dynamic):
        np.testing.assert_allclose(outputs.logits, expected["logits"][:, 0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(outputs.raw_logits, expected["raw_logits"][:, 0], rtol=1e-5, atol=2e-5)
        np.testing.assert_allclose(outputs.state.c, expected["new_state_c"], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(outputs.state.h, expected["new_state_h"], rtol=1e-5, atol=1e-5)


def test_rows_of_the_padding_come_too_and_do_not_touch_the_state(engines):
    padded = noise(16)
    other = np.concatenate([padded[:9], noise(7, seed=1)])

    one, two = (engines["static"].run(windows, 9, random_state(0)) for windows in (padded, other))

    assert one.logits.shape == one.raw_logits.shape == (16, 5)
    np.testing.assert_array_equal(one.state.c, two.state.c)
    np.testing.assert_array_equal(one.state.h, two.state.h)


def test_the_graphs_own_features(engines):
    samples = np.random.default_rng(0).integers(-3000, 3000, 512).astype(np.int16)

    frame = engines["dynamic"].features((samples / 32768).astype(np.float32))

    np.testing.assert_allclose(frame, mfcc(samples), rtol=0, atol=1e-5)


def test_another_number_of_steps_is_an_engine_error(engines, refusal):
    message = refusal(EngineError, engines["static"].run, noise(17), 17, random_state(0))

    assert message.startswith(
        f"{engines['static'].name} failed: Cannot feed value of shape (1, 17, 19, 26) for Tensor "
    )
    assert "\n" not in message


@pytest.mark.parametrize("length", [-1, 5, 99])
def test_a_length_beyond_the_steps_is_an_engine_error(engines, refusal, length):
    """TensorFlow itself would abort the process."""
    engine = engines["dynamic"]

    assert refusal(EngineError, engine.run, noise(4), length, random_state(0)) == (
        f"{engine.name}: length {length} does not lie within the 4 steps given"
    )


def test_a_failure_inside_tensorflow_is_an_engine_error(tiny_files, edited, refusal):
    def gather_from_the_sixth_sequence(nodes, _):
        # The states are those of one sequence, of which the fifth after it is asked for: found out when it runs.
        for name, value in (("start", 5), ("limit", 6)):
            tensor = nodes[f"{LSTM_SCOPE}/range/{name}"].attr["value"].tensor
            tensor.int_val[:] = [value]

    engine = TensorFlowEngine(edited(tiny_files["dynamic"], gather_from_the_sixth_sequence))

    message = refusal(EngineError, engine.run, noise(4), 4, random_state(0))

    assert message.startswith(f"{engine.name} failed: ")
    assert "\n" not in message


def test_a_file_that_is_no_graph_is_a_model_error(tmp_path, refusal):
    path = tmp_path / "empty.pb"
    path.touch()

    assert refusal(ModelError, TensorFlowEngine, path) == f"model {path}: the file is empty; give a frozen .pb graph"
