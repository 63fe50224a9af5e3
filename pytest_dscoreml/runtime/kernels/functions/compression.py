"""Compressed weights and quantised values: affine, block-wise, lookup table, sparse. Imports only NumPy."""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.shapes import check_size
from pytest_dscoreml.runtime.registry import Array, Ints


def along(parameter: Array, rank: int, axis: Optional[int]) -> Array:
    """A scalar or vector ``parameter`` shaped to broadcast along ``axis`` of an array of ``rank``."""
    if parameter.ndim == 0 or parameter.size == 1:
        return parameter.reshape((1,) * rank)
    if parameter.ndim != 1 or axis is None or not -rank <= axis < rank:
        raise ValueError(f"a parameter of shape {parameter.shape} along axis {axis} of an array of rank {rank}")
    shape = [1] * rank
    shape[axis] = parameter.size
    return parameter.reshape(shape)


def dequantize(data: Array, scale: Array, zero_point: Optional[Array], axis: Optional[int]) -> Array:
    """scale (data - zero_point), computed in float32 at least, in the type of ``scale``."""
    wide = np.result_type(scale.dtype, np.float32)
    values = data.astype(wide)
    if zero_point is not None:
        values = values - along(zero_point, data.ndim, axis).astype(wide)
    result = values * along(scale, data.ndim, axis).astype(wide)
    return result.astype(scale.dtype).reshape(data.shape)


def quantize(x: Array, scale: Array, zero_point: Optional[Array], axis: Optional[int], dtype: str) -> Array:
    """clip(round(x / scale) + zero_point) in ``dtype``; halves round to even."""
    limits = np.iinfo(dtype)
    values = np.rint(x / along(scale, x.ndim, axis))
    if zero_point is not None:
        values = values + along(zero_point, x.ndim, axis).astype(np.float32)
    return np.clip(values, limits.min, limits.max).astype(dtype).reshape(x.shape)


def unpacked(packed: Array, bits: int, count: int) -> Array:
    """``count`` unsigned integers of ``bits`` bits each from a vector of bytes, the lowest bit first."""
    if packed.size != -(-count * bits // 8):
        raise ValueError(f"{packed.size} bytes hold no {count} integers of {bits} bits")
    spread = np.unpackbits(packed.view(np.uint8), bitorder="little", count=count * bits)
    return np.packbits(spread.reshape(count, bits), axis=1, bitorder="little").reshape(count)


def packed_lut_to_dense(indices: Array, lut: Array, shape: Ints) -> Array:
    """The entries of ``lut`` (2, 4, 16, 64 or 256 of them) at packed ``indices``."""
    check_size(shape, lut.itemsize)
    bits = int(lut.size).bit_length() - 1
    if lut.size != 1 << bits or not 1 <= bits <= 8:
        raise ValueError(f"a table of {lut.size} entries")
    return lut.reshape(-1)[unpacked(indices, bits, int(np.prod(shape)))].reshape(shape)


def packed_sparse_to_dense(nonzero: Array, mask: Array, shape: Ints) -> Array:
    """Zeros but for ``nonzero`` where the packed bits of ``mask`` are set."""
    check_size(shape, nonzero.itemsize)
    return sparse_to_dense(nonzero, unpacked(mask, 1, int(np.prod(shape))).reshape(shape))


def sparse_to_dense(nonzero: Array, mask: Array) -> Array:
    """Zeros but for ``nonzero`` where ``mask`` is not zero."""
    kept = mask != 0
    if nonzero.shape != (int(np.count_nonzero(kept)),):
        raise ValueError(f"{nonzero.shape} values for a mask with {int(np.count_nonzero(kept))} set")
    dense = np.zeros(mask.shape, nonzero.dtype)
    dense[kept] = nonzero
    return dense


def blockwise_shift_scale(data: Array, scale: Array, offset: Optional[Array]) -> Array:
    """scale (data - offset), one scale and offset for each block of ``data``, in the type of ``scale``."""
    wide = np.result_type(scale.dtype, np.float32)
    values = data.astype(wide)
    if offset is not None:
        values = values - _over_blocks(offset, data.shape).astype(wide)
    return (values * _over_blocks(scale, data.shape).astype(wide)).astype(scale.dtype)


def lut_to_dense(indices: Array, lut: Array, vector_axis: Optional[int]) -> Array:
    """Entries of block-wise tables ``lut`` [*blocks, entries, vector]; a vector's elements go along ``vector_axis``."""
    if lut.ndim != indices.ndim + 2:
        raise ValueError(f"tables of shape {lut.shape} for indices of shape {indices.shape}")
    entries, size = lut.shape[-2:]
    if indices.size and int(indices.max()) >= entries:
        raise ValueError(f"index {int(indices.max())} into tables of {entries} entries")
    at: list[Any] = []
    for axis, (whole, blocks) in enumerate(zip(indices.shape, lut.shape)):
        _check_blocks(whole, blocks)
        block = np.arange(whole) // (whole // blocks) if whole else np.arange(0)
        at.append(block.reshape((-1,) + (1,) * (indices.ndim - 1 - axis)))
    vectors = lut[(*at, indices)]
    if size == 1:
        return vectors[..., 0]
    if vector_axis is None:
        raise ValueError(f"tables of vectors of {size} without vector_axis")
    axis = vector_axis % indices.ndim
    shape = list(indices.shape)
    shape[axis] *= size
    return np.moveaxis(vectors, -1, axis + 1).reshape(shape)


def _over_blocks(parameter: Array, shape: Ints) -> Array:
    if parameter.ndim != len(shape):
        raise ValueError(f"parameters of shape {parameter.shape} for data of shape {shape}")
    for axis, (whole, blocks) in enumerate(zip(shape, parameter.shape)):
        _check_blocks(whole, blocks)
        if blocks not in (1, whole):
            parameter = np.repeat(parameter, whole // blocks, axis)
    return parameter


def _check_blocks(whole: int, blocks: int) -> None:
    if blocks < 1 or whole % blocks:
        raise ValueError(f"{whole} elements cannot be cut into {blocks} blocks")
