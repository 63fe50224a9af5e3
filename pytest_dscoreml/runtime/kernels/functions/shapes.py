"""Functions on shapes: reshape, slice, split, concatenate, tile, fill. Imports only NumPy."""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.registry import Array, Arrays, Bools, Ints

# A damaged file may ask for any size; without a bound the system would end the process rather than raise.
LARGEST_BYTES = 2 << 30
MOST_PARTS = 1 << 16


def check_size(shape: Sequence[int], itemsize: int) -> None:
    """Refuse negative sizes, and arrays over 2 GiB, before they are allocated."""
    if any(size < 0 for size in shape):
        raise ValueError(f"shape {tuple(shape)} has a negative size")
    if int(np.prod(shape, dtype=object)) * itemsize > LARGEST_BYTES:
        raise ValueError(f"shape {tuple(shape)} asks for more than {LARGEST_BYTES >> 30} GiB")


def as_images(x: Array) -> Array:
    """x with all axes in front of the last three as one."""
    # NumPy cannot tell how many images without elements there are.
    return x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])


def axis_of(axis: int, rank: int) -> int:
    """The number from 0 on of an axis that may count from the end; ValueError when there is none."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of an array of rank {rank}")
    return axis % rank


def check_parts(number: int) -> None:
    """Refuse a number of parts that no model has, before they are made."""
    if number > MOST_PARTS:
        raise ValueError(f"{number} parts, at most {MOST_PARTS} are supported")


def full(shape: Sequence[int], value: Any, dtype: Any) -> Array:
    """A new array of ``shape`` filled with ``value``."""
    check_size(shape, np.dtype(dtype).itemsize)
    return np.full(tuple(shape), value, dtype)


def arange(start: Any, end: Any, step: Any, dtype: Any) -> Array:
    """start, start + step, ... up to but without ``end``."""
    if step == 0:
        raise ValueError("the step of a range is 0")
    count = max(0, int(np.ceil((float(end) - float(start)) / float(step))))
    check_size((count,), np.dtype(dtype).itemsize)
    return np.asarray(start + step * np.arange(count)).astype(dtype)


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """x with ``shape``; 0 keeps the size of the same axis when the rank stays, -1 is what is left."""
    if 0 in shape and len(shape) == x.ndim:
        shape = [have if want == 0 else want for want, have in zip(shape, x.shape)]
    return _with_sizes(x, shape)


def reshape_from_right(x: Array, shape: Sequence[int]) -> Array:
    """As ``reshape``, but each 0 takes the size of x's axis counted from the right, or 1 where there is none."""
    sizes = (1,) * len(shape) + x.shape
    aligned = sizes[len(sizes) - len(shape) :]
    return _with_sizes(x, [have if want == 0 else want for want, have in zip(shape, aligned)])


def _with_sizes(x: Array, shape: Sequence[int]) -> Array:
    """x with ``shape``. Beside an axis kept without elements, -1 is what is left of the other axes."""
    if x.size == 0 and list(shape).count(-1) == 1 and list(shape).count(0) == x.shape.count(0):
        have = math.prod(size for size in x.shape if size)
        left, rest = divmod(have, math.prod(size for size in shape if size > 0))
        if rest == 0:
            shape = [left if size == -1 else size for size in shape]
    return x.reshape(tuple(shape))


def expand_dims(x: Array, axes: Sequence[int]) -> Array:
    """x with axes of size 1 inserted, ``axes`` counted in the result."""
    return np.expand_dims(x, tuple(axes))


def squeeze(x: Array, axes: Optional[Sequence[int]], *, strict: bool) -> Array:
    """x without the given axes of size 1, or without all of them; ``strict`` refuses axes of another size."""
    if axes is None:
        return np.squeeze(x)
    if not strict:
        axes = [axis for axis in axes if x.shape[axis] == 1]
    return np.squeeze(x, tuple(axes))


def slice_by_index(
    x: Array, begin: Ints, end: Ints, stride: Ints, begin_mask: Bools, end_mask: Bools, squeeze_mask: Bools
) -> Array:
    """NumPy-style slicing; masks open a bound, ``squeeze_mask`` takes the element at ``begin`` and drops the axis."""
    rank = x.ndim
    filled = [
        tuple(given) if given else (default,) * rank
        for given, default in (
            (begin, 0),
            (end, 0),
            (stride, 1),
            (begin_mask, False),
            (end_mask, False),
            (squeeze_mask, False),
        )
    ]
    if any(len(item) != rank for item in filled):
        raise ValueError(f"slice of rank {rank} with indices of lengths {[len(item) for item in filled]}")
    index: list[Any] = []
    for first, last, step, no_first, no_last, single in zip(*filled):
        if single:
            index.append(first)
        else:
            index.append(slice(None if no_first else first, None if no_last else last, step))
    return x[tuple(index)]


def slice_by_size(x: Array, begin: Ints, size: Ints) -> Array:
    """``size`` elements from ``begin`` on along each axis, -1 for all that follow."""
    if len(begin) != x.ndim or len(size) != x.ndim:
        raise ValueError(f"slice of rank {x.ndim} with {len(begin)} begins and {len(size)} sizes")
    index: list[slice] = []
    for axis, (first, count) in enumerate(zip(begin, size)):
        first = first + x.shape[axis] if first < 0 else first
        last = x.shape[axis] if count == -1 else first + count
        if not 0 <= first <= last <= x.shape[axis]:
            raise ValueError(f"slice {first} to {last} lies outside axis {axis} of shape {x.shape}")
        index.append(slice(first, last))
    return x[tuple(index)]


def concat(values: Arrays, axis: int, *, interleave: bool) -> Array:
    """The arrays one after the other along ``axis``, or element by element in turn."""
    if not interleave:
        return np.concatenate(values, axis)
    axis = axis % values[0].ndim
    shape = list(values[0].shape)
    shape[axis] *= len(values)
    return np.stack(values, axis + 1).reshape(shape)


def split(x: Array, axis: int, *, number: Optional[int], sizes: Optional[Ints]) -> list[Array]:
    """``number`` equal parts of x along ``axis``, or parts of the given sizes."""
    axis = axis_of(axis, x.ndim)
    if sizes:
        if number is not None and number != len(sizes):
            raise ValueError(f"{number} parts with {len(sizes)} sizes")
        if sum(sizes) != x.shape[axis]:
            raise ValueError(f"sizes {sizes} do not add up to the {x.shape[axis]} of axis {axis}")
        return np.split(x, np.cumsum(sizes)[:-1].tolist(), axis)
    if not number:
        raise ValueError("neither a number of parts nor their sizes are given")
    check_parts(number)
    if x.shape[axis] % number:
        raise ValueError(f"axis {axis} of size {x.shape[axis]} cannot be cut into {number} equal parts")
    width = x.shape[axis] // number
    before = (slice(None),) * axis
    return [x[(*before, slice(start, start + width))] for start in (width * part for part in range(number))]


def tile(x: Array, reps: Ints) -> Array:
    """x repeated ``reps[i]`` times along each axis i."""
    if len(reps) != x.ndim:
        raise ValueError(f"{len(reps)} repetitions for rank {x.ndim}")
    check_size([size * rep for size, rep in zip(x.shape, reps)], x.itemsize)
    return np.tile(x, reps)


def broadcast_to(x: Array, shape: Ints) -> Array:
    """x broadcast to ``shape``, as an array of its own."""
    check_size(shape, x.itemsize)
    return np.broadcast_to(x, shape).copy()
