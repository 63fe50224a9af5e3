"""Reads parsed JSON by name and type, and says where something else stands. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class MalformedError(Exception):
    """A bundle has another form than it should have; the text says where, what was expected and what stands there."""


@dataclass(frozen=True)
class Values:
    """An object of parsed JSON.

    Attributes:
        data: the object.
        where: how messages call it.
    """

    data: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, data: object, where: str) -> Values:
        """Raises MalformedError where it is no object."""
        if not isinstance(data, dict):
            raise MalformedError(f"{where}: expected an object, not {shown(data)}")
        return cls(data, where)

    def _get(self, name: str, kind: type | tuple[type, ...], what: str) -> Any:
        value = self.data.get(name)
        # To Python, true is a number.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            stands = shown(value) if name in self.data else "nothing"
            raise MalformedError(f"{self.where}: {name} must be {what}, not {stands}")
        return value

    def text(self, name: str) -> str:
        """A text."""
        value: str = self._get(name, str, "a text")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, or None."""
        return None if name in self.data and self.data[name] is None else self.text(name)

    def whole(self, name: str, minimum: int = 0) -> int:
        """A whole number of at least that much."""
        value: int = self._get(name, int, "a whole number")
        if value < minimum:
            raise MalformedError(f"{self.where}: {name} must be {minimum} or more, not {value}")
        return value

    def number(self, name: str) -> float:
        """A number, 0 or more."""
        value = float(self._get(name, (int, float), "a number"))
        if not value >= 0:
            raise MalformedError(f"{self.where}: {name} must be 0 or more, not {value}")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value: bool = self._get(name, bool, "true or false")
        return value

    def items(self, name: str) -> list[Any]:
        """A list."""
        value: list[Any] = self._get(name, list, "a list")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self.items(name)
        if not all(isinstance(item, str) for item in value):
            raise MalformedError(f"{self.where}: {name} must be a list of texts, not {shown(value)}")
        return value

    def wholes(self, name: str) -> list[int]:
        """A list of whole numbers."""
        value = self.items(name)
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            raise MalformedError(f"{self.where}: {name} must be a list of whole numbers, not {shown(value)}")
        return value

    def part(self, name: str) -> Values:
        """An object."""
        return Values(self._get(name, dict, "an object"), f"{self.where}: {name}")

    def parts(self, name: str) -> dict[str, Values]:
        """An object of objects."""
        part = self.part(name)
        return {key: part.part(key) for key in part.data}

    def words(self, name: str) -> dict[str, str]:
        """An object of texts."""
        part = self.part(name)
        return {key: part.text(key) for key in part.data}


def shown(value: object) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
