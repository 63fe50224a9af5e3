"""What TensorFlow computes inside its BlockLSTM, step by step: a converted model does it in a loop of small operations.

Equations and the order of the gates: `BlockLSTM` in TensorFlow's raw_ops (gates are i, ci, f, o).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: BlockLSTM's outputs, in their order.
OUTPUTS = ("i", "cs", "f", "o", "ci", "co", "h")
#: The positions of its inputs that are read here.
X, CS_PREV, H_PREV, W, B = 1, 2, 3, 4, 8

Array = NDArray[Any]

#: What an operation should make of these quantities: whoever departs from all of them is compared with that.
MADE_OF = {
    frozenset(sources): made
    for *sources, made in (
        ("x", "h of the step before", "x and h joined"),
        ("x and h joined", "all gates before their activation"),
        ("x and h times the weights, without the bias", "all gates before their activation"),
        *((f"gate {name} before its activation", f"gate {name}") for name in ("i", "ci", "f", "o")),
        ("gate f before its activation, with forget_bias", "gate f"),
        ("gate i", "gate ci", "i * ci"),
        ("gate f", "c of the step before", "f * c of the step before"),
        ("i * ci", "f * c of the step before", "c"),
        ("c", "tanh(c)"),
        ("tanh(c)", "gate o", "h"),
        ("the number of the step", "the number of the next step"),
    )
}


@dataclass(frozen=True)
class LSTM:
    """A BlockLSTM's values in one call.

    Attributes:
        steps: by quantity what it was at each real step, [length, size].
        whole: by quantity arrays over the whole call: histories [length + 1, n_hidden], the state first.
    """

    steps: Mapping[str, Array]
    whole: Mapping[str, Array]


def lstm(inputs: Mapping[int, Array], outputs: Mapping[str, Array], length: int, forget_bias: float) -> LSTM:
    """The values of a BlockLSTM.

    Args:
        inputs: `x` [T, 1, size], `cs_prev` and `h_prev` [1, n_hidden], `w` [size + n_hidden, 4 n_hidden], `b` by position.
        outputs: by name, each [T, 1, n_hidden].
        length: real steps; those behind it are zeros.
        forget_bias: its attribute.
    """
    x = inputs[X][:length, 0]
    out = {name: value[:length, 0] for name, value in outputs.items()}
    before_c, before_h = (
        np.concatenate([first, values])[:length]
        for first, values in ((inputs[CS_PREV], out["cs"]), (inputs[H_PREV], out["h"]))
    )
    joined = np.concatenate([x, before_h], axis=1)
    products = joined @ inputs[W]
    gates = products + inputs[B]
    names = ("i", "ci", "f", "o")
    split = dict(zip(names, np.split(gates, 4, axis=1)))
    bare = dict(zip(names, np.split(products, 4, axis=1)))
    from_x, from_h = x @ inputs[W][: x.shape[1]], before_h @ inputs[W][x.shape[1] :]
    steps = {
        "the number of the step": np.arange(length)[:, np.newaxis],
        "the number of the next step": np.arange(1, length + 1)[:, np.newaxis],
        "x": x,
        "h of the step before": before_h,
        "c of the step before": before_c,
        "x and h joined": joined,
        "all gates before their activation": gates,
        "x and h times the weights, without the bias": products,
        "x times its weights": from_x,
        "h times its weights": from_h,
        "x times its weights, with the bias": from_x + inputs[B],
        **{f"gate {name} before its activation": value for name, value in split.items()},
        **{f"gate {name} before bias and activation": value for name, value in bare.items()},
        "gate f before its activation, with forget_bias": split["f"] + np.float32(forget_bias),
        "gate i": out["i"],
        "gate ci": out["ci"],
        "gate f": out["f"],
        "gate o": out["o"],
        "i * ci": out["i"] * out["ci"],
        "f * c of the step before": out["f"] * before_c,
        "c": out["cs"],
        "tanh(c)": out["co"],
        "h": out["h"],
    }
    return LSTM(
        steps,
        {
            "all steps of c, the state first": np.concatenate([inputs[CS_PREV], out["cs"]]),
            "all steps of h, the state first": np.concatenate([inputs[H_PREV], out["h"]]),
            **{f"all steps of {name}": value for name, value in (("c", out["cs"]), ("h", out["h"]))},
        },
    )
