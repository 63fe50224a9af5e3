"""Recurrent operations against their equations in double, and against TensorFlow's cells and Keras' layers."""

from __future__ import annotations

import math
import os
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.kernels.functions import recurrent
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_recurrent
CLOSE = {"rtol": 2e-5, "atol": 2e-6}
SCALARS: dict[str, Any] = {
    "hard_sigmoid": lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0),
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "scaled_tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
}
names = st.sampled_from(sorted(SCALARS))

#: Activations without a bound grow by a factor at each step, in gates too; what overflows float32 on the way is not compared.
FLOAT32_HOLDS = 1e15


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    results = kernel.function(**arguments)
    assert all(result.dtype == np.float32 for result in results)
    return results


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def random_layer(seed: int, gates: int, steps: int, batch: int, inputs: int, hidden: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Any:
        return (0.7 * random.normal(size=shape)).astype(np.float32)

    return {
        "x": normal(steps, batch, inputs),
        "initial_h": normal(batch, hidden),
        "weight_ih": normal(gates * hidden, inputs),
        "weight_hh": normal(gates * hidden, hidden),
    }


sizes = st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))


def apply(name: str, values: Any) -> Any:
    return np.array([SCALARS[name](float(value)) for value in values])


def row(layer: dict[str, Any], name: str, gate: int, hidden: int) -> Any:
    """The weights of one gate in double, zeros for a bias that is not there."""
    values = layer.get(name)
    return np.zeros(hidden) if values is None else values[gate * hidden : (gate + 1) * hidden].astype(np.float64)


def lstm_equations(layer: dict[str, Any], acts: Any, clip: Any, reverse: bool) -> Any:
    hidden = layer["initial_h"].shape[1]
    steps, batch, _ = layer["x"].shape
    all_h = np.zeros((steps, batch, hidden))
    last_h, last_c = layer["initial_h"].astype(np.float64), layer["initial_c"].astype(np.float64)
    inner, cell, outer = acts
    for item in range(batch):
        h, c = last_h[item], last_c[item]
        for turn, step in enumerate(reversed(range(steps)) if reverse else range(steps)):
            x = layer["x"][step, item].astype(np.float64)

            def gate(index: int, x: Any = x, h: Any = h) -> Any:
                share = row(layer, "weight_ih", index, hidden) @ x + row(layer, "weight_hh", index, hidden) @ h
                return share + row(layer, "bias", index, hidden)

            enter = apply(inner, gate(0) + row(layer, "peephole", 0, hidden) * c)
            forget = apply(inner, gate(1) + row(layer, "peephole", 1, hidden) * c)
            c = forget * c + enter * apply(cell, gate(3))
            if clip is not None:
                c = np.clip(c, -clip, clip)
            leave = apply(inner, gate(2) + row(layer, "peephole", 2, hidden) * c)
            h = leave * apply(outer, c)
            all_h[turn, item] = h
        last_h[item], last_c[item] = h, c
    return all_h, last_h, last_c


