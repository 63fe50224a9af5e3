"""Stands where ``MLModel`` expects Apple's framework, and lets ``ReferenceModel`` do the work.

Imports the runtime, the records and the errors.
"""

from __future__ import annotations

import functools
import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.coremltools_tests.records import ModelKind, Recorder
from pytest_dscoreml.errors import ExecutionError, LoadError, RuntimeModelError
from pytest_dscoreml.runtime import ReferenceModel
from pytest_dscoreml.runtime.images import GRAY_FLOAT16, Image
from pytest_dscoreml.runtime.source import open_source

# iOS 26, the newest that coremltools 9.0 writes.
NEWEST_SPECIFICATION = 10
_IOS_OF_OPSET = {"CoreML5": "iOS15", "CoreML6": "iOS16", "CoreML7": "iOS17", "CoreML8": "iOS18", "CoreML9": "iOS26"}
_FLOAT16 = 10
_NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
_PLACED = re.compile(r"(?:operation|layer) '.*?': (\S+) (.*) \[[^\[]*\]$")
_QUOTED = re.compile(r"'[^']*'")
_DEFAULT_FUNCTION = "main"


class PredictionError(RuntimeError):
    """What Apple's framework raises as ``RuntimeError``: a model or an input that cannot be predicted with."""


class RefusedError(PredictionError):
    """The runtime refuses the model; ``what`` names the operations."""

    def __init__(self, message: str, what: list[str]) -> None:
        super().__init__(message)
        self.what = what


class PlatformError(PredictionError):
    """A service of Apple's framework other than prediction: there is nothing here that could do it."""


class FaultError(PredictionError):
    """The runtime failed in a way it should not: a fault of ours."""


class Proxy:
    """The part of coremltools' ``_MLModelProxy`` that prediction needs. ``recorder`` is set by a subclass.

    A model that is refused is held, as Apple's would be: the error comes when a prediction is asked for, so that tests
    that only convert are not disturbed. What was refused is noted either way.
    """

    recorder: Recorder

    def __init__(self, filename: str, compute_units: str, function: str, hints: dict[str, str], asset: Any) -> None:
        if asset is not None:
            raise PlatformError("model assets are a service of Apple's framework")
        self._filename, self._function = filename, function or None
        self._kind = ModelKind()
        self._refusal: Optional[PredictionError] = None
        self._model: Optional[ReferenceModel] = None
        self._images: dict[str, Image] = {}
        try:
            source = open_source(filename)
            self._kind = _kind(source.message, function or source.message.description.defaultFunctionName)
            self._model = ReferenceModel(filename, function_name=function or None)
            self._images = {
                feature.name: feature.image for feature in self._model.interface.outputs if feature.image is not None
            }
        except LoadError as error:
            self._refusal = RefusedError(str(error), refusals(str(error)))
            self.recorder.refused(refusals(str(error)), asked=False)
        except Exception as error:
            self._refusal = _fault("loading the model", error)

    @staticmethod
    def maximum_supported_specification_version() -> int:
        """The newest models that may be loaded."""
        return NEWEST_SPECIFICATION

    def predict(self, data: dict[str, Any], state: Any = None) -> dict[str, Any]:
        """The outputs for ``data``, as ``MLModel.predict`` hands it down."""
        self.recorder.current.attempts += 1
        model = self._loaded()
        try:
            outputs = _as_apple(model.predict(data, state=state), self._images)
        except ExecutionError as error:
            # Tests look for these words of Apple's.
            way = "ML Program" if self._kind.backend == "mlprogram" else "a neural network model"
            raise PredictionError(f"Unable to compute the prediction using {way}. {error}") from error
        except RuntimeModelError as error:
            raise PredictionError(str(error)) from error
        except Exception as error:
            raise _fault("predicting", error) from error
        self.recorder.predicted(self._kind, outputs, functools.partial(self._in_double, dict(data)))
        return outputs

    def _in_double(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same prediction computed in double; stateless models only."""
        double = ReferenceModel(self._filename, function_name=self._function, compute_precision="float64")
        return double.predict(data)

    def batchPredict(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N802
        """The outputs for each of ``batch``."""
        return [self.predict(data) for data in batch]

    def newState(self) -> Any:  # noqa: N802
        """The states of a stateful model, zeros."""
        try:
            return self._loaded().make_state()
        except RuntimeModelError as error:
            raise PredictionError(str(error)) from error

    def get_compiled_model_path(self) -> str:
        """Apple's compiler made no file here."""
        raise PlatformError("compiled models are a service of Apple's framework")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise PlatformError(f"{name} is a service of Apple's framework")

    def _loaded(self) -> Any:
        self.recorder.asked(self._kind)
        if self._refusal is not None:
            if isinstance(self._refusal, RefusedError):
                self.recorder.refused(self._refusal.what, asked=True)
            raise self._refusal
        return self._model


def refusals(message: str) -> list[str]:
    """The operations that a ``LoadError`` names, each with its reason unless that is that it is not implemented."""
    first, *listed = message.splitlines() or [""]
    lines = [line[len("  - ") :] for line in listed] or [first.partition(": ")[2] or first]
    found: list[str] = []
    for line in lines:
        match = _PLACED.match(line)
        if match is None:
            what = _QUOTED.sub("'...'", line)
        elif match[2] == "is not supported by the runtime":
            what = match[1]
        else:
            what = f"{match[1]}: {_QUOTED.sub(repr('...'), match[2])}"
        if what not in found:
            found.append(what)
    return found


def _fault(doing: str, error: Exception) -> FaultError:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return FaultError(f"{doing}: {type(error).__name__}: {error}{place}")


def _kind(message: Any, function: str) -> ModelKind:
    which = str(message.WhichOneof("Type"))
    if which in _NETWORKS:
        return ModelKind("neuralnetwork", "fp32", "iOS14")
    if which != "mlProgram":
        return ModelKind(which)
    functions = message.mlProgram.functions
    name = function or _DEFAULT_FUNCTION
    if name not in functions:
        return ModelKind("mlprogram")
    opset = functions[name].opset
    half = any(_has_half(block) for block in functions[name].block_specializations.values())
    return ModelKind("mlprogram", "fp16" if half else "fp32", _IOS_OF_OPSET.get(opset, opset))


def _has_half(block: Any) -> bool:
    return any(
        any(output.type.tensorType.dataType == _FLOAT16 for output in operation.outputs)
        or any(_has_half(nested) for nested in operation.blocks)
        for operation in block.operations
    )


def _as_apple(outputs: Mapping[str, Any], images: Mapping[str, Image]) -> dict[str, Any]:
    """Images as ``MLModel.predict`` gives them: Pillow's, those in color with an opaque fourth channel."""
    if not images:
        return dict(outputs)
    from PIL import Image as Pillow

    given = dict(outputs)
    for name, image in images.items():
        pixels = given[name]
        if image.color == GRAY_FLOAT16:
            given[name] = Pillow.fromarray(pixels.astype(np.float32))
        elif image.channels == 1:
            given[name] = Pillow.fromarray(pixels)
        else:
            opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
            given[name] = Pillow.fromarray(np.concatenate([pixels, opaque], axis=2))
    return given
