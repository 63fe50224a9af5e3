"""Mozilla's CTC decoder, the only one that reads `.scorer` files, in a process of its own.

ds_ctcdecoder ends its process where others raise. Here that process is a child (`ds_child.py`), started at the first
use and kept; when it dies or hangs the caller gets a `DecoderError`, and the next call a fresh child. Imports the
standard library, NumPy, the alphabet and the errors, and never ds_ctcdecoder itself.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, Any, Union

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import DecoderError, UsageError
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.speech.scorer import check_scorer
from pytest_dscoreml.speech.transcription import ALPHA, BEAM_WIDTH, BETA, Transcription, check_probabilities

#: Pruning inside the search: the classes looked at in each frame, and the probability they must cover. DeepSpeech's
#: flags say 300 and 1.0; ds_ctcdecoder's own defaults differ.
CUTOFF_TOP_N = 300
CUTOFF_PROB = 1.0

#: Seconds that starting, with the scorer, may take, and decoding, per frame. The search is slowest where all classes
#: are equally likely; 500 beams of 29 classes then take 0.03 s a frame.
START_SECONDS = 60.0
FRAME_SECONDS = 0.5

_CHILD = Path(__file__).with_name("ds_child.py")


def is_installed() -> bool:
    """Whether ds_ctcdecoder can be imported; does not import it."""
    return importlib.util.find_spec("ds_ctcdecoder") is not None


class DsDecoder:
    """ds_ctcdecoder's prefix beam search, with or without a scorer.

    Args:
        alphabet: of the model.
        beam_width: beams kept.
        scorer: a `.scorer` file made for the same alphabet.
        alpha: the weight of its language model.
        beta: its bonus per word.
        cutoff_top_n: classes looked at in each frame; ds_ctcdecoder heeds it only where cutoff_prob is below 1.
        cutoff_prob: the probability that they must cover.
        timeout: seconds that one utterance may take; None: START_SECONDS and FRAME_SECONDS for each frame.

    Raises:
        UsageError: the scorer is missing, damaged, or of another alphabet.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        *,
        beam_width: int = BEAM_WIDTH,
        scorer: Union[str, os.PathLike[str], None] = None,
        alpha: float = ALPHA,
        beta: float = BETA,
        cutoff_top_n: int = CUTOFF_TOP_N,
        cutoff_prob: float = CUTOFF_PROB,
        timeout: float | None = None,
    ) -> None:
        self._alphabet = alphabet
        self._scorer = None if scorer is None else Path(scorer).absolute()
        self._load = {
            "bytes_mode": alphabet.bytes_mode,
            "alphabet": base64.b64encode(alphabet.serialize()).decode(),
            "scorer": None if self._scorer is None else str(self._scorer),
            "alpha": alpha,
            "beta": beta,
        }
        self._search = {"beam_width": beam_width, "cutoff_top_n": cutoff_top_n, "cutoff_prob": cutoff_prob}
        self._timeout = timeout
        self._child: _Child | None = None
        if self._scorer is not None:
            check_scorer(self._scorer, alphabet)

    @property
    def name(self) -> str:
        """The package, its version, and the scorer's file where there is one."""
        package = f"ds-ctcdecoder {importlib.metadata.version('ds_ctcdecoder')}"
        return package if self._scorer is None else f"{package} with {self._scorer.name}"

    def start(self) -> None:
        """Start the child and load the scorer now rather than at the first utterance.

        Raises:
            UsageError: ds_ctcdecoder refuses the scorer, or dies of it.
            DecoderError: ds_ctcdecoder cannot be loaded.
        """
        if self._child is not None and self._child.usable():
            return
        self._child = _Child()
        try:
            answer = self._child.ask(self._load, timeout=START_SECONDS)
        except DecoderError as error:
            if self._scorer is None:
                raise
            raise UsageError(
                f"scorer {self._scorer}: ds_ctcdecoder cannot load it ({error}); copy or make it again"
            ) from None
        if "error" in answer:
            self.close()
            raise DecoderError(f"ds_ctcdecoder cannot start: {answer['error']}")
        if "scorer_error" in answer:
            self.close()
            reason = answer["scorer_error"]
            raise UsageError(f"scorer {self._scorer}: ds_ctcdecoder refuses it ({reason}); copy or make it again")

    def decode(self, probabilities: NDArray[np.floating[Any]]) -> Transcription:
        """Decode probabilities [T, C]; no frames give no text. The confidence is a log-probability or log-score.

        Raises:
            DecoderError: the probabilities are none, or ds_ctcdecoder crashed or hung.
            UsageError: ds_ctcdecoder refuses the scorer.
        """
        values = check_probabilities(probabilities, self._alphabet)
        return self._decode(values) if len(values) else Transcription("", 0.0)

    def _decode(self, values: NDArray[np.float64]) -> Transcription:
        self.start()
        assert self._child is not None
        frames, classes = values.shape
        timeout = START_SECONDS + FRAME_SECONDS * frames if self._timeout is None else self._timeout
        request = {"frames": frames, "classes": classes, **self._search}
        answer = self._child.ask(request, np.ascontiguousarray(values).tobytes(), timeout=timeout)
        if "error" in answer:
            raise DecoderError(f"ds_ctcdecoder refused {frames} frames of {classes} classes: {answer['error']}")
        return Transcription(self._alphabet.text(answer["tokens"]), float(answer["confidence"]))

    def close(self) -> None:
        """End the child. The next call starts another; the interpreter's exit calls this too."""
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """One process of `ds_child.py`: ask it, or learn how it ended."""

    def __init__(self) -> None:
        # A file, not a pipe: nobody need read it while the child works, and its end tells why the child died.
        self._noise = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the child
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            # What this process can import the child can, however it came to its path.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )
        # Runs once: when asked, when this object goes, or at the interpreter's exit.
        self.end = weakref.finalize(self, _end, self._process, self._noise, self._owner)

    def usable(self) -> bool:
        """Whether it runs, and is ours: the pipes of a forked process belong to its parent."""
        return self.end.alive and self._owner == os.getpid() and self._process.poll() is None

    def ask(self, request: dict[str, Any], payload: bytes = b"", *, timeout: float) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            DecoderError: the child ended or did not answer in time; it is gone then.
        """
        # What earlier requests left there would be taken for this one's. The child's position in the file moves too.
        self._noise.seek(0)
        self._noise.truncate()
        answers: list[bytes] = []
        # In a thread, because a pipe cannot be waited for with a time limit on every system, and writing can block too.
        exchange = threading.Thread(target=self._exchange, args=(request, payload, answers), daemon=True)
        exchange.start()
        exchange.join(timeout)
        if exchange.is_alive():
            self.end()
            exchange.join()
            raise DecoderError(f"ds_ctcdecoder did not answer within {timeout:g} s; its process was ended")
        if not answers:
            status = self._process.wait()
            noise = self._last_words()
            self.end()
            raise DecoderError(f"ds_ctcdecoder ended its process with {_how(status)}{noise}")
        answer: dict[str, Any] = json.loads(answers[0])
        return answer

    def _exchange(self, request: dict[str, Any], payload: bytes, answers: list[bytes]) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        # A child that is gone shows as a broken pipe here, or as an empty line; how it ended is read from its status.
        with contextlib.suppress(OSError, ValueError):
            stdin.write(json.dumps(request).encode() + b"\n" + payload)
            stdin.flush()
            line = stdout.readline()
            if line.endswith(b"\n"):
                answers.append(line)

    def _last_words(self) -> str:
        """The last line on its standard error."""
        self._noise.seek(0)
        lines = self._noise.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f", saying: {said[-1]}" if said else ""


def _end(process: subprocess.Popen[bytes], noise: IO[bytes], owner: int) -> None:
    # After a fork the copy of this object must not end its parent's child.
    if owner != os.getpid():
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, noise):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _how(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"status {status}"