@settings(max_examples=80, deadline=None)
@given(
    size=sizes,
    seed=st.integers(0, 999),
    biased=st.booleans(),
    peeps=st.booleans(),
    acts=st.tuples(names, names, names),
    clip=st.sampled_from([None, 0.3, 50.0]),
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
)
def test_lstm(size: Any, seed: int, biased: bool, peeps: bool, acts: Any, clip: Any, direction: str) -> None:
    hidden = size[3]
    halves = []
    for half in range(2):
        layer = random_layer(seed + 1000 * half, 4, *size)
        layer["x"] = halves[0]["x"] if half else layer["x"]
        random = np.random.default_rng(seed + half)
        layer["initial_c"] = random.normal(size=layer["initial_h"].shape).astype(np.float32)
        if biased:
            layer["bias"] = random.normal(size=4 * hidden).astype(np.float32)
        if peeps:
            layer["peephole"] = random.normal(size=3 * hidden).astype(np.float32)
        halves.append(layer)
    arguments = dict(halves[0])
    if direction == "bidirectional":
        for name in ("initial_h", "initial_c"):
            arguments[name] = np.concatenate([half[name] for half in halves], 1)
        for name in ("weight_ih", "weight_hh", "bias", "peephole"):
            if name in halves[1]:
                arguments[f"{name}_back"] = halves[1][name]
        ahead, back = (lstm_equations(half, acts, clip, index == 1) for index, half in enumerate(halves))
        # Both halves of a bidirectional sequence are in the order of the input.
        wanted = [np.concatenate((ahead[0], back[0][::-1]), 2)]
        wanted += [np.concatenate((one, other), 1) for one, other in zip(ahead[1:], back[1:])]
    else:
        wanted = list(lstm_equations(halves[0], acts, clip, direction == "reverse"))
    options = {
        "direction": direction,
        "recurrent_activation": acts[0],
        "cell_activation": acts[1],
        "activation": acts[2],
        "clip": clip,
    }
    assume(all(np.abs(expected).max(initial=0) < FLOAT32_HOLDS for expected in wanted))
    whole = run("lstm", output_sequence=True, **arguments, **options)
    for obtained, expected in zip(whole, wanted):
        # Activations without a bound grow by a factor at each step.
        bound = 2e-5 * max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(obtained, expected, rtol=1e-4, atol=bound)
    last = run("lstm", **arguments, **options)
    assert last[0].shape == (1, *last[1].shape)
    np.testing.assert_array_equal(last[0][0], last[1])
    np.testing.assert_array_equal(last[1], whole[1])
    np.testing.assert_array_equal(last[2], whole[2])


@settings(max_examples=60, deadline=None)
@given(
    size=sizes,
    seed=st.integers(0, 999),
    biases=st.tuples(st.booleans(), st.booleans()),
    after=st.booleans(),
    acts=st.tuples(names, names),
    reverse=st.booleans(),
)
def test_gru(size: Any, seed: int, biases: Any, after: bool, acts: Any, reverse: bool) -> None:
    steps, batch, _, hidden = size
    layer = random_layer(seed, 3, *size)
    random = np.random.default_rng(seed)
    for name, present in zip(("bias", "input_bias"), biases):
        if present:
            layer[name] = random.normal(size=3 * hidden).astype(np.float32)
    all_h, last = np.zeros((steps, batch, hidden)), layer["initial_h"].astype(np.float64)
    for item in range(batch):
        h = last[item]
        for turn, step in enumerate(reversed(range(steps)) if reverse else range(steps)):
            x = layer["x"][step, item].astype(np.float64)
            fed = [
                row(layer, "weight_ih", gate, hidden) @ x + row(layer, "input_bias", gate, hidden) for gate in range(3)
            ]
            kept = [row(layer, "weight_hh", gate, hidden) for gate in range(3)]
            bias = [row(layer, "bias", gate, hidden) for gate in range(3)]
            reset = apply(acts[0], fed[0] + kept[0] @ h + bias[0])
            update = apply(acts[0], fed[2] + kept[2] @ h + bias[2])
            inner = reset * (kept[1] @ h + bias[1]) if after else kept[1] @ (reset * h) + bias[1]
            h = (1 - update) * apply(acts[1], fed[1] + inner) + update * h
            all_h[turn, item] = h
        last[item] = h
    options = {
        "direction": "reverse" if reverse else "forward",
        "recurrent_activation": acts[0],
        "activation": acts[1],
    }
    assume(np.abs(all_h).max(initial=0) < FLOAT32_HOLDS)
    bound = 1e-4 * max(1.0, float(np.abs(all_h).max(initial=0)))
    obtained = run("gru", 18, output_sequence=True, reset_after=after, **layer, **options)
    np.testing.assert_allclose(obtained[0], all_h, rtol=1e-4, atol=bound)
    np.testing.assert_allclose(obtained[1], last, rtol=1e-4, atol=bound)
    if not after and not biases[1]:
        for one, other in zip(run("gru", 15, output_sequence=True, **layer, **options), obtained):
            np.testing.assert_array_equal(one, other)


