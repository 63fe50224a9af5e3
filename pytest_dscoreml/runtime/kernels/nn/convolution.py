"""Neural network: convolution and pooling of [..., channels, height, width], and of [n, channels, depth, height, width].

Axes in front of the last three are batches.
"""

# ruff: noqa: N803

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import convolution as functions
from pytest_dscoreml.runtime.kernels.functions import pooling, windows
from pytest_dscoreml.runtime.kernels.functions.shapes import as_images
from pytest_dscoreml.runtime.kernels.nn.records import SamePadding, ValidCompletePadding, ValidPadding
from pytest_dscoreml.runtime.registry import Array, Ints, nn

_DEFAULT_KERNEL = (3, 3)
# PoolingLayerParams.PoolingType; the 3D layers have the first two
_MAX, _AVERAGE, _L2 = range(3)
# Convolution3DLayerParams.PaddingType
_CUSTOM_3D, _VALID_3D, _SAME_3D = range(3)


def _images(x: Array) -> Array:
    if x.ndim < 4:
        raise ValueError(f"an input of rank {x.ndim}, expected 4 or more")
    return as_images(x)


@nn.kernel("convolution", fresh=True, grows=True)
def convolution(
    x: Array,
    weight: Optional[Array] = None,
    bias_input: Optional[Array] = None,
    *,
    outputChannels: int = 0,
    kernelChannels: int = 0,
    nGroups: int = 0,
    kernelSize: Ints = _DEFAULT_KERNEL,
    stride: Ints = (1, 1),
    dilationFactor: Ints = (1, 1),
    valid: Optional[ValidPadding] = None,
    same: Optional[SamePadding] = None,
    isDeconvolution: bool = False,
    hasBias: bool = False,
    weights: Optional[Array] = None,
    bias: Optional[Array] = None,
    outputShape: Ints = (),
) -> Array:
    """A convolution, or its transpose, with weights of the file or of a second input.

    A transposed one with an ``outputShape`` has that height and width, and the padding says where it begins.
    ``dilationFactor`` holds for a transposed one too: the specification says that it is ignored there, but coremltools
    writes it, and its own tests, which compare with Core ML, expect it.
    """
    kernel = weights if weight is None else weight
    added = bias_input if bias_input is not None else bias if hasBias else None
    if kernel is None:
        raise ValueError("one input and no weights")
    if kernel.ndim != 4 or kernel.shape[2:] != tuple(kernelSize):
        raise ValueError(f"weights of shape {kernel.shape} and a kernelSize {kernelSize}")
    images, groups = _images(x), nGroups or 1
    steps, gaps = windows.spatial(stride, 2, "stride"), windows.spatial(dilationFactor, 2, "dilationFactor")
    reach = windows.extents(kernel.shape[2:], gaps)
    padding = valid or ValidPadding()
    if isDeconvolution:
        whole = functions.transposed_sizes(images.shape[2:], kernel.shape[2:], steps, gaps)
        if same is not None:
            sizes = outputShape or tuple(size * step for size, step in zip(images.shape[2:], steps))
            pads = same.pads(sizes, reach, steps)
        else:
            pads = padding.pads()
            sizes = outputShape or tuple(size - sum(pair) for size, pair in zip(whole, pads))
        result = functions.convolve_transposed(
            images,
            kernel,
            added,
            strides=steps,
            dilations=gaps,
            groups=groups,
            before=[before for before, _ in pads],
            sizes=sizes,
        )
    else:
        pads = padding.pads() if same is None else same.pads(images.shape[2:], reach, steps)
        result = functions.convolve(images, kernel, added, strides=steps, pads=pads, dilations=gaps, groups=groups)
    return result.reshape(*x.shape[:-3], *result.shape[1:])


def _padding_3d(kind: int, custom: Ints, sizes: Ints, reach: Ints, steps: Ints) -> windows.Pads:
    names = {_CUSTOM_3D: "custom", _VALID_3D: "valid", _SAME_3D: "same"}
    return windows.padding(names[kind], custom, sizes, reach, steps)


@nn.kernel("convolution3d", fresh=True, grows=True)
def convolution_3d(
    x: Array,
    *,
    outputChannels: int = 0,
    inputChannels: int = 0,
    nGroups: int = 0,
    kernelDepth: int = 0,
    kernelHeight: int = 0,
    kernelWidth: int = 0,
    strideDepth: int = 0,
    strideHeight: int = 0,
    strideWidth: int = 0,
    dilationDepth: int = 0,
    dilationHeight: int = 0,
    dilationWidth: int = 0,
    hasBias: bool = False,
    weights: Array,
    bias: Optional[Array] = None,
    paddingType: int = 0,
    customPaddingFront: int = 0,
    customPaddingBack: int = 0,
    customPaddingTop: int = 0,
    customPaddingBottom: int = 0,
    customPaddingLeft: int = 0,
    customPaddingRight: int = 0,
    isDeconvolution: bool = False,
    outputShape: Ints = (),
) -> Array:
    """A convolution in three dimensions, or its transpose; strides and dilations of 0 mean 1."""
    if x.ndim != 5:
        raise ValueError(f"an input of rank {x.ndim}, expected 5")
    groups = nGroups or 1
    steps = (strideDepth or 1, strideHeight or 1, strideWidth or 1)
    gaps = (dilationDepth or 1, dilationHeight or 1, dilationWidth or 1)
    custom = (
        customPaddingFront,
        customPaddingBack,
        customPaddingTop,
        customPaddingBottom,
        customPaddingLeft,
        customPaddingRight,
    )
    reach = windows.extents(weights.shape[2:], gaps)
    added = bias if hasBias else None
    if not isDeconvolution:
        pads = _padding_3d(paddingType, custom, x.shape[2:], reach, steps)
        return functions.convolve(x, weights, added, strides=steps, pads=pads, dilations=gaps, groups=groups)
    if paddingType == _SAME_3D:
        sizes = outputShape or tuple(size * step for size, step in zip(x.shape[2:], steps))
        pads = _padding_3d(paddingType, custom, sizes, reach, steps)
    else:
        whole = functions.transposed_sizes(x.shape[2:], weights.shape[2:], steps, gaps)
        pads = _padding_3d(paddingType, custom, x.shape[2:], reach, steps)
        sizes = outputShape or tuple(size - sum(pair) for size, pair in zip(whole, pads))
    return functions.convolve_transposed(
        x,
        weights,
        added,
        strides=steps,
        dilations=gaps,
        groups=groups,
        before=[before for before, _ in pads],
        sizes=sizes,
    )


