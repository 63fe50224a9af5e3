"""Chooses the engine that runs the conversions: by name, or by what this system has."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_dscoreml.engines.coreml import CoreMLEngine, require_macos
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.model.weights import Geometry

ENGINES = ("auto", "coreml", "reference")


def engine_name(choice: str) -> str:
    """The engine that a choice stands for: Core ML on macOS, the reference elsewhere.

    Raises:
        UsageError: Core ML was asked for by name and cannot run here.
    """
    if choice == "auto":
        return "coreml" if sys.platform == "darwin" else "reference"
    if choice == "coreml":
        require_macos()
    return choice


def open_engine(name: str, path: Path, geometry: Geometry, n_steps: int | None, *, compute_units: str) -> Engine:
    """The named engine on a converted model.

    Raises:
        EngineError: the engine refuses the file.
    """
    if name == "coreml":
        return CoreMLEngine(path, geometry, n_steps, compute_units=compute_units)
    from pytest_dscoreml.engines.reference import ReferenceEngine

    return ReferenceEngine(path, geometry, n_steps)
