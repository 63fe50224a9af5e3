"""ML Program: padding, windows, blocks to depth or batch and back, updates of slices."""

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import rearranging as functions
from pytest_dscoreml.runtime.kernels.functions import shapes
from pytest_dscoreml.runtime.registry import Array, Arrays, Bools, Ints, mil


@mil.kernel("pad", fresh=True, grows=True)
def pad(*, x: Array, pad: Ints, mode: str = "constant", constant_val: float = 0.0) -> Array:
    """x with elements around its last axes: a constant, its reflection, or its edge."""
    if mode not in ("constant", "reflect", "replicate"):
        raise ValueError(f"mode {mode!r} is none of constant, reflect, replicate")
    return functions.pad(x, pad, mode, constant_val)


@mil.kernel("sliding_windows", fresh=True)
def sliding_windows(*, x: Array, axis: int, size: int, stride: int = 1) -> Array:
    """All windows along ``axis``, in a new axis behind it."""
    return functions.sliding_windows(x, axis, size, stride)


@mil.kernel("reverse_sequence", fresh=True)
def reverse_sequence(*, x: Array, lengths: Array, seq_axis: int = 0, batch_axis: int = 0) -> Array:
    """x with the first ``lengths[i]`` elements of each sequence backwards."""
    return functions.reverse_sequence(x, lengths, seq_axis, batch_axis)


@mil.kernel("depth_to_space")
def depth_to_space(*, x: Array, block_size: int) -> Array:
    """[n, b b c, h, w] to [n, c, h b, w b], the block's position the slower part of the channel."""
    return functions.depth_to_space(x, block_size)


@mil.kernel("space_to_depth")
def space_to_depth(*, x: Array, block_size: int) -> Array:
    """The inverse of ``depth_to_space``."""
    return functions.space_to_depth(x, block_size)


@mil.kernel("pixel_shuffle")
def pixel_shuffle(*, x: Array, upscale_factor: int) -> Array:
    """[n, c f f, h, w] to [n, c, h f, w f], the block's position the faster part of the channel."""
    return functions.pixel_shuffle(x, upscale_factor)


@mil.kernel("pixel_unshuffle", since=16)
def pixel_unshuffle(*, x: Array, downscale_factor: int) -> Array:
    """The inverse of ``pixel_shuffle``."""
    return functions.pixel_unshuffle(x, downscale_factor)


@mil.kernel("space_to_batch", grows=True)
def space_to_batch(*, x: Array, block_shape: Ints, paddings: Array) -> Array:
    """[n, c, h, w], padded, to [b0 b1 n, c, h / b0, w / b1]."""
    return functions.space_to_batch(x, block_shape, paddings)


@mil.kernel("batch_to_space")
def batch_to_space(*, x: Array, block_shape: Ints, crops: Array) -> Array:
    """The inverse of ``space_to_batch``."""
    return functions.batch_to_space(x, block_shape, crops)


@mil.kernel("reshape_like", since=16)
def reshape_like(*, x: Array, ref_tensors: Arrays, begins: Arrays, ends: Arrays, end_masks: Arrays) -> Array:
    """x with the shape that stretches of the references' shapes make up."""
    bounds = [tuple(int(item) for item in items) for items in (begins, ends)]
    masks = tuple(bool(item) for item in end_masks)
    return x.reshape(functions.shape_like(ref_tensors, bounds[0], bounds[1], masks))


@mil.kernel("slice_update", since=18, overwrites="x")
def slice_update(
    *,
    x: Array,
    update: Array,
    begin: Ints,
    end: Ints,
    stride: Optional[Ints] = None,
    begin_mask: Optional[Bools] = None,
    end_mask: Optional[Bools] = None,
    squeeze_mask: Optional[Bools] = None,
) -> Array:
    """x with ``update`` in place of the elements that ``slice_by_index`` would take."""
    taken = shapes.slice_by_index(x, begin, end, stride or (), begin_mask or (), end_mask or (), squeeze_mask or ())
    if not np.shares_memory(taken, x):
        # Only a slice without elements, or one element alone, is no view.
        if taken.size == 0 and update.size == 0:
            return x
        raise ValueError("the slice has rank 0")
    taken[...] = update.reshape(taken.shape)
    return x
