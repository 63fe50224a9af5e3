"""ML Program: gather and scatter.

Before iOS 17 negative indices count from the end. From iOS 17 on they are out of bounds; what happens then without
``validate_indices`` is undefined there, and is an error here: a conversion that relies on it is wrong.
"""

from __future__ import annotations

from pytest_dscoreml.runtime.kernels.functions import indexing as functions
from pytest_dscoreml.runtime.registry import Array, mil


@mil.kernel("gather", fresh=True)
def gather(*, x: Array, indices: Array, axis: int = 0) -> Array:
    """The slices of x at ``indices`` along ``axis``."""
    return functions.gather(x, indices, axis, wrap=True)


@mil.kernel("gather", since=16, fresh=True)
def gather_ios16(*, x: Array, indices: Array, axis: int = 0, batch_dims: int = 0) -> Array:
    """As before iOS 16, with leading axes that x and ``indices`` share."""
    return functions.gather(x, indices, axis, wrap=True, batch_dims=batch_dims)


@mil.kernel("gather", since=17, fresh=True)
def gather_ios17(
    *, x: Array, indices: Array, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Array:
    """As before iOS 17, without negative indices."""
    return functions.gather(x, indices, axis, wrap=False, batch_dims=batch_dims)


@mil.kernel("gather_along_axis", fresh=True)
def gather_along_axis(*, x: Array, indices: Array, axis: int = 0) -> Array:
    """Element-wise choice along ``axis``."""
    return functions.gather_along_axis(x, indices, axis, wrap=True)


@mil.kernel("gather_along_axis", since=17, fresh=True)
def gather_along_axis_ios17(*, x: Array, indices: Array, axis: int = 0, validate_indices: bool = False) -> Array:
    """As before iOS 17, without negative indices."""
    return functions.gather_along_axis(x, indices, axis, wrap=False)


@mil.kernel("gather_nd", fresh=True)
def gather_nd(*, x: Array, indices: Array) -> Array:
    """The slices of x at the index vectors in the last axis of ``indices``."""
    return functions.gather_nd(x, indices, wrap=True)


@mil.kernel("gather_nd", since=16, fresh=True)
def gather_nd_ios16(*, x: Array, indices: Array, batch_dims: int = 0) -> Array:
    """As before iOS 16, with leading axes that x and ``indices`` share."""
    return functions.gather_nd(x, indices, wrap=True, batch_dims=batch_dims)


@mil.kernel("gather_nd", since=17, fresh=True)
def gather_nd_ios17(*, x: Array, indices: Array, batch_dims: int = 0, validate_indices: bool = False) -> Array:
    """As before iOS 17, without negative indices."""
    return functions.gather_nd(x, indices, wrap=False, batch_dims=batch_dims)


@mil.kernel("scatter", overwrites="data")
def scatter(*, data: Array, indices: Array, updates: Array, axis: int = 0, mode: str = "add") -> Array:
    """``updates`` combined into ``data`` at ``indices`` along ``axis``."""
    return functions.scatter(data, indices, updates, axis, mode, wrap=True)


@mil.kernel("scatter", since=17, overwrites="data")
def scatter_ios17(
    *, data: Array, indices: Array, updates: Array, axis: int = 0, mode: str = "add", validate_indices: bool = False
) -> Array:
    """As before iOS 17, without negative indices."""
    return functions.scatter(data, indices, updates, axis, mode, wrap=False)


@mil.kernel("scatter_along_axis", overwrites="data")
def scatter_along_axis(*, data: Array, indices: Array, updates: Array, axis: int = 0, mode: str = "add") -> Array:
    """``updates`` combined into ``data`` element by element along ``axis``."""
    return functions.scatter_along_axis(data, indices, updates, axis, mode, wrap=True)


@mil.kernel("scatter_along_axis", since=17, overwrites="data")
def scatter_along_axis_ios17(
    *, data: Array, indices: Array, updates: Array, axis: int = 0, mode: str = "add", validate_indices: bool = False
) -> Array:
    """As before iOS 17, without negative indices."""
    return functions.scatter_along_axis(data, indices, updates, axis, mode, wrap=False)


@mil.kernel("scatter_nd", overwrites="data")
def scatter_nd(*, data: Array, indices: Array, updates: Array, mode: str = "add") -> Array:
    """``updates`` combined into ``data`` at index vectors."""
    return functions.scatter_nd(data, indices, updates, mode, wrap=True)


@mil.kernel("scatter_nd", since=17, overwrites="data")
def scatter_nd_ios17(
    *, data: Array, indices: Array, updates: Array, mode: str = "add", validate_indices: bool = False
) -> Array:
    """As before iOS 17, without negative indices."""
    return functions.scatter_nd(data, indices, updates, mode, wrap=False)
