"""Decodes a neural network layer's ``WeightParams`` into arrays of the shape that the layer's fields imply.

Imports only NumPy and the errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import LoadError

_FLOAT_VALUE_TAG = b"\x0a"
_VARINT_BITS = 7

Shape = Callable[[Any], tuple[int, ...]]

# For each layer, the shape of each of its weights from the layer's own fields (NeuralNetwork.proto).
SHAPES: Mapping[tuple[str, str], Shape] = {
    ("innerProduct", "weights"): lambda layer: (layer.outputChannels, layer.inputChannels),
    ("innerProduct", "bias"): lambda layer: (layer.outputChannels,),
    ("batchedMatmul", "weights"): lambda layer: (layer.weightMatrixFirstDimension, layer.weightMatrixSecondDimension),
    ("batchedMatmul", "bias"): lambda layer: (layer.weightMatrixSecondDimension,),
    ("loadConstantND", "data"): lambda layer: tuple(layer.shape),
    ("loadConstant", "data"): lambda layer: tuple(layer.shape),
    ("scale", "scale"): lambda layer: tuple(layer.shapeScale),
    ("scale", "bias"): lambda layer: tuple(layer.shapeBias),
    ("bias", "bias"): lambda layer: tuple(layer.shape),
}


def read_weights(message: Any, layer: Any, kind: str, field: str) -> NDArray[Any]:
    """The weights in ``message``, the field ``field`` of a layer of type ``kind``; LoadError when they do not fit."""
    values = _values(message)
    shape_of: Optional[Shape] = SHAPES.get((kind, field))
    if shape_of is None:
        return values
    shape = shape_of(layer)
    needed = int(np.prod(shape, dtype=object))
    if values.size != needed:
        raise LoadError(f"holds {values.size} values, its shape {shape} takes {needed}")
    return values.reshape(shape)


def _values(message: Any) -> NDArray[Any]:
    stored = [field.name for field, _ in message.ListFields() if field.name != "isUpdatable"]
    if stored == ["floatValue"]:
        return _floats(message)
    if stored == ["float16Value"]:
        if len(message.float16Value) % 2:
            raise LoadError(f"holds {len(message.float16Value)} bytes of float16 values, an odd number")
        return np.frombuffer(message.float16Value, "<f2").astype(np.float32)
    if not stored:
        return np.empty(0, np.float32)
    raise LoadError(f"is stored as {', '.join(stored)}, which is not supported (expected floatValue or float16Value)")


def _floats(message: Any) -> NDArray[Any]:
    """``floatValue`` as an array: from the wire form, which is the floats' own bytes and much faster than a list."""
    count = len(message.floatValue)
    data = message.SerializeToString()
    start = len(_FLOAT_VALUE_TAG) + -(-(4 * count).bit_length() // _VARINT_BITS)
    if data[:1] == _FLOAT_VALUE_TAG and len(data) >= start + 4 * count:
        return np.frombuffer(data, "<f4", count, start)
    return np.array(message.floatValue, np.float32)
