"""What the suite tells of each case it compares, and where that is kept until a bundle is made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pytest_dscoreml.bundle.cases import GREEDY, Kind, RecordedCase
from pytest_dscoreml.engines.protocol import Floats, Outputs, State
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.files import write_whole
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.speech.greedy import collapse, greedy_path


class Recorder:
    """Is told of every case; this one, of a run without `--dscoreml-record`, keeps nothing."""

    def sequence(self, windows: Floats, state: State, *, expected: Outputs, case: object) -> None:
        """A sequence [T, 19, 26] fed whole from a state."""

    def padded(self, windows: Floats, length: int, state: State, *, expected: Outputs, case: object) -> None:
        """One call whose steps from `length` on are padding."""

    def cut(
        self, windows: Floats, state: State, cuts: Sequence[int], *, expected: Callable[[], Outputs], case: object
    ) -> None:
        """A sequence fed in pieces; `expected` gives TensorFlow's outputs for the whole, and is called only if needed."""

    def recording(
        self, name: str, windows: Floats, *, expected: Outputs, transcript: str | None, texts: Mapping[str, str]
    ) -> None:
        """A recording, fed whole; `texts` is what decoders make of TensorFlow's probabilities, by their names."""


class Staging(Recorder):
    """Keeps each case in a folder that several processes may share.

    Two files a case: the arrays under its key, and its words, which may differ between those who draw the same inputs.

    Raises (all methods):
        UsageError: the folder cannot be written.
    """

    def __init__(self, folder: Path, alphabet: Alphabet) -> None:
        self._folder = folder
        self._alphabet = alphabet
        self._kept: set[tuple[str, str]] = set()

    def sequence(self, windows: Floats, state: State, *, expected: Outputs, case: object) -> None:
        """See `Recorder`."""
        self._keep(RecordedCase(Kind.SEQUENCE, str(case), windows, len(windows), state, expected))

    def padded(self, windows: Floats, length: int, state: State, *, expected: Outputs, case: object) -> None:
        """See `Recorder`."""
        self._keep(RecordedCase(Kind.PADDED, str(case), windows, length, state, expected))

    def cut(
        self, windows: Floats, state: State, cuts: Sequence[int], *, expected: Callable[[], Outputs], case: object
    ) -> None:
        """See `Recorder`."""
        self._keep(RecordedCase(Kind.CUT, str(case), windows, len(windows), state, expected(), tuple(cuts)))

    def recording(
        self, name: str, windows: Floats, *, expected: Outputs, transcript: str | None, texts: Mapping[str, str]
    ) -> None:
        """See `Recorder`; the greedy text is added."""
        state = State(np.zeros_like(expected.state.c), np.zeros_like(expected.state.h))
        greedy = collapse(greedy_path(expected.logits), self._alphabet)
        self._keep(
            RecordedCase(
                Kind.RECORDING,
                name,
                windows,
                len(windows),
                state,
                expected,
                transcript=transcript,
                texts={GREEDY: greedy, **texts},
            )
        )

    def _keep(self, case: RecordedCase) -> None:
        key = case.key
        words = json.dumps(case.to_json(), sort_keys=True).encode()
        note = hashlib.sha256(words).hexdigest()[:16]
        if (key, note) in self._kept:
            return
        arrays = self._folder / f"{key}.npz"
        try:
            if not arrays.exists():
                write_whole(arrays, case.to_npz())
            write_whole(self._folder / f"{key}-{note}.json", words)
        except OSError as error:
            raise UsageError(
                f"--dscoreml-record: a case cannot be kept in {self._folder} ({error.strerror}); this run makes no whole bundle"
            ) from None
        self._kept.add((key, note))
