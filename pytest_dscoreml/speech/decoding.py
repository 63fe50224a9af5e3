"""Chooses the CTC decoder, and gathers the names that its users need. Imports the decoders, which import late."""

from __future__ import annotations

import os
from typing import Union

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.speech.ds_decoder import DsDecoder, is_installed
from pytest_dscoreml.speech.greedy import collapse, greedy_path
from pytest_dscoreml.speech.tf_decoder import TfDecoder
from pytest_dscoreml.speech.transcription import ALPHA, BEAM_WIDTH, BETA, Decoder, Transcription

__all__ = [
    "ALPHA",
    "BEAM_WIDTH",
    "BETA",
    "DECODERS",
    "Decoder",
    "DsDecoder",
    "TfDecoder",
    "Transcription",
    "choose_decoder",
    "collapse",
    "greedy_path",
]

#: What `choose_decoder` takes.
DECODERS = ("auto", "ds", "tf")

_INSTALL = "pip install ds-ctcdecoder==0.9.3 (CPython 3.7 to 3.9, x86-64, NumPy below 2)"


def choose_decoder(
    name: str,
    alphabet: Alphabet,
    *,
    beam_width: int = BEAM_WIDTH,
    scorer: Union[str, os.PathLike[str], None] = None,
    alpha: float = ALPHA,
    beta: float = BETA,
) -> Decoder:
    """The decoder of that name.

    Args:
        name: "ds" (ds_ctcdecoder), "tf" (TensorFlow's), or "auto": ds where it is installed, tf elsewhere.
        alphabet: of the model.
        beam_width: beams kept.
        scorer: a `.scorer` file; ds alone reads them. It is loaded at once, so that a bad one is known early.
        alpha: the weight of the scorer's language model.
        beta: its bonus per word.

    Raises:
        UsageError: the name is unknown, the decoder is not installed, or the scorer cannot be used.
    """
    if name not in DECODERS:
        raise UsageError(f"decoder {name!r} is unknown; expected one of {', '.join(DECODERS)}")
    if beam_width < 1:
        raise UsageError(f"beam width {beam_width}: expected 1 or more")
    if name == "ds" and not is_installed():
        raise UsageError(f"decoder 'ds' is not installed here; {_INSTALL}, or choose 'tf'")
    if name == "ds" or (name == "auto" and is_installed()):
        decoder = DsDecoder(alphabet, beam_width=beam_width, scorer=scorer, alpha=alpha, beta=beta)
        if scorer is not None:
            decoder.start()
        return decoder
    if scorer is not None:
        instead = f"{_INSTALL}, or leave the scorer out" if name == "auto" else "choose 'ds', or leave the scorer out"
        raise UsageError(f"scorer {os.fspath(scorer)}: decoder 'tf' has no language model; {instead}")
    return TfDecoder(alphabet, beam_width=beam_width)
