"""The reference engine: a converted model through our own NumPy runtime, on any system."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.engines.coreml_file import inputs_of, run_file
from pytest_dscoreml.engines.protocol import Floats, Outputs, State
from pytest_dscoreml.errors import EngineError, RuntimeModelError
from pytest_dscoreml.model.weights import Geometry
from pytest_dscoreml.runtime import Program, ReferenceModel


class ReferenceEngine:
    """Runs a `.mlmodel` or `.mlpackage`.

    Args:
        path: the converted model.
        geometry: sizes of the model it was converted from.
        n_steps: steps of every call, None where the model takes any number.

    Raises:
        EngineError: the runtime refuses the file; the message lists every reason.
    """

    def __init__(self, path: Path, geometry: Geometry, n_steps: int | None) -> None:
        self.name = f"reference (NumPy {np.__version__})"
        self.geometry = geometry
        self.n_steps = n_steps
        try:
            self.model = ReferenceModel(path)
        except RuntimeModelError as error:
            raise EngineError(f"{self.name} refuses {path}: {error}") from error

    def with_program(self, program: Program) -> ReferenceEngine:
        """An engine that runs a rewriting of this one's program.

        Raises:
            EngineError: the runtime refuses it.
        """
        made = copy.copy(self)
        try:
            made.model = self.model.with_program(program)
        except RuntimeModelError as error:
            raise EngineError(f"{self.name} refuses the rewritten program: {error}") from error
        return made

    def run(self, windows: Floats, length: int, state: State) -> Outputs:
        """Run one call; see the protocol."""
        try:
            return run_file(self.name, self.model.predict, self.geometry, windows, length, state)
        except RuntimeModelError as error:
            raise EngineError(f"{self.name}: {error}") from error

    def inner(self, windows: Floats, length: int, state: State) -> dict[str, NDArray[Any]]:
        """Every inner value of one call, by its name in the file; those in loops stacked over the passes."""
        predict = partial(self.model.predict, intermediates="all")
        try:
            return {name: np.asarray(value) for name, value in predict(inputs_of(windows, length, state)).items()}
        except RuntimeModelError as error:
            raise EngineError(f"{self.name}: {error}") from error
