"""Neural network: random numbers; see the functions for what a seed means."""

# ruff: noqa: N803

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import chance as functions
from pytest_dscoreml.runtime.registry import Array, Ints, nn

_FLOAT = np.dtype(np.float32)
_CATEGORICAL_EPSILON = 1e-10


@nn.kernel("randomNormalLike", fresh=True, grows=True, pure=False)
def random_normal_like(like: Array, *, seed: int = 0, mean: float = 0.0, stdDev: float = 0.0) -> Array:
    """Normally distributed numbers, in the shape of the input."""
    return functions.normal(like.shape, mean, stdDev, seed, like.dtype)


@nn.kernel("randomNormalStatic", fresh=True, grows=True, pure=False)
def random_normal_static(*, seed: int = 0, mean: float = 0.0, stdDev: float = 0.0, outputShape: Ints) -> Array:
    """Normally distributed numbers."""
    return functions.normal(outputShape, mean, stdDev, seed, _FLOAT)


@nn.kernel("randomNormalDynamic", fresh=True, grows=True, pure=False)
def random_normal_dynamic(shape: Ints, *, seed: int = 0, mean: float = 0.0, stdDev: float = 0.0) -> Array:
    """Normally distributed numbers, in the shape that the input holds."""
    return functions.normal(shape, mean, stdDev, seed, _FLOAT)


@nn.kernel("randomUniformLike", fresh=True, grows=True, pure=False)
def random_uniform_like(like: Array, *, seed: int = 0, minVal: float = 0.0, maxVal: float = 0.0) -> Array:
    """Evenly distributed numbers, in the shape of the input."""
    return functions.uniform(like.shape, minVal, maxVal, seed, like.dtype)


@nn.kernel("randomUniformStatic", fresh=True, grows=True, pure=False)
def random_uniform_static(*, seed: int = 0, minVal: float = 0.0, maxVal: float = 0.0, outputShape: Ints) -> Array:
    """Evenly distributed numbers."""
    return functions.uniform(outputShape, minVal, maxVal, seed, _FLOAT)


@nn.kernel("randomUniformDynamic", fresh=True, grows=True, pure=False)
def random_uniform_dynamic(shape: Ints, *, seed: int = 0, minVal: float = 0.0, maxVal: float = 0.0) -> Array:
    """Evenly distributed numbers, in the shape that the input holds."""
    return functions.uniform(shape, minVal, maxVal, seed, _FLOAT)


@nn.kernel("randomBernoulliLike", fresh=True, grows=True, pure=False)
def random_bernoulli_like(like: Array, *, seed: int = 0, prob: float = 0.0) -> Array:
    """1 with the given probability, else 0, in the shape of the input."""
    return functions.bernoulli(like.shape, prob, seed, like.dtype)


@nn.kernel("randomBernoulliStatic", fresh=True, grows=True, pure=False)
def random_bernoulli_static(*, seed: int = 0, prob: float = 0.0, outputShape: Ints) -> Array:
    """1 with the given probability, else 0."""
    return functions.bernoulli(outputShape, prob, seed, _FLOAT)


@nn.kernel("randomBernoulliDynamic", fresh=True, grows=True, pure=False)
def random_bernoulli_dynamic(shape: Ints, *, seed: int = 0, prob: float = 0.0) -> Array:
    """1 with the given probability, else 0, in the shape that the input holds."""
    return functions.bernoulli(shape, prob, seed, _FLOAT)


@nn.kernel("categoricalDistribution", fresh=True, grows=True, pure=False)
def categorical_distribution(
    x: Array,
    count: Optional[int] = None,
    *,
    seed: int = 0,
    numSamples: int = 0,
    isLogits: bool = False,
    eps: float = 0.0,
    temperature: float = 0.0,
) -> Array:
    """Class numbers for each distribution in the last axis: logits, or probabilities whose logarithm is taken.

    ``eps`` (0 means 1e-10) is added to probabilities before that, and logits are divided by ``temperature`` (0: 1).
    """
    wide = x.astype(np.float64)
    logits = wide if isLogits else np.log(wide + (eps or _CATEGORICAL_EPSILON))
    drawn = functions.categorical(
        logits / (temperature or 1.0), numSamples if count is None else count, seed, logits=True
    )
    return np.asarray(drawn, x.dtype)
