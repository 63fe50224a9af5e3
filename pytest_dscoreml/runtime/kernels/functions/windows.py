"""Sliding windows over spatial axes: padding rules, output sizes and strided views. Imports only NumPy.

Spatial axes are those from the third on: arrays are [batch, channels, *spatial].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pytest_dscoreml.runtime.kernels.functions.shapes import check_size
from pytest_dscoreml.runtime.registry import Array, Ints

PAD_TYPES = ("valid", "same", "same_lower", "custom")
Pads = tuple[tuple[int, int], ...]


def spatial(given: Optional[Sequence[int]], rank: int, name: str, default: int = 1) -> Ints:
    """One positive number for each spatial axis, all of them ``default`` when nothing is given."""
    values = (default,) * rank if given is None else tuple(given)
    if len(values) != rank or any(value < 1 for value in values):
        raise ValueError(f"{name} {values} for {rank} spatial axes, expected {rank} positive numbers")
    return values


def padding(
    pad_type: str, pad: Optional[Sequence[int]], sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int]
) -> Pads:
    """Elements to add (before, after) each spatial axis; ``extents`` are the dilated sizes of the kernel.

    ``same`` makes ceil(size / stride) windows and puts the odd element after, ``same_lower`` before. ``custom`` takes
    ``pad``, [before, after] for one axis after the other, which the other types ignore.
    """
    rank = len(sizes)
    if pad_type == "valid":
        return ((0, 0),) * rank
    if pad_type == "custom":
        values = (0,) * (2 * rank) if pad is None else tuple(pad)
        if len(values) != 2 * rank or any(value < 0 for value in values):
            raise ValueError(f"pad {values} for {rank} spatial axes, expected {2 * rank} numbers of 0 or more")
        return tuple(zip(values[::2], values[1::2]))
    if pad_type not in PAD_TYPES:
        raise ValueError(f"pad_type {pad_type!r} is none of {', '.join(PAD_TYPES)}")
    pads: list[tuple[int, int]] = []
    for size, extent, stride in zip(sizes, extents, strides):
        total = max(0, (-(-size // stride) - 1) * stride + extent - size)
        smaller = total // 2
        pads.append((smaller, total - smaller) if pad_type == "same" else (total - smaller, smaller))
    return tuple(pads)


def extents(kernel: Sequence[int], dilations: Sequence[int]) -> Ints:
    """The sizes of a kernel with its gaps."""
    return tuple((size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations))


def count(size: int, extent: int, stride: int) -> int:
    """How many windows fit into ``size`` elements; ValueError when none does."""
    if size < extent:
        raise ValueError(f"a window of {extent} is larger than the {size} elements it slides over")
    return (size - extent) // stride + 1


def pad_spatial(x: Array, pads: Pads, value: Any) -> Array:
    """x with ``value`` around its spatial axes; x itself when there is nothing to add."""
    if not any(before or after for before, after in pads):
        return x
    shape = (*x.shape[:2], *(size + sum(pair) for size, pair in zip(x.shape[2:], pads)))
    check_size(shape, x.itemsize)
    padded = np.full(shape, value, x.dtype)
    inside = tuple(slice(before, before + size) for size, (before, _) in zip(x.shape[2:], pads))
    padded[(slice(None), slice(None), *inside)] = x
    return padded


def windows(x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """A read-only view [batch, channels, *kernel, *positions] of every window of x."""
    steps = x.strides[2:]
    positions = tuple(
        count(size, extent, stride) for size, extent, stride in zip(x.shape[2:], extents(kernel, dilations), strides)
    )
    return as_strided(
        x,
        (*x.shape[:2], *kernel, *positions),
        (
            *x.strides[:2],
            *(step * dilation for step, dilation in zip(steps, dilations)),
            *(step * stride for step, stride in zip(steps, strides)),
        ),
        writeable=False,
    )