@settings(max_examples=40, deadline=None)
@given(size=sizes, seed=st.integers(0, 999), biased=st.booleans(), act=names, reverse=st.booleans())
def test_rnn(size: Any, seed: int, biased: bool, act: str, reverse: bool) -> None:
    steps, batch, _, hidden = size
    layer = random_layer(seed, 1, *size)
    if biased:
        layer["bias"] = np.random.default_rng(seed).normal(size=hidden).astype(np.float32)
    all_h, last = np.zeros((steps, batch, hidden)), layer["initial_h"].astype(np.float64)
    for item in range(batch):
        for turn, step in enumerate(reversed(range(steps)) if reverse else range(steps)):
            x = layer["x"][step, item].astype(np.float64)
            share = row(layer, "weight_ih", 0, hidden) @ x + row(layer, "weight_hh", 0, hidden) @ last[item]
            last[item] = all_h[turn, item] = apply(act, share + row(layer, "bias", 0, hidden))
    direction = "reverse" if reverse else "forward"
    obtained = run("rnn", output_sequence=True, direction=direction, activation=act, **layer)
    assume(np.abs(all_h).max(initial=0) < FLOAT32_HOLDS)
    bound = 1e-4 * max(1.0, float(np.abs(all_h).max(initial=0)))
    np.testing.assert_allclose(obtained[0], all_h, rtol=1e-4, atol=bound)
    np.testing.assert_allclose(obtained[1], last, rtol=1e-4, atol=bound)


@pytest.mark.parametrize("clip", [None, 0.4])
@pytest.mark.parametrize("peeps", [True, False])
def test_lstm_is_tensorflows(tf: Any, peeps: bool, clip: Any) -> None:
    """TensorFlow's BlockLSTM has the gates in the order input, cell, forget, output, and inputs above states."""
    steps, batch, inputs, hidden = 20, 3, 5, 7
    layer = random_layer(4, 4, steps, batch, inputs, hidden)
    random = np.random.default_rng(1)
    layer["initial_c"] = random.normal(size=(batch, hidden)).astype(np.float32)
    layer["bias"] = random.normal(size=4 * hidden).astype(np.float32)
    peephole = random.normal(size=3 * hidden).astype(np.float32) * peeps

    def reorder(values: Any) -> Any:
        enter, forget, leave, cell = np.split(values, 4)
        return np.concatenate((enter, cell, forget, leave))

    kernel = np.concatenate((reorder(layer["weight_ih"]).T, reorder(layer["weight_hh"]).T))
    wci, wcf, wco = np.split(peephole, 3)
    wanted = tf.raw_ops.BlockLSTM(
        seq_len_max=np.int64(steps),
        x=layer["x"],
        cs_prev=layer["initial_c"],
        h_prev=layer["initial_h"],
        w=kernel,
        wci=wci,
        wcf=wcf,
        wco=wco,
        b=reorder(layer["bias"]),
        forget_bias=0.0,
        cell_clip=-1.0 if clip is None else clip,
        use_peephole=peeps,
    )
    options = {"peephole": peephole} if peeps else {}
    obtained = run("lstm", output_sequence=True, clip=clip, **layer, **options)
    np.testing.assert_allclose(obtained[0], wanted.h.numpy(), **CLOSE)
    np.testing.assert_allclose(obtained[2], wanted.cs.numpy()[-1], **CLOSE)


