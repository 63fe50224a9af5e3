"""The alphabet: DeepSpeech's text file, the serialised constant of a graph, texts and labels."""

from __future__ import annotations

import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_dscoreml.errors import ModelError
from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet

LABEL = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=3)
BYTES = Alphabet.bytes_alphabet()


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "alphabet.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_english_has_29_classes():
    assert ENGLISH.labels == tuple(" abcdefghijklmnopqrstuvwxyz'")
    assert (ENGLISH.blank, ENGLISH.n_classes) == (28, 29)


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("# a comment\n \na\nb\n", (" ", "a", "b")),
        ("a\n# a comment between\nb\n#", ("a", "b")),
        ("\\#\na\n", ("#", "a")),
        ("\\\na\n", ("\\", "a")),
        (" \r\na\r\nb\r\n", (" ", "a", "b")),
        ("a\nb", ("a", "b")),
        ("ä\nß\n中\n\U0001f600\n", ("ä", "ß", "中", "\U0001f600")),
        ("a\n\u2028\n\x0b\n", ("a", "\u2028", "\x0b")),
    ],
    ids=["space", "comments", "hash", "backslash", "crlf", "no last newline", "unicode", "other line ends"],
)
def test_each_line_is_a_label(file, content, labels):
    assert Alphabet.from_file(file(content)) == Alphabet(labels)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a\n\nb\n", ", line 2: empty; each line holds one label or a # comment"),
        ("# x\na\nb\na\n", ", line 4: label 'a' is there twice; remove one of them"),
        ("#\n\\#\n\\#\n", ", line 3: label '#' is there twice; remove one of them"),
        ("", ": holds no label; each line holds one label"),
        ("# only a comment\n", ": holds no label; each line holds one label"),
        (b"a\n\xe9\n", ": not UTF-8 text at byte 2; save it as UTF-8"),
    ],
)
def test_a_bad_file_is_refused(file, refusal, content, words):
    path = file(content)

    assert refusal(ModelError, Alphabet.from_file, path) == f"alphabet {path}{words}"


def test_a_missing_file_is_refused(tmp_path, refusal):
    path = tmp_path / "nothing.txt"

    assert refusal(ModelError, Alphabet.from_file, path) == (
        f"alphabet {path}: cannot be read (No such file or directory); give a DeepSpeech alphabet.txt"
    )


def test_a_directory_is_refused(tmp_path, refusal):
    assert refusal(ModelError, Alphabet.from_file, tmp_path) == (
        f"alphabet {tmp_path}: cannot be read (Is a directory); give a DeepSpeech alphabet.txt"
    )


def test_the_serialised_form_is_deepspeechs():
    assert Alphabet((" ", "é")).serialize() == b"\x02\x00" + b"\x00\x00\x01\x00 " + b"\x01\x00\x02\x00\xc3\xa9"


@given(labels=st.lists(LABEL, unique=True, max_size=40))
def test_serialised_and_parsed_it_is_the_same(labels):
    alphabet = Alphabet(tuple(labels))

    assert Alphabet.parse(alphabet.serialize()) == alphabet


def test_bytes_mode_is_recognised():
    assert Alphabet.parse(BYTES.serialize()) == BYTES
    assert BYTES.blank == 255
    assert BYTES.serialize()[:12] == b"\xff\x00\x00\x00\x01\x00\x01\x01\x00\x01\x00\x02"


@given(data=st.data())
def test_cut_bytes_are_refused(data, refusal):
    whole = ENGLISH.serialize()
    cut = data.draw(st.integers(0, len(whole) - 1))
    label = (cut - 2) // 5  # 2 bytes of count, then 5 for each label; the last byte of each is its text
    missing_text = cut > 1 and (cut - 2) % 5 == 4
    expected = f"damaged at label {label}" if missing_text else "cut short"

    assert refusal(ModelError, Alphabet.parse, whole[:cut]) == f"metadata_alphabet: {expected}; export the graph again"


@given(extra=st.binary(min_size=1, max_size=5))
def test_bytes_behind_the_last_label_are_refused(extra, refusal):
    assert refusal(ModelError, Alphabet.parse, ENGLISH.serialize() + extra) == (
        f"metadata_alphabet: {len(extra)} bytes after its last label; export the graph again"
    )


def test_labels_out_of_order_are_refused(refusal):
    data = struct.pack("<HHHsHHs", 2, 1, 1, b"a", 0, 1, b"b")

    assert refusal(ModelError, Alphabet.parse, data) == "metadata_alphabet: damaged at label 0; export the graph again"


def test_a_label_that_is_no_text_is_refused(refusal):
    data = struct.pack("<HHHs", 1, 0, 1, b"\xff")

    assert (
        refusal(ModelError, Alphabet.parse, data) == "metadata_alphabet: a label is not UTF-8; export the graph again"
    )


@given(text=st.text(st.sampled_from(ENGLISH.labels)))
def test_encoded_text_reads_back(text):
    assert ENGLISH.text(ENGLISH.encode(text)) == text


@given(text=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_in_bytes_mode_every_text_reads_back(text):
    assert BYTES.text(BYTES.encode(text)) == text


@given(indices=st.lists(st.integers(0, 254)))
def test_in_bytes_mode_any_bytes_have_a_text(indices):
    data = bytes(index + 1 for index in indices)

    assert BYTES.text(indices) == data.decode("utf-8", errors="replace")


@given(text=st.text(max_size=5))
def test_a_character_that_is_no_label_is_named(text, refusal):
    strange = sorted(set(text) - set(ENGLISH.labels))
    assume(strange)

    assert refusal(ModelError, ENGLISH.encode, text) == (
        f"text {text!r}: {', '.join(map(repr, strange))} not in the alphabet of the model"
    )


def test_in_bytes_mode_the_byte_zero_is_no_label(refusal):
    assert refusal(ModelError, BYTES.encode, "a\0") == "text 'a\\x00': '\\x00' not in the alphabet of the model"


def test_labels_in_messages():
    assert [ENGLISH.label(index) for index in (0, 1, 27, 28)] == ["' '", "'a'", '"\'"', "blank"]
