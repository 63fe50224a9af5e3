"""ML Program: random numbers; the parameters' type is the result's."""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import chance as functions
from pytest_dscoreml.runtime.registry import Array, Ints, mil


def _scalar(value: Optional[Array], default: float) -> float:
    return default if value is None else float(value.reshape(()))


def _dtype(*values: Optional[Array]) -> np.dtype[np.generic]:
    for value in values:
        if value is not None:
            return value.dtype
    return np.dtype(np.float32)


@mil.kernel("random_bernoulli", fresh=True, grows=True, pure=False)
def random_bernoulli(*, shape: Ints, prob: Optional[Array] = None, seed: int = -1) -> Array:
    """1 with probability ``prob`` (0.5), else 0."""
    return functions.bernoulli(shape, _scalar(prob, 0.5), seed, _dtype(prob))


@mil.kernel("random_normal", fresh=True, grows=True, pure=False)
def random_normal(
    *, shape: Ints, mean: Optional[Array] = None, stddev: Optional[Array] = None, seed: int = -1
) -> Array:
    """Numbers of mean ``mean`` (0) and standard deviation ``stddev`` (1)."""
    return functions.normal(shape, _scalar(mean, 0), _scalar(stddev, 1), seed, _dtype(mean, stddev))


@mil.kernel("random_uniform", fresh=True, grows=True, pure=False)
def random_uniform(*, shape: Ints, low: Optional[Array] = None, high: Optional[Array] = None, seed: int = -1) -> Array:
    """Numbers from ``low`` (0) up to but without ``high`` (1)."""
    return functions.uniform(shape, _scalar(low, 0), _scalar(high, 1), seed, _dtype(low, high))


@mil.kernel("random_categorical", fresh=True, grows=True, pure=False)
def random_categorical(*, x: Array, mode: str = "logits", size: int = 1, seed: int = -1) -> Array:
    """``size`` draws from each distribution in the last axis, given as logits or probabilities."""
    if mode not in ("logits", "probs"):
        raise ValueError(f"mode {mode!r} is neither logits nor probs")
    return functions.categorical(x, size, seed, logits=mode == "logits")
