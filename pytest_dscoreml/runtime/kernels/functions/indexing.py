"""Gather and scatter: indices are checked before they are used. Imports only NumPy and shapes."""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.shapes import axis_of
from pytest_dscoreml.runtime.registry import Array

_COMBINE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}
SCATTER_MODES = ("update", *_COMBINE)


def checked(indices: Array, size: int, *, wrap: bool) -> Array:
    """Integer indices into an axis of ``size``; negative ones count from the end if ``wrap``. ValueError outside."""
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu":
        indices = indices.astype(np.int64)
    if indices.size:
        lowest, highest = int(indices.min()), int(indices.max())
        if lowest < (-size if wrap else 0) or highest >= size:
            bound = lowest if lowest < (-size if wrap else 0) else highest
            first = -size if wrap else 0
            raise ValueError(f"index {bound} is out of range, the axis admits {first} to {size - 1}")
    return indices


def gather(x: Array, indices: Array, axis: int, *, wrap: bool, batch_dims: int = 0) -> Array:
    """The slices of x at ``indices`` along ``axis``: x.shape[:axis] + indices.shape + x.shape[axis + 1:]."""
    axis = axis_of(axis, x.ndim)
    indices = checked(indices, x.shape[axis], wrap=wrap)
    if batch_dims == 0:
        return np.take(x, indices, axis)
    batch_dims = axis_of(batch_dims, indices.ndim + 1)
    if x.shape[:batch_dims] != indices.shape[:batch_dims] or axis < batch_dims:
        raise ValueError(f"the first {batch_dims} axes of {x.shape} and {indices.shape} differ, or axis {axis} is one")
    batch = x.shape[:batch_dims]
    rows = [np.take(x[position], indices[position], axis - batch_dims) for position in np.ndindex(*batch)]
    shape = x.shape[:axis] + indices.shape[batch_dims:] + x.shape[axis + 1 :]
    return np.stack(rows).reshape(shape) if rows else np.empty(shape, x.dtype)


def gather_along_axis(x: Array, indices: Array, axis: int, *, wrap: bool) -> Array:
    """Element-wise choice along ``axis``; the result has the shape of ``indices``."""
    axis = axis_of(axis, x.ndim)
    _along(x, indices, axis)
    return np.take_along_axis(x, checked(indices, x.shape[axis], wrap=wrap), axis)


def gather_nd(x: Array, indices: Array, *, wrap: bool, batch_dims: int = 0) -> Array:
    """The slices of x at the index vectors in the last axis of ``indices``."""
    index = _vectors(x, indices, wrap=wrap, batch_dims=batch_dims)
    if batch_dims:
        if x.shape[:batch_dims] != indices.shape[:batch_dims]:
            raise ValueError(f"the first {batch_dims} axes of {x.shape} and {indices.shape} differ")
        grid = np.ix_(*(np.arange(size) for size in x.shape[:batch_dims]))
        trailing = (1,) * (indices.ndim - 1 - batch_dims)
        index = tuple(axis.reshape(axis.shape + trailing) for axis in grid) + index
    if not indices.shape[-1]:
        x, index = x[np.newaxis], (_everywhere(indices), *index)
    return np.array(x[index])


def scatter(data: Array, indices: Array, updates: Array, axis: int, mode: str, *, wrap: bool) -> Array:
    """Combine ``updates`` into ``data`` at ``indices`` along ``axis``; writes into ``data`` and returns it."""
    axis = axis_of(axis, data.ndim)
    indices = checked(indices, data.shape[axis], wrap=wrap)
    expected = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    if updates.shape != expected:
        raise ValueError(f"updates have shape {updates.shape}, expected {expected}")
    if indices.size == 1:
        # One row is what a recurrent loop writes: no copies of the rest, no ufunc.at.
        at = (slice(None),) * axis + (int(indices.reshape(())),)
        _combine_at(data, at, updates.reshape(data[at].shape), mode, unique=True)
        return data
    rows = updates.reshape((*data.shape[:axis], indices.size, *data.shape[axis + 1 :]))
    at_rows = (indices.ravel(),)
    _combine_at(np.moveaxis(data, axis, 0), at_rows, np.moveaxis(rows, axis, 0), mode, unique=False)
    return data


def scatter_along_axis(data: Array, indices: Array, updates: Array, axis: int, mode: str, *, wrap: bool) -> Array:
    """Combine ``updates`` into ``data`` element by element along ``axis``; writes into ``data`` and returns it."""
    axis = axis_of(axis, data.ndim)
    if indices.shape != updates.shape:
        raise ValueError(f"updates have shape {updates.shape}, indices {indices.shape}")
    _along(data, indices, axis)
    index: list[Array] = list(np.indices(indices.shape, sparse=True))
    index[axis] = checked(indices, data.shape[axis], wrap=wrap)
    _combine_at(data, tuple(index), updates, mode, unique=False)
    return data


def scatter_nd(data: Array, indices: Array, updates: Array, mode: str, *, wrap: bool) -> Array:
    """Combine ``updates`` into ``data`` at index vectors; writes into ``data`` and returns it."""
    index = _vectors(data, indices, wrap=wrap)
    expected = indices.shape[:-1] + data.shape[indices.shape[-1] :]
    if updates.shape != expected:
        raise ValueError(f"updates have shape {updates.shape}, expected {expected}")
    if index:
        _combine_at(data, index, updates, mode, unique=False)
    else:
        _combine_at(data[np.newaxis], (_everywhere(indices),), updates, mode, unique=False)
    return data


def _everywhere(indices: Array) -> Array:
    """Index vectors without elements, which choose all that there is, as indices into a further first axis of size 1."""
    return np.zeros(indices.shape[:-1], np.intp)


def _along(x: Array, indices: Array, axis: int) -> None:
    """Refuse indices whose sizes differ from x's but along ``axis``: NumPy would broadcast some of them."""
    if indices.ndim != x.ndim or any(
        have != want for number, (have, want) in enumerate(zip(indices.shape, x.shape)) if number != axis
    ):
        raise ValueError(f"indices of shape {indices.shape} along axis {axis} of shape {x.shape}")


def _vectors(x: Array, indices: Array, *, wrap: bool, batch_dims: int = 0) -> tuple[Array, ...]:
    if indices.ndim == 0 or indices.shape[-1] + batch_dims > x.ndim:
        raise ValueError(f"index vectors of shape {indices.shape} into an array of shape {x.shape}")
    return tuple(
        checked(indices[..., axis], x.shape[axis + batch_dims], wrap=wrap) for axis in range(indices.shape[-1])
    )


def _combine_at(data: Array, at: tuple[Any, ...], updates: Array, mode: str, *, unique: bool) -> None:
    """data[at] (mode)= updates; duplicate indices take effect one after the other."""
    if mode == "update":
        data[at] = updates
        return
    if mode not in _COMBINE:
        raise ValueError(f"mode {mode!r} is none of {', '.join(SCATTER_MODES)}")
    combine = _COMBINE[mode]
    if unique:
        data[at] = combine(data[at], updates)
    else:
        combine.at(data, at, updates)  # type: ignore[attr-defined]
