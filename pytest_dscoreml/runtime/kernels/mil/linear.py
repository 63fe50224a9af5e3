"""ML Program: matrix products and reductions."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import linear as functions
from pytest_dscoreml.runtime.registry import Array, Arrays, Ints, mil


@mil.kernel("linear", wide=True, fresh=True)
def linear(*, x: Array, weight: Array, bias: Optional[Array] = None) -> Array:
    """x weight^T + bias, ``weight`` [outputs, inputs]."""
    return functions.linear(x, weight, bias)


@mil.kernel("matmul", wide=True, fresh=True)
def matmul(*, x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Array:
    """x y, each optionally with its last two axes exchanged."""
    return functions.matmul(x, y, transpose_x=transpose_x, transpose_y=transpose_y)


@mil.kernel("matmul", since=17, wide=True, fresh=True, casts=True)
def matmul_ios17(*, x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Array:
    """As before iOS 17; a constant may be of another type than the other factor, whose type the product has."""
    return functions.matmul(x, y, transpose_x=transpose_x, transpose_y=transpose_y)


@mil.kernel("einsum", wide=True, fresh=True)
def einsum(*, values: Arrays, equation: str) -> Array:
    """The product of two arrays by Einstein's convention; axes of size 1 broadcast."""
    return functions.einsum(values, equation)


def _reduction(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(*, x: Array, axes: Optional[Ints] = None, keep_dims: bool = False) -> Array:
        return np.asarray(function(x, axes, keep_dims))

    return kernel


for _name, _function in functions.REDUCTIONS.items():
    mil.kernel(f"reduce_{_name}", wide=True, fresh=True)(functions.described(_reduction(_function), _name))


@mil.kernel("reduce_argmax", fresh=True)
def reduce_argmax(*, x: Array, axis: int = -1, keep_dims: bool = False) -> Array:
    """The index of the greatest value along ``axis``, the first of equals."""
    return np.asarray(np.expand_dims(x.argmax(axis), axis) if keep_dims else x.argmax(axis))


@mil.kernel("reduce_argmin", fresh=True)
def reduce_argmin(*, x: Array, axis: int = -1, keep_dims: bool = False) -> Array:
    """The index of the least value along ``axis``, the first of equals."""
    return np.asarray(np.expand_dims(x.argmin(axis), axis) if keep_dims else x.argmin(axis))


@mil.kernel("reduce_argmax", since=17, fresh=True)
def reduce_argmax_ios17(*, x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    """As before iOS 17, in the integer type that is asked for."""
    return reduce_argmax(x=x, axis=axis, keep_dims=keep_dims).astype(output_dtype)


@mil.kernel("reduce_argmin", since=17, fresh=True)
def reduce_argmin_ios17(*, x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    """As before iOS 17, in the integer type that is asked for."""
    return reduce_argmin(x=x, axis=axis, keep_dims=keep_dims).astype(output_dtype)
