"""Pooling in one to three dimensions, one axis after the other. Imports only NumPy.

Arrays are [batch, channels, *spatial].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import windows
from pytest_dscoreml.runtime.registry import Array, Ints

# Kernels up to this size are reduced tap by tap, larger ones by NumPy's own reduction over a view.
_FEW_TAPS = 32


def ceil_counts(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: windows.Pads) -> Ints:
    """Numbers of windows in ceil mode: the last may reach over the padding, but must begin inside the input.

    The input here includes what is padded before it. coremltools drops a window that does not only where something is
    padded; elsewhere its size of the result has room for a window of nothing, which is refused.
    """
    counts: list[int] = []
    for size, extent, stride, (before, after) in zip(sizes, kernel, strides, pads):
        number = -(-(size + before + after - extent) // stride) + 1
        if (number - 1) * stride >= size + before:
            if not before + after:
                raise ValueError(f"ceil_mode makes a window that begins after the {size} elements it slides over")
            number -= 1
        if number < 1:
            raise ValueError(f"a window of {extent} is larger than the {size + before + after} elements it slides over")
        counts.append(number)
    return tuple(counts)


def reach(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: windows.Pads, counts: Sequence[int]
) -> windows.Pads:
    """``pads`` with as much after each axis as the last of ``counts`` windows needs, so that no further one fits."""
    return tuple(
        (before, max(0, (number - 1) * stride + extent - size - before))
        for size, extent, stride, (before, _), number in zip(sizes, kernel, strides, pads, counts)
    )


def maximum(x: Array, kernel: Sequence[int], strides: Sequence[int], pads: windows.Pads) -> Array:
    """The greatest value of each window; padding never counts."""
    return _reduce(x, kernel, strides, pads, np.maximum, -np.inf)


def total(x: Array, kernel: Sequence[int], strides: Sequence[int], pads: windows.Pads) -> Array:
    """The sum of each window."""
    return _reduce(x, kernel, strides, pads, np.add, 0)


def members(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: windows.Pads, counted: windows.Pads
) -> Array:
    """How many elements each window holds: the input's, and those of the padding that lie within ``counted``."""
    number = np.ones((), np.int64)
    for size, extent, stride, (before, after), (more_before, more_after) in zip(sizes, kernel, strides, pads, counted):
        begin = np.arange(windows.count(size + before + after, extent, stride)) * stride - before
        inside = np.minimum(begin + extent, size + more_after) - np.maximum(begin, -more_before)
        number = np.multiply.outer(number, np.maximum(inside, 0))
    return number


def _reduce(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: windows.Pads,
    combine: np.ufunc,
    neutral: float,
) -> Array:
    if not 3 <= x.ndim <= 5 or 0 in x.shape:
        raise ValueError(f"x has shape {x.shape}, expected [batch, channels, *spatial] that is not empty")
    rank = x.ndim - 2
    for axis in range(rank):
        only = tuple(pads[axis] if index == axis else (0, 0) for index in range(rank))
        padded = windows.pad_spatial(x, only, neutral)
        size, stride = kernel[axis], strides[axis]
        number = windows.count(padded.shape[2 + axis], size, stride)
        before = (slice(None),) * (2 + axis)
        if size <= _FEW_TAPS:
            last = (number - 1) * stride + 1
            x = np.array(padded[(*before, slice(0, last, stride))])
            for tap in range(1, size):
                combine(x, padded[(*before, slice(tap, tap + last, stride))], out=x)
        else:
            sizes = tuple(size if index == axis else 1 for index in range(rank))
            steps = tuple(stride if index == axis else 1 for index in range(rank))
            view = windows.windows(padded, sizes, steps, (1,) * rank)
            x = np.asarray(combine.reduce(view, axis=tuple(range(2, 2 + rank))))
    return x
