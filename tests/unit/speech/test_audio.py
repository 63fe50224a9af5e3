"""WAV files: the one form that is read, and what is said of every other."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_dscoreml.errors import AudioError
from pytest_dscoreml.speech.audio import read_wav

EXPECTED = "expected a WAV file of 16000 Hz, mono, 16-bit PCM"
PCM = bytes.fromhex("0100000000001000800000aa00389b71")
FLOAT = bytes.fromhex("0300000000001000800000aa00389b71")


def refusal(path, **options):
    with pytest.raises(AudioError) as caught:
        read_wav(path, **options)
    return str(caught.value)


def sox(path, target):
    return f"convert it: sox {path} -r 16000 -b 16 -c 1 -e signed-integer {path.with_name(target)}"


def ffmpeg(path, target):
    return f"convert it: ffmpeg -i {path} -ar 16000 -ac 1 -c:a pcm_s16le {path.with_name(target)}"


def riff(tag, data, *, bits=16, rate=16000, channels=1, extension=b"", announced=None):
    """A WAV file of any format tag, as the `wave` module does not write it."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits) + extension
    size = len(data) if announced is None else announced
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def extensible(guid):
    return struct.pack("<HHI", 22, 16, 4) + guid


@given(samples=arrays(np.int16, st.integers(1, 200)))
def test_what_was_written_is_read(samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("wav") / "speech.wav"
    path.write_bytes(riff(1, samples.astype("<i2").tobytes()))
    obtained = read_wav(path)
    assert obtained.dtype == np.int16
    np.testing.assert_array_equal(obtained, samples)


def test_a_path_may_be_a_string_and_the_samples_may_be_changed(wav):
    samples = read_wav(str(wav(b"\x01\x00\xff\xff")))
    samples += 1
    assert samples.tolist() == [2, 0]


def test_another_rate_is_read_where_the_model_has_it(wav):
    assert len(read_wav(wav(bytes(20), rate=8000), sample_rate=8000)) == 10


def test_chunks_other_than_the_samples_are_passed_over(tmp_path):
    content = riff(1, b"\x05\x00")
    path = tmp_path / "listed.wav"
    size = struct.pack("<I", len(content) + 12 - 8)
    path.write_bytes(b"RIFF" + size + b"WAVELIST\x03\x00\x00\x00abc\x00" + content[12:])
    assert read_wav(path).tolist() == [5]


def test_the_extensible_form_of_the_same_samples_is_read_on_every_python(tmp_path):
    path = tmp_path / "extensible.wav"
    path.write_bytes(riff(0xFFFE, b"\x07\x00", extension=extensible(PCM)))
    assert read_wav(path).tolist() == [7]


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ({"rate": 44100}, "44100 Hz, mono, 16-bit PCM"),
        ({"rate": 8000}, "8000 Hz, mono, 16-bit PCM"),
        ({"channels": 2}, "16000 Hz, 2 channels, 16-bit PCM"),
        ({"width": 1}, "16000 Hz, mono, 8-bit PCM"),
        ({"width": 3}, "16000 Hz, mono, 24-bit PCM"),
        ({"rate": 48000, "channels": 2, "width": 4}, "48000 Hz, 2 channels, 32-bit PCM"),
    ],
    ids=str,
)
def test_another_format_is_named_with_the_command_that_converts_it(wav, form, found):
    path = wav(bytes(48), **form)
    assert refusal(path) == f"{path}: {found}; {EXPECTED}; {sox(path, 'speech-16000.wav')}"


