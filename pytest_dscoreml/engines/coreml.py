"""Apple's engine: a converted model through `MLModel.predict`, which exists on macOS only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pytest_dscoreml.engines.coreml_file import run_file
from pytest_dscoreml.engines.protocol import Floats, Outputs, State
from pytest_dscoreml.errors import EngineError, UsageError
from pytest_dscoreml.model.weights import Geometry

#: Names of `coremltools.ComputeUnit`'s members, in lower case, as the option takes them.
COMPUTE_UNITS = ("all", "cpu_only", "cpu_and_gpu", "cpu_and_ne")


def require_macos() -> None:
    """Refuse early where Core ML cannot run.

    Raises:
        UsageError: this is not macOS.
    """
    if sys.platform != "darwin":
        raise UsageError(
            f"--dscoreml-engine=coreml: Core ML runs on macOS only, this is {sys.platform}; leave the option out, or use "
            "--dscoreml-engine=reference"
        )


class CoreMLEngine:
    """Runs a `.mlmodel` or `.mlpackage` with Core ML on the chosen compute units.

    Raises:
        EngineError: Core ML refuses the file.
    """

    def __init__(self, path: Path, geometry: Geometry, n_steps: int | None, *, compute_units: str = "all") -> None:
        import coremltools

        self.name = f"coreml ({compute_units})"
        self.geometry = geometry
        self.n_steps = n_steps
        units = getattr(coremltools.ComputeUnit, compute_units.upper())
        try:
            self._model: Any = coremltools.models.MLModel(str(path), compute_units=units)
        except Exception as error:  # whatever Core ML says, its words are the report
            raise EngineError(f"{self.name} refuses {path}: {error}") from error

    def run(self, windows: Floats, length: int, state: State) -> Outputs:
        """Run one call; see the protocol."""
        try:
            return run_file(self.name, self._model.predict, self.geometry, windows, length, state)
        except EngineError:
            raise
        except Exception as error:  # Core ML raises RuntimeError and NSException's relatives
            raise EngineError(f"{self.name}: {error}") from error
