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


def _rounded(x: Array) -> Array:
    """x as a multiple of its greatest magnitude / 127, for a product of 8-bit integers.

    The specification says that x is quantized while the model runs, and not how; this is the rule that coremltools has
    for the weights of such a layer.
    """
    scale = np.abs(x).max(initial=0) / x.dtype.type(127)
    return np.asarray(np.rint(x / scale) * scale if scale > 0 else x)


@nn.kernel("innerProduct", fresh=True)
def inner_product(
    x: Array,
    *,
    inputChannels: int = 0,
    outputChannels: int = 0,
    hasBias: bool = False,
    weights: Array,
    bias: Optional[Array] = None,
    int8DynamicQuantize: bool = False,
) -> Array:
    """x weights^T + bias over the last axis; ranks 4 and 5 fold their last three axes into the channels.

    With ``int8DynamicQuantize`` x is rounded to 8 bits first; see ``_rounded``.
    """
    if int8DynamicQuantize:
        x = _rounded(x)
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
    int8DynamicQuantize: bool = False,
) -> Array:
    """x y; or x weights^T + bias when there is one input, as the file holds the matrix transposed.

    transposeA and transposeB speak of two inputs: where the second is the matrix of the file, coremltools has transposed
    it already and leaves the flags as they were given (its own tests of the layer expect them to do nothing).
    Vectors are matrices of one row (x) or one column (y), and the product keeps that axis. With
    ``int8DynamicQuantize`` x is rounded to 8 bits first; see ``_rounded``.
    """
    if y is None:
        if weights is None:
            raise ValueError("one input and no weights")
        if int8DynamicQuantize:
            x = _rounded(x)
        return functions.linear(x, weights, bias if hasBias else None)
    x = x[None] if x.ndim == 1 else x
    y = y[:, None] if y.ndim == 1 else y
    return functions.matmul(x, y, transpose_x=transposeA, transpose_y=transposeB)


def _reduction(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(x: Array, *, axes: Optional[Ints] = None, keepDims: bool = False, reduceAll: bool = False) -> Array:
        if reduceAll:
            axes = None
        elif axes is None:
            raise ValueError("neither axes nor reduceAll is set")
        return np.asarray(function(x, axes, keepDims))

    return kernel


for _name, _function in _REDUCTIONS.items():
    nn.kernel(_name, fresh=True)(functions.described(_reduction(functions.REDUCTIONS[_function]), _function))


@nn.kernel("argMax", fresh=True)
def arg_max(x: Array, *, axis: int = 0, removeDim: bool = False) -> Array:
    """The index of the greatest value along ``axis``, the first of equals."""
    return np.asarray(x.argmax(axis) if removeDim else np.expand_dims(x.argmax(axis), axis))


@nn.kernel("argMin", fresh=True)
def arg_min(x: Array, *, axis: int = 0, removeDim: bool = False) -> Array:
    """The index of the least value along ``axis``, the first of equals."""
    return np.asarray(x.argmin(axis) if removeDim else np.expand_dims(x.argmin(axis), axis))
