"""Core ML in NumPy: runs ML Programs and neural networks on any system, without Apple's framework.

``ReferenceModel(source).predict(inputs)`` follows ``MLModel.predict``. This package knows nothing of DeepSpeech,
TensorFlow or pytest; it imports NumPy, coremltools' protobuf classes (late) and ``pytest_dscoreml.errors``.
"""

from __future__ import annotations

from pytest_dscoreml.errors import ExecutionError, InputError, LoadError, RuntimeModelError
from pytest_dscoreml.runtime.interface import Feature, Interface
from pytest_dscoreml.runtime.model import ReferenceModel
from pytest_dscoreml.runtime.passes import PASSES
from pytest_dscoreml.runtime.program import Block, Program, Step, TensorType
from pytest_dscoreml.runtime.states import ModelState

__all__ = [
    "PASSES",
    "Block",
    "ExecutionError",
    "Feature",
    "InputError",
    "Interface",
    "LoadError",
    "ModelState",
    "Program",
    "ReferenceModel",
    "RuntimeModelError",
    "Step",
    "TensorType",
]
