"""Proof of the graph builder: it builds what Mozilla's code exported, from the frozen graph and from the checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.model.checkpoint import checkpoint_prefix, read_checkpoint
from pytest_dscoreml.model.frozen import read_graph, read_metadata, read_weights
from pytest_dscoreml.model.graph import build_graph
from pytest_dscoreml.model.loading import load_model
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.speech.audio import read_wav
from pytest_dscoreml.speech.features import mfcc, windows

OUTPUTS = ("logits", "raw_logits", "new_state_c", "new_state_h")
SOURCES = ("static.pb", "dynamic.pb", "checkpoint")


@pytest.fixture(scope="module", params=SOURCES)
def source(request, real_export):
    """Weights and metadata, from each place where they can come from."""
    path = real_export / request.param
    if path.is_dir():
        alphabet = Alphabet.from_file(real_export / "alphabet.txt")
        return read_checkpoint(checkpoint_prefix(path)), Metadata(alphabet=alphabet)
    graph = read_graph(path)
    return read_weights(graph), read_metadata(graph)


@pytest.fixture(scope="module", params=["static", "dynamic"])
def pair(request, source, real_export, read_pb):
    """Mozilla's graph and the one built from the source: (kind, Mozilla's, built)."""
    weights, metadata = source
    built = build_graph(weights, metadata, n_steps=16 if request.param == "static" else -1)
    return request.param, read_pb(real_export / f"{request.param}.pb"), built


@pytest.fixture(scope="module")
def runners(pair, runner):
    _, mozilla, built = pair
    return runner(mozilla), runner(built)


@pytest.fixture(scope="module")
def speech(real_export):
    return windows(mfcc(read_wav(real_export / "LDC93S1.wav")))


def described(graph_def, *, without=()):
    return {node.name: (node.op, list(node.input)) for node in graph_def.node if node.name not in without}


def test_the_same_nodes_read_the_same_nodes(pair, source):
    _, mozilla, built = pair
    _, metadata = source
    # A checkpoint holds no metadata, so it cannot know the language that Mozilla's export was given.
    without = ["metadata_language"] if metadata.language is None else []

    assert described(built) == described(mozilla, without=without)


@pytest.mark.parametrize(
    ("steps", "length"), [(16, 16), (16, 0), (16, 1), (16, 9), (1, 1), (37, 37), (37, 20), (146, 146)]
)
@pytest.mark.parametrize("start", ["zeros", "random"])
def test_the_same_outputs(pair, runners, speech, steps, length, start):
    kind, _, _ = pair
    if kind == "static":
        steps, length = 16, length % 17
    random = np.random.default_rng(steps + length)
    c = (start == "random") * random.normal(size=(1, 128))
    h = (start == "random") * np.tanh(random.normal(size=(1, 128)))
    feeds = {
        "input_node": np.resize(speech, (1, steps, 19, 26)),
        "input_lengths": np.array([length]),
        "previous_state_c": c,
        "previous_state_h": h,
    }

    expected, obtained = (run(feeds, OUTPUTS) for run in runners)

    for name in OUTPUTS:
        np.testing.assert_allclose(obtained[name], expected[name], rtol=0, atol=1e-6, err_msg=name)


def test_the_same_features(runners, real_export):
    samples = (read_wav(real_export / "LDC93S1.wav")[8000:8512] / 32768).astype(np.float32)

    for feeds in ({"input_samples": samples}, {"input_samples": np.zeros(512)}):
        expected, obtained = (run(feeds, ["mfccs"])["mfccs"] for run in runners)
        assert obtained.shape == (1, 26)
        np.testing.assert_allclose(obtained, expected, rtol=0, atol=1e-6)


def test_the_checkpoints_variables_are_the_frozen_ones(real_export):
    frozen = read_weights(read_graph(real_export / "static.pb")).arrays
    stored = read_checkpoint(checkpoint_prefix(real_export / "checkpoint")).arrays

    assert stored.keys() == frozen.keys()
    for name, array in frozen.items():
        np.testing.assert_array_equal(stored[name], array, err_msg=name)


def test_the_pair_is_one_model(real_export, tmp_path):
    model = load_model([str(real_export / "dynamic.pb"), str(real_export / "static.pb")], exports=tmp_path / "exports")

    assert (model.name, model.n_steps) == ("static.pb + dynamic.pb", 16)
    assert str(model.geometry) == "n_hidden 128, 29 classes, windows 19 x 26"
    assert model.paths == {kind: real_export / f"{kind}.pb" for kind in ("static", "dynamic")}
    assert not (tmp_path / "exports").exists()
