"""The greedy path: the likeliest class of each frame, and the text it spells. Imports no decoder of others."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.speech.transcription import Transcription, check_probabilities


def greedy_path(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The likeliest class of each frame.

    Args:
        probabilities: [T, C], or anything that orders the classes alike.

    Returns:
        int64 [T]; among equals the lowest class.
    """
    path: NDArray[np.int64] = np.argmax(probabilities, axis=1).astype(np.int64)
    return path


def collapse(path: Iterable[int], alphabet: Alphabet) -> str:
    """The text of a path of classes: repetitions count once, then blanks are dropped."""
    classes = [int(index) for index, _ in groupby(path)]
    return alphabet.text(index for index in classes if index != alphabet.blank)


class GreedyDecoder:
    """The text that the greedy path spells: a decoder that is there wherever NumPy is."""

    name = "greedy"

    def __init__(self, alphabet: Alphabet) -> None:
        self._alphabet = alphabet

    def decode(self, probabilities: NDArray[np.floating[Any]]) -> Transcription:
        """Decode probabilities [T, C]; no frames give no text. The confidence is the path's log-probability.

        Raises:
            DecoderError: the probabilities are none.
        """
        values = check_probabilities(probabilities, self._alphabet)
        likeliest = np.maximum(values.max(axis=1, initial=0.0), np.finfo(np.float64).tiny)
        text = collapse(np.argmax(values, axis=1), self._alphabet)
        return Transcription(text, float(np.log(likeliest).sum()))