def _pool(images: Array, kind: int, kernel: Ints, steps: Ints, pads: windows.Pads, counted: windows.Pads) -> Array:
    """``counted`` is the padding that counts in an average."""
    if kind == _MAX:
        return pooling.maximum(images, kernel, steps, pads)
    if kind == _AVERAGE:
        number = pooling.members(images.shape[2:], kernel, steps, pads, counted)
        return np.asarray(pooling.total(images, kernel, steps, pads) / number.astype(images.dtype))
    if kind == _L2:
        return np.asarray(np.sqrt(pooling.total(np.square(images), kernel, steps, pads)))
    raise ValueError(f"type {kind} is no kind of pooling")


@nn.kernel("pooling", fresh=True, grows=True)
def pool(
    x: Array,
    *,
    type: int = _MAX,
    kernelSize: Ints = _DEFAULT_KERNEL,
    stride: Ints = (1, 1),
    valid: Optional[ValidPadding] = None,
    same: Optional[SamePadding] = None,
    includeLastPixel: Optional[ValidCompletePadding] = None,
    avgPoolExcludePadding: bool = False,
    globalPooling: bool = False,
) -> Array:
    """The greatest value, the mean or the L2 norm of windows of the images, or of each image as a whole."""
    images = _images(x)
    if globalPooling:
        result = _pool(images, type, images.shape[2:], (1, 1), ((0, 0), (0, 0)), ((0, 0), (0, 0)))
        return result.reshape(*x.shape[:-2], 1, 1)
    kernel, steps = windows.spatial(kernelSize, 2, "kernelSize"), windows.spatial(stride, 2, "stride")
    if same is not None:
        pads = needed = same.pads(images.shape[2:], kernel, steps)
    elif includeLastPixel is None:
        pads = needed = (valid or ValidPadding()).pads()
    else:
        amounts = includeLastPixel.paddingAmounts or (0, 0)
        pads = tuple((amount, amount) for amount in amounts)
        counts = pooling.ceil_counts(images.shape[2:], kernel, steps, pads)
        needed = _exactly(images.shape[2:], kernel, steps, pads, counts)
    result = _pool(images, type, kernel, steps, needed, ((0, 0), (0, 0)) if avgPoolExcludePadding else pads)
    return result.reshape(*x.shape[:-2], *result.shape[2:])


def _exactly(sizes: Ints, kernel: Ints, steps: Ints, pads: windows.Pads, counts: Ints) -> windows.Pads:
    """The padding with which so many windows fit and no more."""
    return tuple(
        (before, max(0, (number - 1) * step + extent - size - before))
        for size, extent, step, (before, _), number in zip(sizes, kernel, steps, pads, counts)
    )


@nn.kernel("pooling3d", fresh=True, grows=True)
def pool_3d(
    x: Array,
    *,
    type: int = _MAX,
    kernelDepth: int = 0,
    kernelHeight: int = 0,
    kernelWidth: int = 0,
    strideDepth: int = 0,
    strideHeight: int = 0,
    strideWidth: int = 0,
    paddingType: int = 0,
    customPaddingFront: int = 0,
    customPaddingBack: int = 0,
    customPaddingTop: int = 0,
    customPaddingBottom: int = 0,
    customPaddingLeft: int = 0,
    customPaddingRight: int = 0,
    countExcludePadding: bool = False,
) -> Array:
    """The greatest value or the mean of windows in three dimensions; strides of 0 mean 1."""
    if x.ndim != 5:
        raise ValueError(f"an input of rank {x.ndim}, expected 5")
    kernel = windows.spatial((kernelDepth, kernelHeight, kernelWidth), 3, "kernel")
    steps = (strideDepth or 1, strideHeight or 1, strideWidth or 1)
    custom = (
        customPaddingFront,
        customPaddingBack,
        customPaddingTop,
        customPaddingBottom,
        customPaddingLeft,
        customPaddingRight,
    )
    pads = _padding_3d(paddingType, custom, x.shape[2:], kernel, steps)
    return _pool(x, type, kernel, steps, pads, ((0, 0),) * 3 if countExcludePadding else pads)


@nn.kernel("globalPooling3d", fresh=True)
def global_pool_3d(x: Array, *, type: int = _MAX) -> Array:
    """The greatest value or the mean over depth, height and width."""
    if x.ndim != 5:
        raise ValueError(f"an input of rank {x.ndim}, expected 5")
    axes = (2, 3, 4)
    return np.asarray(x.max(axes, keepdims=True) if type == _MAX else x.mean(axes, keepdims=True))
