"""Neural network: matrix products and reductions."""

# ruff: noqa: N803

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import linear as functions
from pytest_dscoreml.runtime.registry import Array, Ints, nn

_REDUCTIONS = {
    "reduceL1": "l1_norm",
    "reduceL2": "l2_norm",
    "reduceLogSum": "log_sum",
    "reduceLogSumExp": "log_sum_exp",
    "reduceMax": "max",
    "reduceMean": "mean",
    "reduceMin": "min",
    "reduceProd": "prod",
    "reduceSum": "sum",
    "reduceSumSquare": "sum_square",
}


@nn.kernel("innerProduct", fresh=True)
def inner_product(
    x: Array,
    *,
    inputChannels: int = 0,
    outputChannels: int = 0,
    hasBias: bool = False,
    weights: Array,
    bias: Optional[Array] = None,
) -> Array:
    """x weights^T + bias over the last axis; ranks 4 and 5 fold their last three axes into the channels."""
    added = bias if hasBias else None
    if x.ndim < 4:
        return functions.linear(x, weights, added)
    rows = x.reshape((*x.shape[:-3], inputChannels))
    return functions.linear(rows, weights, added)[..., None, None]


@nn.kernel("batchedMatmul", fresh=True)
def batched_matmul(
    x: Array,
    y: Optional[Array] = None,
    *,
    transposeA: bool = False,
    transposeB: bool = False,
    weightMatrixFirstDimension: int = 0,
    weightMatrixSecondDimension: int = 0,
    hasBias: bool = False,
    weights: Optional[Array] = None,
    bias: Optional[Array] = None,
) -> Array:
    """x y, or x ``weights`` + bias when there is one input."""
    right = weights if y is None else y
    if right is None:
        raise ValueError("one input and no weights")
    product = functions.matmul(x, right, transpose_x=transposeA, transpose_y=transposeB)
    return product + bias if hasBias and bias is not None else product


def _reduction(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(x: Array, *, axes: Optional[Ints] = None, keepDims: bool = False, reduceAll: bool = False) -> Array:
        if reduceAll:
            axes = None
        elif axes is None:
            raise ValueError("neither axes nor reduceAll is set")
        return np.asarray(function(x, axes, keepDims))

    return kernel


for _name, _function in _REDUCTIONS.items():
    nn.kernel(_name, fresh=True)(_reduction(functions.REDUCTIONS[_function]))


@nn.kernel("argMax", fresh=True)
def arg_max(x: Array, *, axis: int = 0, removeDim: bool = False) -> Array:
    """The index of the greatest value along ``axis``, the first of equals."""
    return np.asarray(x.argmax(axis) if removeDim else np.expand_dims(x.argmax(axis), axis))


@nn.kernel("argMin", fresh=True)
def arg_min(x: Array, *, axis: int = 0, removeDim: bool = False) -> Array:
    """The index of the least value along ``axis``, the first of equals."""
    return np.asarray(x.argmin(axis) if removeDim else np.expand_dims(x.argmin(axis), axis))
