"""Element-wise functions that NumPy does not have under one name. Imports only NumPy."""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np

from pytest_dscoreml.runtime.registry import Array

_ERF = np.frompyfunc(math.erf, 1, 1)
_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_NUMBERS = _INTEGERS | {"bool", "float16", "float32", "float64"}


def described(kernel: Callable[..., Array], function: Callable[..., Any]) -> Callable[..., Array]:
    """``kernel``, which applies ``function`` element by element, with a docstring that says so."""
    kernel.__doc__ = f"NumPy's ``{function.__name__}``." if isinstance(function, np.ufunc) else function.__doc__
    return kernel


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), without overflow: (1 + tanh(x / 2)) / 2."""
    return np.tanh(x * x.dtype.type(0.5)) * x.dtype.type(0.5) + x.dtype.type(0.5)


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, x.dtype.type(0))


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6)."""
    return clip(x, 0, 6)


def silu(x: Array) -> Array:
    """x / (1 + e^-x)."""
    return x * sigmoid(x)


def softplus(x: Array) -> Array:
    """log(1 + e^x), without overflow."""
    return np.logaddexp(x, x.dtype.type(0))


def parametric_softplus(x: Array, alpha: Array, beta: Array) -> Array:
    """alpha log(1 + e^(beta x)), in double: beta x may overflow where the result does not."""
    return (alpha * softplus(beta.astype(np.float64) * x)).astype(x.dtype)


def softsign(x: Array) -> Array:
    """x / (1 + |x|)."""
    return x / (1 + np.abs(x))


def leaky_relu(x: Array, alpha: Array) -> Array:
    """x where x >= 0, alpha x elsewhere."""
    return np.where(x >= 0, x, alpha * x)


def elu(x: Array, alpha: float) -> Array:
    """x where x > 0, alpha (e^x - 1) elsewhere."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def erf(x: Array) -> Array:
    """The Gauss error function, in double."""
    return np.asarray(_ERF(x), dtype=np.float64)


def gelu(x: Array, mode: str) -> Array:
    """The Gaussian error linear unit: ``EXACT``, ``TANH_APPROXIMATION`` or ``SIGMOID_APPROXIMATION``."""
    if mode == "EXACT":
        return 0.5 * x * (1 + erf(x / math.sqrt(2)))
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if mode == "SIGMOID_APPROXIMATION":
        return x * sigmoid(1.702 * x)
    raise ValueError(f"mode {mode!r} is none of EXACT, TANH_APPROXIMATION, SIGMOID_APPROXIMATION")


def divide(x: Array, y: Array) -> Array:
    """x / y; between integers the quotient is truncated towards zero, so that the type stays."""
    quotient = np.true_divide(x, y)
    if np.result_type(x, y).kind in "iu":
        return np.trunc(quotient).astype(np.result_type(x, y))
    return quotient


def clip(x: Array, low: float, high: float) -> Array:
    """min(max(x, low), high), NaN kept."""
    return np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))


def per_channel(values: Array, x: Array, axis: int) -> Array:
    """A vector of per-channel values, shaped to broadcast along ``axis`` of ``x``."""
    shape = [1] * x.ndim
    shape[axis] = values.size
    return values.reshape(shape)


def softmax(x: Array, axis: int) -> Array:
    """e^x normalised to sum 1 along ``axis``, shifted by the maximum so that it cannot overflow."""
    if not x.size:
        return np.array(x)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def cumsum(x: Array, axis: int, *, exclusive: bool, reverse: bool) -> Array:
    """The running sum along ``axis``, optionally without the element itself, optionally from the end."""
    if reverse:
        x = np.flip(x, axis)
    total = np.cumsum(x, axis, dtype=x.dtype)
    if exclusive:
        # Taking x off again would leave the rounding error of a sum that x dominates.
        before = np.zeros_like(total)
        np.moveaxis(before, axis, 0)[1:] = np.moveaxis(total, axis, 0)[:-1]
        total = before
    return np.flip(total, axis) if reverse else total


def numpy_name(dtype: str) -> str:
    """The NumPy name of an ML Program's type name (``fp16``)."""
    name = {"fp16": "float16", "fp32": "float32", "fp64": "float64"}.get(dtype, dtype)
    if name not in _NUMBERS:
        raise ValueError(f"{dtype!r} is not the name of a type of numbers")
    return name


def cast(x: Array, dtype: str) -> Array:
    """x as ``dtype`` (``fp16``, ``fp32``, ``fp64``, or a NumPy name); floats become integers by truncation."""
    return x.astype(numpy_name(dtype))
