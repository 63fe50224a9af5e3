"""Neural network: constants, shapes, slices, concatenation, fills and ranges."""

# ruff: noqa: N803

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import shapes as functions
from pytest_dscoreml.runtime.registry import Array, Bools, Ints, nn

# SliceLayerParams.SliceAxis: channel, height, width
_SLICE_AXES = (-3, -2, -1)
_CHANNEL, _SEQUENCE = -3, -5


@nn.kernel("loadConstantND")
def load_constant_nd(*, shape: Ints, data: Array) -> Array:
    """The constant ``data``."""
    return data


@nn.kernel("getShape", fresh=True)
def get_shape(x: Array) -> Array:
    """The sizes of x's axes."""
    return np.array(x.shape, x.dtype)


@nn.kernel("reshapeStatic")
def reshape_static(x: Array, *, targetShape: Ints) -> Array:
    """x with ``targetShape``, -1 for what is left."""
    return functions.reshape(x, targetShape)


@nn.kernel("reshapeDynamic")
def reshape_dynamic(x: Array, shape: Ints) -> Array:
    """x with the shape that the second input holds, -1 for what is left."""
    return functions.reshape(x, shape)


@nn.kernel("reshapeLike")
def reshape_like(x: Array, like: Array) -> Array:
    """x with the shape of the second input."""
    return x.reshape(like.shape)


@nn.kernel("rankPreservingReshape")
def rank_preserving_reshape(x: Array, *, targetShape: Ints) -> Array:
    """x with ``targetShape`` of the same rank; 0 keeps an axis, -1 is what is left."""
    if len(targetShape) != x.ndim:
        raise ValueError(f"targetShape {targetShape} for rank {x.ndim}")
    return functions.reshape(x, targetShape)


@nn.kernel("transpose")
def transpose(x: Array, *, axes: Ints) -> Array:
    """Axis i of the result is axis ``axes[i]`` of x."""
    return np.transpose(x, axes)


@nn.kernel("expandDims")
def expand_dims(x: Array, *, axes: Ints) -> Array:
    """x with axes of size 1 inserted."""
    return functions.expand_dims(x, axes)


@nn.kernel("squeeze")
def squeeze(x: Array, *, axes: Optional[Ints] = None, squeezeAll: bool = False) -> Array:
    """x without the given axes of size 1, or without all of them."""
    if not squeezeAll and axes is None:
        raise ValueError("neither axes nor squeezeAll is set")
    return functions.squeeze(x, None if squeezeAll else axes, strict=True)


@nn.kernel("flattenTo2D")
def flatten_to_2d(x: Array, *, axis: int = 0) -> Array:
    """The axes before ``axis`` folded into one, and those from it on into another."""
    axis = axis if axis >= 0 else axis + x.ndim
    return x.reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))


@nn.kernel("slice")
def slice_axis(x: Array, *, startIndex: int = 0, endIndex: int = 0, stride: int = 0, axis: int = 0) -> Array:
    """x[startIndex:endIndex:stride] along the channel (axis -3), height (-2) or width (-1)."""
    position = _SLICE_AXES[axis]
    if x.ndim < -position:
        raise ValueError(f"rank {x.ndim} has no axis {position}")
    index: tuple[Any, ...] = (..., slice(startIndex, endIndex, stride), *(slice(None),) * (-position - 1))
    return np.asarray(x[index])


@nn.kernel("sliceStatic")
def slice_static(
    x: Array,
    *,
    beginIds: Ints,
    endIds: Ints,
    strides: Ints,
    beginMasks: Bools = (),
    endMasks: Bools = (),
    squeezeMasks: Bools = (),
) -> Array:
    """x[begin:end:stride] along each axis; masks open a bound or take one element and drop the axis."""
    return functions.slice_by_index(x, beginIds, endIds, strides, beginMasks, endMasks, squeezeMasks)


@nn.kernel("sliceDynamic")
def slice_dynamic(
    x: Array,
    begin: Ints,
    end: Optional[Ints] = None,
    stride: Optional[Ints] = None,
    begin_mask: Optional[Bools] = None,
    end_mask: Optional[Bools] = None,
    squeeze_mask: Optional[Bools] = None,
    *,
    beginMasks: Bools = (),
    endIds: Ints = (),
    endMasks: Bools = (),
    strides: Ints = (),
    squeezeMasks: Bools = (),
) -> Array:
    """As ``sliceStatic``, with bounds that are inputs; an input goes before the field of the same meaning."""
    return functions.slice_by_index(
        x,
        begin,
        (endIds if end is None else end)[: x.ndim],
        (strides if stride is None else stride)[: x.ndim],
        (beginMasks if begin_mask is None else begin_mask)[: x.ndim],
        (endMasks if end_mask is None else end_mask)[: x.ndim],
        (squeezeMasks if squeeze_mask is None else squeeze_mask)[: x.ndim],
    )


