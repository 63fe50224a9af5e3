"""The greedy path and the text that it spells."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet
from pytest_dscoreml.speech.greedy import collapse, greedy_path

BLANK = ENGLISH.blank


def test_the_path_is_the_likeliest_class_and_among_equals_the_lowest():
    path = greedy_path(np.array([[0.1, 0.7, 0.2], [0.4, 0.2, 0.4], [0.2, 0.3, 0.5]], np.float32))
    assert path.tolist() == [1, 0, 2]
    assert path.dtype == np.int64


def test_no_frames_give_no_path_and_no_text():
    path = greedy_path(np.zeros((0, 29)))
    assert path.shape == (0,)
    assert collapse(path, ENGLISH) == ""


def test_repetitions_count_once_unless_a_blank_parts_them():
    a, b = ENGLISH.encode("ab")
    assert collapse([BLANK, a, a, BLANK, a, b, b, BLANK, BLANK], ENGLISH) == "aab"


def test_bytes_mode_joins_bytes_to_characters():
    alphabet = Alphabet.bytes_alphabet()
    assert collapse([255, *(byte - 1 for byte in "é".encode()), 255], alphabet) == "é"


@given(
    text=st.text(alphabet=ENGLISH.labels, max_size=40), lengths=st.lists(st.integers(1, 3), min_size=80, max_size=80)
)
def test_any_text_survives_its_spelling(text, lengths):
    classes = [index for label in ENGLISH.encode(text) for index in (label, BLANK)]
    path = np.repeat(classes, lengths[: len(classes)]).astype(int)
    probabilities = np.eye(29)[path].reshape(-1, 29)
    assert collapse(greedy_path(probabilities), ENGLISH) == text
