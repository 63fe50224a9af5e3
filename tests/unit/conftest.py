"""A tiny DeepSpeech with random weights, an independent one in NumPy to compare it with, and its conversions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import DENSE_LAYERS, LSTM_BIAS, LSTM_KERNEL, Weights

HIDDEN = 8
LABELS = (" ", "a", "b", "é")
CLASSES = len(LABELS) + 1
REAL_EXPORT = "DSCOREML_LDC93S1"


def _random_weights(seed, *, classes=CLASSES):
    """Weights at which the clip of 20 and both ends of the gates are reached, and no output is saturated."""
    random = np.random.default_rng(seed)
    shapes = {LSTM_KERNEL: (2 * HIDDEN, 4 * HIDDEN), LSTM_BIAS: (4 * HIDDEN,)}
    for layer in DENSE_LAYERS:
        rows = 19 * 26 if layer == "layer_1" else HIDDEN
        columns = classes if layer == "layer_6" else HIDDEN
        shapes.update({f"{layer}/weights": (rows, columns), f"{layer}/bias": (columns,)})
    return Weights({name: random.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()})


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _deepspeech(arrays, windows, length, c, h):
    """DeepSpeech in float64, from its definition: the five outputs that depend on the windows."""
    wide = {name: np.asarray(array, np.float64) for name, array in arrays.items()}

    def dense(layer, x):
        return x @ wide[f"{layer}/weights"] + wide[f"{layer}/bias"]

    def clipped(x):
        return np.clip(x, 0, 20)

    c, h = c.astype(np.float64), h.astype(np.float64)
    x = windows.reshape(len(windows), -1).astype(np.float64)
    for layer in ("layer_1", "layer_2", "layer_3"):
        x = clipped(dense(layer, x))
    heard = np.zeros((len(windows), h.shape[1]))
    for step in range(length):
        gates = np.concatenate([x[step : step + 1], h], axis=1) @ wide[LSTM_KERNEL] + wide[LSTM_BIAS]
        i, ci, f, o = np.split(gates, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(ci)
        h = _sigmoid(o) * np.tanh(c)
        heard[step] = h[0]
    raw = dense("layer_6", clipped(dense("layer_5", heard)))
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return {
        "raw_logits": raw[:, np.newaxis],
        "logits": (powers / powers.sum(axis=1, keepdims=True))[:, np.newaxis],
        "new_state_c": c,
        "new_state_h": h,
    }


def _refusal(kind, function, *args, **kwargs):
    """The whole message of the error that a call must end in, which must be of that class itself."""
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    assert type(caught.value) is kind
    return str(caught.value)


def _write_checkpoint(directory, arrays, *, step=300, slots=False):
    """A TensorFlow 1 checkpoint `train-STEP` of variables and, if asked for, of an optimizer's slots beside them."""
    from pytest_dscoreml.heavy import import_tensorflow

    tf = import_tensorflow()
    stored = dict(arrays)
    if slots:
        for slot in ("Adam", "Adam_1"):
            stored.update({f"{name}/{slot}": np.full_like(array, 7) for name, array in arrays.items()})
        stored.update({"beta1_power": np.float32(0.5), "global_step": np.int64(step)})
    directory.mkdir(parents=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.get_variable(name, initializer=array) for name, array in stored.items()]
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(variables, save_relative_paths=True)
        return Path(saver.save(session, str(directory / "train"), global_step=step, write_meta_graph=False))


def _read_pb(path):
    from pytest_dscoreml.heavy import import_tensorflow

    graph_def = import_tensorflow().compat.v1.GraphDef()
    graph_def.ParseFromString(Path(path).read_bytes())
    return graph_def


def _runner(graph_def):
    """Runs a graph: feeds and names of outputs to a dictionary of arrays."""
    from pytest_dscoreml.heavy import import_tensorflow

    tf = import_tensorflow()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    session = tf.compat.v1.Session(graph=graph)

    def run(feeds, outputs):
        values = session.run([f"{name}:0" for name in outputs], {f"{name}:0": value for name, value in feeds.items()})
        return dict(zip(outputs, values))

    return run


@pytest.fixture(scope="session")
def random_weights():
    """Makes tiny weights of a seed."""
    return _random_weights


@pytest.fixture(scope="session")
def deepspeech():
    """DeepSpeech in NumPy, independent of the project's own code."""
    return _deepspeech


@pytest.fixture(scope="session")
def refusal():
    """The message of the error that a call ends in."""
    return _refusal


@pytest.fixture(scope="session")
def write_checkpoint():
    return _write_checkpoint


@pytest.fixture(scope="session")
def read_pb():
    """Parses a `.pb` file with nothing of the project's."""
    return _read_pb


@pytest.fixture(scope="session")
def runner():
    return _runner


@pytest.fixture(scope="session")
def tiny_weights():
    return _random_weights(1)


@pytest.fixture(scope="session")
def tiny_metadata():
    return Metadata(alphabet=Alphabet(LABELS))


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory, tiny_weights, tiny_metadata):
    """The tiny model's graphs as files, by kind."""
    from pytest_dscoreml.model.loading import serialized_graph

    folder = tmp_path_factory.mktemp("tiny")
    for kind, n_steps in (("static", 16), ("dynamic", -1)):
        (folder / f"{kind}.pb").write_bytes(serialized_graph(tiny_weights, tiny_metadata, n_steps=n_steps))
    return {kind: folder / f"{kind}.pb" for kind in ("static", "dynamic")}


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory, tiny_weights):
    """The tiny model's variables as a TensorFlow 1 checkpoint with optimizer slots; gives its prefix."""
    return _write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny", tiny_weights.arrays, slots=True)


@pytest.fixture(scope="session")
def tiny_alphabet(tmp_path_factory):
    path = tmp_path_factory.mktemp("alphabet") / "alphabet.txt"
    path.write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_conversions(tmp_path_factory, tiny_files):
    """Paths of two conversions of the tiny model, one of each format, made here and now: the worker costs more time."""
    import coremltools as ct

    folder = tmp_path_factory.mktemp("conversions")
    outputs = ["logits", "new_state_c", "new_state_h"]
    window = ct.TensorType(name="input_node", shape=(1, ct.RangeDim(1, 2000, default=16), 19, 26))
    asked = {
        "dynamic-mlprogram-float32.mlpackage": {
            "inputs": [window],
            "convert_to": "mlprogram",
            "compute_precision": ct.precision.FLOAT32,
        },
        "static-neuralnetwork-float32.mlmodel": {"convert_to": "neuralnetwork"},
    }
    for name, options in asked.items():
        graph_def = _read_pb(tiny_files[name.split("-")[0]])
        ct.convert(graph_def, outputs=outputs, source="tensorflow", **options).save(str(folder / name))
    return {Path(name).stem: folder / name for name in asked}


@pytest.fixture(scope="session")
def real_export():
    """The directory with a real export of Mozilla's and the checkpoint it was made from."""
    if REAL_EXPORT not in os.environ:
        pytest.skip(
            f"{REAL_EXPORT} names no directory with static.pb, dynamic.pb, checkpoint, alphabet.txt, LDC93S1.wav"
        )
    return Path(os.environ[REAL_EXPORT])


@pytest.fixture
def edited(tmp_path):
    """A copy of a frozen graph after a function changed it: `change(nodes by name, graph_def)`."""

    def edit(path, change, name="edited.pb"):
        graph_def = _read_pb(path)
        change({node.name: node for node in graph_def.node}, graph_def)
        copy = tmp_path / name
        copy.write_bytes(graph_def.SerializeToString())
        return copy

    return edit
