"""TensorFlow's beam search with DeepSpeech's conventions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import DecoderError
from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet
from pytest_dscoreml.speech.tf_decoder import TfDecoder
from pytest_dscoreml.speech.transcription import Transcription

DECODER = TfDecoder(ENGLISH, beam_width=50)


@settings(deadline=None, max_examples=15)
@given(text=st.text(alphabet=ENGLISH.labels, max_size=20))
def test_a_clear_spelling_is_decoded_doubled_letters_too(text, spelled):
    assert DECODER.decode(spelled(text, ENGLISH, sure=0.99)).text == text


def test_paths_that_spell_the_same_are_added_up():
    # Greedy takes the blank twice (0.6 * 0.6 = 0.36); the three paths that spell "a" have 0.64 between them.
    alphabet = Alphabet(("a",))
    obtained = TfDecoder(alphabet).decode(np.array([[0.4, 0.6], [0.4, 0.6]]))
    assert obtained.text == "a"
    assert obtained.confidence == pytest.approx(np.log(0.64), abs=1e-5)


def test_certain_frames_have_zeros_and_are_decoded():
    certain = np.eye(29)[[ENGLISH.encode("a")[0], ENGLISH.blank, ENGLISH.encode("b")[0]]]
    assert DECODER.decode(certain) == Transcription("ab", pytest.approx(0.0, abs=1e-5))


def test_bytes_mode(spelled):
    alphabet = Alphabet.bytes_alphabet()
    assert TfDecoder(alphabet, beam_width=50).decode(spelled("né", alphabet)).text == "né"


def test_no_frames_are_no_text():
    assert DECODER.decode(np.zeros((0, 29), np.float32)) == Transcription("", 0.0)


def test_the_input_is_checked():
    with pytest.raises(DecoderError, match="frame 0, class 0"):
        DECODER.decode(np.full((2, 29), np.nan))


def test_the_name_has_the_version():
    assert DECODER.name == f"tf.nn.ctc_beam_search_decoder (TensorFlow {tf.__version__})"
