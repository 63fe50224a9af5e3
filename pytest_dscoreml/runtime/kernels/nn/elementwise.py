"""Neural network: element-wise layers, comparisons, logic, activations and softmax.

Field names are the specification's. A field that is absent is zero there, except where the specification gives zero
another meaning, which the docstring then says.
"""

# ruff: noqa: N803

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

from functools import reduce
from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import elementwise as functions
from pytest_dscoreml.runtime.registry import Array, nn

UNARY: dict[str, Callable[..., Any]] = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "activation.ReLU": functions.relu,
    "activation.sigmoid": functions.sigmoid,
    "activation.softplus": functions.softplus,
    "activation.softsign": functions.softsign,
    "activation.tanh": np.tanh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": functions.erf,
    "exp2": np.exp2,
    "floor": np.floor,
    "logicalNot": np.logical_not,
    "round": np.rint,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "tan": np.tan,
    "tanh": np.tanh,
}
BINARY: dict[str, Callable[..., Any]] = {
    "addBroadcastable": np.add,
    "divideBroadcastable": np.divide,
    "floorDivBroadcastable": np.floor_divide,
    "logicalAnd": np.logical_and,
    "logicalOr": np.logical_or,
    "logicalXor": np.logical_xor,
    "modBroadcastable": np.mod,
    "multiplyBroadcastable": np.multiply,
    "powBroadcastable": np.power,
    "subtractBroadcastable": np.subtract,
}
VARIADIC: dict[str, Callable[..., Any]] = {
    "max": np.maximum,
    "maxBroadcastable": np.maximum,
    "min": np.minimum,
    "minBroadcastable": np.minimum,
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "equal": np.equal,
    "greaterEqual": np.greater_equal,
    "greaterThan": np.greater,
    "lessEqual": np.less_equal,
    "lessThan": np.less,
    "notEqual": np.not_equal,
}
# UnaryFunctionLayerParams.Operation
_SQRT, _RSQRT, _INVERSE, _POWER, _EXP, _LOG, _ABS, _THRESHOLD = range(8)
_UNARY_EPSILON = 1e-6
_GELU_MODES = ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")


