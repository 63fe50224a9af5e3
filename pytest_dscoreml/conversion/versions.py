"""The version of a converter, for comparisons. Imports packaging only."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

#: What a version that says nothing counts as: it is a build of somebody's own, and newer than all that is known.
NEWEST = Version("999")


def version_of(text: str) -> Version:
    """The version that a text names; ``NEWEST`` where it names none."""
    try:
        return Version(text)
    except InvalidVersion:
        return NEWEST
