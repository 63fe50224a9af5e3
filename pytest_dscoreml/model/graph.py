"""Builds the TensorFlow inference graph of a DeepSpeech model from its weights, static or dynamic.

The operations, their types and the names of the tensors are those of a DeepSpeech v0.7 to 0.9 export (read from real
exports), so that whatever a converter does to those it does to these. TensorFlow is imported when a graph is built.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_dscoreml.errors import ModelError
from pytest_dscoreml.heavy import import_tensorflow
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import LSTM_BIAS, LSTM_KERNEL, LSTM_SCOPE, Geometry, Weights

#: Steps that DeepSpeech's export gives the static graph.
STATIC_STEPS = 16
#: What DeepSpeech's `--n_steps` means by "any length".
DYNAMIC_STEPS = -1
#: More than this do not fit the int32 in which the graph counts its steps.
MOST_STEPS = 2**31 - 1
RELU_CLIP = 20.0
LOWER_FREQUENCY_LIMIT = 20.0
FILTERBANK_CHANNELS = 40
#: Attributes that ops have grown since TensorFlow 1.15. Here they hold their defaults; written out, they would make
#: TensorFlow 1.15 (Mozilla's client, the oldest converters) refuse the node.
_NEWER_ATTRIBUTES = {"MatMul": ("grad_a", "grad_b"), "GatherNd": ("bad_indices_policy",)}


def build_graph(weights: Weights, metadata: Metadata, *, n_steps: int) -> Any:
    """The frozen inference graph as a `tf.compat.v1.GraphDef`.

    Inputs: `input_node` [1, n_steps, 19, 26] float32, `input_lengths` [1] int32, `previous_state_c` and
    `previous_state_h` [1, n_hidden] float32; `input_samples` [512] float32 feeds the features sub-graph.
    Outputs: `logits` (the softmax) and `raw_logits` [n_steps, 1, classes], `new_state_c`, `new_state_h`
    [1, n_hidden], `mfccs` [1, 26].

    Args:
        weights: the model's variables.
        metadata: stored as the `metadata_*` constants, the alphabet among them.
        n_steps: steps of a static graph, or -1 for a dynamic one.

    Raises:
        ModelError: n_steps is neither positive nor -1, or alphabet and classes disagree.
    """
    tf = import_tensorflow()

    if n_steps != DYNAMIC_STEPS and not 1 <= n_steps <= MOST_STEPS:
        raise ModelError(f"n_steps {n_steps}: expected a positive number of steps, or -1 for a dynamic graph")
    check_alphabet(metadata, weights.geometry)
    with tf.Graph().as_default() as graph:
        _features(tf, metadata, weights.geometry)
        _acoustic(tf, weights, n_steps)
        _metadata_constants(tf, metadata)
    graph_def = graph.as_graph_def()
    for node in graph_def.node:
        for attribute in _NEWER_ATTRIBUTES.get(node.op, ()):
            if attribute in node.attr:
                del node.attr[attribute]
    return graph_def


def check_alphabet(metadata: Metadata, geometry: Geometry, *, source: str = "model") -> None:
    """Require that the alphabet and the output layer speak of the same classes.

    Raises:
        ModelError: they do not; `source` opens the message.
    """
    labels = len(metadata.alphabet.labels)
    if labels + 1 != geometry.n_classes:
        raise ModelError(
            f"{source}: alphabet and model disagree: the alphabet has {labels} labels, which with the blank makes "
            f"{labels + 1} classes; the output layer has {geometry.n_classes}. Give the alphabet the model was trained with"
        )


def _features(tf: Any, metadata: Metadata, geometry: Geometry) -> None:
    """`input_samples` -> `mfccs`: one window of audio to one frame of coefficients."""
    samples = tf.compat.v1.placeholder(tf.float32, [metadata.window_samples], name="input_samples")
    spectrogram = tf.raw_ops.AudioSpectrogram(
        input=tf.raw_ops.ExpandDims(input=samples, axis=-1),
        window_size=metadata.window_samples,
        stride=metadata.stride_samples,
        magnitude_squared=True,
    )
    coefficients = tf.raw_ops.Mfcc(
        spectrogram=spectrogram,
        sample_rate=metadata.sample_rate,
        upper_frequency_limit=metadata.sample_rate / 2,
        lower_frequency_limit=LOWER_FREQUENCY_LIMIT,
        filterbank_channel_count=FILTERBANK_CHANNELS,
        dct_coefficient_count=geometry.n_input,
    )
    frames = tf.raw_ops.Reshape(tensor=coefficients, shape=[-1, geometry.n_input])
    tf.raw_ops.Identity(input=frames, name="mfccs")


def _variable(tf: Any, weights: Weights, name: str) -> Any:
    """A frozen variable: a constant and the identity through which it is read."""
    constant = tf.constant(np.asarray(weights.arrays[name], np.float32), name=name)
    return tf.raw_ops.Identity(input=constant, name=f"{name}/read")


def _dense(tf: Any, weights: Weights, layer: str, x: Any, *, clip: float | None) -> Any:
    """x W + b, then ReLU clipped from above where the layer has one."""
    bias = _variable(tf, weights, f"{layer}/bias")
    product = tf.raw_ops.MatMul(a=x, b=_variable(tf, weights, f"{layer}/weights"))
    output = tf.raw_ops.BiasAdd(value=product, bias=bias)
    return output if clip is None else tf.raw_ops.Minimum(x=tf.raw_ops.Relu(features=output), y=clip)


def _acoustic(tf: Any, weights: Weights, n_steps: int) -> None:
    """Windows and states to `logits`, `new_state_c` and `new_state_h`."""
    geometry = weights.geometry
    steps = None if n_steps == DYNAMIC_STEPS else n_steps
    shape = [1, steps, geometry.n_window, geometry.n_input]
    windows = tf.compat.v1.placeholder(tf.float32, shape, name="input_node")
    lengths = tf.compat.v1.placeholder(tf.int32, [1], name="input_lengths")
    state_c = tf.compat.v1.placeholder(tf.float32, [1, geometry.n_hidden], name="previous_state_c")
    state_h = tf.compat.v1.placeholder(tf.float32, [1, geometry.n_hidden], name="previous_state_h")

    x = tf.raw_ops.Transpose(x=windows, perm=[1, 0, 2, 3], name="transpose")
    x = tf.raw_ops.Reshape(tensor=x, shape=[-1, geometry.n_window * geometry.n_input])
    for layer in ("layer_1", "layer_2", "layer_3"):
        x = _dense(tf, weights, layer, x, clip=RELU_CLIP)
    x = tf.raw_ops.Reshape(tensor=x, shape=[-1, 1, weights.arrays["layer_3/bias"].size])

    outputs, new_c, new_h = _lstm(tf, weights, x, lengths, state_c, state_h, steps)

    x = tf.raw_ops.Reshape(tensor=outputs, shape=[-1, geometry.n_hidden])
    x = _dense(tf, weights, "layer_5", x, clip=RELU_CLIP)
    x = _dense(tf, weights, "layer_6", x, clip=None)
    raw_logits = tf.raw_ops.Reshape(tensor=x, shape=[-1, 1, geometry.n_classes], name="raw_logits")
    tf.raw_ops.Softmax(logits=raw_logits, name="logits")
    tf.raw_ops.Identity(input=new_c, name="new_state_c")
    tf.raw_ops.Identity(input=new_h, name="new_state_h")


def _lstm(
    tf: Any, weights: Weights, x: Any, lengths: Any, state_c: Any, state_h: Any, steps: int | None
) -> tuple[Any, Any, Any]:
    """BlockLSTM over [T, 1, in]; the outputs masked by length, and the states as they were at that length.

    The states are gathered from a history with the initial state in front: row t is the state after t steps.
    """
    units = weights.geometry.n_hidden
    kernel, bias = _variable(tf, weights, LSTM_KERNEL), _variable(tf, weights, LSTM_BIAS)
    with tf.name_scope(f"{LSTM_SCOPE}/"):
        time = tf.shape(x)[0] if steps is None else steps
        no_peephole = tf.constant(np.zeros(units, np.float32), name="zeros")
        longest = tf.raw_ops.Cast(x=tf.raw_ops.Max(input=lengths, axis=tf.constant([0], name="Const")), DstT=tf.int64)
        block = tf.raw_ops.BlockLSTM(
            seq_len_max=longest,
            x=x,
            cs_prev=state_c,
            h_prev=state_h,
            w=kernel,
            wci=no_peephole,
            wcf=no_peephole,
            wco=no_peephole,
            b=bias,
            forget_bias=0.0,
            cell_clip=-1.0,
            use_peephole=False,
        )
        mask = _sequence_mask(tf, lengths, time, units)
        outputs = tf.raw_ops.Mul(x=block.h, y=mask, name="mul")
        return outputs, _state_at(tf, state_c, block.cs, lengths), _state_at(tf, state_h, outputs, lengths)


def _sequence_mask(tf: Any, lengths: Any, time: Any, units: int) -> Any:
    """[T, 1, units] float: one where the step lies within its sequence's length, else zero."""
    with tf.name_scope("SequenceMask"):
        # A static length is a constant made before the others: the names count the constants in this order.
        limit = tf.constant(time, name="Const") if isinstance(time, int) else time
        steps = tf.raw_ops.Range(start=tf.constant(0, name="Const"), limit=limit, delta=tf.constant(1, name="Const"))
        # A cast to the type it has already: the real export holds it, so a converter must see it here too.
        limits = tf.raw_ops.Cast(x=tf.raw_ops.ExpandDims(input=lengths, axis=-1), DstT=tf.int32)
        within = tf.raw_ops.Cast(x=tf.raw_ops.Less(x=steps, y=limits), DstT=tf.float32)
    by_time = tf.raw_ops.Transpose(x=within, perm=[1, 0], name="transpose")
    return tf.raw_ops.Tile(input=tf.raw_ops.ExpandDims(input=by_time, axis=[-1]), multiples=[1, 1, units])


def _state_at(tf: Any, initial: Any, history: Any, lengths: Any) -> Any:
    """The state after `lengths` steps, gathered from the initial state followed by the history."""
    states = tf.raw_ops.ConcatV2(
        values=[tf.raw_ops.ExpandDims(input=initial, axis=[0]), history], axis=0, name="concat"
    )
    batch = tf.raw_ops.Range(start=0, limit=1, delta=1, name="range")
    return tf.raw_ops.GatherNd(params=states, indices=tf.raw_ops.Pack(values=[lengths, batch], axis=1, name="stack"))


def _metadata_constants(tf: Any, metadata: Metadata) -> None:
    """The `metadata_*` constants that Mozilla's client reads."""
    numbers = {
        "version": metadata.version,
        "sample_rate": metadata.sample_rate,
        "feature_win_len": metadata.feature_win_len,
        "feature_win_step": metadata.feature_win_step,
        "beam_width": metadata.beam_width,
    }
    for name, value in numbers.items():
        tf.constant([value], tf.int32, name=f"metadata_{name}")
    tf.constant([metadata.alphabet.serialize()], tf.string, name="metadata_alphabet")
    if metadata.language is not None:
        tf.constant([metadata.language.encode()], tf.string, name="metadata_language")
