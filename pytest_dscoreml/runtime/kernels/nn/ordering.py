"""Neural network: sorting, choosing, bands, one-hot vectors and the suppression of boxes."""

# ruff: noqa: N803

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import boxes as box_functions
from pytest_dscoreml.runtime.kernels.functions import ordering as functions
from pytest_dscoreml.runtime.registry import Array, nn


@nn.kernel("topK", fresh=True)
def top_k(
    x: Array, count: Optional[int] = None, *, axis: int = 0, K: int = 0, useBottomK: bool = False
) -> tuple[Array, Array]:
    """The greatest values along ``axis`` (or the least), sorted, and their indices; a second input goes before K."""
    return functions.topk(x, K if count is None else count, axis, ascending=useBottomK)


@nn.kernel("argSort", fresh=True)
def arg_sort(x: Array, *, axis: int = 0, descending: bool = False) -> Array:
    """The indices that sort x along ``axis``."""
    return functions.argsort(x, axis, ascending=not descending)


@nn.kernel("whereNonZero", fresh=True)
def where_non_zero(x: Array) -> Array:
    """[N, rank]: the index of each element that is not zero."""
    return functions.non_zero(x)


@nn.kernel("oneHot", fresh=True, grows=True)
def one_hot(
    indices: Array,
    size: Optional[int] = None,
    *,
    oneHotVectorSize: int = 0,
    axis: int = 0,
    onValue: float = 0.0,
    offValue: float = 0.0,
) -> Array:
    """``offValue`` everywhere but ``onValue`` at the indices, along a new axis; a second input is its size.

    Indices outside, negative ones too, choose nothing, as in an ML Program.
    """
    kind = indices.dtype.type
    length = oneHotVectorSize if size is None else size
    return functions.one_hot(indices, length, axis, kind(onValue), kind(offValue))


@nn.kernel("matrixBandPart", fresh=True)
def matrix_band_part(x: Array, *, numLower: int = 0, numUpper: int = 0) -> Array:
    """x with zeros outside a band of its last two axes; a negative bound keeps everything on its side."""
    return functions.band_part(x, numLower, numUpper)


@nn.kernel("lowerTriangular", fresh=True)
def lower_triangular(x: Array, *, k: int = 0) -> Array:
    """x with zeros above diagonal k of its last two axes."""
    return np.tril(x, k)


@nn.kernel("upperTriangular", fresh=True)
def upper_triangular(x: Array, *, k: int = 0) -> Array:
    """x with zeros below diagonal k of its last two axes."""
    return np.triu(x, k)


@nn.kernel("NonMaximumSuppression", fresh=True, grows=True)
def non_maximum_suppression(
    boxes: Array,
    scores: Array,
    iou: Optional[float] = None,
    score: Optional[float] = None,
    most: Optional[int] = None,
    *,
    iouThreshold: float = 0.0,
    scoreThreshold: float = 0.0,
    maxBoxes: int = 0,
    perClassSuppression: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """The best boxes [n, B, 4] (centre x, centre y, width, height) that do not overlap; inputs go before fields.

    Returns the boxes, their scores, their indices (-1 where there is none) and how many there are.
    """
    return box_functions.non_maximum_suppression(
        boxes,
        scores,
        iouThreshold if iou is None else iou,
        scoreThreshold if score is None else score,
        maxBoxes if most is None else most,
        per_class=perClassSuppression,
    )
