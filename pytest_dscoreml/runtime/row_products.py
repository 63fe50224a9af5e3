"""Products of a sequence's rows with constant weights, computed for many rows at once when the first of them is asked for.

This is what ``hoist_products`` puts into a loop. Imports only the functions of linear algebra.
"""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.linear import times_transposed
from pytest_dscoreml.runtime.registry import Array

#: What ``Kernel.op`` says of the call that computes a product from a row; no operation of a file is called so.
TAKE = "hoisted_linear"
#: The rows of one block: enough that a product of matrices is bound by arithmetic and not by reading the weights.
BLOCK_ROWS = 256
#: A block is smaller where its rows are long, so that a long sequence does not need more memory than a short one.
LARGEST_BLOCK_BYTES = 16 << 20


class SplitWeight:
    """Weights [outputs, inputs] of ``linear(concat(parts))``, cut into the columns of one part and those of the others.

    The cut depends on the parts' widths, which are known when the program runs; it is made once for each.
    """

    def __init__(self, weight: Array, bias: Optional[Array], position: int, parts: int) -> None:
        self.bias = bias
        self._weight = weight
        self._position = position
        self._parts = parts
        self._cut: dict[tuple[int, ...], tuple[Array, Optional[Array]]] = {}

    @property
    def dtype(self) -> str:
        """The type that products are computed in."""
        return str(self._weight.dtype.name)

    @property
    def outputs(self) -> int:
        """The length of a product."""
        return int(self._weight.shape[0])

    def cut(self, width: int, others: Sequence[int]) -> Optional[tuple[Array, Optional[Array]]]:
        """The part's weights [outputs, width], a view, and the others' [inputs, outputs], or None if widths do not fit."""
        widths = (*others[: self._position], width, *others[self._position :])
        if len(widths) != self._parts or sum(widths) != self._weight.shape[1]:
            return None
        if widths not in self._cut:
            start = sum(widths[: self._position])
            end = start + width
            rest = [part for part in (self._weight[:, :start], self._weight[:, end:]) if part.shape[1]]
            # One row times a matrix goes at the memory's speed when the matrix is laid out in rows of outputs.
            turned = np.ascontiguousarray(np.concatenate([part.T for part in rest])) if rest else None
            self._cut = {widths: (self._weight[:, start:end], turned)}
        return self._cut[widths]


class RowProducts:
    """The rows x[t] W^T + b of one run."""

    def __init__(self, x: Array, split: SplitWeight) -> None:
        self.x = x
        self.split = split
        self._weight: Optional[Array] = None
        self._start = 0
        self._rows: Array = np.empty((0, 0))

    def prepare(self, others: Sequence[int]) -> Optional[Array]:
        """Choose the weights for parts of the widths ``others`` beside x's; the others' weights, None if unfit."""
        found = self.split.cut(self.x.shape[-1], others) if self.x.ndim > 1 else None
        if found is None:
            return None
        self._weight = found[0]
        return np.empty((0, self.split.outputs)) if found[1] is None else found[1]

    def block(self, index: int) -> tuple[int, Array]:
        """(first row, rows [n, ..., outputs]) of a block that ``index`` is in, once ``prepare`` has succeeded."""
        if self._weight is None:
            raise ValueError("the weights have not been chosen")
        if not self._start <= index < self._start + len(self._rows):
            shape = (*self.x.shape[1:-1], self.split.outputs)
            row_bytes = int(np.prod(shape)) * 4
            count = max(1, min(BLOCK_ROWS, LARGEST_BLOCK_BYTES // max(row_bytes, 1)))
            x = self.x[index : index + count]
            if x.dtype == np.float16:
                x = x.astype(np.float32)
            product = times_transposed(x.reshape(-1, x.shape[-1]), self._weight)
            if self.split.bias is not None:
                product += self.split.bias
            self._start, self._rows = index, product.reshape((len(x), *shape))
        return self._start, self._rows


def row_products(*, x: Array, split: SplitWeight) -> RowProducts:
    """The products that a loop will take row by row; nothing is computed yet."""
    return RowProducts(x, split)


def hoisted_linear(original: Callable[[Mapping[int, Any]], Array], slots: Sequence[int]) -> Callable[..., Array]:
    """linear(concat(x[t], others)) by means of ``RowProducts``.

    ``original`` computes it from the values in ``slots`` (x, t, others) as the file has it: for whatever is unusual.
    """

    def kernel(*, rows: RowProducts, indices: Array, others: Sequence[Array] = ()) -> Array:
        t = whole_index(indices, len(rows.x)) if rows.x.ndim else None
        if t is not None and indices.ndim == 1 and usual(rows.x, others):
            turned = rows.prepare([other.shape[-1] for other in others])
            if turned is not None:
                start, block = rows.block(t)
                row = block[t - start : t - start + 1]
                if not others:
                    return row.copy()
                other = others[0] if len(others) == 1 else np.concatenate(others, -1)
                if other.dtype == np.float16:
                    other = other.astype(np.float32)
                return np.dot(other.reshape(-1), turned).reshape(row.shape) + row
        return original(dict(zip(slots, (rows.x, indices, *others))))

    return kernel


def usual(x: Array, others: Sequence[Array]) -> bool:
    """Whether ``usual_row`` holds for a row of x and each of the others."""
    row = x.shape[1:]
    return usual_row(row, x.dtype.name, (*(1 for _ in row), 0), x.dtype.name) and all(
        usual_row(row, x.dtype.name, other.shape, other.dtype.name) for other in others
    )


def usual_row(row: tuple[int, ...], dtype: str, other: tuple[int, ...], other_dtype: str) -> bool:
    """Whether a row is one vector of floats, in an array of rank 2 or 3 with its index, and so is what stands beside it.

    A neural network's layer folds axes from rank 4 on, and a row of several vectors is no product with a vector.
    """
    return (
        1 <= len(row) <= 2
        and dtype in ("float16", "float32", "float64")
        and other_dtype == dtype
        and all(size == 1 for size in row[:-1])
        and other[:-1] == (1,) * len(row)
    )


def whole_index(indices: Array, size: int) -> Optional[int]:
    """A single index that lies within ``size`` and does not count from the end; None for all else."""
    if indices.size != 1:
        return None
    number = int(indices.reshape(()))
    return number if 0 <= number < size else None