def test_gru_is_tensorflows(tf: Any) -> None:
    """GRUBlockCell resets before the product: [x, h] W_ru, and [x, r h] W_c; u keeps the state."""
    batch, inputs, hidden = 3, 5, 7
    layer = random_layer(5, 3, 1, batch, inputs, hidden)
    bias = np.random.default_rng(2).normal(size=3 * hidden).astype(np.float32)
    both = np.concatenate((layer["weight_ih"], layer["weight_hh"]), 1)
    reset, output, update = np.split(both, 3)
    bias_reset, bias_output, bias_update = np.split(bias, 3)
    wanted = tf.raw_ops.GRUBlockCell(
        x=layer["x"][0],
        h_prev=layer["initial_h"],
        w_ru=np.concatenate((reset, update)).T,
        w_c=output.T,
        b_ru=np.concatenate((bias_reset, bias_update)),
        b_c=bias_output,
    )
    np.testing.assert_allclose(run("gru", bias=bias, **layer)[1], wanted.h.numpy(), **CLOSE)


def test_gru_with_the_reset_after_is_keras(tf: Any) -> None:
    """Keras orders the gates update, reset, output."""
    steps, batch, inputs, hidden = 9, 2, 4, 5
    layer = random_layer(6, 3, steps, batch, inputs, hidden)
    random = np.random.default_rng(3)
    biases = {name: random.normal(size=3 * hidden).astype(np.float32) for name in ("input_bias", "bias")}

    def reorder(values: Any) -> Any:
        reset, output, update = np.split(values, 3)
        return np.concatenate((update, reset, output))

    keras = tf.keras.layers.GRU(hidden, reset_after=True, return_sequences=True, return_state=True)
    keras.build((batch, steps, inputs))
    keras.set_weights(
        [
            reorder(layer["weight_ih"]).T,
            reorder(layer["weight_hh"]).T,
            np.stack([reorder(biases["input_bias"]), reorder(biases["bias"])]),
        ]
    )
    wanted = keras(tf.constant(np.swapaxes(layer["x"], 0, 1)), initial_state=tf.constant(layer["initial_h"]))
    obtained = run("gru", 18, output_sequence=True, reset_after=True, **layer, **biases)
    np.testing.assert_allclose(np.swapaxes(obtained[0], 0, 1), wanted[0].numpy(), **CLOSE)
    np.testing.assert_allclose(obtained[1], wanted[1].numpy(), **CLOSE)


def test_coupled_gates() -> None:
    layer = random_layer(7, 4, 3, 2, 2, 2)
    state = layer["initial_h"]
    arguments = (layer["x"], state, state, layer["weight_ih"], layer["weight_hh"])
    # A forget gate whose weights are those of the input gate negated is one minus it.
    opposite = [np.array(weight) for weight in arguments[3:]]
    for weight in opposite:
        weight[2:4] = -weight[:2]
    wanted = recurrent.lstm(*arguments[:3], *opposite)
    for obtained, expected in zip(recurrent.lstm(*arguments, coupled=True), wanted):
        np.testing.assert_allclose(obtained, expected, **CLOSE)


LAYER = {
    "x": np.zeros((2, 1, 3), np.float32),
    "initial_h": np.zeros((1, 2), np.float32),
    "initial_c": np.zeros((1, 2), np.float32),
    "weight_ih": np.zeros((8, 3), np.float32),
    "weight_hh": np.zeros((8, 2), np.float32),
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"direction": "backward"}, "direction 'backward' is none of forward, reverse"),
        ({"direction": "bidirectional"}, "a bidirectional lstm needs weight_ih_back and weight_hh_back"),
        ({"activation": "selu"}, f"activation 'selu' is none of {', '.join(recurrent.ACTIVATIONS)}"),
        ({"bias": np.zeros(7)}, "bias has shape (7,), expected (8,)"),
        ({"peephole": np.zeros(8)}, "peephole has shape (8,), expected (6,)"),
        ({"initial_c": np.zeros((2, 2))}, "initial_c has shape (2, 2), expected (1, 2)"),
        ({"weight_ih": np.zeros((8, 2))}, "weights (8, 2) and (8, 2) of a lstm, expected (8, 3) and (8, 2)"),
        ({"x": np.zeros((2, 3))}, "x (2, 3), weight_ih (8, 3), weight_hh (8, 2): expected ranks 3, 2, 2"),
    ],
)
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run("lstm", **{**LAYER, **arguments})
