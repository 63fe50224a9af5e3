"""Gives stored values the shape that the file declares for them. Imports only NumPy and the errors."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from pytest_dscoreml.errors import LoadError


def shaped(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """``values``, as many as ``shape`` takes, in that shape; LoadError when no array can have it.

    A file may declare more axes than NumPy has, or no values with axes of any size.
    """
    try:
        return values.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise LoadError(f"holds {values.size} values, which cannot have the shape {shape} ({error})") from None
