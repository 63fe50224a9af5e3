"""What a broken promise raises."""

from __future__ import annotations


class Disagreement(AssertionError):  # noqa: N818  a disagreement is what it is, not an error of this program
    """A promise of the gate that a conversion breaks; the text says which, where, by how much and what was allowed."""
