"""Decodes a neural network layer's ``WeightParams`` into arrays of the shape that the layer's fields imply.

Weights are stored as float32, float16, or integers of 1 to 8 bits with a scale and bias, or with a look-up table.
Imports only NumPy, the errors and how values get their shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime import large_floats
from pytest_dscoreml.runtime.shaped import shaped

_FLOAT_VALUE_TAG = b"\x0a"
_VARINT_BITS = 7
# Of one value's length, see large_floats.
_MOST_IN_A_MARK = 4
_MOST_BITS = 8

Shape = Callable[[Any], tuple[int, ...]]


def _convolution(layer: Any) -> tuple[int, ...]:
    kernel = tuple(layer.kernelSize) or (3, 3)
    if layer.isDeconvolution:
        return (layer.kernelChannels, layer.outputChannels // (layer.nGroups or 1), *kernel)
    return (layer.outputChannels, layer.kernelChannels, *kernel)


def _convolution_3d(layer: Any) -> tuple[int, ...]:
    groups = layer.nGroups or 1
    kernel = (layer.kernelDepth, layer.kernelHeight, layer.kernelWidth)
    if layer.isDeconvolution:
        return (layer.inputChannels, layer.outputChannels // groups, *kernel)
    return (layer.outputChannels, layer.inputChannels // groups, *kernel)


def _outputs(layer: Any) -> tuple[int, ...]:
    return (layer.outputChannels,)


def _channels(layer: Any) -> tuple[int, ...]:
    return (layer.channels,)


def _state(layer: Any) -> tuple[int, ...]:
    return (layer.outputVectorSize,)


def _from_input(layer: Any) -> tuple[int, ...]:
    return (layer.outputVectorSize, layer.inputVectorSize)


def _recurrent(layer: Any) -> tuple[int, ...]:
    return (layer.outputVectorSize, layer.outputVectorSize)


def _gates(op: str, prefix: str, names: tuple[str, ...]) -> dict[tuple[str, str], Shape]:
    """The weights of a recurrent layer: each gate's three, and an LSTM's peepholes."""
    shapes: dict[tuple[str, str], Shape] = {}
    for name in names:
        shapes[op, f"{prefix}{name}WeightMatrix"] = _from_input
        shapes[op, f"{prefix}{name}RecursionMatrix"] = _recurrent
        shapes[op, f"{prefix}{name}BiasVector"] = _state
        shapes[op, f"{prefix}{name}PeepholeVector"] = _state
    return shapes


_LSTM_GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")

# For each layer, the shape of each of its weights from the layer's own fields (NeuralNetwork.proto). A weight that is
# not here is a vector of any length.
SHAPES: Mapping[tuple[str, str], Shape] = {
    ("innerProduct", "weights"): lambda layer: (layer.outputChannels, layer.inputChannels),
    ("innerProduct", "bias"): _outputs,
    # The file holds this matrix transposed: a row for each column of the product.
    ("batchedMatmul", "weights"): lambda layer: (layer.weightMatrixSecondDimension, layer.weightMatrixFirstDimension),
    ("batchedMatmul", "bias"): lambda layer: (layer.weightMatrixSecondDimension,),
    ("embedding", "weights"): lambda layer: (layer.outputChannels, layer.inputDim),
    ("embedding", "bias"): _outputs,
    ("embeddingND", "weights"): lambda layer: (layer.embeddingSize, layer.vocabSize),
    ("embeddingND", "bias"): lambda layer: (layer.embeddingSize,),
    ("convolution", "weights"): _convolution,
    ("convolution", "bias"): _outputs,
    ("convolution3d", "weights"): _convolution_3d,
    ("convolution3d", "bias"): _outputs,
    ("batchnorm", "gamma"): _channels,
    ("batchnorm", "beta"): _channels,
    ("batchnorm", "mean"): _channels,
    ("batchnorm", "variance"): _channels,
    ("layerNormalization", "gamma"): lambda layer: tuple(layer.normalizedShape),
    ("layerNormalization", "beta"): lambda layer: tuple(layer.normalizedShape),
    ("loadConstantND", "data"): lambda layer: tuple(layer.shape),
    ("loadConstant", "data"): lambda layer: tuple(layer.shape),
    ("scale", "scale"): lambda layer: tuple(layer.shapeScale),
    ("scale", "bias"): lambda layer: tuple(layer.shapeBias),
    ("bias", "bias"): lambda layer: tuple(layer.shape),
    ("simpleRecurrent", "weightMatrix"): _from_input,
    ("simpleRecurrent", "recursionMatrix"): _recurrent,
    ("simpleRecurrent", "biasVector"): _state,
    **_gates("gru", "", ("updateGate", "resetGate", "outputGate")),
    **_gates("uniDirectionalLSTM", "weightParams.", _LSTM_GATES),
    **_gates("biDirectionalLSTM", "weightParams.", _LSTM_GATES),
}


def read_weights(message: Any, layer: Any, kind: str, field: str) -> NDArray[Any]:
    """The weights in ``message``, the field ``field`` of a layer of type ``kind``; LoadError when they do not fit.

    A field of a nested message is named with its path, ``weightParams.inputGateWeightMatrix``.
    """
    stored = [item.name for item, _ in message.ListFields() if item.name != "isUpdatable"]
    shape_of = SHAPES.get((kind, field))
    shape = None if shape_of is None else shape_of(layer)
    if "quantization" in stored:
        if shape is None:
            raise LoadError("is quantized, which is not supported for this weight")
        deconvolution = kind in ("convolution", "convolution3d") and bool(layer.isDeconvolution)
        return _quantized(message, stored, shape, axis=1 if deconvolution and field == "weights" else 0)
    values = _values(message, stored)
    if shape is None:
        return values
    _check_count(values.size, shape)
    return shaped(values, shape)


def _check_count(count: int, shape: tuple[int, ...]) -> None:
    needed = int(np.prod(shape, dtype=object))
    if count != needed:
        raise LoadError(f"holds {count} values, its shape {shape} takes {needed}")


def _values(message: Any, stored: list[str]) -> NDArray[Any]:
    if stored == ["floatValue"]:
        return _floats(message)
    if stored == ["float16Value"]:
        if len(message.float16Value) % 2:
            raise LoadError(f"holds {len(message.float16Value)} bytes of float16 values, an odd number")
        return np.frombuffer(message.float16Value, "<f2").astype(np.float32)
    if not stored:
        return np.empty(0, np.float32)
    raise LoadError(
        f"is stored as {', '.join(stored)}, which is not supported (expected floatValue, float16Value, or rawValue or "
        "int8RawValue with quantization)"
    )


def _floats(message: Any) -> NDArray[Any]:
    """``floatValue`` as an array: from the wire form, which is the floats' own bytes and much faster than a list."""
    count = len(message.floatValue)
    large = large_floats.find(message.floatValue) if count <= _MOST_IN_A_MARK else None
    if large is not None:
        return large
    data = message.SerializeToString()
    start = len(_FLOAT_VALUE_TAG) + -(-(4 * count).bit_length() // _VARINT_BITS)
    if data[:1] == _FLOAT_VALUE_TAG and len(data) >= start + 4 * count:
        # A copy: the wire form aligns nothing, and products with unaligned weights copy them each time.
        return np.frombuffer(data, "<f4", count, start).copy()
    return np.array(message.floatValue, np.float32)


def _quantized(message: Any, stored: list[str], shape: tuple[int, ...], *, axis: int) -> NDArray[Any]:
    quantization = message.quantization
    bits = quantization.numberOfBits
    if not 1 <= bits <= _MOST_BITS:
        raise LoadError(f"is quantized to {bits} bits, expected 1 to {_MOST_BITS}")
    numbers: NDArray[Any]
    if stored == ["rawValue", "quantization"]:
        numbers = _unpacked(message.rawValue, bits, shape)
    elif stored == ["int8RawValue", "quantization"]:
        if bits != _MOST_BITS:
            raise LoadError(f"holds int8 values and declares {bits} bits")
        numbers = np.frombuffer(message.int8RawValue, np.int8)
        _check_count(numbers.size, shape)
        numbers = shaped(numbers, shape)
    else:
        raise LoadError(f"is stored as {', '.join(stored)}: expected quantization and one of rawValue, int8RawValue")
    which = quantization.WhichOneof("QuantizationType")
    if which == "linearQuantization":
        scale = _per_channel("scale", quantization.linearQuantization.scale, shape, axis)
        # Weights for products of integers are symmetric: they have no bias.
        given = quantization.linearQuantization.bias
        bias = _per_channel("bias", given, shape, axis) if given else np.zeros(1, np.float32)
        return np.asarray(numbers * scale + bias, np.float32)
    if which == "lookupTableQuantization" and numbers.dtype == np.uint8:
        table = np.array(quantization.lookupTableQuantization.floatValue, np.float32)
        if table.size != 1 << bits:
            raise LoadError(f"has a look-up table of {table.size} values, {bits} bits take {1 << bits}")
        return np.asarray(table[numbers])
    raise LoadError(f"is quantized by {which}, which is not supported for these values")


def _unpacked(data: bytes, bits: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Integers of ``bits`` bits, one after the other, the highest bit of each first."""
    count = int(np.prod(shape, dtype=object))
    needed = -(-count * bits // 8)
    if len(data) != needed:
        raise LoadError(f"holds {len(data)} bytes, {count} values of {bits} bits take {needed}")
    packed = np.frombuffer(data, np.uint8)
    if bits == _MOST_BITS:
        return shaped(packed, shape)
    spread = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    return shaped(np.asarray(np.packbits(spread, axis=1) >> (8 - bits), np.uint8), shape)


def _per_channel(name: str, values: Any, shape: tuple[int, ...], axis: int) -> NDArray[Any]:
    vector = np.array(values, np.float32)
    if vector.size == 1:
        return vector
    channels = shape[axis] if len(shape) > axis else 1
    if vector.size != channels:
        raise LoadError(f"has {vector.size} values of {name}, expected 1 or {channels}")
    return vector.reshape([channels if index == axis else 1 for index in range(len(shape))])
