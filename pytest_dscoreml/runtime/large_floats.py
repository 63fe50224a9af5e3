"""Reads a neural network's file without its large weights, which are read later, one by one, into arrays of their own.

Protobuf would hold the file, the message and the arrays in memory at once: several times the weights. So the file is
mapped, its wire form is walked as the descriptors say, and the values of large ``WeightParams.floatValue`` fields are
left out of what protobuf parses. In their place stands a mark: three numbers drawn for this load, which no file can
know, and the position in a list. ``nn_weights`` hands each mark back for its array. Imports only NumPy and the errors.
"""

from __future__ import annotations

import contextlib
import contextvars
import mmap
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

#: Smaller fields stay in the message.
SMALLEST_BYTES = 1 << 16
_HOLDER, _FIELD = "WeightParams", "floatValue"
_MOST_NESTED = 100
_MOST_FIELDS = 1 << 20
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


class _UnusualError(Exception):
    """The bytes are no such message, or one in a form not expected: protobuf itself shall say."""


class LargeFloats:
    """Where in a file the values of the large fields are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._nonce = (1 + (np.frombuffer(os.urandom(12), np.uint32) >> 9) / np.float32(1 << 23)).astype(np.float32)
        self._places: list[tuple[int, int]] = []
        # How many fields were passed on the way.
        self.fields = 0

    def add(self, start: int, size: int) -> bytes:
        """The mark that stands for ``size`` bytes of floats at ``start``."""
        self._places.append((start, size))
        return np.append(self._nonce, np.float32(len(self._places) - 1)).astype("<f4").tobytes()

    def find(self, values: Sequence[float]) -> Optional[NDArray[Any]]:
        """The floats that a mark stands for, None if ``values`` is no mark."""
        if len(values) != len(self._nonce) + 1 or list(values[:-1]) != self._nonce.tolist():
            return None
        start, size = self._places[int(values[-1])]
        return np.fromfile(self._path, "<f4", size // 4, offset=start)

    def __len__(self) -> int:
        return len(self._places)


_in_use: contextvars.ContextVar[Optional[LargeFloats]] = contextvars.ContextVar("large_floats", default=None)


@contextlib.contextmanager
def in_use(floats: Optional[LargeFloats]) -> Iterator[None]:
    """While this lasts, ``find`` knows the marks of ``floats``."""
    token = _in_use.set(floats)
    try:
        yield
    finally:
        _in_use.reset(token)


def find(values: Sequence[float]) -> Optional[NDArray[Any]]:
    """The floats that a mark stands for in the file that is being read, None if ``values`` is no mark."""
    floats = _in_use.get()
    return None if floats is None else floats.find(values)


def without_large_floats(path: Path, model: Any) -> Optional[tuple[bytes, LargeFloats]]:
    """The file's bytes with marks for large floats, where there are any; ``model`` is the descriptor of the message.

    None when protobuf must read the file as it is: it has no large floats, or is no message of this kind.
    """
    if path.stat().st_size < SMALLEST_BYTES:
        return None
    floats = LargeFloats(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            parts = _message(data, 0, len(data), model, floats, 0)
        except _UnusualError:
            return None
    return (b"".join(parts), floats) if len(floats) else None


def _message(data: mmap.mmap, start: int, end: int, kind: Any, floats: LargeFloats, depth: int) -> list[bytes]:
    """The bytes of a message of type ``kind`` between ``start`` and ``end``, in parts."""
    if depth > _MOST_NESTED:
        raise _UnusualError
    parts: list[bytes] = []
    at = start
    while at < end:
        begin = at
        key, at = _varint(data, at, end)
        wire = key & 7
        floats.fields += 1
        # Damage: a long file of short fields would take hours here, and protobuf seconds.
        if floats.fields > _MOST_FIELDS or key >> 3 not in kind.fields_by_number:
            raise _UnusualError
        if wire == _VARINT:
            _, at = _varint(data, at, end)
        elif wire in (_EIGHT, _FOUR):
            at += 8 if wire == _EIGHT else 4
        elif wire == _BYTES:
            size, at = _varint(data, at, end)
            inside = _inside(data, at, at + size, end, kind.fields_by_number[key >> 3], floats, depth)
            at += size
            if inside is not None:
                parts += [_encoded(key), _encoded(sum(map(len, inside))), *inside]
                continue
        else:
            raise _UnusualError
        if at > end:
            raise _UnusualError
        parts.append(data[begin:at])
    return parts


def _inside(
    data: mmap.mmap, start: int, end: int, limit: int, field: Any, floats: LargeFloats, depth: int
) -> Optional[list[bytes]]:
    """What to write in place of a field's bytes, None for the bytes themselves."""
    if end > limit:
        raise _UnusualError
    if end - start < SMALLEST_BYTES or field.message_type is None or not _holds(field.message_type):
        return None
    if field.message_type.name != _HOLDER:
        return _message(data, start, end, field.message_type, floats, depth + 1)
    key, at = _varint(data, start, end)
    number = field.message_type.fields_by_name[_FIELD].number
    if key != number << 3 | _BYTES:
        return None
    size, at = _varint(data, at, end)
    # One field and nothing behind it: else protobuf puts the values together.
    if at + size != end or size % 4:
        return None
    mark = floats.add(at, size)
    return [_encoded(key), _encoded(len(mark)), mark]


@cache
def _holds(kind: Any) -> bool:
    """Whether messages of this type may hold weights, at any depth."""
    seen: set[str] = set()
    waiting = [kind]
    while waiting:
        one = waiting.pop()
        if one.name == _HOLDER:
            return True
        if one.full_name not in seen:
            seen.add(one.full_name)
            waiting += [field.message_type for field in one.fields if field.message_type is not None]
    return False


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise _UnusualError


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
