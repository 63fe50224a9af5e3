"""A small DeepSpeech graph, converted in all nine ways by the installed coremltools, agrees with TensorFlow."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.runtime import PASSES, ReferenceModel

HIDDEN, WIDTH, CLASSES, CHUNK = 12, 19 * 26, 7, 16
OUTPUTS = ("logits", "new_state_c", "new_state_h")
VARIANTS = ("static", "dynamic", "pinned")
KINDS = ("neuralnetwork-float32", "mlprogram-float32", "mlprogram-float16")
# The passes that associate sums differently; all others keep every bit.
REASSOCIATING = ("hoist_products", "straight_loops")
# Measured on this graph: float32 differs by 2e-7, float16 by 2e-3 (11 bits, six products deep).
TOLERANCE = {"float32": 2e-6, "float16": 2e-2}


def graph_def(tensorflow: Any, steps: int) -> Any:
    """DeepSpeech's inference graph in small: three dense layers, a masked BlockLSTM, two dense layers, softmax."""
    tf = tensorflow.compat.v1
    random = np.random.default_rng(11)

    def dense(x: Any, inputs: int, outputs: int) -> Any:
        weight = (random.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
        return tf.nn.bias_add(tf.matmul(x, tf.constant(weight)), tf.constant(random.normal(size=outputs).astype("f")))

    def clipped(x: Any) -> Any:
        return tf.minimum(tf.nn.relu(x), 20.0)

    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [1, steps if steps > 0 else None, 19, 26], name="input_node")
        lengths = tf.placeholder(tf.int32, [1], name="input_lengths")
        state_c = tf.placeholder(tf.float32, [1, HIDDEN], name="previous_state_c")
        state_h = tf.placeholder(tf.float32, [1, HIDDEN], name="previous_state_h")
        rows = tf.reshape(tf.transpose(x, [1, 0, 2, 3]), [-1, WIDTH])
        for inputs in (WIDTH, HIDDEN, HIDDEN):
            rows = clipped(dense(rows, inputs, HIDDEN))
        series = tf.reshape(rows, [-1, 1, HIDDEN])
        kernel = (random.normal(size=(2 * HIDDEN, 4 * HIDDEN)) / np.sqrt(HIDDEN)).astype("f")
        zeros = tf.zeros([HIDDEN])
        lstm = tensorflow.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(tf.reduce_max(lengths), tf.int64),
            x=series,
            cs_prev=state_c,
            h_prev=state_h,
            w=tf.constant(kernel),
            wci=zeros,
            wcf=zeros,
            wco=zeros,
            b=tf.constant(random.normal(size=4 * HIDDEN).astype("f")),
            forget_bias=0.0,
            cell_clip=-1.0,
        )
        total = tf.shape(series)[0]
        mask = tf.transpose(tf.sequence_mask(lengths, total, tf.float32))
        hidden = lstm.h * tf.tile(tf.expand_dims(mask, -1), [1, 1, HIDDEN])
        at = tf.stack([lengths, tf.range(1)], 1)
        last_c = tf.gather_nd(tf.concat([tf.expand_dims(state_c, 0), lstm.cs], 0), at)
        last_h = tf.gather_nd(tf.concat([tf.expand_dims(state_h, 0), hidden], 0), at)
        tf.identity(last_c, name="new_state_c")
        tf.identity(last_h, name="new_state_h")
        out = dense(clipped(dense(tf.reshape(hidden, [-1, HIDDEN]), HIDDEN, HIDDEN)), HIDDEN, CLASSES)
        tf.nn.softmax(tf.reshape(out, [-1, 1, CLASSES]), name="logits")
    return graph.as_graph_def()


@pytest.fixture(scope="module")
def tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def graphs(tensorflow: Any) -> dict[str, Any]:
    return {"static": graph_def(tensorflow, CHUNK), "dynamic": graph_def(tensorflow, -1)}


@pytest.fixture(scope="module")
def sessions(tensorflow: Any, graphs: dict[str, Any]) -> Any:
    opened = {}
    for name, definition in graphs.items():
        graph = tensorflow.Graph()
        with graph.as_default():
            tensorflow.compat.v1.import_graph_def(definition, name="")
        opened[name] = tensorflow.compat.v1.Session(graph=graph)
    yield opened
    gc.unfreeze()
    for session in opened.values():
        session.close()


