"""ML Program: element-wise unary, binary, comparison, logical and activation operations, softmax and casts."""

# mypy: disable-error-code="no-any-return"
# NumPy types what its ufuncs return as Any.

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import elementwise as functions
from pytest_dscoreml.runtime.registry import Array, mil

UNARY: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "asin": np.arcsin,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": functions.erf,
    "exp": np.exp,
    "exp2": np.exp2,
    "floor": np.floor,
    "logical_not": np.logical_not,
    "relu": functions.relu,
    "relu6": functions.relu6,
    "round": np.rint,
    "sigmoid": functions.sigmoid,
    "sign": np.sign,
    "silu": functions.silu,
    "sin": np.sin,
    "sinh": np.sinh,
    "softplus": functions.softplus,
    "softsign": functions.softsign,
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "equal": np.equal,
    "floor_div": np.floor_divide,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mod": np.mod,
    "mul": np.multiply,
    "not_equal": np.not_equal,
    "pow": np.power,
    "real_div": functions.divide,
    "sub": np.subtract,
}


def _unary(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(*, x: Array) -> Array:
        result: Array = function(x)
        return result

    return functions.described(kernel, function)


def _binary(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(*, x: Array, y: Array) -> Array:
        result: Array = function(x, y)
        return result

    return functions.described(kernel, function)


for _name, _function in UNARY.items():
    mil.kernel(_name, wide=True, fresh=True)(_unary(_function))
for _name, _function in BINARY.items():
    mil.kernel(_name, wide=True, fresh=True)(_binary(_function))


@mil.kernel("cast", fresh=True)
def cast(*, x: Array, dtype: str) -> Array:
    """x as ``dtype``: ``fp16``, ``fp32``, ``int32``, ``bool`` and from iOS 17 on the small integers."""
    return functions.cast(x, dtype)


@mil.kernel("clip", wide=True, fresh=True)
def clip(*, x: Array, alpha: float, beta: float) -> Array:
    """min(max(x, alpha), beta)."""
    return functions.clip(x, alpha, beta)


@mil.kernel("inverse", wide=True, fresh=True)
def inverse(*, x: Array, epsilon: float = 1e-4) -> Array:
    """1 / (x + epsilon)."""
    return np.reciprocal(x + x.dtype.type(epsilon))


@mil.kernel("log", wide=True, fresh=True)
def log(*, x: Array, epsilon: float = 1e-45) -> Array:
    """log(x + epsilon)."""
    return np.log(x + x.dtype.type(epsilon))


@mil.kernel("rsqrt", wide=True, fresh=True)
def rsqrt(*, x: Array, epsilon: float = 1e-12) -> Array:
    """1 / sqrt(x + epsilon)."""
    return np.reciprocal(np.sqrt(x + x.dtype.type(epsilon)))


@mil.kernel("threshold", wide=True, fresh=True)
def threshold(*, x: Array, alpha: float) -> Array:
    """max(x, alpha)."""
    return np.maximum(x, x.dtype.type(alpha))


@mil.kernel("clamped_relu", wide=True, fresh=True)
def clamped_relu(*, x: Array, alpha: Array, beta: Array) -> Array:
    """min(beta, x) where x >= 0, min(beta, alpha x) elsewhere."""
    return np.minimum(beta, functions.leaky_relu(x, alpha))


@mil.kernel("elu", wide=True, fresh=True)
def elu(*, x: Array, alpha: float) -> Array:
    """x where x > 0, alpha (e^x - 1) elsewhere."""
    return functions.elu(x, alpha)


@mil.kernel("gelu", wide=True, fresh=True)
def gelu(*, x: Array, mode: str = "EXACT") -> Array:
    """The Gaussian error linear unit."""
    return functions.gelu(x, mode)


@mil.kernel("leaky_relu", wide=True, fresh=True)
def leaky_relu(*, x: Array, alpha: Array) -> Array:
    """x where x >= 0, alpha x elsewhere."""
    return functions.leaky_relu(x, alpha)


@mil.kernel("linear_activation", wide=True, fresh=True)
def linear_activation(*, x: Array, alpha: Array, beta: Array) -> Array:
    """alpha x + beta."""
    return x * alpha + beta


@mil.kernel("prelu", wide=True, fresh=True)
def prelu(*, x: Array, alpha: Array) -> Array:
    """x where x >= 0, alpha x elsewhere, one alpha per channel (axis 1)."""
    return functions.leaky_relu(x, functions.per_channel(alpha, x, 1))


@mil.kernel("scaled_tanh", wide=True, fresh=True)
def scaled_tanh(*, x: Array, alpha: Array, beta: Array) -> Array:
    """alpha tanh(beta x)."""
    return alpha * np.tanh(beta * x)


@mil.kernel("sigmoid_hard", wide=True, fresh=True)
def sigmoid_hard(*, x: Array, alpha: Array, beta: Array) -> Array:
    """min(max(alpha x + beta, 0), 1)."""
    return functions.clip(alpha * x + beta, 0, 1)


@mil.kernel("softplus_parametric", wide=True, fresh=True)
def softplus_parametric(*, x: Array, alpha: Array, beta: Array) -> Array:
    """alpha log(1 + e^(beta x)), one alpha and beta per channel (axis 1)."""
    return functions.parametric_softplus(x, functions.per_channel(alpha, x, 1), functions.per_channel(beta, x, 1))


@mil.kernel("thresholded_relu", wide=True, fresh=True)
def thresholded_relu(*, x: Array, alpha: float) -> Array:
    """x where x >= alpha, 0 elsewhere."""
    return np.where(x >= alpha, x, x.dtype.type(0))


@mil.kernel("softmax", wide=True, fresh=True)
def softmax(*, x: Array, axis: int = -1) -> Array:
    """e^x normalised to sum 1 along ``axis``."""
    return functions.softmax(x, axis)


@mil.kernel("select", fresh=True)
def select(*, cond: Array, a: Array, b: Array) -> Array:
    """a where ``cond``, b elsewhere, broadcast."""
    return np.where(cond, a, b)


@mil.kernel("cumsum", wide=True, fresh=True)
def cumsum(*, x: Array, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Array:
    """The running sum along ``axis``."""
    return functions.cumsum(x, axis, exclusive=exclusive, reverse=reverse)
