"""The process that ds_ctcdecoder runs in: started by `ds_decoder` as a script, and never imported.

It reads requests from its standard input and answers on its standard output, each a line of JSON; a request to decode
is followed by its probabilities, float64 row by row. What the C++ code prints goes to standard error. It ends when its
input does. Imports the standard library, NumPy and ds_ctcdecoder, nothing of this package.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any, BinaryIO


def main() -> None:
    """Answer requests until there are none."""
    # A script's own directory is first on the path; its neighbours are not for import here.
    del sys.path[0]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    state: dict[str, Any] = {}
    for line in iter(requests.readline, b""):
        request = json.loads(line)
        try:
            answer = decode(request, requests, state) if "frames" in request else load(request, state)
        except Exception as error:  # everything that Python can tell is told; the rest ends the process
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def load(request: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Make the alphabet and the scorer."""
    import ds_ctcdecoder

    class Tokens:
        """An alphabet that leaves the labels as they are: what they spell is for the parent to say."""

        def Decode(self, tokens: Any) -> list[int]:  # noqa: N802 - the name that ds_ctcdecoder calls
            return list(tokens)

    class Labels(Tokens, ds_ctcdecoder.swigwrapper.Alphabet):  # type: ignore[misc]
        """Any alphabet."""

    class Bytes(Tokens, ds_ctcdecoder.UTF8Alphabet):  # type: ignore[misc]
        """Bytes mode: label i is the byte i + 1."""

    if request["bytes_mode"]:
        alphabet = Bytes()
    else:
        alphabet = Labels()
        serialized = base64.b64decode(request["alphabet"])
        status = alphabet.Deserialize(serialized, len(serialized))
        if status != 0:
            return {"error": f"the alphabet is refused with code 0x{status:x}"}
    scorer = None
    if request["scorer"] is not None:
        try:
            scorer = ds_ctcdecoder.Scorer(request["alpha"], request["beta"], request["scorer"], alphabet)
        except ValueError as error:
            return {"scorer_error": str(error)}
    state.update(alphabet=alphabet, scorer=scorer)
    return {"version": ds_ctcdecoder.__version__}


def decode(request: dict[str, Any], requests: BinaryIO, state: dict[str, Any]) -> dict[str, Any]:
    """Decode one utterance."""
    import ds_ctcdecoder
    import numpy as np

    frames, classes = request["frames"], request["classes"]
    probabilities = np.frombuffer(requests.read(frames * classes * 8), np.float64).reshape(frames, classes)
    [(confidence, tokens)] = ds_ctcdecoder.ctc_beam_search_decoder(
        probabilities,
        state["alphabet"],
        request["beam_width"],
        cutoff_prob=request["cutoff_prob"],
        cutoff_top_n=request["cutoff_top_n"],
        scorer=state["scorer"],
    )
    return {"confidence": confidence, "tokens": tokens}


if __name__ == "__main__":
    main()
