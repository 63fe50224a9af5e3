"""Neural network: padding, cropping and resampling of images [..., height, width]."""

# ruff: noqa: N803

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import rearranging, sampling
from pytest_dscoreml.runtime.kernels.functions.shapes import as_images, check_size
from pytest_dscoreml.runtime.kernels.nn.records import (
    BorderAmounts,
    BoxCoordinatesMode,
    Nothing,
    PaddingConstant,
    SamplingMode,
)
from pytest_dscoreml.runtime.registry import Array, Floats, Ints, nn

# SamplingMode.Method, by the names of the ML Program's modes
_GRIDS = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS")
# UpsampleLayerParams.LinearUpsampleMode: default, corners aligned, corners not aligned
_UPSAMPLE_GRIDS = ("DEFAULT", "STRICT_ALIGN_CORNERS", "UNALIGN_CORNERS")
_NEAREST = 0
_CORNERS_WIDTH_FIRST, _CENTER_HEIGHT_FIRST, _CENTER_WIDTH_FIRST = 1, 2, 3
# ReorganizeDataLayerParams.ReorganizationType
_REORGANIZE = (rearranging.space_to_depth, rearranging.depth_to_space, rearranging.pixel_shuffle)


def _at_least(x: Array, rank: int) -> None:
    if x.ndim < rank:
        raise ValueError(f"an input of rank {x.ndim}, expected {rank} or more")


def _two(values: Ints, name: str) -> tuple[int, int]:
    if len(values) != 2:
        raise ValueError(f"{name} {values}, expected 2 values: height and width")
    return values[0], values[1]


@nn.kernel("padding", fresh=True, grows=True)
def padding(
    x: Array,
    *,
    constant: Optional[PaddingConstant] = None,
    reflection: Optional[Nothing] = None,
    replication: Optional[Nothing] = None,
    paddingAmounts: Optional[BorderAmounts] = None,
) -> Array:
    """x with a border around height and width: a constant, x mirrored at its edge, or its edge repeated."""
    _at_least(x, 2)
    pairs = (paddingAmounts or BorderAmounts()).pairs()
    amounts = (*pairs[0], *pairs[1])
    if constant is not None:
        return rearranging.pad(x, amounts, "constant", constant.value)
    if reflection is not None:
        return rearranging.pad(x, amounts, "reflect", 0.0)
    if replication is not None:
        return rearranging.pad(x, amounts, "replicate", 0.0)
    raise ValueError("the kind of padding is not set")


@nn.kernel("constantPad", fresh=True, grows=True)
def constant_pad(
    x: Array,
    amounts: Optional[Ints] = None,
    *,
    value: float = 0.0,
    padAmounts: Ints = (),
    padToGivenOutputSizeMode: bool = False,
) -> Array:
    """x with ``value`` before and after each axis; a second input goes before the field.

    With ``padToGivenOutputSizeMode`` the amounts are sizes of the result, at most one for each axis: given before, the
    values go in front, given after, behind; 0 leaves the axis as it is.
    """
    given = padAmounts if amounts is None else amounts
    if len(given) != 2 * x.ndim:
        raise ValueError(f"{len(given)} amounts for an input of rank {x.ndim}, expected {2 * x.ndim}")
    if padToGivenOutputSizeMode:
        sizes = [size for size in x.shape for _ in range(2)]
        given = tuple(max(0, wanted - size) if wanted else 0 for wanted, size in zip(given, sizes))
    return rearranging.pad(x, given, "constant", value)


@nn.kernel("crop", fresh=True)
def crop(
    x: Array, like: Optional[Array] = None, *, cropAmounts: Optional[BorderAmounts] = None, offset: Ints = ()
) -> Array:
    """x without its borders; or, with a second input, the part at ``offset`` that has that one's height and width."""
    _at_least(x, 3)
    height, width = x.shape[-2:]
    if like is None:
        (top, bottom), (left, right) = (cropAmounts or BorderAmounts()).pairs()
        tall, wide = height - top - bottom, width - left - right
    else:
        top, left = _two(offset or (0, 0), "offset")
        tall, wide = like.shape[-2:]
    if tall < 1 or wide < 1 or top + tall > height or left + wide > width:
        raise ValueError(f"rows {top} to {top + tall} and columns {left} to {left + wide} of shape {x.shape}")
    return np.array(x[..., top : top + tall, left : left + wide])


def _resize(x: Array, height: int, width: int, mode: str) -> Array:
    rows = sampling.resize(x, x.ndim - 2, height, mode)
    return sampling.resize(rows, x.ndim - 1, width, mode)


@nn.kernel("resizeBilinear", fresh=True, grows=True)
def resize_bilinear(x: Array, *, targetSize: Ints = (1, 1), mode: Optional[SamplingMode] = None) -> Array:
    """x with another height and width, interpolated linearly."""
    _at_least(x, 3)
    height, width = _two(targetSize, "targetSize")
    return _resize(x, height, width, _GRIDS[(mode or SamplingMode()).samplingMethod])


