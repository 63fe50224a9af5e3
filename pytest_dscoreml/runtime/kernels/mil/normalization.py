"""ML Program: normalisation, and attention."""

from __future__ import annotations

from typing import Optional

from pytest_dscoreml.runtime.kernels.functions import attention
from pytest_dscoreml.runtime.kernels.functions import normalization as functions
from pytest_dscoreml.runtime.registry import Array, Ints, mil


@mil.kernel("batch_norm", wide=True, fresh=True)
def batch_norm(
    *,
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Optional[Array] = None,
    beta: Optional[Array] = None,
    epsilon: float = 1e-5,
) -> Array:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta for each channel (axis 1)."""
    return functions.batch_norm(x, mean, variance, gamma, beta, epsilon)


@mil.kernel("instance_norm", wide=True, fresh=True)
def instance_norm(
    *, x: Array, gamma: Optional[Array] = None, beta: Optional[Array] = None, epsilon: float = 1e-5
) -> Array:
    """x standardised over its spatial axes (those from 2 on), then scaled and shifted for each channel."""
    if x.ndim < 3:
        raise ValueError(f"x has rank {x.ndim}, expected 3 or more")
    standardized = functions.standardize(x, range(2, x.ndim), epsilon)
    return functions.scale_and_shift(standardized, gamma, beta, [1])


@mil.kernel("layer_norm", wide=True, fresh=True)
def layer_norm(
    *,
    x: Array,
    axes: Optional[Ints] = None,
    gamma: Optional[Array] = None,
    beta: Optional[Array] = None,
    epsilon: float = 1e-5,
) -> Array:
    """x standardised over ``axes`` (or all), then scaled and shifted element by element of them."""
    counted = functions.axes_of(axes, x.ndim)
    return functions.scale_and_shift(functions.standardize(x, counted, epsilon), gamma, beta, counted)


@mil.kernel("l2_norm", wide=True, fresh=True)
def l2_norm(*, x: Array, epsilon: float = 1e-6) -> Array:
    """x / sqrt(sum of x^2 + epsilon), the sum over the last three axes."""
    return functions.l2_norm(x, epsilon)


@mil.kernel("local_response_norm", wide=True, fresh=True)
def local_response_norm(*, x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """x / (k + alpha / size * sum of x^2 over ``size`` neighbouring channels)^beta."""
    return functions.local_response_norm(x, size, alpha, beta, k)


@mil.kernel("scaled_dot_product_attention", since=18, wide=True, fresh=True)
def scaled_dot_product_attention(*, query: Array, key: Array, value: Array, attn_mask: Optional[Array] = None) -> Array:
    """softmax(query key^T / sqrt(E) + mask) value."""
    return attention.scaled_dot_product_attention(query, key, value, attn_mask)
