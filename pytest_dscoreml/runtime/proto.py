"""The only file that touches coremltools' protobuf classes; it parses bytes and knows the enumerations.

``import coremltools`` takes ten seconds and loads TensorFlow where that is installed, and says eight times on standard
error that Apple's framework is missing. The generated protobuf modules need none of it, so they are imported as a
package of their own from coremltools' directory. Both protobuf back ends register a file under its content, so the
classes are the same as those of a later ``import coremltools``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

from pytest_dscoreml.errors import LoadError

_PACKAGE = "_pytest_dscoreml_coremltools_proto"


@cache
def _module(name: str) -> Any:
    """coremltools' generated module ``name`` (``"Model_pb2"``), without importing coremltools itself."""
    if "coremltools" in sys.modules:
        return importlib.import_module(f"coremltools.proto.{name}")
    if _PACKAGE not in sys.modules:
        spec = importlib.util.find_spec("coremltools")
        if spec is None or not spec.submodule_search_locations:
            raise LoadError("coremltools is not installed: the runtime reads Core ML files with its protobuf classes")
        package = types.ModuleType(_PACKAGE)
        package.__path__ = [str(Path(next(iter(spec.submodule_search_locations))) / "proto")]
        sys.modules[_PACKAGE] = package
    return importlib.import_module(f"{_PACKAGE}.{name}")


def parse_model(data: bytes, source: str) -> Any:
    """The ``Model`` message in ``data``; LoadError when it is not one."""
    from google.protobuf.message import DecodeError

    model = _module("Model_pb2").Model()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError) as error:
        raise LoadError(f"{source}: not a Core ML model, or truncated ({error})") from None
    size = model.ByteSize()
    model.DiscardUnknownFields()
    unknown = size - model.ByteSize()
    if unknown:
        raise LoadError(
            f"{source}: some {unknown} bytes are fields that this coremltools does not know: the file is damaged, or of a "
            "newer Core ML"
        )
    return model


def model_descriptor() -> Any:
    """The descriptor of the ``Model`` message."""
    return _module("Model_pb2").DESCRIPTOR.message_types_by_name["Model"]


def is_model(candidate: Any) -> bool:
    """Whether ``candidate`` is a ``Model`` message, whichever import of the classes made it."""
    descriptor = getattr(candidate, "DESCRIPTOR", None)
    return getattr(descriptor, "full_name", None) == "CoreML.Specification.Model"


def layer_messages() -> dict[str, Any]:
    """The descriptor of each neural network layer's parameters, by layer type (``"innerProduct"``)."""
    layer = _module("NeuralNetwork_pb2").DESCRIPTOR.message_types_by_name["NeuralNetworkLayer"]
    return {field.name: field.message_type for field in layer.oneofs_by_name["layer"].fields}


def activation_messages() -> dict[str, Any]:
    """The descriptor of each activation's parameters, by name (``"ReLU"``)."""
    params = _module("NeuralNetwork_pb2").DESCRIPTOR.message_types_by_name["ActivationParams"]
    return {field.name: field.message_type for field in params.oneofs_by_name["NonlinearityType"].fields}


@cache
def mil_data_types() -> dict[int, str]:
    """ML Program ``DataType`` numbers to NumPy names (``"float32"``), ``"string"``, or Core ML's own lower-case name."""
    values = _module("MIL_pb2").DESCRIPTOR.enum_types_by_name["DataType"].values
    return {value.number: value.name.lower() for value in values}


@cache
def array_data_types() -> dict[int, str]:
    """``ArrayFeatureType.ArrayDataType`` numbers to NumPy names."""
    array = _module("FeatureTypes_pb2").DESCRIPTOR.message_types_by_name["ArrayFeatureType"]
    names = {"DOUBLE": "float64"}
    values = array.enum_types_by_name["ArrayDataType"].values
    return {value.number: names.get(value.name, value.name.lower()) for value in values}
