"""What is refused before a decoder sees it."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_dscoreml.errors import DecoderError
from pytest_dscoreml.model.alphabet import ENGLISH
from pytest_dscoreml.speech.transcription import check_probabilities


def refusal(probabilities):
    with pytest.raises(DecoderError) as caught:
        check_probabilities(probabilities, ENGLISH)
    return str(caught.value)


@pytest.fixture
def changed(spelled):
    def change(place, value):
        probabilities = spelled("suit", ENGLISH)
        probabilities[place] = value
        return probabilities

    return change


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_of_every_precision_pass(dtype, spelled):
    probabilities = spelled("she had your dark suit", ENGLISH, sure=0.6).astype(dtype)
    obtained = check_probabilities(probabilities, ENGLISH)
    assert obtained.dtype == np.float64
    np.testing.assert_array_equal(obtained, probabilities)


def test_a_softmax_that_was_computed_in_float16_passes():
    rows = np.random.default_rng(0).normal(size=(2000, 29), scale=4).astype(np.float16)
    exponentials = np.exp(rows - rows.max(axis=1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True, dtype=np.float16)
    assert softmax.dtype == np.float16
    assert len(check_probabilities(softmax, ENGLISH)) == 2000


def test_no_frames_pass():
    assert check_probabilities(np.zeros((0, 29)), ENGLISH).shape == (0, 29)


@pytest.mark.parametrize("shape", [(5, 28), (5, 30), (29,), (1, 5, 29)], ids=str)
def test_another_shape(shape):
    assert refusal(np.ones(shape)) == (
        f"cannot decode probabilities of shape {list(shape)}: expected [T, 29], the alphabet's 28 labels and the blank; "
        "use the alphabet that the model was trained with"
    )


@pytest.mark.parametrize(("value", "written"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_what_is_not_finite(value, written, changed):
    assert refusal(changed((2, 5), value)) == (
        f"cannot decode: frame 2, class 5 ('e') is {written}, and 1 of 232 values are like it; "
        "expected finite numbers: the model's softmax"
    )


def test_log_probabilities():
    assert refusal(np.log(np.full((3, 29), 1 / 29))) == (
        "cannot decode: frame 0, class 0 (' ') is -3.3673, and 87 of 87 values are like it; "
        "expected probabilities, 0 or more: the model's softmax"
    )


def test_a_negative_blank_is_called_blank(changed):
    assert "frame 1, class 28 (blank) is -0.5, and 1 of 232 values are like it" in refusal(changed((1, 28), -0.5))


@pytest.mark.parametrize(("value", "total"), [(0.0, "0"), (1.0, "29")])
def test_a_frame_that_does_not_sum_to_1(value, total, changed):
    assert refusal(changed((3, slice(None)), value)) == (
        f"cannot decode: the probabilities of frame 3 sum to {total}; expected 1 within 0.005: "
        "the model's softmax, neither logits nor padding"
    )