@nn.kernel("upsample", fresh=True, grows=True)
def upsample(
    x: Array,
    *,
    scalingFactor: Ints = (),
    fractionalScalingFactor: Floats = (),
    mode: int = _NEAREST,
    linearUpsampleMode: int = 0,
) -> Array:
    """x with its height and width multiplied, pixels repeated or interpolated linearly."""
    _at_least(x, 3)
    if scalingFactor and fractionalScalingFactor:
        raise ValueError("both scalingFactor and fractionalScalingFactor are set")
    factors: Floats = fractionalScalingFactor or tuple(float(factor) for factor in scalingFactor or (1, 1))
    if len(factors) != 2 or min(factors) <= 0:
        raise ValueError(f"scaling factors {factors}, expected 2 positive numbers")
    height, width = (sampling.scaled(size, factor) for size, factor in zip(x.shape[-2:], factors))
    if mode != _NEAREST:
        return _resize(x, height, width, _UPSAMPLE_GRIDS[linearUpsampleMode])
    if fractionalScalingFactor or linearUpsampleMode:
        raise ValueError("fractional factors and linearUpsampleMode need the bilinear mode")
    return sampling.take_floor(sampling.take_floor(x, x.ndim - 2, height), x.ndim - 1, width)


@nn.kernel("cropResize", fresh=True, grows=True)
def crop_resize(
    x: Array,
    boxes: Array,
    *,
    targetSize: Ints = (1, 1),
    normalizedCoordinates: bool = False,
    mode: Optional[SamplingMode] = None,
    boxIndicesMode: Optional[BoxCoordinatesMode] = None,
    spatialScale: float = 0.0,
) -> Array:
    """Boxes cut from x [1, B, C, H, W] and resized; a ``spatialScale`` of 0 means 1.

    ``boxes`` [N, 1, 4, 1, 1] are each cut from every image, [N, B, C, h, w]; with an image's index in front, [N, 1, 5,
    1, 1], each from that one, [N, 1, C, h, w]. What lies outside of an image is 0.
    """
    if x.ndim != 5 or x.shape[0] != 1 or boxes.ndim != 5 or boxes.size != boxes.shape[0] * boxes.shape[2]:
        raise ValueError(f"inputs {x.shape} and {boxes.shape}, expected [1, B, C, H, W] and [N, 1, 4 or 5, 1, 1]")
    numbers = boxes.reshape(boxes.shape[0], boxes.shape[2]).astype(np.float64)
    if numbers.shape[1] not in (4, 5):
        raise ValueError(f"boxes of {numbers.shape[1]} numbers, expected 4 or 5")
    corners = numbers[:, -4:]
    convention = (boxIndicesMode or BoxCoordinatesMode()).boxMode
    if convention in (_CORNERS_WIDTH_FIRST, _CENTER_WIDTH_FIRST):
        corners = corners[:, [1, 0, 3, 2]]
    if convention in (_CENTER_HEIGHT_FIRST, _CENTER_WIDTH_FIRST):
        centre, half = corners[:, :2], corners[:, 2:] / 2
        corners = np.concatenate((centre - half, centre + half), 1)
    if normalizedCoordinates:
        corners = corners * (np.array([*x.shape[3:], *x.shape[3:]]) - 1)
    each = x.shape[1] if numbers.shape[1] == 4 else 1
    images = np.tile(np.arange(each), len(corners)) if numbers.shape[1] == 4 else numbers[:, 0].astype(np.intp)
    height, width = _two(targetSize, "targetSize")
    cut = sampling.crop_and_resize(
        x[0],
        np.repeat(corners * (spatialScale or 1.0), each, 0),
        images,
        height=height,
        width=width,
        mode=_GRIDS[(mode or SamplingMode()).samplingMethod],
        outside=0.0,
    )
    return cut.reshape(len(corners), each, *cut.shape[1:])


@nn.kernel("reorganizeData", fresh=True)
def reorganize_data(x: Array, *, mode: int = 0, blockSize: int = 0) -> Array:
    """Blocks of pixels moved into the channels, or back: space to depth, depth to space, pixel shuffle."""
    _at_least(x, 3)
    images = _REORGANIZE[mode](as_images(x), blockSize)
    return np.ascontiguousarray(images).reshape(*x.shape[:-3], *images.shape[1:])


@nn.kernel("sequenceRepeat", fresh=True, grows=True)
def sequence_repeat(x: Array, *, nRepetitions: int = 0) -> Array:
    """x repeated along the sequence (axis -5); 0 means once."""
    _at_least(x, 5)
    repetitions = nRepetitions or 1
    check_size((*x.shape, repetitions), x.itemsize)
    return np.concatenate([x] * repetitions, axis=-5)
