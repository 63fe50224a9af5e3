"""Compares transcriptions and aligns them where they differ."""

from __future__ import annotations

import difflib
import functools

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.agreement.metrics import Context


def assert_transcripts_agree(*, expected: str, obtained: str, context: Context) -> None:
    """Require two transcriptions to be the same text.

    Raises:
        Disagreement: they differ; both are shown with the differing characters marked.
    """
    if expected != obtained:
        marks = _marks(expected, obtained)
        raise Disagreement(
            f"{context.head('transcription')} differs:\n"
            f"  expected {expected!r}\n"
            f"  obtained {obtained!r}\n"
            f"           {marks}"
        )


def aligned(*, expected: str, obtained: str) -> list[tuple[str, str]]:
    """The two texts in pieces that belong together, `(expected, obtained)`: equal ones, replaced ones, and one side empty."""
    codes = difflib.SequenceMatcher(None, expected, obtained, autojunk=False).get_opcodes()
    return [(expected[a:b], obtained[c:d]) for _, a, b, c, d in codes]


def _marks(expected: str, obtained: str) -> str:
    """Under the obtained text: `^` below what was put in or replaced, `v` before what is missing.

    A deletion at the end gets a mark behind the text. The leading space stands for the opening quote of repr.
    """
    marks = [" "] * (len(obtained) + 2)
    place = 1
    for wanted, given in aligned(expected=expected, obtained=obtained):
        if not given:
            marks[place] = "v"
        elif wanted != given:
            marks[place : place + len(given)] = "^" * len(given)
        place += len(given)
    return "".join(marks).rstrip()


@functools.lru_cache(maxsize=1024)
def character_errors(*, expected: str, obtained: str) -> int:
    """How many characters must be put in, taken out or replaced to make the expected text of the obtained one."""
    # Several tables show it, and the time it takes grows with the square of the texts.
    if expected == obtained:
        return 0
    row = list(range(len(obtained) + 1))
    for count, wanted in enumerate(expected, start=1):
        diagonal, row[0] = row[0], count
        for place, given in enumerate(obtained, start=1):
            diagonal, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, diagonal + (wanted != given))
    return row[-1]
