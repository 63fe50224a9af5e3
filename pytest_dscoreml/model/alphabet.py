"""The alphabet of a DeepSpeech model: from its text file, and from the `metadata_alphabet` constant of a graph."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_dscoreml.errors import ModelError

_U16 = struct.Struct("<H")
_BYTES_MODE_LABELS = 255


@dataclass(frozen=True)
class Alphabet:
    """The labels of the output classes, in order; the blank is the class after the last label.

    In bytes mode (DeepSpeech's `--bytes_output_mode`) label i is the byte i + 1, held here as the character of that
    code point, and a text is the UTF-8 decoding of its bytes.
    """

    labels: tuple[str, ...]
    bytes_mode: bool = False

    @property
    def blank(self) -> int:
        """Index of the CTC blank."""
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        """Number of classes of a model with this alphabet: the labels and the blank."""
        return len(self.labels) + 1

    @classmethod
    def bytes_alphabet(cls) -> Alphabet:
        """The alphabet of bytes mode: 255 labels, the bytes 1 to 255."""
        return cls(tuple(chr(i + 1) for i in range(_BYTES_MODE_LABELS)), bytes_mode=True)

    @classmethod
    def from_file(cls, path: Path | str) -> Alphabet:
        r"""Read DeepSpeech's `alphabet.txt`: one label a line; `#` opens a comment, `\#` is the label `#`.

        Raises:
            ModelError: the file is missing, not UTF-8, without labels, or has an empty or repeated label.
        """
        path = Path(path)
        try:
            # Some editors put a byte order mark in front, which is no part of the first label.
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ModelError(
                f"alphabet {path}: cannot be read ({error.strerror}); give a DeepSpeech alphabet.txt"
            ) from None
        except UnicodeDecodeError as error:
            raise ModelError(f"alphabet {path}: not UTF-8 text at byte {error.start}; save it as UTF-8") from None
        labels: list[str] = []
        lines = text.split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        for number, raw in enumerate(lines, start=1):
            line = raw[:-1] if raw.endswith("\r") else raw
            if line.startswith("#"):
                continue
            label = "#" if line == "\\#" else line
            if label == "":
                raise ModelError(f"alphabet {path}, line {number}: empty; each line holds one label or a # comment")
            if label in labels:
                raise ModelError(f"alphabet {path}, line {number}: label {label!r} is there twice; remove one of them")
            labels.append(label)
        if not labels:
            raise ModelError(f"alphabet {path}: holds no label; each line holds one label")
        return cls(tuple(labels))

    @classmethod
    def parse(cls, data: bytes) -> Alphabet:
        """Read the serialised form: u16 count, then for each label u16 index, u16 length, UTF-8 bytes (little-endian).

        Raises:
            ModelError: the bytes are cut short, run on, or name the labels out of order.
        """
        try:
            (count,) = _U16.unpack_from(data, 0)
            offset = 2
            raw: list[bytes] = []
            for expected in range(count):
                (index,) = _U16.unpack_from(data, offset)
                (length,) = _U16.unpack_from(data, offset + 2)
                label = data[offset + 4 : offset + 4 + length]
                if index != expected or len(label) != length:
                    raise ModelError(f"metadata_alphabet: damaged at label {expected}; export the graph again")
                raw.append(label)
                offset += 4 + length
        except struct.error:
            raise ModelError("metadata_alphabet: cut short; export the graph again") from None
        if offset != len(data):
            raise ModelError(
                f"metadata_alphabet: {len(data) - offset} bytes after its last label; export the graph again"
            )
        if count == _BYTES_MODE_LABELS and raw == [bytes([i + 1]) for i in range(count)]:
            return cls.bytes_alphabet()
        try:
            return cls(tuple(label.decode("utf-8") for label in raw))
        except UnicodeDecodeError:
            raise ModelError("metadata_alphabet: a label is not UTF-8; export the graph again") from None

    def serialize(self) -> bytes:
        """The form that `parse` reads, as DeepSpeech stores it in the `metadata_alphabet` constant."""
        parts = [_U16.pack(len(self.labels))]
        for index, label in enumerate(self.labels):
            encoded = label.encode("latin-1" if self.bytes_mode else "utf-8")
            parts += [_U16.pack(index), _U16.pack(len(encoded)), encoded]
        return b"".join(parts)

    def text(self, indices: Iterable[int]) -> str:
        """The text of a sequence of labels (without blanks)."""
        joined = "".join(self.labels[index] for index in indices)
        return joined.encode("latin-1").decode("utf-8", errors="replace") if self.bytes_mode else joined

    def encode(self, text: str) -> list[int]:
        """The labels of a text.

        Raises:
            ModelError: the text has a character that is no label.
        """
        index = {label: position for position, label in enumerate(self.labels)}
        units = text.encode("utf-8").decode("latin-1") if self.bytes_mode else text
        missing = sorted({unit for unit in units if unit not in index})
        if missing:
            raise ModelError(f"text {text!r}: {', '.join(map(repr, missing))} not in the alphabet of the model")
        return [index[unit] for unit in units]

    def label(self, index: int) -> str:
        """How a class is written in messages: its label quoted, or `blank`."""
        return "blank" if index == self.blank else repr(self.labels[index])


#: DeepSpeech's English alphabet: space, a to z, apostrophe.
ENGLISH = Alphabet((" ", *"abcdefghijklmnopqrstuvwxyz", "'"))
