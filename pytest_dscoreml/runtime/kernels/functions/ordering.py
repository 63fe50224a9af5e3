"""Functions that sort and choose: argsort, top k, non-zero indices, one-hot vectors, bands. Imports only NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.shapes import axis_of, check_size
from pytest_dscoreml.runtime.registry import Array


def argsort(x: Array, axis: int, *, ascending: bool) -> Array:
    """The indices that sort x along ``axis``; equal values keep their order."""
    # Flipping a descending order must not flip the order of equals, and unsigned values have no negative.
    if ascending:
        return np.argsort(x, axis, kind="stable").astype(np.int32)
    backwards = np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    return (x.shape[axis] - 1 - backwards).astype(np.int32)


def topk(x: Array, k: int, axis: int, *, ascending: bool) -> tuple[Array, Array]:
    """The ``k`` greatest values (or least, if ``ascending``) along ``axis``, sorted, and their int32 indices; -1: all."""
    size = x.shape[axis_of(axis, x.ndim)]
    if not -1 <= k <= size:
        raise ValueError(f"the top {k} of {size} values")
    order = argsort(x, axis, ascending=ascending)
    indices = order if k == -1 else np.take(order, np.arange(k), axis)
    return np.take_along_axis(x, indices, axis), indices


def non_zero(x: Array) -> Array:
    """[N, rank]: the index of each element that is not zero, in row-major order."""
    return np.argwhere(x).astype(np.int32)


def one_hot(indices: Array, size: int, axis: int, on: Any, off: Any) -> Array:
    """``off`` everywhere but ``on`` at the indices, along a new axis of ``size``; indices outside choose nothing."""
    rank = indices.ndim + 1
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a result of rank {rank}")
    on, off = np.asarray(on), np.asarray(off)
    check_size((*indices.shape, size), on.itemsize)
    hot = indices[..., np.newaxis] == np.arange(size)
    return np.moveaxis(np.where(hot, on.reshape(()), off.reshape(())), -1, axis)


def band_part(x: Array, lower: int, upper: int) -> Array:
    """x with zeros outside a band of the last two axes; a negative bound keeps everything on its side."""
    if x.ndim < 2:
        raise ValueError(f"a band of an array of rank {x.ndim}, expected 2 or more")
    rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
    below, above = rows - columns, columns - rows
    kept = ((lower < 0) | (below <= lower)) & ((upper < 0) | (above <= upper))
    return np.where(kept, x, x.dtype.type(0))
