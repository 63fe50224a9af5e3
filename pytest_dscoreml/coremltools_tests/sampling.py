"""Which tests a sample holds, and the seed of a test: both from a hash of its name. Imports nothing of ours."""

from __future__ import annotations

import re
import zlib

_ADDRESS = re.compile(r"0x[0-9a-f]+")


def in_sample(name: str, one_in: int) -> bool:
    """Whether the test ``name`` is in the sample of one in ``one_in``.

    A hash, not every N-th of the list: parametrised tests repeat with periods that a stride would resonate with.
    """
    return zlib.crc32(_stable(name)) % one_in == 0


def seed_of(name: str) -> int:
    """A seed below 2**32, so that a test draws the same numbers alone, in a sample and in the whole suite."""
    return zlib.crc32(b"seed " + _stable(name))


def _stable(name: str) -> bytes:
    """The name without the memory addresses that some parameters' representations hold."""
    return _ADDRESS.sub("", name).encode()
