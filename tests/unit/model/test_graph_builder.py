"""The graph builder against an independent DeepSpeech in NumPy: any weights, lengths, masks and states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import ModelError
from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet
from pytest_dscoreml.model.graph import build_graph, check_alphabet
from pytest_dscoreml.model.loading import serialized_graph
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import LSTM_SCOPE

OUTPUTS = ("logits", "raw_logits", "new_state_c", "new_state_h")
STEPS = (-1, 16, 1, 5)


@pytest.fixture(scope="module")
def built(random_weights, tiny_metadata, runner):
    """Weights and the runner of their graph, by number of steps."""
    made = {}
    for seed, n_steps in enumerate(STEPS):
        weights = random_weights(seed)
        made[n_steps] = weights, runner(build_graph(weights, tiny_metadata, n_steps=n_steps))
    return made


@pytest.mark.parametrize("n_steps", STEPS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_it_computes_deepspeech(built, deepspeech, n_steps, data):
    weights, run = built[n_steps]
    steps = data.draw(st.integers(1, 40)) if n_steps == -1 else n_steps
    length = data.draw(st.integers(0, steps))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    windows = random.normal(0, 3, (steps, 19, 26)).astype(np.float32)
    scale = data.draw(st.sampled_from([0, 1, 5]))
    c = (scale * random.normal(size=(1, 8))).astype(np.float32)
    h = np.tanh(scale * random.normal(size=(1, 8))).astype(np.float32)

    obtained = run(
        {
            "input_node": windows[np.newaxis],
            "input_lengths": np.array([length]),
            "previous_state_c": c,
            "previous_state_h": h,
        },
        OUTPUTS,
    )

    for name, expected in deepspeech(weights.arrays, windows, length, c, h).items():
        assert obtained[name].shape == expected.shape
        np.testing.assert_allclose(obtained[name], expected, rtol=1e-5, atol=2e-5, err_msg=name)


def test_the_clip_is_reached_by_these_weights(built):
    """Without that, the test above could not tell a clip at 20 from none."""
    weights, _ = built[-1]
    windows = np.random.default_rng(0).normal(0, 3, (40, 19 * 26))

    assert (windows @ weights.arrays["layer_1/weights"] > 20).any()


@pytest.mark.parametrize("n_steps", [16, -1])
@pytest.mark.parametrize("length", [0, 3, 7])
def test_the_mask_is_in_the_graph(built, tiny_metadata, n_steps, length):
    """TensorFlow's BlockLSTM leaves masked steps at zero by itself; what a converter makes of it does not."""
    weights, run = built[n_steps]
    steps = 7 if n_steps == -1 else n_steps
    nodes = {node.name: node for node in build_graph(weights, tiny_metadata, n_steps=n_steps).node}
    masked = nodes[f"{LSTM_SCOPE}/mul"]
    block, mask = masked.input

    feeds = {"input_node": np.zeros((1, steps, 19, 26)), "input_lengths": np.array([length])}
    obtained = run(feeds, [mask])[mask]

    assert (nodes[block.split(":")[0]].op, block.split(":")[1]) == ("BlockLSTM", "6")
    np.testing.assert_array_equal(obtained[:, 0], np.repeat(np.arange(steps) < length, 8).reshape(steps, 8))
    # Both the next layer and the state read what was masked.
    readers = [node.op for node in nodes.values() if masked.name in node.input]
    assert sorted(readers) == ["ConcatV2", "Reshape"]


@pytest.mark.parametrize("n_steps", [16, -1])
def test_types_and_shapes_of_its_tensors(tiny_weights, tiny_metadata, n_steps):
    from pytest_dscoreml.heavy import import_tensorflow

    tf = import_tensorflow()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(build_graph(tiny_weights, tiny_metadata, n_steps=n_steps), name="")
    steps = None if n_steps == -1 else n_steps

    def shape(name):
        return graph.get_tensor_by_name(f"{name}:0").shape.as_list()

    assert shape("input_node") == [1, steps, 19, 26]
    assert shape("input_samples") == [512]
    assert shape("mfccs") == [1, 26]
    assert shape("logits") == shape("raw_logits") == [steps, 1, 5]
    for name in ("previous_state_c", "previous_state_h", "new_state_c", "new_state_h"):
        assert shape(name) == [1, 8]
    assert graph.get_tensor_by_name("input_lengths:0").dtype == tf.int32


def test_another_sample_rate_changes_the_window_of_samples(tiny_weights, tiny_metadata):
    metadata = Metadata(sample_rate=8000, alphabet=tiny_metadata.alphabet)
    nodes = {node.name: node for node in build_graph(tiny_weights, metadata, n_steps=16).node}

    assert [dim.size for dim in nodes["input_samples"].attr["shape"].shape.dim] == [256]
    assert nodes["AudioSpectrogram"].attr["stride"].i == 160
    assert nodes["Mfcc"].attr["upper_frequency_limit"].f == 4000


def test_the_same_bytes_each_time(tiny_weights, tiny_metadata):
    one, other = (serialized_graph(tiny_weights, tiny_metadata, n_steps=16) for _ in range(2))

    assert one == other


def test_nothing_that_old_tensorflow_does_not_know(tiny_weights, tiny_metadata):
    graph_def = build_graph(tiny_weights, tiny_metadata, n_steps=-1)

    attributes = {(node.op, name) for node in graph_def.node for name in node.attr}
    assert not attributes & {("MatMul", "grad_a"), ("MatMul", "grad_b"), ("GatherNd", "bad_indices_policy")}


@pytest.mark.parametrize("n_steps", [0, -2, -16, 2**31, 10**12])
def test_an_impossible_number_of_steps_is_refused(tiny_weights, tiny_metadata, refusal, n_steps):
    assert refusal(ModelError, build_graph, tiny_weights, tiny_metadata, n_steps=n_steps) == (
        f"n_steps {n_steps}: expected a positive number of steps, or -1 for a dynamic graph"
    )


def test_an_alphabet_of_other_classes_is_refused(tiny_weights, refusal):
    assert refusal(ModelError, build_graph, tiny_weights, Metadata(alphabet=ENGLISH), n_steps=16) == (
        "model: alphabet and model disagree: the alphabet has 28 labels, which with the blank makes 29 classes; "
        "the output layer has 5. Give the alphabet the model was trained with"
    )


def test_the_check_names_its_source(tiny_weights, refusal):
    metadata = Metadata(alphabet=Alphabet(("a",)))

    assert refusal(ModelError, check_alphabet, metadata, tiny_weights.geometry, source="model x.pb") == (
        "model x.pb: alphabet and model disagree: the alphabet has 1 labels, which with the blank makes 2 classes; "
        "the output layer has 5. Give the alphabet the model was trained with"
    )
