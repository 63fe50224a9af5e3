"""Matrix products and reductions. Imports only NumPy and its neighbour for few rows."""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.few_rows import few_rows, times_many
from pytest_dscoreml.runtime.registry import Array, Arrays


def linear(x: Array, weight: Array, bias: Optional[Array]) -> Array:
    """x weight^T + bias, over the last axis of x."""
    product = times_transposed(x, weight) if x.ndim == 2 else np.matmul(x, weight.T)
    return product if bias is None else product + bias


def times_transposed(x: Array, weight: Array) -> Array:
    """x [rows, inputs] times weight [outputs, inputs], transposed."""
    if few_rows(x, weight):
        return times_many(x, weight)
    return np.matmul(x, weight.T)


def matmul(x: Array, y: Array, *, transpose_x: bool, transpose_y: bool) -> Array:
    """The product of the last two axes, the others broadcast; vectors are promoted as NumPy does."""
    if transpose_x and x.ndim > 1:
        x = np.swapaxes(x, -1, -2)
    if transpose_y and y.ndim > 1:
        y = np.swapaxes(y, -1, -2)
    return np.asarray(np.matmul(x, y))


def einsum(values: Arrays, equation: str) -> Array:
    """The product of two arrays by Einstein's convention; an axis of size 1 broadcasts against one of another size."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    names = terms.split(",")
    if not arrow or len(names) != len(values) or any(len(name) != x.ndim for name, x in zip(names, values)):
        raise ValueError(f"equation {equation!r} for shapes {[x.shape for x in values]}")
    # NumPy refuses an axis of size 1 that another array has longer only when it is summed; Core ML broadcasts all.
    sizes: dict[str, int] = {}
    for name, x in zip(names, values):
        for axis, size in zip(name, x.shape):
            sizes[axis] = size if sizes.get(axis, 1) == 1 else sizes[axis]
    whole = [np.broadcast_to(x, [sizes[axis] for axis in name]) for name, x in zip(names, values)]
    return np.asarray(np.einsum(f"{terms}->{result}", *whole, optimize=True))


def log_sum_exp(x: Array, axis: Any, *, keepdims: bool) -> Array:
    """log of the sum of e^x, shifted by the maximum so that it cannot overflow; of no values, minus infinity."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    peak = x.max(axis=axis, keepdims=True, initial=lowest)
    peak = np.where(np.isfinite(peak), peak, x.dtype.type(0))
    total = np.log(np.exp(x - peak).sum(axis=axis, keepdims=True)) + peak
    return np.asarray(total if keepdims else np.squeeze(total, axis))


def mean(x: Array, axis: Any, *, keepdims: bool) -> Array:
    """The mean; of no values, not a number (NumPy's own warns of that); of integers, in double."""
    total = np.asarray(np.sum(x, axis, keepdims=keepdims, dtype=x.dtype if x.dtype.kind == "f" else np.float64))
    return np.asarray(total / total.dtype.type(x.size // total.size if total.size else 1))


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda x, axis, keepdims: np.sum(x, axis, keepdims=keepdims, dtype=x.dtype),
    "mean": lambda x, axis, keepdims: mean(x, axis, keepdims=keepdims),
    "max": lambda x, axis, keepdims: np.max(x, axis, keepdims=keepdims),
    "min": lambda x, axis, keepdims: np.min(x, axis, keepdims=keepdims),
    "prod": lambda x, axis, keepdims: np.prod(x, axis, keepdims=keepdims, dtype=x.dtype),
    "l1_norm": lambda x, axis, keepdims: np.sum(np.abs(x), axis, keepdims=keepdims, dtype=x.dtype),
    "l2_norm": lambda x, axis, keepdims: np.sqrt(np.sum(np.square(x), axis, keepdims=keepdims)),
    "sum_square": lambda x, axis, keepdims: np.sum(np.square(x), axis, keepdims=keepdims, dtype=x.dtype),
    "log_sum": lambda x, axis, keepdims: np.log(np.sum(x, axis, keepdims=keepdims)),
    "log_sum_exp": lambda x, axis, keepdims: log_sum_exp(x, axis, keepdims=keepdims),
}

_IN_WORDS = {
    "sum": "The sum",
    "mean": "The mean",
    "max": "The greatest value",
    "min": "The least value",
    "prod": "The product",
    "l1_norm": "The sum of magnitudes",
    "l2_norm": "The square root of the sum of squares",
    "sum_square": "The sum of squares",
    "log_sum": "The logarithm of the sum",
    "log_sum_exp": "The logarithm of the sum of e^x",
}


def described(kernel: Callable[..., Array], reduction: str) -> Callable[..., Array]:
    """``kernel``, which applies the reduction of that name, with a docstring that says so."""
    kernel.__doc__ = f"{_IN_WORDS[reduction]} over ``axes``, or over all of x."
    return kernel