def test_the_command_quotes_names_and_takes_the_rate_of_the_model(wav):
    path = wav(bytes(48), "my speech.wav")
    assert refusal(path, sample_rate=8000) == (
        f"{path}: 16000 Hz, mono, 16-bit PCM; expected a WAV file of 8000 Hz, mono, 16-bit PCM; convert it: "
        f"sox '{path}' -r 8000 -b 16 -c 1 -e signed-integer '{path.with_name('my speech-8000.wav')}'"
    )


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (riff(3, bytes(8), bits=32), "floating point"),
        (riff(6, bytes(8), bits=8), "A-law"),
        (riff(7, bytes(8), bits=8), "mu-law"),
        (riff(0x1234, bytes(8)), "format 0x1234"),
        (riff(0xFFFE, bytes(8), bits=32, extension=extensible(FLOAT)), "floating point"),
        (riff(0xFFFE, bytes(8), extension=extensible(bytes(16))), "format 0xfffe"),
    ],
)
def test_another_encoding_is_named(tmp_path, content, encoding):
    path = tmp_path / "coded.wav"
    path.write_bytes(content)
    assert refusal(path) == f"{path}: encoded as {encoding}; {EXPECTED}; {sox(path, 'coded-16000.wav')}"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"fLaC" + bytes(40), "a FLAC file"),
        (b"OggS" + bytes(40), "an Ogg file"),
        (b"ID3\x04" + bytes(40), "an MP3 file"),
        (b"NIST_1A\n   1024\n", "a NIST SPHERE file"),
        (b"RIFF\x04\x00\x00\x00AVI ", "not a WAV file"),
        (b"RIFF", "not a WAV file"),
        (b"she had your dark suit", "not a WAV file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_wav_is_named_where_it_is_known(tmp_path, content, kind):
    path = tmp_path / "speech.audio"
    path.write_bytes(content)
    assert refusal(path) == f"{path}: {kind}; {EXPECTED}; {ffmpeg(path, 'speech-16000.wav')}"


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    assert refusal(path) == f"{path}: an empty file (0 bytes); {EXPECTED}; copy or record it again"


def test_no_samples(wav):
    path = wav(b"")
    assert refusal(path) == f"{path}: holds no samples; {EXPECTED}, one sample or more; record it again"


def test_a_missing_file(tmp_path):
    path = tmp_path / "missing.wav"
    assert refusal(path) == f"{path}: no such file; {EXPECTED}"


def test_a_directory(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: a directory; {EXPECTED}; name a file in it"


def test_a_file_that_cannot_be_opened(tmp_path):
    path = tmp_path / ("n" * 300)
    assert refusal(path) == f"{path}: cannot be read (File name too long); {EXPECTED}"


def test_truncated_samples(wav):
    path = wav(bytes(200))
    path.write_bytes(path.read_bytes()[:-101])
    assert refusal(path) == (
        f"{path}: truncated: its header announces 100 samples, 49 are there; copy it again, "
        f"or keep what is there: sox --ignore-length {path} {path.with_name('speech-16000.wav')}"
    )


def test_a_header_of_unknown_length_as_a_pipe_leaves_it(tmp_path):
    path = tmp_path / "piped.wav"
    path.write_bytes(riff(1, bytes(20), announced=0xFFFFFFFF))
    assert refusal(path) == (
        f"{path}: truncated: its header announces 2147483647 samples, 10 are there; copy it again, "
        f"or keep what is there: sox --ignore-length {path} {path.with_name('piped-16000.wav')}"
    )


@given(length=st.integers(0, 47))
def test_a_cut_anywhere_is_an_error_that_names_the_file(length, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "cut.wav"
    path.write_bytes(riff(1, bytes(4))[:length])
    assert refusal(path).startswith(f"{path}: ")


@given(content=st.binary(max_size=80))
def test_no_content_gives_another_error(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("noise") / "noise.wav"
    path.write_bytes(b"RIFF\x60\x00\x00\x00WAVE" + content)
    try:
        outcome = f"{path}: read as {read_wav(path).dtype}"
    except AudioError as error:
        outcome = str(error)
    assert outcome.startswith(f"{path}: ")


def test_a_cut_header_says_so(tmp_path):
    path = tmp_path / "cut.wav"
    path.write_bytes(riff(1, bytes(4))[:30])
    assert refusal(path) == (
        f"{path}: a damaged WAV file (its chunks run past its end); {EXPECTED}; copy or make it again"
    )
