"""Neural network: the older layers on [sequence, batch, channel, height, width], and lookups in tables.

Where a layer names channel, height and width, these are the last three axes.
"""

# ruff: noqa: N803

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import indexing, rearranging
from pytest_dscoreml.runtime.kernels.functions.linear import REDUCTIONS
from pytest_dscoreml.runtime.registry import Array, Ints, nn

_CHANNEL = -3
_CHANNEL_LAST = 1
# ReduceLayerParams.ReduceAxis: CHW, HW, C, H, W
_REDUCE_AXES = ((-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,))
_LOG_SUM, _ARG_MAX = 3, 9
# ReduceLayerParams.ReduceOperation, without the two above
_REDUCE = {0: "sum", 1: "mean", 2: "prod", 4: "sum_square", 5: "l1_norm", 6: "l2_norm", 7: "max", 8: "min"}
_REDUCE_EPSILON = 1e-6


def _lookup(x: Array, weights: Array, bias: Optional[Array]) -> Array:
    """Column x of ``weights`` [outputs, entries], plus ``bias``: [*x.shape, outputs]."""
    rows = indexing.gather(weights.T, x, 0, wrap=False)
    return rows if bias is None else np.asarray(rows + bias)


@nn.kernel("embedding", fresh=True)
def embedding(
    x: Array,
    *,
    inputDim: int = 0,
    outputChannels: int = 0,
    hasBias: bool = False,
    weights: Array,
    bias: Optional[Array] = None,
) -> Array:
    """The vector of each index: [..., 1, 1, 1] becomes [..., outputChannels, 1, 1]."""
    if x.ndim not in (4, 5) or x.shape[-3:] != (1, 1, 1):
        raise ValueError(f"an input of shape {x.shape}, expected [..., 1, 1, 1] of rank 4 or 5")
    return _lookup(x[..., 0, 0, 0], weights, bias if hasBias else None)[..., None, None]


@nn.kernel("embeddingND", fresh=True)
def embedding_nd(
    x: Array,
    *,
    vocabSize: int = 0,
    embeddingSize: int = 0,
    hasBias: bool = False,
    weights: Array,
    bias: Optional[Array] = None,
) -> Array:
    """The vector of each index: [..., 1] becomes [..., embeddingSize]."""
    if x.ndim < 2 or x.shape[-1] != 1:
        raise ValueError(f"an input of shape {x.shape}, expected [..., 1] of rank 2 or more")
    return _lookup(x[..., 0], weights, bias if hasBias else None)


def _over_channels(values: Array, x: Array) -> Array:
    """Values of shape [1], [C], [1, H, W] or [C, H, W], so that they broadcast over x."""
    if values.size == 1:
        return values.reshape(())
    if x.ndim < 3 or values.ndim not in (1, 3):
        raise ValueError(f"values of shape {values.shape} for an input of shape {x.shape}")
    return values.reshape(-1, 1, 1) if values.ndim == 1 else values


@nn.kernel("scale", fresh=True)
def scale(
    x: Array,
    *,
    shapeScale: Ints = (),
    scale: Array,
    hasBias: bool = False,
    shapeBias: Ints = (),
    bias: Optional[Array] = None,
) -> Array:
    """x times ``scale`` plus ``bias``, each for all of x, for each channel, or for each pixel."""
    scaled = x * _over_channels(scale, x)
    return np.asarray(scaled + _over_channels(bias, x) if hasBias and bias is not None else scaled)


@nn.kernel("bias", fresh=True)
def add_bias(x: Array, *, shape: Ints = (), bias: Array) -> Array:
    """x plus ``bias``, for all of x, for each channel, or for each pixel."""
    return np.asarray(x + _over_channels(bias, x))


@nn.kernel("dot", fresh=True)
def dot(x: Array, y: Array, *, cosineSimilarity: bool = False) -> Array:
    """The sum of x y over the channels, of vectors of length 1 if ``cosineSimilarity``."""
    if x.ndim < 3 or x.shape != y.shape or x.shape[-2:] != (1, 1):
        raise ValueError(f"inputs {x.shape} and {y.shape}, expected twice [..., channels, 1, 1]")
    product = (x * y).sum(_CHANNEL, keepdims=True)
    if cosineSimilarity:
        lengths = np.square(x).sum(_CHANNEL, keepdims=True) * np.square(y).sum(_CHANNEL, keepdims=True)
        product = product / np.sqrt(lengths)
    return np.asarray(product)


