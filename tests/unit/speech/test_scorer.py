"""Scorer files: whole ones, and everything that ds_ctcdecoder would take without a word or die of."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet
from pytest_dscoreml.speech.scorer import ScorerFacts, check_scorer

MAKE = "make it again with DeepSpeech's generate_scorer_package"


def refusal(path, alphabet=ENGLISH):
    with pytest.raises(UsageError) as caught:
        check_scorer(path, alphabet)
    return str(caught.value)


def test_a_whole_scorer(english_scorer):
    assert check_scorer(str(english_scorer), ENGLISH) == ScorerFacts(
        bytes_mode=False, alpha=0.75, beta=1.85, last_label=25, word_ends=frozenset({0})
    )


def test_a_whole_scorer_of_bytes_mode(make_scorer):
    facts = check_scorer(make_scorer(["a", "é"], Alphabet.bytes_alphabet()), Alphabet.bytes_alphabet())
    assert facts.bytes_mode
    assert facts.last_label == 0xC3 - 1


def test_a_missing_file(tmp_path):
    path = tmp_path / "none.scorer"
    assert refusal(path) == f"scorer {path}: no such file; expected a .scorer file"


def test_a_directory(tmp_path):
    assert refusal(tmp_path) == f"scorer {tmp_path}: a directory; expected a .scorer file"


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.scorer"
    path.touch()
    assert refusal(path) == f"scorer {path}: an empty file (0 bytes); copy it again"


@pytest.mark.parametrize("content", [b"she had your dark suit\n" * 40, b"x", b"\\data\\\nngram 1=3\n"], ids=len)
def test_a_text_file(tmp_path, content):
    path = tmp_path / "words.scorer"
    path.write_bytes(content)
    assert refusal(path) == f"scorer {path}: not a .scorer file: it does not begin as a KenLM binary does; {MAKE}"


def test_a_bare_language_model(english_scorer, damaged):
    path = damaged(english_scorer, lambda content: content[: content.index(b"EIRT")])
    assert refusal(path) == (
        f"scorer {path}: no trie after its language model: truncated, or a bare KenLM file; copy it again, or {MAKE}"
    )


@pytest.mark.parametrize("missing", [1, 16, 100, 400])
def test_a_trie_cut_short_by_however_little(english_scorer, damaged, missing):
    path = damaged(english_scorer, lambda content: content[:-missing])
    whole = english_scorer.stat().st_size
    assert refusal(path) == (
        f"scorer {path}: truncated: its trie needs {whole} bytes, the file has {whole - missing}; copy it again"
    )


@given(data=st.data())
def test_no_cut_passes(english_scorer, tmp_path_factory, data):
    content = english_scorer.read_bytes()
    path = tmp_path_factory.mktemp("cut") / "cut.scorer"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert refusal(path).startswith(f"scorer {path}: ")


def test_another_version(make_scorer):
    path = make_scorer(["she"], ENGLISH, version=5)
    assert refusal(path) == f"scorer {path}: its version is 5; expected 6; {MAKE} of 0.7 or later"


def test_another_kind_of_trie(english_scorer, damaged):
    path = damaged(english_scorer, lambda content: content.replace(b"const", b"vecto"))
    assert refusal(path) == f"scorer {path}: its trie is damaged: not a const standard FST; copy it again"


def test_an_arc_to_nowhere(english_scorer, damaged):
    path = damaged(english_scorer, lambda content: content[:-4] + struct.pack("<i", 10**6))
    assert refusal(path) == (
        f"scorer {path}: its trie is damaged: an arc leads to a state that is not there; copy it again"
    )


def test_an_alphabet_that_has_too_few_labels(english_scorer):
    assert refusal(english_scorer, Alphabet((" ", "a", "b"))) == (
        f"scorer {english_scorer}: made for another alphabet: its words hold label 25, and the model's labels are 0 to 2; "
        "use the scorer of this model"
    )


def test_an_alphabet_in_another_order(english_scorer, shuffled_english):
    assert refusal(english_scorer, shuffled_english) == (
        f"scorer {english_scorer}: made for another alphabet: its words end with label 0 ('a'), and the model's alphabet "
        "has its space at 27; use the scorer of this model"
    )


def test_an_alphabet_without_a_space(english_scorer):
    assert refusal(english_scorer, Alphabet(tuple("abcdefghijklmnopqrstuvwxyz'"))) == (
        f"scorer {english_scorer}: made for another alphabet: its words end with label 0 ('a'), and the model's alphabet "
        "has no space; use the scorer of this model"
    )


def test_a_scorer_of_an_alphabet_for_a_model_in_bytes_mode(english_scorer):
    assert refusal(english_scorer, Alphabet.bytes_alphabet()) == (
        f"scorer {english_scorer}: made for an alphabet, and the model works in bytes mode; use the scorer of this model"
    )


def test_a_scorer_of_bytes_mode_for_a_model_with_an_alphabet(make_scorer):
    path = make_scorer(["a"], Alphabet.bytes_alphabet())
    assert refusal(path) == (
        f"scorer {path}: made for bytes mode, and the model has an alphabet; use the scorer of this model"
    )
