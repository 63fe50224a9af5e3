"""Recurrent layers: simple, LSTM and GRU, over sequences [steps, batch, inputs]. Imports only NumPy.

What does not depend on the carried state (the inputs' share of every gate) is computed for all steps at once. With
``reverse`` the last step is taken first, and the sequence that comes back is in the order in which it was computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.elementwise import clip as clip_to
from pytest_dscoreml.runtime.kernels.functions.elementwise import relu, sigmoid
from pytest_dscoreml.runtime.kernels.functions.shapes import check_size
from pytest_dscoreml.runtime.registry import Array

Activation = Callable[[Array], Any]


def hard_sigmoid(x: Array) -> Array:
    """min(max(0.2 x + 0.5, 0), 1)."""
    return clip_to(x * x.dtype.type(0.2) + x.dtype.type(0.5), 0, 1)


# An ML Program names them and gives no parameters: alpha and beta of a scaled tanh are 1, those of a hard sigmoid 0.2
# and 0.5. It has both names for the hard sigmoid.
ACTIVATIONS: dict[str, Activation] = {
    "hard_sigmoid": hard_sigmoid,
    "linear": lambda x: x,
    "relu": relu,
    "scaled_tanh": np.tanh,
    "sigmoid": sigmoid,
    "sigmoid_hard": hard_sigmoid,
    "tanh": np.tanh,
}


def activation(name: str) -> Activation:
    """The activation of that name, whatever its case."""
    found = ACTIVATIONS.get(name.lower())
    if found is None:
        raise ValueError(f"activation {name!r} is none of {', '.join(ACTIVATIONS)}")
    return found


def lstm(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Optional[Array] = None,
    *,
    peephole: Optional[Array] = None,
    gate: Activation = sigmoid,
    cell: Activation = np.tanh,
    output: Activation = np.tanh,
    clip: Optional[float] = None,
    reverse: bool = False,
    coupled: bool = False,
    sequence: bool = True,
) -> tuple[Array, Array, Array]:
    """(h of every step, or of the last as [1, batch, hidden], last h, last c) of a long short-term memory.

    h and c are [batch, hidden]; ``weight_ih`` [4 hidden, inputs], ``weight_hh`` [4 hidden, hidden] and ``bias``
    [4 hidden] hold the input, forget, output and cell gates in that order; ``peephole`` [3 hidden] holds the first
    three, of which the output gate sees the new cell state. ``clip`` bounds the cell state. ``coupled`` makes the
    forget gate one minus the input gate.
    """
    hidden = _check("lstm", x, weight_ih, weight_hh, bias, 4)
    _check_state(x, hidden, initial_h=h, initial_c=c)
    if peephole is not None and peephole.shape != (3 * hidden,):
        raise ValueError(f"peephole has shape {peephole.shape}, expected {(3 * hidden,)}")
    shares = _input_shares(x, weight_ih, bias)
    recurrent = np.ascontiguousarray(weight_hh.T)
    peep_in, peep_forget, peep_out = (None,) * 3 if peephole is None else np.split(peephole, 3)
    results = _results(x, hidden, sequence)
    for position, step in enumerate(_order(x, reverse)):
        gates = np.matmul(h, recurrent)
        gates += shares[step]
        update = cell(gates[:, 3 * hidden :])
        if peephole is None:
            opened = gate(gates[:, : 3 * hidden])
            entering, forgetting, leaving = (
                opened[:, :hidden],
                opened[:, hidden : 2 * hidden],
                opened[:, 2 * hidden :],
            )
        else:
            entering = gate(gates[:, :hidden] + c * peep_in)
            forgetting = gate(gates[:, hidden : 2 * hidden] + c * peep_forget)
        c = c * (1 - entering if coupled else forgetting) + entering * update
        if clip is not None:
            c = clip_to(c, -clip, clip)
        if peephole is not None:
            leaving = gate(gates[:, 2 * hidden : 3 * hidden] + c * peep_out)
        h = leaving * output(c)
        if sequence:
            results[position] = h
    return (results if sequence else np.array(h)[None]), np.array(h), np.array(c)


def gru(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Optional[Array] = None,
    *,
    input_bias: Optional[Array] = None,
    gate: Activation = sigmoid,
    output: Activation = np.tanh,
    reset_after: bool = False,
    reverse: bool = False,
    sequence: bool = True,
) -> tuple[Array, Array]:
    """(h of every step, or of the last as [1, batch, hidden], last h) of a gated recurrent unit.

    The weights hold the reset, output and update gates in that order. The reset gate is applied to h before it is
    multiplied with the output gate's weights, or with ``reset_after`` to that product plus its share of ``bias``. The
    new state is (1 - update) output + update h.
    """
    hidden = _check("gru", x, weight_ih, weight_hh, bias, 3)
    _check_state(x, hidden, initial_h=h)
    if input_bias is not None and input_bias.shape != (3 * hidden,):
        raise ValueError(f"input_bias has shape {input_bias.shape}, expected {(3 * hidden,)}")
    shares = _input_shares(x, weight_ih, input_bias)
    constant = np.zeros(3 * hidden, x.dtype) if bias is None else bias
    reset_rows, output_rows, update_rows = (np.ascontiguousarray(rows.T) for rows in np.split(weight_hh, 3))
    reset_bias, output_bias, update_bias = np.split(constant, 3)
    results = _results(x, hidden, sequence)
    for position, step in enumerate(_order(x, reverse)):
        share = shares[step]
        reset = gate(share[:, :hidden] + np.matmul(h, reset_rows) + reset_bias)
        update = gate(share[:, 2 * hidden :] + np.matmul(h, update_rows) + update_bias)
        if reset_after:
            candidate = reset * (np.matmul(h, output_rows) + output_bias)
        else:
            candidate = np.matmul(reset * h, output_rows) + output_bias
        candidate = output(share[:, hidden : 2 * hidden] + candidate)
        h = (1 - update) * candidate + update * h
        if sequence:
            results[position] = h
    return (results if sequence else np.array(h)[None]), np.array(h)


def rnn(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Optional[Array] = None,
    *,
    output: Activation = np.tanh,
    reverse: bool = False,
    sequence: bool = True,
) -> tuple[Array, Array]:
    """(h of every step, or of the last as [1, batch, hidden], last h) where h = output(W_ih x + W_hh h + bias)."""
    hidden = _check("rnn", x, weight_ih, weight_hh, bias, 1)
    _check_state(x, hidden, initial_h=h)
    shares = _input_shares(x, weight_ih, bias)
    recurrent = np.ascontiguousarray(weight_hh.T)
    results = _results(x, hidden, sequence)
    for position, step in enumerate(_order(x, reverse)):
        h = output(shares[step] + np.matmul(h, recurrent))
        if sequence:
            results[position] = h
    return (results if sequence else np.array(h)[None]), np.array(h)


def _order(x: Array, reverse: bool) -> Iterator[int]:
    steps = range(x.shape[0])
    return iter(reversed(steps) if reverse else steps)


def _results(x: Array, hidden: int, sequence: bool) -> Array:
    return np.empty((x.shape[0] if sequence else 0, x.shape[1], hidden), x.dtype)


def _input_shares(x: Array, weight: Array, bias: Optional[Array]) -> Array:
    steps, batch, inputs = x.shape
    check_size((steps, batch, weight.shape[0]), x.itemsize)
    shares = np.matmul(x.reshape(steps * batch, inputs), weight.T)
    if bias is not None:
        shares += bias
    return np.asarray(shares.reshape(steps, batch, weight.shape[0]))


def _check(op: str, x: Array, weight_ih: Array, weight_hh: Array, bias: Optional[Array], gates: int) -> int:
    """The hidden size, once the shapes are known to fit."""
    if x.ndim != 3 or weight_ih.ndim != 2 or weight_hh.ndim != 2:
        raise ValueError(
            f"x {x.shape}, weight_ih {weight_ih.shape}, weight_hh {weight_hh.shape}: expected ranks 3, 2, 2"
        )
    hidden = weight_hh.shape[1]
    if weight_hh.shape[0] != gates * hidden or weight_ih.shape != (gates * hidden, x.shape[2]):
        expected = f"{(gates * hidden, x.shape[2])} and {(gates * hidden, hidden)}"
        raise ValueError(f"weights {weight_ih.shape} and {weight_hh.shape} of a {op}, expected {expected}")
    if bias is not None and bias.shape != (gates * hidden,):
        raise ValueError(f"bias has shape {bias.shape}, expected {(gates * hidden,)}")
    return hidden


def _check_state(x: Array, hidden: int, **states: Array) -> None:
    for name, state in states.items():
        if state.shape != (x.shape[1], hidden):
            raise ValueError(f"{name} has shape {state.shape}, expected {(x.shape[1], hidden)}")
