"""The reference: TensorFlow runs the graph that the converter was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.engines.protocol import Floats, Outputs, State
from pytest_dscoreml.errors import EngineError
from pytest_dscoreml.heavy import import_tensorflow
from pytest_dscoreml.model.frozen import FEATURES_INPUT, FEATURES_OUTPUT, RAW_LOGITS, read_geometry, read_graph
from pytest_dscoreml.model.weights import Geometry

_FETCHES = ("logits", RAW_LOGITS, "new_state_c", "new_state_h")


class TensorFlowEngine:
    """Runs a frozen DeepSpeech graph in a TensorFlow session of its own.

    Raises:
        ModelError: the file is no DeepSpeech graph.
    """

    def __init__(self, path: Path) -> None:
        tf = import_tensorflow()
        graph = read_graph(path)
        self.geometry: Geometry = read_geometry(graph)
        self.n_steps: int | None = None if graph.is_dynamic else graph.n_steps
        self.name = f"tensorflow {tf.__version__}"
        self._errors: tuple[type[Exception], ...] = (tf.errors.OpError, ValueError)
        with tf.Graph().as_default() as imported:
            tf.import_graph_def(graph.graph_def, name="")
        self._session: Any = tf.compat.v1.Session(graph=imported)

    def run(self, windows: Floats, length: int, state: State) -> Outputs:
        """Run one call; see the protocol."""
        fetches = [f"{name}:0" for name in _FETCHES]
        logits, raw_logits, c, h = self._fetch(fetches, self._feeds(windows, length, state))
        return Outputs(logits[:, 0], State(c, h), raw_logits[:, 0])

    def inner(self, tensors: Mapping[str, str], windows: Floats, length: int, state: State) -> dict[str, NDArray[Any]]:
        """The values of tensors, `node:0`, in one call, by the names under which they are asked for."""
        values = self._fetch(list(tensors.values()), self._feeds(windows, length, state))
        return dict(zip(tensors, map(np.asarray, values)))

    def _feeds(self, windows: Floats, length: int, state: State) -> dict[str, Any]:
        """The inputs of one call."""
        if not 0 <= length <= len(windows):
            # BlockLSTM would end the process.
            raise EngineError(f"{self.name}: length {length} does not lie within the {len(windows)} steps given")
        return {
            "input_node:0": windows[np.newaxis],
            "input_lengths:0": np.array([length], np.int32),
            "previous_state_c:0": state.c,
            "previous_state_h:0": state.h,
        }

    def features(self, samples: Floats) -> Floats:
        """The graph's own front end: one window of audio [512], in -1 to 1, to one frame [1, 26]."""
        (frame,) = self._fetch([f"{FEATURES_OUTPUT}:0"], {f"{FEATURES_INPUT}:0": samples})
        return frame

    def _fetch(self, fetches: list[str], feeds: dict[str, Any]) -> list[Floats]:
        try:
            values: list[Floats] = self._session.run(fetches, feeds)
        except self._errors as error:
            raise EngineError(f"{self.name} failed: {str(error).splitlines()[0]}") from None
        return values
