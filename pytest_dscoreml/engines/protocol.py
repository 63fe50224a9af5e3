"""What every engine does: take windows and a state, give probabilities and the state after them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.model.weights import Geometry

Floats = NDArray[np.float32]


class State(NamedTuple):
    """The LSTM's state, `c` and `h`, each [1, n_hidden] float32."""

    c: Floats
    h: Floats

    @classmethod
    def zeros(cls, geometry: Geometry) -> State:
        """The state before any audio was heard."""
        return cls(np.zeros((1, geometry.n_hidden), np.float32), np.zeros((1, geometry.n_hidden), np.float32))


@dataclass(frozen=True)
class Outputs:
    """What one call gives.

    Attributes:
        logits: probabilities [steps, classes]; DeepSpeech's name for what is the softmax.
        state: the state after `length` steps.
        raw_logits: what goes into the softmax [steps, classes], from engines that can show it.
    """

    logits: Floats
    state: State
    raw_logits: Floats | None = None


class Engine(Protocol):
    """Something that runs a model."""

    @property
    def name(self) -> str:
        """How headers and messages call it."""

    @property
    def geometry(self) -> Geometry:
        """The sizes of the model it runs."""

    @property
    def n_steps(self) -> int | None:
        """How many steps every call must have; None where any number will do."""

    def run(self, windows: Floats, length: int, state: State) -> Outputs:
        """Run one call.

        Args:
            windows: [steps, 19, 26] float32.
            length: how many of the steps are real; those behind are padding, masked by the model.
            state: the state to start from.

        Returns:
            Rows for all steps, the padding's among them, and the state after the real ones.

        Raises:
            EngineError: the engine refuses the call or fails in it.
        """
