"""Stores results that are what the file declares: its shape, or a string, list, state or dictionary.

A file whose declared type is not what its operation yields is damaged, and another runtime would refuse it. Imports
only NumPy, the runtime's forms and its values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.program import TensorType
from pytest_dscoreml.runtime.values import State, TensorList

# What holds a value of a type that is no tensor of numbers.
_HELD: Mapping[str, Any] = {
    "string": (str, tuple),
    "list": (TensorList, tuple),
    "dictionary": Mapping,
    "state": State,
}

Environment = list[Any]


def storing_shaped(
    compute: Callable[[Environment], Any],
    slot: int,
    dtype: np.dtype[Any],
    fit: Callable[..., Any],
    declared: TensorType,
) -> Callable[[Environment], None]:
    """Stores what ``compute`` gives in ``slot``: an array of ``dtype``, made so by ``fit``, of the declared shape."""
    # Most results have the same shape each time. Threads that run at once may check one twice.
    admitted: Optional[tuple[int, ...]] = None

    def run(environment: Environment) -> None:
        nonlocal admitted
        result = compute(environment)
        if result.__class__ is not np.ndarray or result.dtype is not dtype or not result.ndim:
            result = fit(result, dtype)
        if result.shape != admitted:
            check_result(result, declared)
            admitted = result.shape
        environment[slot] = result

    return run


def storing_anything(
    compute: Callable[[Environment], Any], slot: int, declared: Optional[TensorType]
) -> Callable[[Environment], None]:
    """Stores what ``compute`` gives in ``slot``, if it is what is declared and no tensor of numbers."""
    expected = None if declared is None else _HELD.get(declared.dtype)

    def run(environment: Environment) -> None:
        result = compute(environment)
        if expected is not None:
            check_result(result, declared)
        environment[slot] = result

    return run


def check_result(result: Any, declared: Optional[TensorType]) -> None:
    """ValueError where ``result``, brought to the declared type of numbers, is not what is declared."""
    if declared is None:
        return
    expected = _HELD.get(declared.dtype)
    if expected is not None and not isinstance(result, expected):
        raise ValueError(f"the result is no {declared.dtype}, which the file declares")
    if expected is None and isinstance(result, np.ndarray) and not declared.admits(result.shape):
        raise ValueError(f"the result has shape {result.shape}, the file declares {declared}")
