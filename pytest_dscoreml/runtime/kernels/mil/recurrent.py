"""ML Program: recurrent operations.

A reverse sequence comes back in the order in which it was computed, last step first; of a bidirectional one both halves
are in the order of the input. The gate order is input, forget, output, cell for an LSTM and reset, output, update for a
GRU. coremltools' own tests, which pass against Core ML, say all this more exactly than its documentation does.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import recurrent as functions
from pytest_dscoreml.runtime.registry import Array, mil


def _is_reverse(direction: str) -> bool:
    if direction not in ("forward", "reverse"):
        raise ValueError(f"direction {direction!r} is none of forward, reverse")
    return direction == "reverse"


@mil.kernel("rnn", wide=True, fresh=True)
def rnn(
    *,
    x: Array,
    initial_h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Optional[Array] = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """h = activation(W_ih x + W_hh h + bias) over x [steps, batch, inputs]: (all or the last h, the last h)."""
    return functions.rnn(
        x,
        initial_h,
        weight_ih,
        weight_hh,
        bias,
        output=functions.activation(activation),
        reverse=_is_reverse(direction),
        sequence=output_sequence,
    )


@mil.kernel("gru", wide=True, fresh=True)
def gru(
    *,
    x: Array,
    initial_h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Optional[Array] = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """A gated recurrent unit over x [steps, batch, inputs]: (all or the last h, the last h)."""
    return gru_ios18(
        x=x,
        initial_h=initial_h,
        weight_ih=weight_ih,
        weight_hh=weight_hh,
        bias=bias,
        direction=direction,
        output_sequence=output_sequence,
        recurrent_activation=recurrent_activation,
        activation=activation,
    )


@mil.kernel("gru", since=18, wide=True, fresh=True)
def gru_ios18(
    *,
    x: Array,
    initial_h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Optional[Array] = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: bool = False,
    input_bias: Optional[Array] = None,
) -> tuple[Array, Array]:
    """As before iOS 18, with a bias of the inputs' own and the choice where the reset gate acts."""
    return functions.gru(
        x,
        initial_h,
        weight_ih,
        weight_hh,
        bias,
        input_bias=input_bias,
        gate=functions.activation(recurrent_activation),
        output=functions.activation(activation),
        reset_after=reset_after,
        reverse=_is_reverse(direction),
        sequence=output_sequence,
    )


@mil.kernel("lstm", wide=True, fresh=True)
def lstm(
    *,
    x: Array,
    initial_h: Array,
    initial_c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Optional[Array] = None,
    peephole: Optional[Array] = None,
    weight_ih_back: Optional[Array] = None,
    weight_hh_back: Optional[Array] = None,
    bias_back: Optional[Array] = None,
    peephole_back: Optional[Array] = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: Optional[float] = None,
) -> tuple[Array, Array, Array]:
    """A long short-term memory over x [steps, batch, inputs]: (all or the last h, the last h, the last c).

    ``clip`` bounds the cell state.
    """

    def run(
        h: Array, c: Array, w_ih: Array, w_hh: Array, b: Optional[Array], p: Optional[Array], reverse: bool
    ) -> tuple[Array, Array, Array]:
        return functions.lstm(
            x,
            h,
            c,
            w_ih,
            w_hh,
            b,
            peephole=p,
            gate=functions.activation(recurrent_activation),
            cell=functions.activation(cell_activation),
            output=functions.activation(activation),
            clip=clip,
            reverse=reverse,
            sequence=output_sequence,
        )

    if direction != "bidirectional":
        return run(initial_h, initial_c, weight_ih, weight_hh, bias, peephole, _is_reverse(direction))
    if weight_ih_back is None or weight_hh_back is None:
        raise ValueError("a bidirectional lstm needs weight_ih_back and weight_hh_back")
    hidden = weight_hh.shape[-1]
    ahead = run(initial_h[:, :hidden], initial_c[:, :hidden], weight_ih, weight_hh, bias, peephole, False)
    back = run(
        initial_h[:, hidden:], initial_c[:, hidden:], weight_ih_back, weight_hh_back, bias_back, peephole_back, True
    )
    return (
        np.concatenate((ahead[0], back[0][::-1]), -1),
        np.concatenate((ahead[1], back[1]), -1),
        np.concatenate((ahead[2], back[2]), -1),
    )
