"""Transcriptions that differ are shown with marks under what differs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.agreement.metrics import Context
from pytest_dscoreml.agreement.transcripts import aligned, assert_transcripts_agree, character_errors

CONTEXT = Context("static, mlprogram, float16, a.wav, decoder tf")
HEAD = "transcription [static, mlprogram, float16, a.wav, decoder tf] differs:"


def agree(expected, obtained):
    assert_transcripts_agree(expected=expected, obtained=obtained, context=CONTEXT)


@given(text=st.text())
def test_the_same_text_agrees(text):
    agree(text, text)


@pytest.mark.parametrize(
    ("expected", "obtained", "marks"),
    [
        ("she had", "she has", "       ^"),
        ("she had", "she hard", "       ^"),
        ("she had", "se had", "  v"),
        ("she had", "she ha", "       v"),
        ("she had", "she", "    v"),
        ("she had", "", " v"),
        ("", "she", " ^^^"),
        ("dark suit", "bark sweet", " ^     ^^^"),
        ("that's it", "thats it", "     v"),
    ],
)
def test_marks(refusal, expected, obtained, marks):
    lines = refusal(Disagreement, agree, expected, obtained).split("\n")

    assert lines == [HEAD, f"  expected {expected!r}", f"  obtained {obtained!r}", f"           {marks}"]


def test_a_mark_stands_under_its_character(refusal):
    lines = refusal(Disagreement, agree, "a b", "a x").split("\n")

    assert lines[3].index("^") == lines[2].index("x")


def test_letters_count(refusal):
    assert refusal(Disagreement, agree, "She", "she").startswith(HEAD)


def test_pieces_that_belong_together():
    assert aligned(expected="dark suit", obtained="bark sweet") == [
        ("d", "b"),
        ("ark s", "ark s"),
        ("ui", "wee"),
        ("t", "t"),
    ]
    assert aligned(expected="she had", obtained="he") == [("s", ""), ("he", "he"), (" had", "")]
    assert aligned(expected="", obtained="") == []


@given(expected=st.text("abc "), obtained=st.text("abc "))
def test_pieces_make_the_texts_again(expected, obtained):
    pieces = aligned(expected=expected, obtained=obtained)
    assert "".join(wanted for wanted, _ in pieces) == expected
    assert "".join(given for _, given in pieces) == obtained


# -- how many characters are wrong -------------------------------------------------------------------------------------

TEXTS = st.text("ab ", max_size=6)


@pytest.mark.parametrize(
    ("expected", "obtained", "errors"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("she had", "se hat", 2)],
)
def test_character_errors(expected, obtained, errors):
    assert character_errors(expected=expected, obtained=obtained) == errors


@given(one=TEXTS, other=TEXTS, third=TEXTS)
def test_character_errors_are_a_distance(one, other, third):
    def errors(expected, obtained):
        return character_errors(expected=expected, obtained=obtained)

    assert (errors(one, other) == 0) is (one == other)
    assert errors(one, other) == errors(other, one)
    assert errors(one, third) <= errors(one, other) + errors(other, third)
    assert abs(len(one) - len(other)) <= errors(one, other) <= max(len(one), len(other))
