"""Convolution and its transpose in one to three dimensions, by matrix products. Imports only NumPy.

Arrays are [batch, channels, *spatial].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import windows
from pytest_dscoreml.runtime.kernels.functions.shapes import check_size
from pytest_dscoreml.runtime.registry import Array, Ints

# The windows of an input are laid out as a matrix at most this large; more of them are taken in turns. A matrix that
# stays in the processor's cache is multiplied nearly twice as fast as one of 64 MiB.
_COLUMNS_BYTES = 2 << 20


def convolve(
    x: Array,
    weight: Array,
    bias: Optional[Array],
    *,
    strides: Sequence[int],
    pads: windows.Pads,
    dilations: Sequence[int],
    groups: int,
) -> Array:
    """x [n, C_in, *sizes] with ``weight`` [C_out, C_in / groups, *kernel]: [n, C_out, *positions]."""
    outputs, inputs = weight.shape[:2]
    _check(x, weight, groups, x.shape[1] == inputs * groups and outputs % max(groups, 1) == 0)
    view = windows.windows(windows.pad_spatial(x, pads, 0), weight.shape[2:], strides, dilations)
    rank = x.ndim - 2
    positions = view.shape[2 + rank :]
    check_size((x.shape[0], outputs, *positions), x.itemsize)
    # One group of one channel is a matrix product like any other; many would be many tiny ones.
    result = _depthwise(view, weight, groups) if inputs == 1 < groups else _product(view, weight, groups, positions)
    return _add_bias(result, bias)


def _depthwise(view: Array, weight: Array, groups: int) -> Array:
    """One input channel for each group: the kernel's taps, added up without laying out any window."""
    rank = weight.ndim - 2
    batch, positions = view.shape[0], view.shape[2 + rank :]
    multiplier = weight.shape[0] // groups
    taps = weight.reshape(1, groups, multiplier, *weight.shape[2:], *(1,) * rank)
    dtype = np.result_type(view, weight)
    total = np.zeros((batch, groups, multiplier, *positions), dtype)
    for tap in np.ndindex(*weight.shape[2:]):
        at: tuple[Any, ...] = (slice(None), slice(None), None, *tap)
        total += view[at] * taps[(slice(None),) * 3 + tap]
    return total.reshape(batch, groups * multiplier, *positions)


def _product(view: Array, weight: Array, groups: int, positions: Ints) -> Array:
    """The windows as the columns of a matrix, times the kernels as the rows of another."""
    batch, channels = view.shape[:2]
    outputs = weight.shape[0]
    rank = weight.ndim - 2
    depth = weight[0].size
    rows = weight.reshape(groups, outputs // groups, depth)
    grouped = view.reshape(batch, groups, channels // groups, *view.shape[2:]) if groups > 1 else view[:, None]
    dtype = np.result_type(view, weight)
    line = groups * depth * int(np.prod(positions[1:])) * view.itemsize
    image = line * positions[0]
    if batch * image <= _COLUMNS_BYTES:
        columns = grouped.reshape(batch, groups, depth, -1)
        return np.asarray(np.matmul(rows, columns)).reshape(batch, outputs, *positions)
    result = np.empty((batch, groups, outputs // groups, *positions), dtype)
    lines = max(1, min(positions[0], _COLUMNS_BYTES // max(line, 1)))
    first = 3 + rank
    for item in range(batch):
        for start in range(0, positions[0], lines):
            part = grouped[item : item + 1][(slice(None),) * first + (slice(start, start + lines),)]
            columns = part.reshape(groups, depth, -1)
            result[item, :, :, start : start + lines] = np.matmul(rows, columns).reshape(
                groups, outputs // groups, part.shape[first], *positions[1:]
            )
    return result.reshape(batch, outputs, *positions)


def transposed_sizes(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Ints:
    """The sizes of a transposed convolution before anything is cut off."""
    reach = windows.extents(kernel, dilations)
    return tuple((size - 1) * stride + extent for size, stride, extent in zip(sizes, strides, reach))


def convolve_transposed(
    x: Array,
    weight: Array,
    bias: Optional[Array],
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    before: Sequence[int],
    sizes: Sequence[int],
) -> Array:
    """x [n, C_in, *sizes] with ``weight`` [C_in, C_out / groups, *kernel]: [n, C_out, *sizes].

    Every element of x adds its kernel to the result, ``strides`` apart. Of that sum, the ``sizes`` elements after the
    first ``before`` are the result; what lies beyond the sum is zero.
    """
    inputs, per_group = weight.shape[:2]
    _check(x, weight, groups, x.shape[1] == inputs and inputs % max(groups, 1) == 0)
    batch = x.shape[0]
    kernel = weight.shape[2:]
    whole = transposed_sizes(x.shape[2:], kernel, strides, dilations)
    room = tuple(max(have, start + size) for have, start, size in zip(whole, before, sizes))
    check_size((batch, groups * per_group, *room), x.itemsize)
    if any(size < 1 for size in sizes):
        raise ValueError(f"the result would have the spatial sizes {tuple(sizes)}")
    total = np.zeros((batch, groups * per_group, *room), np.result_type(x, weight))
    flat = x.reshape(batch, groups, inputs // groups, -1)
    taps = weight.reshape(groups, inputs // groups, per_group, *kernel)
    for tap in np.ndindex(*kernel):
        rows = np.ascontiguousarray(taps[(slice(None),) * 3 + tap].swapaxes(1, 2))
        part = np.matmul(rows, flat).reshape(batch, groups * per_group, *x.shape[2:])
        at = tuple(
            slice(index * dilation, index * dilation + (size - 1) * stride + 1, stride)
            for index, dilation, size, stride in zip(tap, dilations, x.shape[2:], strides)
        )
        total[(slice(None), slice(None), *at)] += part
    cut = tuple(slice(start, start + size) for start, size in zip(before, sizes))
    return _add_bias(total[(slice(None), slice(None), *cut)], bias)


def _check(x: Array, weight: Array, groups: int, fits: bool) -> None:
    if x.ndim != weight.ndim or not 3 <= x.ndim <= 5:
        raise ValueError(f"x has rank {x.ndim} and weight rank {weight.ndim}, expected both 3, 4 or 5")
    if groups < 1 or not fits:
        raise ValueError(f"weight {weight.shape} does not fit the {x.shape[1]} channels of x in {groups} groups")
    if 0 in x.shape or 0 in weight.shape:
        raise ValueError(f"x {x.shape} or weight {weight.shape} is empty")


def _add_bias(result: Array, bias: Optional[Array]) -> Array:
    if bias is None:
        return result
    if bias.size != result.shape[1]:
        raise ValueError(f"bias has {bias.size} values for {result.shape[1]} output channels")
    return np.asarray(result + bias.reshape(-1, *(1,) * (result.ndim - 2)))
