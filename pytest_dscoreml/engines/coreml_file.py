"""What the engines that run a Core ML file share: the names and types at its boundary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pytest_dscoreml.engines.protocol import Floats, Outputs, State
from pytest_dscoreml.errors import EngineError
from pytest_dscoreml.model.frozen import OUTPUTS
from pytest_dscoreml.model.weights import Geometry

Predict = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def inputs_of(windows: Floats, length: int, state: State) -> dict[str, Any]:
    """The inputs of one call, by their names in the file."""
    return {
        "input_node": windows[np.newaxis],
        # A neural network declares it float32, an ML Program int32; the engine casts to what the file declares.
        "input_lengths": np.array([length], np.int32),
        "previous_state_c": state.c,
        "previous_state_h": state.h,
    }


def run_file(name: str, predict: Predict, geometry: Geometry, windows: Floats, length: int, state: State) -> Outputs:
    """One call of a converted DeepSpeech through `predict`, a dictionary of arrays in and out.

    Raises:
        EngineError: an output is missing or has a shape that no row count explains.
    """
    steps = len(windows)
    given = predict(inputs_of(windows, length, state))
    missing = [output for output in OUTPUTS if output not in given]
    if missing:
        raise EngineError(f"{name}: the model gave no {', '.join(missing)}, only {', '.join(sorted(given))}")
    logits, c, h = (np.asarray(given[output], np.float32) for output in OUTPUTS)
    shapes = {"logits": (steps, 1, geometry.n_classes), "new_state_c": state.c.shape, "new_state_h": state.h.shape}
    for output, value in zip(OUTPUTS, (logits, c, h)):
        if value.shape != shapes[output]:
            raise EngineError(
                f"{name}: {output} came back with shape {list(value.shape)}, expected {list(shapes[output])} for {steps} steps"
            )
    return Outputs(logits[:, 0], State(c, h))
