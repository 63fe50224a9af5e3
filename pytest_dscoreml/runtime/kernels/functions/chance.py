"""Random numbers. Imports only NumPy.

Core ML says how its numbers are distributed, not which generator makes them, so a comparison with a device can only be
statistical. A seed of -1 asks for other numbers at each call, any other seed for the same ones.
"""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.shapes import check_size
from pytest_dscoreml.runtime.registry import Array, Ints


def generator(seed: int) -> np.random.Generator:
    """The source of numbers for ``seed``."""
    return np.random.default_rng(None if seed == -1 else abs(seed) * 2 + (seed < 0))


def bernoulli(shape: Ints, probability: float, seed: int, dtype: np.dtype[np.generic]) -> Array:
    """1 with the given probability, 0 otherwise."""
    check_size(shape, 8)
    return (generator(seed).random(shape) < probability).astype(dtype)


def normal(shape: Ints, mean: float, deviation: float, seed: int, dtype: np.dtype[np.generic]) -> Array:
    """Normally distributed numbers."""
    check_size(shape, 8)
    return generator(seed).normal(mean, deviation, shape).astype(dtype)


def uniform(shape: Ints, low: float, high: float, seed: int, dtype: np.dtype[np.generic]) -> Array:
    """Numbers from ``low`` up to but without ``high``."""
    check_size(shape, 8)
    numbers = (low + (high - low) * generator(seed).random(shape)).astype(dtype)
    # Rounding to the result's type must not reach the excluded bound.
    bound = np.nextafter(dtype.type(high), dtype.type(low))
    return np.minimum(numbers, bound) if high > low else numbers


def categorical(weights: Array, count: int, seed: int, *, logits: bool) -> Array:
    """``count`` class numbers for each distribution in the last axis of ``weights``: [*weights.shape[:-1], count]."""
    check_size((*weights.shape[:-1], count), 8)
    wide = weights.astype(np.float64)
    if logits:
        wide = np.exp(wide - wide.max(axis=-1, keepdims=True))
    elif wide.size and wide.min() < 0:
        raise ValueError(f"a probability of {wide.min()}")
    bounds = np.cumsum(wide, axis=-1)
    drawn = generator(seed).random((*weights.shape[:-1], count)) * bounds[..., -1:]
    chosen = (drawn[..., np.newaxis] >= bounds[..., np.newaxis, :]).sum(axis=-1)
    return np.minimum(chosen, weights.shape[-1] - 1).astype(weights.dtype)
