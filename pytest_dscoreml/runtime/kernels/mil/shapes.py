"""ML Program: constants, shapes, slices, concatenation, fills and ranges."""

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import shapes as functions
from pytest_dscoreml.runtime.registry import Array, Arrays, Bools, Ints, mil


@mil.kernel("const")
def const(*, val: Array) -> Array:
    """The value itself."""
    return val


@mil.kernel("identity")
def identity(*, x: Array) -> Array:
    """The value itself."""
    return x


@mil.kernel("shape", fresh=True)
def shape(*, x: Array) -> Array:
    """The sizes of x's axes."""
    return np.array(x.shape, np.int32)


@mil.kernel("reshape")
def reshape(*, x: Array, shape: Ints) -> Array:
    """x with another shape; 0 keeps an axis when the rank stays, -1 is what is left."""
    return functions.reshape(x, shape)


@mil.kernel("reshape", since=17)
def reshape_ios17(*, x: Array, shape: Ints) -> Array:
    """x with another shape; each 0 keeps the axis that stands there counted from the right."""
    return functions.reshape_from_right(x, shape)


@mil.kernel("transpose")
def transpose(*, x: Array, perm: Ints) -> Array:
    """Axis i of the result is axis ``perm[i]`` of x."""
    return np.transpose(x, perm)


@mil.kernel("expand_dims")
def expand_dims(*, x: Array, axes: Ints) -> Array:
    """x with axes of size 1 inserted."""
    return functions.expand_dims(x, axes)


@mil.kernel("squeeze")
def squeeze(*, x: Array, axes: Optional[Ints] = None) -> Array:
    """x without axes of size 1; named axes of another size are left alone."""
    return functions.squeeze(x, axes, strict=False)


@mil.kernel("flatten2d")
def flatten2d(*, x: Array, axis: int = 1) -> Array:
    """The axes before ``axis`` folded into one, and those from it on into another."""
    axis = axis if axis >= 0 else axis + x.ndim
    return x.reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))


@mil.kernel("reverse")
def reverse(*, x: Array, axes: Optional[Ints] = None) -> Array:
    """x backwards along the given axes, or along all."""
    return np.flip(x, axes)


@mil.kernel("slice_by_index")
def slice_by_index(
    *,
    x: Array,
    begin: Ints,
    end: Ints,
    stride: Optional[Ints] = None,
    begin_mask: Optional[Bools] = None,
    end_mask: Optional[Bools] = None,
    squeeze_mask: Optional[Bools] = None,
) -> Array:
    """x[begin:end:stride] along each axis; masks open a bound or take one element and drop the axis."""
    return functions.slice_by_index(x, begin, end, stride or (), begin_mask or (), end_mask or (), squeeze_mask or ())


@mil.kernel("slice_by_size")
def slice_by_size(*, x: Array, begin: Ints, size: Ints) -> Array:
    """``size`` elements from ``begin`` along each axis, -1 for all that follow."""
    return functions.slice_by_size(x, begin, size)


@mil.kernel("concat", fresh=True)
def concat(*, values: Arrays, axis: int, interleave: bool = False) -> Array:
    """The arrays joined along ``axis``; scalars count as arrays of one value."""
    return functions.concat([np.atleast_1d(value) for value in values], axis, interleave=interleave)


@mil.kernel("stack", fresh=True)
def stack(*, values: Arrays, axis: int) -> Array:
    """The arrays joined along a new axis."""
    return np.stack(values, axis)


@mil.kernel("split")
def split(*, x: Array, axis: int, num_splits: Optional[int] = None, split_sizes: Optional[Ints] = None) -> list[Array]:
    """x cut along ``axis`` into equal parts or parts of given sizes."""
    return functions.split(x, axis, number=num_splits, sizes=split_sizes)


@mil.kernel("tile", fresh=True, grows=True)
def tile(*, x: Array, reps: Ints) -> Array:
    """x repeated along each axis."""
    return functions.tile(x, reps)


@mil.kernel("fill", fresh=True, grows=True)
def fill(*, shape: Ints, value: Optional[Array] = None) -> Array:
    """``shape`` filled with ``value``, by default 0.0."""
    filler = np.zeros((), np.float32) if value is None else value
    return functions.full(shape, filler, filler.dtype)


@mil.kernel("fill_like", since=16, fresh=True)
def fill_like(*, ref_tensor: Array, value: Optional[Array] = None) -> Array:
    """The shape of ``ref_tensor`` filled with ``value``, by default 0.0."""
    return fill(shape=ref_tensor.shape, value=value)


@mil.kernel("range_1d", fresh=True, grows=True)
def range_1d(*, start: Array, end: Array, step: Array) -> Array:
    """start, start + step, ... up to but without ``end``."""
    return functions.arange(start, end, step, np.result_type(start, end, step))
