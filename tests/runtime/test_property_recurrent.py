"""Recurrent operations against TensorFlow's cells: sizes, none among them, directions, types, all or the last output."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_recurrent
SOME = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 10**6)
DTYPES = st.sampled_from(["float16", "float32"])
# Sums of ten products around 1, carried over five steps in single precision, by TensorFlow as by the kernel.
CLOSE = {"rtol": 2e-5, "atol": 2e-5}


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def run(op: str, ios: int, **arguments: Any) -> Any:
    """The kernel's results; float16 arguments are widened first, as the executor does."""
    kernel = mil.find(op, ios)
    assert kernel is not None
    assert kernel.wide
    return kernel.function(**{name: widen(value) for name, value in arguments.items()})


class Weights:
    """Numbers around 0, small enough that no gate is shut, in whatever shape is asked for."""

    def __init__(self, seed: int, dtype: str, scale: float = 0.7) -> None:
        self.random, self.dtype, self.scale = np.random.default_rng(seed), dtype, scale

    def __call__(self, *shape: int) -> Any:
        return (self.scale * self.random.normal(size=shape)).astype(self.dtype)


sizes = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
maybe_empty = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3))


def single(value: Any) -> Any:
    return value.astype(np.float32)


def block_lstm(tf: Any, x: Any, h: Any, c: Any, w: dict[str, Any], clip: Any) -> tuple[Any, Any, Any]:
    """TensorFlow's BlockLSTM, whose gates are input, cell, forget, output, and whose inputs stand above the states."""

    def reorder(values: Any) -> Any:
        enter, forget, leave, cell = np.split(single(values), 4)
        return np.concatenate((enter, cell, forget, leave))

    hidden = h.shape[1]
    peep = np.zeros((3, hidden), np.float32) if w["peephole"] is None else single(w["peephole"]).reshape(3, hidden)
    bias = np.zeros(4 * hidden, np.float32) if w["bias"] is None else reorder(w["bias"])
    result = tf.raw_ops.BlockLSTM(
        seq_len_max=np.int64(len(x)),
        x=single(x),
        cs_prev=single(c),
        h_prev=single(h),
        w=np.concatenate((reorder(w["weight_ih"]).T, reorder(w["weight_hh"]).T)),
        wci=peep[0],
        wcf=peep[1],
        wco=peep[2],
        b=bias,
        forget_bias=0.0,
        cell_clip=-1.0 if clip is None else clip,
        use_peephole=w["peephole"] is not None,
    )
    return result.h.numpy(), result.h.numpy()[-1], result.cs.numpy()[-1]


@SOME
@given(
    size=sizes,
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
    biased=st.booleans(),
    peeps=st.booleans(),
    clip=st.sampled_from([None, 0.25, 50.0]),
    dtype=DTYPES,
    seed=seeds,
)
def test_lstm(tf: Any, size: Any, direction: str, biased: bool, peeps: bool, clip: Any, dtype: str, seed: int) -> None:
    steps, batch, inputs, hidden = size
    make = Weights(seed, dtype)
    x = make(steps, batch, inputs)
    halves = [
        {
            "weight_ih": make(4 * hidden, inputs),
            "weight_hh": make(4 * hidden, hidden),
            "bias": make(4 * hidden) if biased else None,
            "peephole": make(3 * hidden) if peeps else None,
        }
        for _ in range(2)
    ]
    states = [(make(batch, hidden), make(batch, hidden)) for _ in range(2)]
    arguments: dict[str, Any] = {"x": x, "direction": direction, "clip": clip, **halves[0]}
    if direction == "bidirectional":
        arguments.update({f"{name}_back": value for name, value in halves[1].items()})
        for index, name in enumerate(("initial_h", "initial_c")):
            arguments[name] = np.concatenate([state[index] for state in states], 1)
        ahead = block_lstm(tf, x, *states[0], halves[0], clip)
        back = block_lstm(tf, x[::-1], *states[1], halves[1], clip)
        wanted = [np.concatenate((ahead[0], back[0][::-1]), 2)]
        wanted += [np.concatenate(pair, 1) for pair in zip(ahead[1:], back[1:])]
    else:
        arguments.update({"initial_h": states[0][0], "initial_c": states[0][1]})
        wanted = list(block_lstm(tf, x if direction == "forward" else x[::-1], *states[0], halves[0], clip))
    given_arguments = {name: value for name, value in arguments.items() if value is not None}
    obtained = run("lstm", 17, output_sequence=True, **given_arguments)
    for found, expected in zip(obtained, wanted):
        assert found.dtype == np.float32
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, **CLOSE)
    last = run("lstm", 17, **given_arguments)
    for found, expected in zip(last, (obtained[1][None], *obtained[1:])):
        np.testing.assert_array_equal(found, expected)