@pytest.fixture(scope="module")
def convert(graphs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Convert once per variant and kind; the MLModel itself comes with the path it was saved to."""
    directory = tmp_path_factory.mktemp("conversions")
    made: dict[tuple[str, str], tuple[Any, Path]] = {}

    def converted(variant: str, kind: str) -> tuple[Any, Path]:
        import coremltools as ct

        # coremltools collects garbage after each of its passes; without this each sweep visits all of TensorFlow.
        gc.freeze()
        if (variant, kind) not in made:
            target, precision = kind.split("-")
            options: dict[str, Any] = {}
            if variant == "pinned":
                options["inputs"] = [ct.TensorType(name="input_node", shape=(1, CHUNK, 19, 26))]
            elif variant == "dynamic" and target == "mlprogram":
                options["inputs"] = [ct.TensorType(name="input_node", shape=(1, ct.RangeDim(1, 2000), 19, 26))]
            if target == "mlprogram":
                options["compute_precision"] = ct.precision.FLOAT16 if precision == "float16" else ct.precision.FLOAT32
                options["skip_model_load"] = True
            definition = graphs["static" if variant == "static" else "dynamic"]
            model = ct.convert(definition, source="tensorflow", outputs=list(OUTPUTS), convert_to=target, **options)
            path = directory / f"{variant}-{kind}{'.mlmodel' if target == 'neuralnetwork' else '.mlpackage'}"
            model.save(str(path))
            made[variant, kind] = (model, path)
        return made[variant, kind]

    return converted


def draw(steps: int, length: int, seed: int, scale: float = 1.0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "input_node": (scale * random.normal(size=(1, steps, 19, 26))).astype(np.float32),
        "input_lengths": np.array([length], np.int32),
        "previous_state_c": random.normal(size=(1, HIDDEN)).astype(np.float32),
        "previous_state_h": np.tanh(random.normal(size=(1, HIDDEN))).astype(np.float32),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_agrees_with_tensorflow(variant: str, kind: str, convert: Any, sessions: Any) -> None:
    _, path = convert(variant, kind)
    model = ReferenceModel(path)
    session = sessions["static" if variant == "static" else "dynamic"]
    tolerance = TOLERANCE[kind.split("-")[1]]
    lengths = [(CHUNK, CHUNK), (CHUNK, 9), (CHUNK, 1)]
    if variant == "dynamic":
        lengths += [(1, 1), (2, 1), (15, 15), (17, 17), (60, 60), (60, 33)]
    for seed, (steps, length) in enumerate(lengths):
        for scale in (1.0, 30.0):
            fed = draw(steps, length, seed, scale)
            expected = session.run(
                [f"{name}:0" for name in OUTPUTS], {f"{name}:0": value for name, value in fed.items()}
            )
            obtained = model.predict(fed)
            for name, wanted in zip(OUTPUTS, expected):
                assert obtained[name].shape == wanted.shape
                bound = tolerance * max(1.0, float(np.abs(wanted).max()))
                error = float(np.abs(obtained[name] - wanted).max())
                assert error <= bound, f"{name}, {steps} steps, length {length}, scale {scale}: {error} > {bound}"


@pytest.mark.parametrize("kind", KINDS)
def test_optimisations_change_nothing(kind: str, convert: Any) -> None:
    _, path = convert("dynamic", kind)
    fast, plain = ReferenceModel(path), ReferenceModel(path, passes=())
    exact = ReferenceModel(path, passes=[name for name in PASSES if name not in REASSOCIATING])
    assert [call.copies for call in fast._plan.calls() if call.kernel.overwrites] == [False, False]
    fed = draw(20, 13, 5)
    wanted = plain.predict(fed)
    bound = 4e-3 if kind.endswith("float16") else 1e-6
    for name in OUTPUTS:
        np.testing.assert_array_equal(exact.predict(fed)[name], wanted[name])
        # Twice: the first run generates the loop's code after a pass without it.
        for _ in range(2):
            np.testing.assert_allclose(fast.predict(fed)[name], wanted[name], rtol=bound, atol=bound)


@pytest.mark.parametrize("kind", KINDS)
def test_no_dynamic_operation_is_left_in_fixed_variants(kind: str, convert: Any) -> None:
    dynamic = {"shape", "fill", "range_1d", "getShape", "fillDynamic", "rangeDynamic"}
    for variant in VARIANTS:
        counts = ReferenceModel(convert(variant, kind)[1]).program.op_counts()
        assert bool(dynamic & set(counts)) == (variant == "dynamic"), f"{variant}: {counts}"


def test_double_is_closer_to_itself_than_float32_is_to_it(convert: Any) -> None:
    fed = draw(40, 40, 8)
    double = {
        kind: ReferenceModel(convert("dynamic", kind)[1], compute_precision="float64").predict(fed)
        for kind in ("neuralnetwork-float32", "mlprogram-float32")
    }
    single = ReferenceModel(convert("dynamic", "mlprogram-float32")[1]).predict(fed)
    for name in OUTPUTS:
        one, other = double.values()
        np.testing.assert_allclose(one[name], other[name], rtol=1e-13, atol=1e-14)
        error = np.abs(single[name] - one[name]).max()
        assert 0 < error < 2e-6


def test_a_model_object_and_its_message_work_like_its_file(convert: Any) -> None:
    for kind in KINDS[:2]:
        model, path = convert("static", kind)
        fed = draw(CHUNK, 5, 2)
        expected = ReferenceModel(path).predict(fed)
        for source in (
            ReferenceModel(model),
            ReferenceModel(model.get_spec(), weights_dir=getattr(model, "weights_dir", None)),
        ):
            for name in OUTPUTS:
                np.testing.assert_array_equal(source.predict(fed)[name], expected[name])


def test_intermediates_carry_the_graphs_names(convert: Any, sessions: Any) -> None:
    fed = draw(17, 17, 3)
    model = ReferenceModel(convert("dynamic", "mlprogram-float32")[1])
    values = model.predict(fed, intermediates="all")
    feed = {f"{name}:0": value for name, value in fed.items()}
    compared = 0
    for operation in sessions["dynamic"].graph.get_operations():
        # The converter makes up names like concat_1 of its own; those of these operations it takes from the graph.
        if operation.name in values and operation.name.startswith(("Relu", "Minimum", "BiasAdd", "Tile")):
            expected = sessions["dynamic"].run(operation.outputs[0], feed)
            np.testing.assert_allclose(values[operation.name], expected, rtol=1e-5, atol=1e-5)
            compared += 1
    assert compared == 14
    cells = sessions["dynamic"].run("BlockLSTM:1", feed)
    stacked = [value for value in values.values() if value.shape == (17, 1, 1, HIDDEN)]
    assert any(np.allclose(value[:, 0], cells, atol=1e-5) for value in stacked)
