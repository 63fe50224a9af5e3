"""ML Program: average, maximum and L2 pooling."""

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import pooling as functions
from pytest_dscoreml.runtime.kernels.functions import windows
from pytest_dscoreml.runtime.registry import Array, Ints, mil

_Geometry = tuple[Ints, Ints, windows.Pads, windows.Pads]


def _geometry(
    x: Array, kernel_sizes: Ints, strides: Optional[Ints], pad_type: str, pad: Optional[Ints], ceil_mode: bool
) -> _Geometry:
    """(kernel, strides, padding that is asked for, padding that the windows of ceil mode need)."""
    rank = x.ndim - 2
    kernel = windows.spatial(kernel_sizes, rank, "kernel_sizes")
    steps = windows.spatial(strides, rank, "strides")
    pads = windows.padding(pad_type.lower(), pad, x.shape[2:], kernel, steps)
    if not ceil_mode:
        return kernel, steps, pads, pads
    counts = functions.ceil_counts(x.shape[2:], kernel, steps, pads)
    return kernel, steps, pads, functions.reach(x.shape[2:], kernel, steps, pads, counts)


@mil.kernel("max_pool", wide=True, fresh=True, grows=True)
def max_pool(
    *,
    x: Array,
    kernel_sizes: Ints,
    strides: Optional[Ints] = None,
    pad_type: str,
    pad: Optional[Ints] = None,
    ceil_mode: bool = False,
) -> Array:
    """The greatest value of each window."""
    kernel, steps, _, pads = _geometry(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    return functions.maximum(x, kernel, steps, pads)


@mil.kernel("avg_pool", wide=True, fresh=True, grows=True)
def avg_pool(
    *,
    x: Array,
    kernel_sizes: Ints,
    strides: Optional[Ints] = None,
    pad_type: str,
    pad: Optional[Ints] = None,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Array:
    """The mean of each window, padding counted as zeros or not at all.

    What a window of ceil mode reaches beyond the padding is never counted.
    """
    kernel, steps, asked, pads = _geometry(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    counted = ((0, 0),) * len(kernel) if exclude_padding_from_average else asked
    number = functions.members(x.shape[2:], kernel, steps, pads, counted)
    return np.asarray(functions.total(x, kernel, steps, pads) / number.astype(x.dtype))


@mil.kernel("l2_pool", wide=True, fresh=True, grows=True)
def l2_pool(
    *,
    x: Array,
    kernel_sizes: Ints,
    strides: Optional[Ints] = None,
    pad_type: str,
    pad: Optional[Ints] = None,
    ceil_mode: bool = False,
) -> Array:
    """The square root of the sum of squares of each window."""
    kernel, steps, _, pads = _geometry(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    return np.asarray(np.sqrt(functions.total(np.square(x), kernel, steps, pads)))
