"""Tables in Markdown, as pages and GitHub show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    rule = "|" + "---|" * len(columns)
    return [_line(columns), rule, *map(_line, lines)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
