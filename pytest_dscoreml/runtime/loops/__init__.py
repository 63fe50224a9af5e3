"""Loops as generated straight-line code: ``straight`` runs them, ``generator`` writes the code."""
