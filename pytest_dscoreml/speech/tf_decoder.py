"""TensorFlow's CTC beam search: no language model, but there wherever the reference is. Imports TensorFlow late."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.heavy import import_tensorflow
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.speech.transcription import BEAM_WIDTH, Transcription, check_probabilities


class TfDecoder:
    """`tf.nn.ctc_beam_search_decoder`, whose blank is the last class, as DeepSpeech's is."""

    def __init__(self, alphabet: Alphabet, *, beam_width: int = BEAM_WIDTH) -> None:
        self._alphabet = alphabet
        self._beam_width = beam_width

    @property
    def name(self) -> str:
        """The op and the version of TensorFlow (imports it)."""
        tf = import_tensorflow()
        return f"tf.nn.ctc_beam_search_decoder (TensorFlow {tf.__version__})"

    def decode(self, probabilities: NDArray[np.floating[Any]]) -> Transcription:
        """Decode probabilities [T, C]; no frames give no text. The confidence is a log-probability.

        Raises:
            DecoderError: the probabilities are none.
        """
        values = check_probabilities(probabilities, self._alphabet)
        if len(values) == 0:
            return Transcription("", 0.0)
        tf = import_tensorflow()

        # The op takes logits and applies a softmax; that of a logarithm of probabilities gives them back.
        logits = np.log(np.maximum(values, np.finfo(np.float32).tiny)).astype(np.float32)
        with tf.device("/CPU:0"):
            paths, scores = tf.nn.ctc_beam_search_decoder(
                logits[:, None, :], [len(logits)], beam_width=self._beam_width, top_paths=1
            )
        return Transcription(self._alphabet.text(paths[0].values.numpy().tolist()), float(scores[0, 0]))