@nn.kernel("reduce", fresh=True)
def reduce(x: Array, *, mode: int = 0, epsilon: float = 0.0, axis: int = 0) -> Array:
    """A reduction over channels, height, width or several of them, which keep their axes with size 1.

    The sum of logarithms adds ``epsilon`` (0 means 1e-6) to each element first.
    """
    axes = _REDUCE_AXES[axis]
    if x.ndim < len(axes) or x.ndim < -axes[0]:
        raise ValueError(f"an input of rank {x.ndim} has no axis {axes[0]}")
    if mode == _ARG_MAX:
        if len(axes) != 1:
            raise ValueError(f"the greatest value's index along several axes, {axes}")
        return np.expand_dims(x.argmax(axes[0]), axes[0])
    if mode == _LOG_SUM:
        return np.asarray(np.log(x + x.dtype.type(epsilon or _REDUCE_EPSILON)).sum(axes, keepdims=True))
    function: Callable[..., Any] = REDUCTIONS[_REDUCE[mode]]
    return np.asarray(function(x, axes, True))


@nn.kernel("loadConstant")
def load_constant(*, shape: Ints, data: Array) -> Array:
    """The constant ``data`` [C, H, W] as [1, 1, C, H, W]."""
    return data[None, None]


@nn.kernel("flatten", fresh=True)
def flatten(x: Array, *, mode: int = 0) -> Array:
    """[..., C, H, W] as [..., C H W, 1, 1], with the channels first or last in that order."""
    if x.ndim < 3:
        raise ValueError(f"an input of rank {x.ndim}, expected 3 or more")
    ordered = np.moveaxis(x, -3, -1) if mode == _CHANNEL_LAST else x
    return np.array(ordered).reshape(*x.shape[:-3], int(np.prod(x.shape[-3:])), 1, 1)


def _rank_five(x: Array) -> None:
    if x.ndim != 5:
        raise ValueError(f"an input of rank {x.ndim}, expected 5")


@nn.kernel("reshape", fresh=True)
def reshape(x: Array, *, targetShape: Ints, mode: int = 0) -> Array:
    """[S, B, C, H, W] with new C, H and W (three sizes), or new S, C, H and W (four), the batch staying as it is.

    With the channels last, elements keep their order as [S, H, W, C].
    """
    _rank_five(x)
    if len(targetShape) not in (3, 4):
        raise ValueError(f"targetShape {targetShape}, expected 3 or 4 sizes")
    batches = np.swapaxes(x, 0, 1)
    steps, channels, height, width = (x.shape[0], *targetShape) if len(targetShape) == 3 else targetShape
    if mode == _CHANNEL_LAST:
        shaped = np.moveaxis(batches, 2, -1).reshape(x.shape[1], steps, height, width, channels)
        shaped = np.moveaxis(shaped, -1, 2)
    else:
        shaped = batches.reshape(x.shape[1], steps, channels, height, width)
    return np.array(np.swapaxes(shaped, 0, 1))


@nn.kernel("permute")
def permute(x: Array, *, axis: Ints = (0, 1, 2, 3)) -> Array:
    """[S, B, C, H, W] with S, C, H and W in another order."""
    _rank_five(x)
    if sorted(axis) != [0, 1, 2, 3]:
        raise ValueError(f"axis {axis}, expected 0, 1, 2 and 3 in any order")
    sequence, *others = (0 if source == 0 else source + 1 for source in axis)
    return np.transpose(x, (sequence, 1, *others))


@nn.kernel("sliceBySize")
def slice_by_size(x: Array, begin: int, *, size: int = 0, axis: int = 0) -> Array:
    """``size`` elements of x from ``begin`` on along ``axis``."""
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} of an input of rank {x.ndim}")
    length = x.shape[axis]
    first = begin + length if begin < 0 else begin
    if not 0 <= first <= first + size <= length:
        raise ValueError(f"elements {first} to {first + size} of the {length} along axis {axis}")
    return x[(slice(None),) * (axis % x.ndim) + (slice(first, first + size),)]


@nn.kernel("slidingWindows", fresh=True, grows=True)
def sliding_windows(x: Array, *, axis: int = 0, windowSize: int = 0, step: int = 0) -> Array:
    """All windows along ``axis``, ``step`` apart, in a new axis behind it; a step of 0 means 1."""
    return rearranging.sliding_windows(x, axis, windowSize, step or 1)


@nn.kernel("reverseSeq", fresh=True)
def reverse_seq(x: Array, lengths: Array, *, batchAxis: int = 0, sequenceAxis: int = 0) -> Array:
    """x with the first elements along ``sequenceAxis`` backwards, so many as ``lengths`` says for each of the batch."""
    return rearranging.reverse_sequence(x, lengths.astype(np.int64), sequenceAxis, batchAxis)
