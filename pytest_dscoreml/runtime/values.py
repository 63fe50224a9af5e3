"""The values of an ML Program that are no tensors: lists of tensors, and states. Imports only NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

# As in ``kernels.functions.shapes``: a damaged file may ask for any length.
LARGEST_LENGTH = 1 << 24

Shape = tuple[Optional[int], ...]


@dataclass(frozen=True, eq=False)
class TensorList:
    """A list of tensors of one type; writing gives a new list, elements never written are ``None`` and read as zeros.

    ``shape`` is that of the elements, ``None`` where it is known only when one is written. A list that is not
    ``dynamic`` keeps its length.
    """

    dtype: str
    shape: Shape
    dynamic: bool
    items: tuple[Optional[NDArray[Any]], ...]

    @classmethod
    def empty(cls, length: int, dtype: str, shape: Shape, *, dynamic: bool) -> TensorList:
        """``length`` unwritten elements."""
        if not 0 <= length <= LARGEST_LENGTH:
            raise ValueError(f"a list of length {length}")
        return cls(dtype, shape, dynamic, (None,) * length)

    def __len__(self) -> int:
        return len(self.items)

    def read(self, index: int) -> NDArray[Any]:
        """The element at ``index``; an unwritten one is zeros of the element shape as far as it is known."""
        item = self.items[self._inside(index)]
        if item is not None:
            return item
        written = next((other.shape for other in self.items if other is not None), None)
        shape = self.shape if None not in self.shape or written is None else written
        if None in shape:
            raise ValueError(f"element {index} was never written, and its shape {shape} is not known")
        return np.zeros([size for size in shape if size is not None], self.dtype)

    def gather(self, indices: Sequence[int]) -> NDArray[Any]:
        """The elements at ``indices``, stacked."""
        items = [self.read(index) for index in indices]
        if items:
            return np.stack(items)
        return np.empty((0, *(0 if size is None else size for size in self.shape)), self.dtype)

    def written(self, elements: Mapping[int, NDArray[Any]]) -> TensorList:
        """The list with ``elements`` at their indices; a dynamic list grows as far as the last of them."""
        items = list(self.items)
        for index, value in elements.items():
            if len(value.shape) != len(self.shape) or any(
                want not in (None, have) for want, have in zip(self.shape, value.shape)
            ):
                raise ValueError(f"the element written has shape {value.shape}, the list holds {self.shape}")
            if index >= len(items) and self.dynamic and index < LARGEST_LENGTH:
                items += [None] * (index + 1 - len(items))
            if not 0 <= index < len(items):
                raise ValueError(f"index {index} of a list of length {len(items)}")
            items[index] = value
        return TensorList(self.dtype, self.shape, self.dynamic, tuple(items))

    def _inside(self, index: int) -> int:
        if not 0 <= index < len(self.items):
            raise ValueError(f"index {index} of a list of length {len(self.items)}")
        return index


class State:
    """One state: a tensor that a model reads and writes, and that outlives a prediction."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self._value: NDArray[Any] = np.zeros(shape, dtype)

    def read(self) -> NDArray[Any]:
        """A copy of the content."""
        return self._value.copy()

    def write(self, value: Any) -> None:
        """Replace the content by a copy of ``value``, which must have the state's shape."""
        array = np.asarray(value)
        if array.shape != self._value.shape or array.dtype.kind not in "fiub":
            raise ValueError(
                f"a state of shape {self._value.shape} cannot take {array.dtype.name} values of shape {array.shape}"
            )
        with np.errstate(over="ignore"):
            self._value = np.array(array, self._value.dtype)


Label = Union[int, str]
Labels = tuple[Label, ...]
