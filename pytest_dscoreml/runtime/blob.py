"""Reads weights from an ML Program's weight file (Core ML's blob storage, version 2) as views of the mapped file.

The layout is that of coremltools' MILBlob: a header of 64 bytes (u32 count, u32 version), and for each weight, at a
multiple of 64, metadata of 64 bytes (u32 sentinel 0xDEADBEEF, u32 data type, u64 bytes, u64 offset of the data, u64
padding in bits), all little-endian. Integers of less than a byte follow each other bit by bit, the lowest bit first.
Imports only NumPy, the errors, the names of types and how values get their shape.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime.program import SUB_BYTE
from pytest_dscoreml.runtime.shaped import shaped

_SENTINEL = 0xDEADBEEF
_ALIGNMENT = 64
_VERSION = 2
_TYPES = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}


class WeightFile:
    """One mapped weight file."""

    def __init__(self, path: Path) -> None:
        """Map ``path``; LoadError when it is missing or its header is not a weight file's."""
        self.path = path
        try:
            self._bytes: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        except FileNotFoundError:
            raise LoadError(f"weight file {path} does not exist") from None
        except (OSError, ValueError) as error:
            raise LoadError(f"weight file {path} cannot be read: {error}") from None
        if self._bytes.size < _ALIGNMENT:
            raise LoadError(f"weight file {path} is truncated: {self._bytes.size} bytes, a header takes {_ALIGNMENT}")
        _, version = struct.unpack("<II", self._bytes[:8].tobytes())
        if version != _VERSION:
            raise LoadError(f"weight file {path} has format version {version}, expected {_VERSION}")

    def read(self, offset: int, *, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """The weight whose metadata is at ``offset``; LoadError unless dtype and size match.

        A read-only view of the file, unless its elements are packed in less than a byte.
        """
        total = self._bytes.size
        place = f"weight file {self.path.name}, offset {offset}"
        if offset % _ALIGNMENT or offset + _ALIGNMENT > total:
            raise LoadError(f"{place}: not a multiple of {_ALIGNMENT} inside the file's {total} bytes")
        sentinel, kind, size, start, padding = struct.unpack("<IIQQQ", self._bytes[offset : offset + 32].tobytes())
        if sentinel != _SENTINEL:
            raise LoadError(f"{place}: metadata begins with 0x{sentinel:08X}, expected 0x{_SENTINEL:08X}")
        stored: Optional[str] = _TYPES.get(kind)
        if stored is None:
            raise LoadError(f"{place}: data type number {kind} is not supported")
        if stored != dtype:
            raise LoadError(f"{place}: holds {stored}, the program declares {dtype}")
        count = int(np.prod(shape, dtype=object))
        needed = packed_bytes(count, dtype) if dtype in SUB_BYTE else count * np.dtype(dtype).itemsize
        if size != needed:
            raise LoadError(f"{place}: holds {size} bytes, {dtype}{shape} takes {needed}")
        if dtype in SUB_BYTE:
            # Before coremltools 8 the number was left as memory had it; types of less than a byte are newer than that.
            left = 8 * needed - count * _bits(dtype)
            if padding != left:
                raise LoadError(f"{place}: declares {padding} bits of padding, {dtype}{shape} leaves {left}")
        if start + size > total:
            raise LoadError(f"{place}: data at {start} to {start + size} lies outside the file's {total} bytes")
        if dtype in SUB_BYTE:
            return unpack(self._bytes[start : start + size].view(np.ndarray), dtype, shape)
        little = np.dtype(dtype).newbyteorder("<")
        if start % little.itemsize:
            raise LoadError(f"{place}: data offset {start} is not a multiple of {little.itemsize}")
        return shaped(self._bytes[start : start + size].view(np.ndarray).view(little), shape)


def packed_bytes(count: int, dtype: str) -> int:
    """How many bytes ``count`` elements of a type in ``SUB_BYTE`` take."""
    return -(-count * _bits(dtype) // 8)


def unpack(packed: NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The elements of a type in ``SUB_BYTE``, one a byte; LoadError when ``packed`` has another size."""
    count, bits = int(np.prod(shape, dtype=object)), _bits(dtype)
    if packed.size != packed_bytes(count, dtype):
        raise LoadError(f"holds {packed.size} bytes, {dtype}{shape} takes {packed_bytes(count, dtype)}")
    spread = np.unpackbits(packed, bitorder="little", count=count * bits).reshape(count, bits)
    values = shaped(np.packbits(spread, axis=1, bitorder="little"), shape)
    if not dtype.startswith("int"):
        return values
    # Two's complement: the highest bit counts negative.
    sign = 1 << (bits - 1)
    return ((values ^ sign).astype(np.int16) - sign).astype(np.int8)


def _bits(dtype: str) -> int:
    return int(dtype.lstrip("uint"))
