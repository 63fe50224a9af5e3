"""Normalisation: batch, instance, layer, L2 and local response. Imports only NumPy."""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.registry import Array


def centre(x: Array, axes: Sequence[int]) -> Array:
    """x minus its mean over ``axes``."""
    # NumPy warns of the mean of nothing, by other means than its error states.
    return x - x.mean(axis=tuple(axes), keepdims=True) if x.size else np.array(x)


def standardize(x: Array, axes: Sequence[int], epsilon: float) -> Array:
    """(x - mean) / sqrt(variance + epsilon) over ``axes``, the variance being that of the population."""
    centred = centre(x, axes)
    if not x.size:
        return centred
    variance = np.square(centred).mean(axis=tuple(axes), keepdims=True)
    return centred / np.sqrt(variance + x.dtype.type(epsilon))


def scale_and_shift(x: Array, gamma: Optional[Array], beta: Optional[Array], axes: Sequence[int]) -> Array:
    """x gamma + beta, where the axes of gamma and beta are those of x named by ``axes``, in rising order."""
    wanted = [x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)]
    for name, values in (("gamma", gamma), ("beta", beta)):
        expected = tuple(x.shape[axis] for axis in sorted(axes))
        if values is not None and values.shape != expected:
            raise ValueError(f"{name} has shape {values.shape}, expected {expected}")
    if gamma is not None:
        x = x * gamma.reshape(wanted)
    return x if beta is None else x + beta.reshape(wanted)


def batch_norm(
    x: Array, mean: Array, variance: Array, gamma: Optional[Array], beta: Optional[Array], epsilon: float
) -> Array:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, each a vector over the channels, axis 1."""
    spread = np.sqrt(variance + variance.dtype.type(epsilon))
    scale = np.reciprocal(spread) if gamma is None else gamma / spread
    return scale_and_shift(scale_and_shift(x, None, -mean, [1]), scale, beta, [1])


def axes_of(axes: Optional[Sequence[int]], rank: int) -> list[int]:
    """Axes counted from 0, all of them when none are given; ValueError when one does not exist or is named twice."""
    given = range(rank) if axes is None else axes
    if any(not -rank <= axis < rank for axis in given):
        raise ValueError(f"axes {tuple(given)} of an array of rank {rank}")
    counted = [axis % rank for axis in given]
    if len(set(counted)) != len(counted):
        raise ValueError(f"axes {tuple(given)} name one axis twice")
    return counted


def l2_norm(x: Array, epsilon: float) -> Array:
    """x / sqrt(sum of x^2 + epsilon), the sum over the last three axes."""
    if x.ndim < 3:
        raise ValueError(f"x has rank {x.ndim}, expected 3 or more")
    return x / np.sqrt(np.square(x).sum(axis=(-3, -2, -1), keepdims=True) + x.dtype.type(epsilon))


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float, *, axis: int = 1) -> Array:
    """x / (k + alpha / size * sum of x^2 over ``size`` neighbouring channels)^beta, the channels being ``axis``.

    Of an even number of neighbours, one more lies before than after.
    """
    if size < 1:
        raise ValueError(f"size is {size}, expected 1 or more")
    moved = np.moveaxis(x, axis, 0)
    channels = moved.shape[0]
    before, after = min(size // 2, channels), min((size - 1) // 2, channels)
    squares = np.zeros((channels + before + after, *moved.shape[1:]), x.dtype)
    squares[before : before + channels] = np.square(moved)
    total = np.zeros(moved.shape, x.dtype)
    for start in range(before + after + 1):
        total += squares[start : start + channels]
    total = np.moveaxis(total, 0, axis)
    return x / np.power(x.dtype.type(k) + x.dtype.type(alpha / size) * total, x.dtype.type(beta))
