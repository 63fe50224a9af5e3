"""ML Program: weights that are stored compressed, and quantised values."""

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import compression as functions
from pytest_dscoreml.runtime.kernels.functions import elementwise
from pytest_dscoreml.runtime.registry import Array, Ints, mil


@mil.kernel("constexpr_affine_dequantize", since=16, fresh=True)
def constexpr_affine_dequantize(*, quantized_data: Array, zero_point: Array, scale: Array, axis: int) -> Array:
    """scale (quantized_data - zero_point), scalars or vectors along ``axis``."""
    return functions.dequantize(quantized_data, scale, zero_point, axis)


@mil.kernel("constexpr_cast", since=16, fresh=True)
def constexpr_cast(*, source_val: Array, output_dtype: str) -> Array:
    """The value in another float type."""
    return elementwise.cast(source_val, output_dtype)


@mil.kernel("constexpr_lut_to_dense", since=16, fresh=True)
def constexpr_lut_to_dense(*, indices: Array, lut: Array, shape: Ints) -> Array:
    """Entries of ``lut`` at indices that are packed bit by bit."""
    return functions.packed_lut_to_dense(indices, lut, shape)


@mil.kernel("constexpr_lut_to_dense", since=18, fresh=True)
def constexpr_lut_to_dense_ios18(*, indices: Array, lut: Array, vector_axis: Optional[int] = None) -> Array:
    """Entries, or vectors, of one table per block."""
    return np.array(functions.lut_to_dense(indices, lut, vector_axis))


@mil.kernel("constexpr_sparse_to_dense", since=16, fresh=True)
def constexpr_sparse_to_dense(*, nonzero_data: Array, mask: Array, shape: Ints) -> Array:
    """Zeros but for ``nonzero_data`` where the packed mask is set."""
    return functions.packed_sparse_to_dense(nonzero_data, mask, shape)


@mil.kernel("constexpr_sparse_to_dense", since=18, fresh=True)
def constexpr_sparse_to_dense_ios18(*, nonzero_data: Array, mask: Array) -> Array:
    """Zeros but for ``nonzero_data`` where the mask is set."""
    return functions.sparse_to_dense(nonzero_data, mask)


@mil.kernel("constexpr_blockwise_shift_scale", since=18, fresh=True)
def constexpr_blockwise_shift_scale(*, data: Array, scale: Array, offset: Optional[Array] = None) -> Array:
    """scale (data - offset), block by block."""
    return functions.blockwise_shift_scale(data, scale, offset)


@mil.kernel("constexpr_lut_to_sparse", since=18)
def constexpr_lut_to_sparse(
    *, indices_mask: Array, indices_nonzero_data: Array, lut: Array, vector_axis: Optional[int] = None
) -> list[Array]:
    """As ``constexpr_lut_to_dense`` on sparse indices: the mask, repeated for vectors, and the values where it is set."""
    dense = functions.lut_to_dense(functions.sparse_to_dense(indices_nonzero_data, indices_mask), lut, vector_axis)
    mask = indices_mask
    if lut.shape[-1] > 1 and vector_axis is not None:
        mask = np.repeat(mask, lut.shape[-1], vector_axis)
    return [mask, dense[mask != 0]]


@mil.kernel("constexpr_sparse_blockwise_shift_scale", since=18)
def constexpr_sparse_blockwise_shift_scale(
    *, data_mask: Array, nonzero_data: Array, scale: Array, offset: Optional[Array] = None
) -> list[Array]:
    """As ``constexpr_blockwise_shift_scale`` on sparse data: the mask, and the values where it is set."""
    dense = functions.blockwise_shift_scale(functions.sparse_to_dense(nonzero_data, data_mask), scale, offset)
    return [data_mask, dense[data_mask != 0]]


@mil.kernel("quantize", since=17, wide=True, fresh=True)
def quantize(
    *, input: Array, scale: Array, output_dtype: str, zero_point: Optional[Array] = None, axis: Optional[int] = None
) -> Array:
    """clip(round(input / scale) + zero_point), as uint8 or int8."""
    if output_dtype not in ("int8", "uint8"):
        raise ValueError(f"output_dtype {output_dtype!r} is neither int8 nor uint8")
    return functions.quantize(input, scale, zero_point, axis, output_dtype)


@mil.kernel("dequantize", since=17, fresh=True)
def dequantize(*, input: Array, scale: Array, zero_point: Optional[Array] = None, axis: Optional[int] = None) -> Array:
    """scale (input - zero_point)."""
    return functions.dequantize(input, scale, zero_point, axis)
