"""Functions that move elements: padding, windows, blocks to depth or batch and back. Imports only NumPy."""

from __future__ import annotations

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.shapes import check_size
from pytest_dscoreml.runtime.registry import Array, Arrays, Ints

# Core ML's names, and NumPy's.
PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "symmetric": "symmetric"}


def pad(x: Array, amounts: Ints, mode: str, value: float) -> Array:
    """x with ``amounts`` (before, after) elements around its last axes."""
    if mode not in PAD_MODES:
        raise ValueError(f"mode {mode!r} is none of {', '.join(PAD_MODES)}")
    if len(amounts) % 2 or len(amounts) > 2 * x.ndim or any(amount < 0 for amount in amounts):
        raise ValueError(f"amounts {amounts} for an array of rank {x.ndim}")
    pairs = [(0, 0)] * (x.ndim - len(amounts) // 2) + list(zip(amounts[::2], amounts[1::2]))
    if mode == "reflect" and any(max(pair) >= max(size, 1) for pair, size in zip(pairs, x.shape) if any(pair)):
        raise ValueError(f"amounts {amounts} reflect more than shape {x.shape} has")
    check_size([size + sum(pair) for size, pair in zip(x.shape, pairs)], x.itemsize)
    if mode == "constant":
        return np.pad(x, pairs, "constant", constant_values=x.dtype.type(value))
    return np.pad(x, pairs, PAD_MODES[mode])  # type: ignore[call-overload,no-any-return]


def sliding_windows(x: Array, axis: int, size: int, stride: int) -> Array:
    """All windows of ``size`` along ``axis``, ``stride`` apart, in a new axis behind it."""
    axis = axis % x.ndim
    if not 1 <= size <= x.shape[axis] or stride < 1:
        raise ValueError(f"windows of {size}, {stride} apart, along axis {axis} of shape {x.shape}")
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis)
    windows = windows[(slice(None),) * axis + (slice(None, None, stride),)]
    check_size(windows.shape, x.itemsize)
    return np.array(np.moveaxis(windows, -1, axis + 1))


def reverse_sequence(x: Array, lengths: Array, sequence_axis: int, batch_axis: int) -> Array:
    """x with the first ``lengths[i]`` elements along ``sequence_axis`` backwards, for each i along ``batch_axis``."""
    sequence_axis, batch_axis = sequence_axis % x.ndim, batch_axis % x.ndim
    size = x.shape[sequence_axis]
    if lengths.shape != (x.shape[batch_axis],) or (lengths.size and not 0 <= lengths.min() <= lengths.max() <= size):
        raise ValueError(f"lengths {lengths.tolist()} for shape {x.shape}")
    if sequence_axis == batch_axis:
        raise ValueError(f"axis {batch_axis} is both the batch and the sequence")
    steps = np.arange(size)
    order = np.where(steps < lengths[:, np.newaxis], lengths[:, np.newaxis] - 1 - steps, steps)
    shape = [1] * x.ndim
    shape[sequence_axis], shape[batch_axis] = size, lengths.size
    order = (order if batch_axis < sequence_axis else order.T).reshape(shape)
    return np.take_along_axis(x, order, sequence_axis)


def depth_to_space(x: Array, block: int) -> Array:
    """[n, b b c, h, w] to [n, c, h b, w b]: the block's position is the slower part of the channel."""
    n, depth, height, width = x.shape
    _divides(depth, block * block)
    channels = depth // (block * block)
    split = x.reshape(n, block, block, channels, height, width)
    return split.transpose(0, 3, 4, 1, 5, 2).reshape(n, channels, height * block, width * block)


