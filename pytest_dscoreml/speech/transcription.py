"""What a CTC decoder is, what it returns, and the check of its input. Imports NumPy, the alphabet and the errors.

The check is not politeness: ds_ctcdecoder ends its process on NaN, on log-probabilities and on a wrong class count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import DecoderError
from pytest_dscoreml.model.alphabet import Alphabet

#: Beams kept, as DeepSpeech's exports say (its training flags say 1024).
BEAM_WIDTH = 500
#: Weight of the language model and bonus per word, the defaults of DeepSpeech 0.7 to 0.9.
ALPHA = 0.931289039105002
BETA = 1.1834137581510284

#: How far the probabilities of a frame may be from a sum of 1. A softmax in float16 rounds its exponentials, their sum
#: and its quotients, each by at most 2^-11, so 1.5e-3 is healthy; logits and log-probabilities are far outside.
SUM_TOLERANCE = 5e-3


@dataclass(frozen=True)
class Transcription:
    """A text and how sure the decoder is: a log-probability (with a scorer: a log-score), higher is surer.

    Confidences of different decoders, or with and without a scorer, do not compare.
    """

    text: str
    confidence: float


class Decoder(Protocol):
    """Turns the probabilities of an utterance into its text."""

    @property
    def name(self) -> str:
        """The decoder and its version, as a report names it."""

    def decode(self, probabilities: NDArray[np.floating[Any]]) -> Transcription:
        """Decode probabilities [T, C]; no frames give no text.

        Raises:
            DecoderError: the probabilities are none, or the decoder failed.
        """


def check_probabilities(probabilities: NDArray[np.floating[Any]], alphabet: Alphabet) -> NDArray[np.float64]:
    """The probabilities as float64 [T, C].

    Raises:
        DecoderError: another shape, NaN or infinity, a negative value, or a frame that does not sum to 1.
    """
    values = np.asarray(probabilities, np.float64)
    classes = len(alphabet.labels) + 1
    if values.ndim != 2 or values.shape[1] != classes:
        raise DecoderError(
            f"cannot decode probabilities of shape {list(values.shape)}: expected [T, {classes}], the alphabet's "
            f"{classes - 1} labels and the blank; use the alphabet that the model was trained with"
        )
    for wrong, what in ((~np.isfinite(values), "finite numbers"), (values < 0, "probabilities, 0 or more")):
        if wrong.any():
            frame, index = (int(i) for i in np.argwhere(wrong)[0])
            raise DecoderError(
                f"cannot decode: frame {frame}, class {index} ({alphabet.label(index)}) is {values[frame, index]:g}, "
                f"and {int(wrong.sum())} of {wrong.size} values are like it; expected {what}: the model's softmax"
            )
    off = np.abs(values.sum(axis=1) - 1)
    if (off > SUM_TOLERANCE).any():
        frame = int(np.argmax(off > SUM_TOLERANCE))
        raise DecoderError(
            f"cannot decode: the probabilities of frame {frame} sum to {values[frame].sum():g}; "
            f"expected 1 within {SUM_TOLERANCE:g}: the model's softmax, neither logits nor padding"
        )
    return values
