"""A case of a bundle: what an engine is fed, and what TensorFlow makes of it; as an `.npz` and a few words."""

from __future__ import annotations

import enum
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.bundle.values import MalformedError, Values
from pytest_dscoreml.engines.protocol import Floats, Outputs, State
from pytest_dscoreml.model.weights import Geometry
from pytest_dscoreml.speech.greedy import GreedyDecoder

#: The decoder that needs nothing, under whose name every recording has a text.
GREEDY = GreedyDecoder.name
_INPUTS = ("windows", "length", "previous_state_c", "previous_state_h")
_ARRAYS = (*_INPUTS, "logits", "raw_logits", "new_state_c", "new_state_h")


class Kind(str, enum.Enum):
    """What is done with a case: fed whole from a state, one call with padding, fed in pieces, transcribed."""

    SEQUENCE = "sequence"
    PADDED = "padded"
    CUT = "cut"
    RECORDING = "recording"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, eq=False)
class RecordedCase:
    """Inputs and TensorFlow's outputs.

    Attributes:
        kind: what is done with them.
        label: what messages call it: how it was drawn, or the recording's name.
        windows: [T, 19, 26] float32, T >= 1.
        length: how many of the T steps are real; all of them but in a padded call.
        state: before the first step.
        expected: for all T steps, with the raw logits; of a cut sequence, for the whole.
        cuts: the steps before which a cut sequence is cut.
        transcript: what is said in a recording, where somebody said so.
        texts: what TensorFlow's probabilities of a recording are transcribed to, by the decoder's name.
    """

    kind: Kind
    label: str
    windows: Floats
    length: int
    state: State
    expected: Outputs
    cuts: tuple[int, ...] = ()
    transcript: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """SHA-256 of kind and inputs: who draws the same makes the same case."""
        name = self.label if self.kind is Kind.RECORDING else ""
        inputs = [self.windows, self.state.c, self.state.h]
        digest = hashlib.sha256(json.dumps([self.kind, list(self.cuts), name, self.length]).encode())
        for array in inputs:
            digest.update(json.dumps(list(array.shape)).encode())
            digest.update(np.ascontiguousarray(array, np.dtype("<f4")).tobytes())
        return digest.hexdigest()

    def to_npz(self) -> bytes:
        """The arrays, as the content of an `.npz`; the same bytes each time."""
        assert self.expected.raw_logits is not None, "the reference engine shows its raw logits"
        file = io.BytesIO()
        np.savez_compressed(
            file,
            windows=self.windows,
            length=np.array(self.length, np.int64),
            previous_state_c=self.state.c,
            previous_state_h=self.state.h,
            logits=self.expected.logits,
            raw_logits=self.expected.raw_logits,
            new_state_c=self.expected.state.c,
            new_state_h=self.expected.state.h,
        )
        return file.getvalue()

    def to_json(self) -> dict[str, Any]:
        """What is no array."""
        words: dict[str, Any] = {"kind": self.kind.value, "label": self.label}
        if self.kind is Kind.CUT:
            words["cuts"] = list(self.cuts)
        if self.kind is Kind.RECORDING:
            words.update(transcript=self.transcript, texts=dict(self.texts))
        return words

    @classmethod
    def read(cls, words: Values, path: Path, geometry: Geometry) -> RecordedCase:
        """A case from its words and its `.npz`.

        Raises:
            MalformedError: either has another form than it should have, or they do not belong together.
        """
        kind = _kind(words)
        arrays, where = _arrays(path), f"cases/{path.name}"
        steps = arrays["windows"].shape[0] if arrays["windows"].ndim else 0
        state, rows = (1, geometry.n_hidden), (steps, geometry.n_classes)
        shapes = {
            "windows": (steps, geometry.n_window, geometry.n_input),
            "length": (),
            **dict.fromkeys(("previous_state_c", "previous_state_h", "new_state_c", "new_state_h"), state),
            **dict.fromkeys(("logits", "raw_logits"), rows),
        }
        for name, shape in shapes.items():
            dtype = np.dtype(np.int64 if name == "length" else np.float32)
            obtained = arrays[name]
            if obtained.shape != shape or obtained.dtype != dtype:
                raise MalformedError(
                    f"{where}: {name} must be {dtype} of shape {list(shape)}, not {obtained.dtype} of shape "
                    f"{list(obtained.shape)}"
                )
        length = int(arrays["length"])
        if not steps or not 0 <= length <= steps or (length < steps and kind is not Kind.PADDED):
            raise MalformedError(f"{where}: {length} of {steps} steps are real, which no {kind} has")
        cuts = tuple(words.wholes("cuts")) if kind is Kind.CUT else ()
        if list(cuts) != sorted(set(cuts) & set(range(1, steps))) or (kind is Kind.CUT and not cuts):
            raise MalformedError(f"{where}: {steps} steps cannot be cut before {list(cuts)}")
        spoken = kind is Kind.RECORDING
        return cls(
            kind=kind,
            label=words.text("label"),
            windows=arrays["windows"],
            length=length,
            state=State(arrays["previous_state_c"], arrays["previous_state_h"]),
            expected=Outputs(
                arrays["logits"], State(arrays["new_state_c"], arrays["new_state_h"]), arrays["raw_logits"]
            ),
            cuts=cuts,
            transcript=words.optional_text("transcript") if spoken else None,
            texts=words.words("texts") if spoken else {},
        )


def _kind(words: Values) -> Kind:
    try:
        return Kind(words.text("kind"))
    except ValueError:
        raise MalformedError(f"{words.where}: kind must be one of {', '.join(Kind)}") from None


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz` of a case; nothing in it is ever unpickled."""
    where = f"cases/{path.name}"
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [name for name in _ARRAYS if name not in stored]
            if missing:
                raise MalformedError(f"{where}: no array {', '.join(missing)} in it")
            return {name: stored[name] for name in _ARRAYS}
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        # A lone .npy file, too, is loaded without complaint, and is no context manager.
        raise MalformedError(f"{where}: no .npz of arrays ({error})") from None
