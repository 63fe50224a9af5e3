"""The trained variables of a DeepSpeech model and the geometry that follows from their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import ModelError

LSTM_SCOPE = "cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell"
LSTM_KERNEL = f"{LSTM_SCOPE}/kernel"
LSTM_BIAS = f"{LSTM_SCOPE}/bias"
DENSE_LAYERS = ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6")
VARIABLES = (
    *(f"{layer}/{part}" for layer in DENSE_LAYERS for part in ("weights", "bias")),
    LSTM_KERNEL,
    LSTM_BIAS,
)
#: MFCC coefficients a frame, and frames of context on either side: fixed in every DeepSpeech release.
N_INPUT = 26
N_CONTEXT = 9


def is_layer_norm(name: str) -> bool:
    """Whether a variable or node is of a layer normalisation: `layer_1/LayerNorm/gamma`, TensorFlow's own name for it."""
    return "layernorm" in name.lower().replace("_", "")


@dataclass(frozen=True)
class Geometry:
    """The sizes of a model.

    Attributes:
        n_hidden: units of the LSTM, the length of each state.
        n_classes: labels and the blank.
        n_input: MFCC coefficients a frame.
        n_context: frames of context on either side.
    """

    n_hidden: int
    n_classes: int
    n_input: int = N_INPUT
    n_context: int = N_CONTEXT

    @property
    def n_window(self) -> int:
        """Frames in a context window: 19."""
        return 2 * self.n_context + 1

    def __str__(self) -> str:
        return f"n_hidden {self.n_hidden}, {self.n_classes} classes, windows {self.n_window} x {self.n_input}"


@dataclass(frozen=True)
class Weights:
    """The variables under their names in a DeepSpeech checkpoint, float32.

    Dense layers hold `weights` [in, out] and `bias` [out]; the LSTM holds `kernel` [in + H, 4H] (rows: input, then h)
    and `bias` [4H], columns in the order i, ci, f, o of TensorFlow's BlockLSTM.

    Raises:
        ModelError: a variable is missing or its shape does not fit the others.
    """

    arrays: Mapping[str, NDArray[np.float32]]

    def __post_init__(self) -> None:
        missing = [name for name in VARIABLES if name not in self.arrays]
        if missing:
            raise ModelError(f"variables missing: {', '.join(missing)}; a DeepSpeech acoustic model has all of these")
        problems = [
            f"{name} has shape {list(self.arrays[name].shape)}, expected {list(shape)}"
            for name, shape in self._expected_shapes().items()
            if self.arrays[name].shape != shape
        ]
        if problems:
            raise ModelError("variables do not fit together: " + "; ".join(problems))

    def _expected_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes as they follow from each layer's bias, which fixes its width."""
        window = (2 * N_CONTEXT + 1) * N_INPUT
        width = {layer: self.arrays[f"{layer}/bias"].size for layer in DENSE_LAYERS}
        hidden = self.arrays[LSTM_BIAS].size // 4
        into = {"layer_1": window, "layer_2": width["layer_1"], "layer_3": width["layer_2"]}
        into.update({"layer_5": hidden, "layer_6": width["layer_5"]})
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in DENSE_LAYERS:
            shapes[f"{layer}/weights"] = (into[layer], width[layer])
            shapes[f"{layer}/bias"] = (width[layer],)
        shapes[LSTM_KERNEL] = (width["layer_3"] + hidden, 4 * hidden)
        shapes[LSTM_BIAS] = (4 * hidden,)
        return shapes

    @cached_property
    def geometry(self) -> Geometry:
        """Geometry that these shapes make."""
        return Geometry(n_hidden=self.arrays[LSTM_BIAS].size // 4, n_classes=self.arrays["layer_6/bias"].size)