def _unary(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(x: Array) -> Array:
        result: Array = function(x)
        return result

    return functions.described(kernel, function)


def _binary(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(x: Array, y: Array) -> Array:
        result: Array = function(x, y)
        return result

    return functions.described(kernel, function)


def _variadic(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(*inputs: Array) -> Array:
        return reduce(function, inputs[1:], np.array(inputs[0]))

    return functions.described(kernel, function)


def _comparison(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(x: Array, y: Optional[Array] = None, *, alpha: float = 0.0) -> Array:
        result: Array = function(x, x.dtype.type(alpha) if y is None else y)
        return result

    return functions.described(kernel, function)


for _name, _function in UNARY.items():
    nn.kernel(_name, fresh=True)(_unary(_function))
for _name, _function in BINARY.items():
    nn.kernel(_name, fresh=True)(_binary(_function))
for _name, _function in VARIADIC.items():
    nn.kernel(_name, fresh=True)(_variadic(_function))
for _name, _function in COMPARISONS.items():
    nn.kernel(_name, fresh=True)(_comparison(_function))


@nn.kernel("copy")
def copy(x: Array) -> Array:
    """The value itself: arrays are not changed once they are written."""
    return x


@nn.kernel("add", fresh=True)
def add(*inputs: Array, alpha: float = 0.0) -> Array:
    """The sum of the inputs, or of the only input and ``alpha``."""
    if len(inputs) == 1:
        return inputs[0] + inputs[0].dtype.type(alpha)
    return reduce(np.add, inputs)


@nn.kernel("multiply", fresh=True)
def multiply(*inputs: Array, alpha: float = 0.0) -> Array:
    """The product of the inputs, or of the only input and ``alpha``."""
    if len(inputs) == 1:
        return inputs[0] * inputs[0].dtype.type(alpha)
    return reduce(np.multiply, inputs)


@nn.kernel("average", fresh=True)
def average(*inputs: Array) -> Array:
    """The mean of the inputs."""
    return np.asarray(reduce(np.add, inputs) / len(inputs))


@nn.kernel("unary", fresh=True)
def unary(
    x: Array, *, type: int = _SQRT, alpha: float = 0.0, epsilon: float = 0.0, shift: float = 0.0, scale: float = 0.0
) -> Array:
    """A function of ``scale`` x + ``shift``; scale 0 means 1, epsilon 0 means 1e-6."""
    kind = x.dtype.type
    moved = x * kind(scale or 1.0) + kind(shift)
    small = kind(epsilon or _UNARY_EPSILON)
    if type == _SQRT:
        return np.sqrt(moved)
    if type == _RSQRT:
        return np.reciprocal(np.sqrt(moved + small))
    if type == _INVERSE:
        return np.reciprocal(moved + small)
    if type == _POWER:
        return np.power(moved, kind(alpha))
    if type == _EXP:
        return np.exp(moved)
    if type == _LOG:
        return np.log(moved + small)
    if type == _ABS:
        return np.abs(moved)
    if type == _THRESHOLD:
        return np.maximum(moved, kind(alpha))
    raise ValueError(f"type {type} is no unary function")


@nn.kernel("clip", fresh=True)
def clip(x: Array, *, minVal: float = 0.0, maxVal: float = 0.0) -> Array:
    """min(max(x, minVal), maxVal)."""
    return functions.clip(x, minVal, maxVal)


@nn.kernel("clampedReLU", fresh=True)
def clamped_relu(x: Array, *, alpha: float = 0.0, beta: float = 0.0) -> Array:
    """min(beta, x) where x >= 0, min(beta, alpha x) elsewhere."""
    return np.minimum(x.dtype.type(beta), functions.leaky_relu(x, x.dtype.type(alpha)))


@nn.kernel("gelu", fresh=True)
def gelu(x: Array, *, mode: int = 0) -> Array:
    """The Gaussian error linear unit: exact, by tanh or by sigmoid."""
    return functions.gelu(x, _GELU_MODES[mode])


@nn.kernel("activation.linear", fresh=True)
def linear(x: Array, *, alpha: float = 0.0, beta: float = 0.0) -> Array:
    """alpha x + beta."""
    return x * x.dtype.type(alpha) + x.dtype.type(beta)


@nn.kernel("activation.leakyReLU", fresh=True)
def leaky_relu(x: Array, *, alpha: float = 0.0) -> Array:
    """x where x >= 0, alpha x elsewhere."""
    return functions.leaky_relu(x, x.dtype.type(alpha))


@nn.kernel("activation.thresholdedReLU", fresh=True)
def thresholded_relu(x: Array, *, alpha: float = 0.0) -> Array:
    """x where x >= alpha, 0 elsewhere."""
    return np.where(x >= alpha, x, x.dtype.type(0))


@nn.kernel("activation.PReLU", fresh=True)
def prelu(x: Array, *, alpha: Array) -> Array:
    """x where x >= 0, alpha x elsewhere, one alpha per channel (axis -3), or one for all."""
    return functions.leaky_relu(x, alpha if alpha.size == 1 else functions.per_channel(alpha, x, -3))


@nn.kernel("activation.parametricSoftplus", fresh=True)
def parametric_softplus(x: Array, *, alpha: Array, beta: Array) -> Array:
    """alpha log(1 + e^(beta x)), one alpha and beta per channel (axis -3), or one for all."""
    factor, inner = (value if value.size == 1 else functions.per_channel(value, x, -3) for value in (alpha, beta))
    return functions.parametric_softplus(x, factor, inner)


@nn.kernel("activation.scaledTanh", fresh=True)
def scaled_tanh(x: Array, *, alpha: float = 0.0, beta: float = 0.0) -> Array:
    """alpha tanh(beta x)."""
    return x.dtype.type(alpha) * np.tanh(x.dtype.type(beta) * x)


@nn.kernel("activation.sigmoidHard", fresh=True)
def sigmoid_hard(x: Array, *, alpha: float = 0.0, beta: float = 0.0) -> Array:
    """min(max(alpha x + beta, 0), 1)."""
    return functions.clip(x.dtype.type(alpha) * x + x.dtype.type(beta), 0, 1)


@nn.kernel("activation.ELU", fresh=True)
def elu(x: Array, *, alpha: float = 0.0) -> Array:
    """x where x > 0, alpha (e^x - 1) elsewhere."""
    return functions.elu(x, alpha)


@nn.kernel("softmaxND", fresh=True)
def softmax_nd(x: Array, *, axis: int = 0) -> Array:
    """e^x normalised to sum 1 along ``axis``."""
    return functions.softmax(x, axis)


@nn.kernel("softmax", fresh=True)
def softmax(x: Array) -> Array:
    """e^x normalised to sum 1 along the channels (axis -3)."""
    return functions.softmax(x, -3)


@nn.kernel("whereBroadcastable", fresh=True)
def where(condition: Array, a: Array, b: Array) -> Array:
    """a where ``condition`` is not 0, b elsewhere."""
    return np.where(condition != 0, a, b)


@nn.kernel("cumSum", fresh=True)
def cum_sum(
    x: Array, along: Optional[int] = None, *, axis: int = 0, excludeFinalSum: bool = False, reverse: bool = False
) -> Array:
    """The running sum along ``axis``; a second input goes before the field."""
    return functions.cumsum(x, axis if along is None else along, exclusive=excludeFinalSum, reverse=reverse)