def space_to_depth(x: Array, block: int) -> Array:
    """[n, c, h b, w b] to [n, b b c, h, w]: the inverse of ``depth_to_space``."""
    n, channels, tall, wide = x.shape
    _divides(tall, block)
    _divides(wide, block)
    split = x.reshape(n, channels, tall // block, block, wide // block, block)
    return split.transpose(0, 3, 5, 1, 2, 4).reshape(n, block * block * channels, tall // block, wide // block)


def pixel_shuffle(x: Array, factor: int) -> Array:
    """[n, c f f, h, w] to [n, c, h f, w f]: the block's position is the faster part of the channel."""
    n, depth, height, width = x.shape
    _divides(depth, factor * factor)
    channels = depth // (factor * factor)
    split = x.reshape(n, channels, factor, factor, height, width)
    return split.transpose(0, 1, 4, 2, 5, 3).reshape(n, channels, height * factor, width * factor)


def pixel_unshuffle(x: Array, factor: int) -> Array:
    """[n, c, h f, w f] to [n, c f f, h, w]: the inverse of ``pixel_shuffle``."""
    n, channels, tall, wide = x.shape
    _divides(tall, factor)
    _divides(wide, factor)
    split = x.reshape(n, channels, tall // factor, factor, wide // factor, factor)
    shape = (n, channels * factor * factor, tall // factor, wide // factor)
    return split.transpose(0, 1, 3, 5, 2, 4).reshape(shape)


def space_to_batch(x: Array, block: Ints, paddings: Array) -> Array:
    """[n, c, h, w], padded with zeros, to [b0 b1 n, c, h / b0, w / b1]: the block's position is the slower part."""
    (tall, wide), amounts = _block(block), _pairs(paddings)
    x = pad(x, amounts, "constant", 0)
    n, channels, height, width = x.shape
    _divides(height, tall)
    _divides(width, wide)
    split = x.reshape(n, channels, height // tall, tall, width // wide, wide)
    return split.transpose(3, 5, 0, 1, 2, 4).reshape(tall * wide * n, channels, height // tall, width // wide)


def batch_to_space(x: Array, block: Ints, crops: Array) -> Array:
    """[b0 b1 n, c, h, w] to [n, c, h b0, w b1], cropped: the inverse of ``space_to_batch``."""
    (tall, wide), (top, bottom, left, right) = _block(block), _pairs(crops)
    batch, channels, height, width = x.shape
    _divides(batch, tall * wide)
    n = batch // (tall * wide)
    joined = x.reshape(tall, wide, n, channels, height, width).transpose(2, 3, 4, 0, 5, 1)
    joined = joined.reshape(n, channels, height * tall, width * wide)
    if top + bottom > height * tall or left + right > width * wide:
        raise ValueError(f"crops {crops.tolist()} of shape {joined.shape}")
    return joined[:, :, top : height * tall - bottom, left : width * wide - right]


def shape_like(references: Arrays, begins: Ints, ends: Ints, masks: tuple[bool, ...]) -> Ints:
    """The sizes from ``begins`` to ``ends`` (or to the last, where masked) of each reference, joined."""
    if not len(references) == len(begins) == len(ends) == len(masks):
        raise ValueError(f"{len(references)} references with {len(begins)}, {len(ends)} and {len(masks)} bounds")
    shape: Ints = ()
    for reference, begin, end, mask in zip(references, begins, ends, masks):
        shape += reference.shape[begin:] if mask else reference.shape[begin:end]
    return shape


def _divides(size: int, by: int) -> None:
    if by < 1 or size % by:
        raise ValueError(f"{size} is not a multiple of {by}")


def _block(block: Ints) -> tuple[int, int]:
    if len(block) != 2:
        raise ValueError(f"a block of {len(block)} sizes, expected 2")
    return block[0], block[1]


def _pairs(pairs: Array) -> tuple[int, int, int, int]:
    if pairs.shape != (2, 2) or pairs.min() < 0:
        raise ValueError(f"amounts {pairs.tolist()}, expected (2, 2) that are not negative")
    top, bottom, left, right = (int(value) for value in pairs.ravel())
    return top, bottom, left, right
