"""Neural network: gather and scatter; indices are floats there, and negative ones count from the end."""

from __future__ import annotations

from pytest_dscoreml.runtime.kernels.functions import indexing as functions
from pytest_dscoreml.runtime.registry import Array, nn


def _mode(number: int) -> str:
    """ScatterMode by number: the order of ``SCATTER_MODES`` is the specification's."""
    return functions.SCATTER_MODES[number]


@nn.kernel("gather", fresh=True)
def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """The slices of x at ``indices`` along ``axis``."""
    return functions.gather(x, indices, axis, wrap=True)


@nn.kernel("gatherND", fresh=True)
def gather_nd(x: Array, indices: Array) -> Array:
    """The slices of x at the index vectors in the last axis of ``indices``."""
    return functions.gather_nd(x, indices, wrap=True)


@nn.kernel("gatherAlongAxis", fresh=True)
def gather_along_axis(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """Element-wise choice along ``axis``."""
    return functions.gather_along_axis(x, indices, axis, wrap=True)


@nn.kernel("scatter", overwrites="data")
def scatter(data: Array, indices: Array, updates: Array, *, axis: int = 0, mode: int = 0) -> Array:
    """``updates`` combined into ``data`` at ``indices`` along ``axis``."""
    return functions.scatter(data, indices, updates, axis, _mode(mode), wrap=True)


@nn.kernel("scatterND", overwrites="data")
def scatter_nd(data: Array, indices: Array, updates: Array, *, mode: int = 0) -> Array:
    """``updates`` combined into ``data`` at index vectors."""
    return functions.scatter_nd(data, indices, updates, _mode(mode), wrap=True)


@nn.kernel("scatterAlongAxis", overwrites="data")
def scatter_along_axis(data: Array, indices: Array, updates: Array, *, axis: int = 0, mode: int = 0) -> Array:
    """``updates`` combined into ``data`` element by element along ``axis``."""
    return functions.scatter_along_axis(data, indices, updates, axis, _mode(mode), wrap=True)
