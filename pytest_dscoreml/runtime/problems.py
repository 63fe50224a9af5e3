"""Names an operation in messages, and collects all that is wrong with a model. Imports only the errors."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_dscoreml.errors import LoadError

_SHOWN = 40
_LONGEST = 2000
_LONGEST_LIST = 8000


def shortened(message: str) -> str:
    """``message`` with its middle left out where it is very long: a damaged file may use any name and any shape."""
    half = _LONGEST // 2
    return message if len(message) <= _LONGEST else f"{message[:half]} ... {message[-half:]}"


@dataclass(frozen=True)
class Place:
    """An operation as messages name it: ``operation 'x': linear <says> [main, CoreML5]``."""

    kind: str
    op: str
    name: str
    location: str
    opset: str

    def says(self, text: str) -> str:
        """``text`` with the operation in front and where it stands behind."""
        return f"{self.kind} {self.name!r}: {self.op} {text} [{self.location}, {self.opset}]"


class Problems:
    """What is wrong with one model; ``raise_if_any`` turns it into a single ``LoadError``."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.messages: list[str] = []
        self._known: set[str] = set()

    def add(self, message: str) -> None:
        """Note a problem; the same words are noted once."""
        message = shortened(message)
        if message not in self._known:
            self._known.add(message)
            self.messages.append(message)

    def raise_if_any(self) -> None:
        """Raise a ``LoadError`` that lists all problems, if there are any."""
        if not self.messages:
            return
        if len(self.messages) == 1:
            raise LoadError(f"{self.source}: {self.messages[0]}")
        lines = [f"{self.source}: {len(self.messages)} problems:"]
        left = _LONGEST_LIST
        for message in self.messages[:_SHOWN]:
            left -= len(message)
            if left < 0:
                break
            lines.append(f"  - {message}")
        more = len(self.messages) - len(lines) + 1
        if more:
            lines.append(f"  - and {more} more")
        raise LoadError("\n".join(lines))
