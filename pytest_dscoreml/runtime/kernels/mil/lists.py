"""ML Program: lists of tensors. Imports the values that hold them."""

from __future__ import annotations

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.elementwise import numpy_name
from pytest_dscoreml.runtime.registry import Array, Values, mil
from pytest_dscoreml.runtime.values import TensorList


@mil.kernel("make_list")
def make_list(
    *, elem_shape: Values, init_length: int = 1, dynamic_length: bool = True, dtype: str = "fp32"
) -> TensorList:
    """A list of unwritten elements; a size of ``elem_shape`` that is a string is not known yet."""
    shape = tuple(None if isinstance(size, str) else int(size) for size in elem_shape)
    return TensorList.empty(init_length, numpy_name(dtype), shape, dynamic=dynamic_length)


@mil.kernel("list_length", fresh=True)
def list_length(*, ls: TensorList) -> Array:
    """The number of elements."""
    return np.array(len(ls), np.int32)


@mil.kernel("list_read", fresh=True)
def list_read(*, ls: TensorList, index: int) -> Array:
    """A copy of the element at ``index``: nobody must change a list through what was read from it."""
    return ls.read(index).copy()


@mil.kernel("list_write")
def list_write(*, ls: TensorList, index: int, value: Array) -> TensorList:
    """The list with ``value`` at ``index``."""
    return ls.written({index: value})


@mil.kernel("list_gather", fresh=True)
def list_gather(*, ls: TensorList, indices: Array) -> Array:
    """The elements at ``indices``, stacked."""
    return ls.gather([int(index) for index in indices.ravel()])


@mil.kernel("list_scatter")
def list_scatter(*, ls: TensorList, indices: Array, value: Array) -> TensorList:
    """The list with the rows of ``value`` at ``indices``."""
    if len(indices) != len(value):
        raise ValueError(f"{len(value)} values for {len(indices)} indices")
    # A row of a vector is a NumPy scalar, which kernels do not take for an array.
    return ls.written({int(index): np.asarray(row) for index, row in zip(indices, value)})
