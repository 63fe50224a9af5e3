"""What carries a stateful model's states from one prediction to the next, as coremltools' ``MLState`` does.

Imports only NumPy, the errors and the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from pytest_dscoreml.errors import InputError
from pytest_dscoreml.runtime.values import State


class ModelState:
    """The states of one sequence of predictions; ``ReferenceModel.make_state()`` makes it, all zeros at first.

    Each prediction reads and writes it, so that two threads must not share one.
    """

    def __init__(self, states: Mapping[str, State], label: str) -> None:
        self._states = dict(states)
        self._label = label

    def __repr__(self) -> str:
        return f"ModelState({', '.join(self._states)})"

    @property
    def names(self) -> tuple[str, ...]:
        """The states' names."""
        return tuple(self._states)

    def read_state(self, name: str) -> NDArray[Any]:
        """A copy of the state ``name``; InputError when there is none."""
        return self._find(name).read()

    def write_state(self, name: str, value: Any) -> None:
        """Replace the state ``name``; InputError when there is none, or when ``value`` does not have its shape."""
        try:
            self._find(name).write(value)
        except ValueError as error:
            raise InputError(f"{self._label}: state {name!r}: {error}") from None

    def _find(self, name: str) -> State:
        if name not in self._states:
            raise InputError(f"{self._label}: there is no state {name!r} (the model has {', '.join(self._states)})")
        return self._states[name]

    def of(self, names: tuple[str, ...]) -> dict[str, State]:
        """The states themselves, for a model that has exactly those of ``names``; InputError for another model's."""
        if set(names) != set(self._states):
            raise InputError(
                f"{self._label}: the state given is another model's (it has {', '.join(self._states) or 'none'}; "
                f"the model has {', '.join(names) or 'none'})"
            )
        return self._states
