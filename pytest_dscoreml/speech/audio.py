"""Reads the one kind of WAV file that a DeepSpeech model hears: mono, 16-bit PCM, at the model's sample rate.

Nothing is converted silently: any other file is an `AudioError` that says what it is and which command converts it.
Imports the standard library, NumPy and `pytest_dscoreml.errors`.
"""

from __future__ import annotations

import io
import os
import shlex
import struct
import wave
from pathlib import Path
from typing import Union

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import AudioError

_PCM = 0x0001
_EXTENSIBLE = 0xFFFE
#: The last 14 bytes of a WAVE_FORMAT_EXTENSIBLE sub-format; the first two are an ordinary format tag.
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")

#: Format tags of RFC 2361 that speech files come with.
_ENCODINGS = {
    0x0002: "Microsoft ADPCM",
    0x0003: "floating point",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0055: "MP3",
}

#: How files that are no WAV begin, most often met first.
_OTHER_FORMATS = (
    (b"fLaC", "a FLAC file"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"\xff\xfb", "an MP3 file"),
    (b"NIST_1A", "a NIST SPHERE file"),
    (b"FORM", "an AIFF file"),
    (b".snd", "a Sun AU file"),
    (b"RIFX", "a big-endian WAV file"),
    (b"RF64", "an RF64 file"),
    (b"caff", "a Core Audio file"),
)

PathLike = Union[str, "os.PathLike[str]"]


def read_wav(path: PathLike, *, sample_rate: int = 16000) -> NDArray[np.int16]:
    """Read a mono, 16-bit PCM WAV file of the given rate.

    Args:
        path: the file.
        sample_rate: what the model expects, in Hz.

    Returns:
        The samples, int16 [N], N >= 1.

    Raises:
        AudioError: the file is missing, no WAV, of another format, truncated, or without samples.
    """
    path = Path(path)
    content = _content(path, sample_rate)
    _check_encoding(path, content, sample_rate)
    try:
        with wave.open(io.BytesIO(_with_plain_tag(content)), "rb") as file:
            found = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
            if found != (sample_rate, 1, 16):
                raise AudioError(
                    f"{path}: {_format(*found)}; {_expected(sample_rate)}; {_convert_with_sox(path, sample_rate)}"
                )
            announced = file.getnframes()
            data = file.readframes(announced)
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: how `wave` says that a chunk is too long
        reason = str(error) or "its chunks run past its end"
        raise AudioError(
            f"{path}: a damaged WAV file ({reason}); {_expected(sample_rate)}; copy or make it again"
        ) from None
    if announced == 0:
        raise AudioError(f"{path}: holds no samples; {_expected(sample_rate)}, one sample or more; record it again")
    obtained = len(data) // 2
    if obtained < announced:
        raise AudioError(
            f"{path}: truncated: its header announces {announced} samples, {obtained} are there; copy it again, "
            f"or keep what is there: sox --ignore-length {_quote(path)} {_quote(_target(path, sample_rate))}"
        )
    return np.frombuffer(data, dtype="<i2").astype(np.int16)


def _content(path: Path, sample_rate: int) -> bytes:
    """The bytes of a file that begins like a WAV."""
    expected = _expected(sample_rate)
    try:
        if path.is_dir():
            raise AudioError(f"{path}: a directory; {expected}; name a file in it")
        with path.open("rb") as file:
            start = file.read(12)
            if not start:
                raise AudioError(f"{path}: an empty file (0 bytes); {expected}; copy or record it again")
            if start[:4] != b"RIFF" or start[8:] != b"WAVE":
                kind = next((name for magic, name in _OTHER_FORMATS if start.startswith(magic)), "not a WAV file")
                raise AudioError(f"{path}: {kind}; {expected}; {_convert_with_ffmpeg(path, sample_rate)}")
            return start + file.read()
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file; {expected}") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); {expected}") from None


def _check_encoding(path: Path, content: bytes, sample_rate: int) -> None:
    """Refuse what is not PCM by name; `wave` knows only the number, and which numbers it takes depends on Python."""
    offset = _format_chunk(content)
    if offset is None:
        return
    (tag,) = struct.unpack_from("<H", content, offset)
    if tag == _EXTENSIBLE:
        tag = _subformat(content, offset)
    if tag != _PCM:
        encoding = _ENCODINGS.get(tag, f"format 0x{tag:04x}")
        raise AudioError(
            f"{path}: encoded as {encoding}; {_expected(sample_rate)}; {_convert_with_sox(path, sample_rate)}"
        )


def _with_plain_tag(content: bytes) -> bytes:
    """The file with the tag of its sub-format, because `wave` takes WAVE_FORMAT_EXTENSIBLE from Python 3.12 on only."""
    offset = _format_chunk(content)
    if offset is None or struct.unpack_from("<H", content, offset) != (_EXTENSIBLE,):
        return content
    return content[:offset] + struct.pack("<H", _subformat(content, offset)) + content[offset + 2 :]


def _format_chunk(content: bytes) -> int | None:
    """Where the body of the `fmt ` chunk begins, or None where there is no whole one."""
    position = 12
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        if name == b"fmt ":
            return position + 8 if size >= 16 and position + 24 <= len(content) else None
        position += 8 + size + size % 2
    return None


def _subformat(content: bytes, offset: int) -> int:
    """The format tag inside a WAVE_FORMAT_EXTENSIBLE chunk; the outer tag where the chunk has none that is known."""
    guid = content[offset + 24 : offset + 40]
    return int.from_bytes(guid[:2], "little") if guid[2:] == _SUBFORMAT_TAIL else _EXTENSIBLE


def _format(rate: int, channels: int, bits: int) -> str:
    return f"{rate} Hz, {'mono' if channels == 1 else f'{channels} channels'}, {bits}-bit PCM"


def _expected(sample_rate: int) -> str:
    return f"expected a WAV file of {_format(sample_rate, 1, 16)}"


def _convert_with_sox(path: Path, sample_rate: int) -> str:
    target = _quote(_target(path, sample_rate))
    return f"convert it: sox {_quote(path)} -r {sample_rate} -b 16 -c 1 -e signed-integer {target}"


def _convert_with_ffmpeg(path: Path, sample_rate: int) -> str:
    """Sox reads few of the formats that are no WAV; ffmpeg reads them all."""
    target = _quote(_target(path, sample_rate))
    return f"convert it: ffmpeg -i {_quote(path)} -ar {sample_rate} -ac 1 -c:a pcm_s16le {target}"


def _target(path: Path, sample_rate: int) -> Path:
    return path.with_name(f"{path.stem}-{sample_rate}.wav")


def _quote(path: Path) -> str:
    return shlex.quote(str(path))