@nn.kernel("concatND", fresh=True)
def concat_nd(*inputs: Array, axis: int = 0, interleave: bool = False) -> Array:
    """The arrays joined along ``axis``."""
    return functions.concat(inputs, axis, interleave=interleave)


@nn.kernel("concat", fresh=True)
def concat(*inputs: Array, sequenceConcat: bool = False) -> Array:
    """The arrays joined along the channels (axis -3), or the sequence (axis -5)."""
    return functions.concat(inputs, _SEQUENCE if sequenceConcat else _CHANNEL, interleave=False)


@nn.kernel("stack", fresh=True)
def stack(*inputs: Array, axis: int = 0) -> Array:
    """The arrays joined along a new axis."""
    return np.stack(inputs, axis)


@nn.kernel("splitND")
def split_nd(x: Array, *, axis: int = 0, numSplits: Optional[int] = None, splitSizes: Ints = ()) -> list[Array]:
    """x cut along ``axis`` into parts of given sizes, or into equal ones, of which the first take what is left over."""
    sizes = splitSizes or None
    if numSplits and sizes is None:
        functions.check_parts(numSplits)
        each, more = divmod(x.shape[axis], numSplits)
        sizes = tuple(each + 1 if part < more else each for part in range(numSplits))
    return functions.split(x, axis, number=numSplits, sizes=sizes)


@nn.kernel("split")
def split(x: Array, *, nOutputs: int) -> list[Array]:
    """x cut along the channels (axis -3) into equal parts."""
    return functions.split(x, _CHANNEL, number=nOutputs, sizes=None)


@nn.kernel("tile", fresh=True, grows=True)
def tile(x: Array, repetitions: Optional[Ints] = None, *, reps: Ints = ()) -> Array:
    """x repeated along its last axes, one number for each; a second input goes before the field."""
    times = reps if repetitions is None else repetitions
    return functions.tile(x.reshape((1,) * (len(times) - x.ndim) + x.shape), (1,) * (x.ndim - len(times)) + times)


@nn.kernel("reverse")
def reverse(x: Array, *, reverseDim: Bools) -> Array:
    """x backwards along the axes that are set."""
    return np.flip(x, [axis for axis, chosen in enumerate(reverseDim) if chosen])


@nn.kernel("fillStatic", fresh=True, grows=True)
def fill_static(*, targetShape: Ints, value: float = 0.0) -> Array:
    """``targetShape`` filled with ``value``."""
    return functions.full(targetShape, value, np.float32)


@nn.kernel("fillDynamic", fresh=True, grows=True)
def fill_dynamic(shape: Array, *, value: float = 0.0) -> Array:
    """The shape that the input holds, filled with ``value``.

    The converter stacks numbers of rank 1, as all are here, to an array [1, n] where it means a vector.
    """
    sizes = shape.reshape(-1).tolist()
    if max(shape.shape, default=1) != shape.size or not all(float(size).is_integer() for size in sizes):
        raise ValueError(f"a shape of {sizes} in an array of shape {shape.shape}, expected a vector of integers")
    return functions.full([int(size) for size in sizes], value, np.float32)


@nn.kernel("fillLike", fresh=True)
def fill_like(like: Array, *, value: float = 0.0) -> Array:
    """The shape of the input, filled with ``value``."""
    return np.full(like.shape, value, like.dtype)


@nn.kernel("broadcastToStatic", fresh=True, grows=True)
def broadcast_to_static(x: Array, *, targetShape: Ints) -> Array:
    """x broadcast to ``targetShape``."""
    return functions.broadcast_to(x, targetShape)


@nn.kernel("broadcastToDynamic", fresh=True, grows=True)
def broadcast_to_dynamic(x: Array, shape: Ints) -> Array:
    """x broadcast to the shape that the second input holds."""
    return functions.broadcast_to(x, shape)


@nn.kernel("broadcastToLike", fresh=True, grows=True)
def broadcast_to_like(x: Array, like: Array) -> Array:
    """x broadcast to the shape of the second input."""
    return functions.broadcast_to(x, like.shape)


@nn.kernel("rangeStatic", fresh=True, grows=True)
def range_static(*, endValue: float = 0.0, startValue: float = 0.0, stepSizeValue: float = 0.0) -> Array:
    """startValue, startValue + stepSizeValue, ... up to but without endValue."""
    return functions.arange(startValue, endValue, stepSizeValue, np.float32)


@nn.kernel("rangeDynamic", fresh=True, grows=True)
def range_dynamic(
    end: float,
    start: Optional[float] = None,
    step: Optional[float] = None,
    *,
    startValue: float = 0.0,
    stepSizeValue: float = 0.0,
) -> Array:
    """start, start + step, ... up to but without end; inputs go before the fields of the same meaning."""
    return functions.arange(
        startValue if start is None else start, end, stepSizeValue if step is None else step, np.float32
    )