@SOME
@given(size=sizes, reverse=st.booleans(), biased=st.booleans(), dtype=DTYPES, ios=st.sampled_from([15, 18]), seed=seeds)
def test_gru_and_rnn(tf: Any, size: Any, reverse: bool, biased: bool, dtype: str, ios: int, seed: int) -> None:
    """Step by step with GRUBlockCell, which resets before the product, and with one tanh."""
    steps, batch, inputs, hidden = size
    make = Weights(seed, dtype)
    x, h = make(steps, batch, inputs), make(batch, hidden)
    weight_ih, weight_hh, bias = make(3 * hidden, inputs), make(3 * hidden, hidden), make(3 * hidden)
    options: dict[str, Any] = {"direction": "reverse" if reverse else "forward", "x": x, "initial_h": h}
    reset, output, update = np.split(single(np.concatenate((weight_ih, weight_hh), 1)), 3)
    of_reset, of_output, of_update = np.split(single(bias) * biased, 3)
    state, simple, history, simple_history = single(h), single(h), [], []
    for row in single(x[::-1] if reverse else x):
        state = tf.raw_ops.GRUBlockCell(
            x=row,
            h_prev=state,
            w_ru=np.concatenate((reset, update)).T,
            w_c=output.T,
            b_ru=np.concatenate((of_reset, of_update)),
            b_c=of_output,
        ).h.numpy()
        history.append(state)
        simple = tf.tanh(tf.matmul(np.concatenate((row, simple), 1), reset.T) + of_reset).numpy()
        simple_history.append(simple)
    for op, gates, wanted in (("gru", 3, history), ("rnn", 1, simple_history)):
        fields: dict[str, Any] = {"weight_ih": weight_ih[: gates * hidden], "weight_hh": weight_hh[: gates * hidden]}
        if biased:
            fields["bias"] = bias[: gates * hidden]
        every, last = run(op, ios, output_sequence=True, **options, **fields)
        np.testing.assert_allclose(every, np.stack(wanted), **CLOSE)
        np.testing.assert_array_equal(last, every[-1])
        only, again = run(op, ios, **options, **fields)
        np.testing.assert_array_equal(only, last[None])
        np.testing.assert_array_equal(again, last)


@SOME
@given(size=maybe_empty, direction=st.sampled_from(["forward", "reverse", "bidirectional"]), seed=seeds)
def test_no_steps_no_batch_no_inputs(size: Any, direction: str, seed: int) -> None:
    """Nothing to read leaves the states as they are; without inputs only the states are read."""
    steps, batch, inputs, hidden = size
    make, both = Weights(seed, "float32"), 2 if direction == "bidirectional" else 1
    h, c = make(batch, both * hidden), make(batch, both * hidden)
    arguments: dict[str, Any] = {"x": make(steps, batch, inputs), "initial_h": h, "initial_c": c}
    arguments.update(weight_ih=make(4 * hidden, inputs), weight_hh=make(4 * hidden, hidden), direction=direction)
    if both == 2:
        arguments.update(weight_ih_back=make(4 * hidden, inputs), weight_hh_back=make(4 * hidden, hidden))
    every, last, cell = run("lstm", 15, output_sequence=True, **arguments)
    assert every.shape == (steps, batch, both * hidden)
    assert last.shape == cell.shape == h.shape
    if not steps:
        np.testing.assert_array_equal(last, h)
        np.testing.assert_array_equal(cell, c)
        np.testing.assert_array_equal(run("lstm", 15, **arguments)[0], h[None])
    elif not inputs:
        # An input of zeros and weights of any kind are the same as no input.
        arguments.update(x=np.zeros((steps, batch, 1), np.float32), weight_ih=np.ones((4 * hidden, 1), np.float32))
        if both == 2:
            arguments.update(weight_ih_back=arguments["weight_ih"])
        np.testing.assert_array_equal(run("lstm", 15, output_sequence=True, **arguments)[0], every)
