"""Neural network: normalisation. Channels are axis -3; an epsilon of 0 means the specification's default."""

# ruff: noqa: N803

from __future__ import annotations

from typing import Optional

from pytest_dscoreml.runtime.kernels.functions import normalization as functions
from pytest_dscoreml.runtime.kernels.functions.shapes import as_images
from pytest_dscoreml.runtime.registry import Array, Ints, nn

_CHANNEL = -3
_BATCHNORM_EPSILON, _MVN_EPSILON, _L2_EPSILON, _LAYER_EPSILON = 1e-5, 1e-6, 1e-6, 1e-5


def _channels(x: Array) -> int:
    """The channel axis, counted from the start."""
    if x.ndim < 3:
        raise ValueError(f"an input of rank {x.ndim}, expected 3 or more")
    return x.ndim + _CHANNEL


@nn.kernel("batchnorm", fresh=True)
def batchnorm(
    x: Array,
    *,
    channels: int = 0,
    computeMeanVar: bool = False,
    instanceNormalization: bool = False,
    epsilon: float = 0.0,
    gamma: Optional[Array] = None,
    beta: Optional[Array] = None,
    mean: Optional[Array] = None,
    variance: Optional[Array] = None,
) -> Array:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta for each channel.

    With ``computeMeanVar`` mean and variance are those of x: of each image if ``instanceNormalization``, else of all.
    """
    axis = _channels(x)
    small = epsilon or _BATCHNORM_EPSILON
    if computeMeanVar:
        every = tuple(other for other in range(x.ndim) if other != axis)
        normal = functions.standardize(x, (-2, -1) if instanceNormalization else every, small)
        return functions.scale_and_shift(normal, gamma, beta, [axis])
    if mean is None or variance is None:
        raise ValueError("neither mean and variance nor computeMeanVar are set")
    return functions.batch_norm(as_images(x), mean, variance, gamma, beta, small).reshape(x.shape)


@nn.kernel("mvn", fresh=True)
def mvn(x: Array, *, acrossChannels: bool = False, normalizeVariance: bool = False, epsilon: float = 0.0) -> Array:
    """x - mean, over sqrt(variance + epsilon) if ``normalizeVariance``; of each image, or of each of its channels."""
    _channels(x)
    axes = (-3, -2, -1) if acrossChannels else (-2, -1)
    if normalizeVariance:
        return functions.standardize(x, axes, epsilon or _MVN_EPSILON)
    return functions.centre(x, axes)


@nn.kernel("l2normalize", fresh=True)
def l2_normalize(x: Array, *, epsilon: float = 0.0) -> Array:
    """x / sqrt(sum of x^2 + epsilon), the sum over the last three axes."""
    return functions.l2_norm(x, epsilon or _L2_EPSILON)


@nn.kernel("lrn", fresh=True)
def lrn(x: Array, *, alpha: float = 0.0, beta: float = 0.0, localSize: int = 0, k: float = 0.0) -> Array:
    """x / (k + alpha / localSize * sum of x^2 over neighbouring channels)^beta; k of 0 means 1."""
    _channels(x)
    return functions.local_response_norm(as_images(x), localSize, alpha, beta, k or 1.0).reshape(x.shape)


@nn.kernel("layerNormalization", fresh=True)
def layer_normalization(
    x: Array,
    *,
    normalizedShape: Ints,
    eps: float = 0.0,
    gamma: Optional[Array] = None,
    beta: Optional[Array] = None,
) -> Array:
    """gamma (x - mean) / sqrt(variance + eps) + beta over the last axes, which have ``normalizedShape``."""
    count = len(normalizedShape)
    if not 1 <= count <= x.ndim or x.shape[x.ndim - count :] != tuple(normalizedShape):
        raise ValueError(f"normalizedShape {normalizedShape} for an input of shape {x.shape}")
    axes = range(x.ndim - count, x.ndim)
    return functions.scale_and_shift(functions.standardize(x, axes, eps or _LAYER_EPSILON), gamma, beta, axes)
