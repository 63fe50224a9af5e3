"""Element-wise kernels of both formats against their formulas, value by value in double."""

from __future__ import annotations

import math
from typing import Any, Callable

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_elementwise
Formula = Callable[..., float]
shapes = npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def half_even(x: float) -> float:
    return float(round(x))


# ML Program name, neural network layer, formula, domain
UNARY: list[tuple[str, str, Formula, tuple[float, float]]] = [
    ("abs", "", abs, (-50, 50)),
    ("acos", "acos", math.acos, (-1, 1)),
    ("asin", "asin", math.asin, (-1, 1)),
    ("atan", "atan", math.atan, (-50, 50)),
    ("atanh", "atanh", math.atanh, (-0.9, 0.9)),
    ("ceil", "ceil", math.ceil, (-50, 50)),
    ("cos", "cos", math.cos, (-6, 6)),
    ("cosh", "cosh", math.cosh, (-6, 6)),
    ("erf", "erf", math.erf, (-4, 4)),
    ("exp", "", math.exp, (-10, 10)),
    ("exp2", "exp2", lambda x: 2.0**x, (-10, 10)),
    ("floor", "floor", math.floor, (-50, 50)),
    ("relu", "activation.ReLU", lambda x: max(x, 0.0), (-50, 50)),
    ("relu6", "", lambda x: min(max(x, 0.0), 6.0), (-50, 50)),
    ("round", "round", half_even, (-50, 50)),
    ("sigmoid", "activation.sigmoid", sigmoid, (-200, 200)),
    ("sign", "sign", lambda x: math.copysign(1, x) if x else 0.0, (-50, 50)),
    ("silu", "", lambda x: x * sigmoid(x), (-50, 50)),
    ("sin", "sin", math.sin, (-6, 6)),
    ("sinh", "sinh", math.sinh, (-6, 6)),
    ("softplus", "activation.softplus", softplus, (-200, 200)),
    ("softsign", "activation.softsign", lambda x: x / (1 + abs(x)), (-50, 50)),
    ("sqrt", "", math.sqrt, (0, 50)),
    ("square", "", lambda x: x * x, (-50, 50)),
    ("tan", "tan", math.tan, (-1.4, 1.4)),
    ("tanh", "activation.tanh", math.tanh, (-50, 50)),
    ("tanh", "tanh", math.tanh, (-50, 50)),
    ("inverse", "", lambda x: 1 / (x + 1e-4), (0.1, 50)),
    ("log", "", math.log, (0.1, 50)),
    ("rsqrt", "", lambda x: 1 / math.sqrt(x + 1e-12), (0.1, 50)),
    ("gelu", "gelu", lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))), (-6, 6)),
]
# name, keywords for ML Program and for the layer, formula
PARAMETRIC: list[tuple[str, str, dict[str, float], Formula]] = [
    ("clip", "", {"alpha": -1.5, "beta": 2.5}, lambda x: min(max(x, -1.5), 2.5)),
    ("threshold", "", {"alpha": 0.5}, lambda x: max(x, 0.5)),
    ("clamped_relu", "clampedReLU", {"alpha": 0.25, "beta": 2.0}, lambda x: min(2.0, x if x >= 0 else 0.25 * x)),
    ("elu", "activation.ELU", {"alpha": 0.5}, lambda x: x if x > 0 else 0.5 * math.expm1(x)),
    ("leaky_relu", "activation.leakyReLU", {"alpha": 0.25}, lambda x: x if x >= 0 else 0.25 * x),
    ("linear_activation", "activation.linear", {"alpha": 2.0, "beta": -1.0}, lambda x: 2 * x - 1),
    ("scaled_tanh", "activation.scaledTanh", {"alpha": 2.0, "beta": 0.5}, lambda x: 2 * math.tanh(0.5 * x)),
    ("sigmoid_hard", "activation.sigmoidHard", {"alpha": 0.5, "beta": 0.25}, lambda x: min(max(0.5 * x + 0.25, 0), 1)),
    ("thresholded_relu", "activation.thresholdedReLU", {"alpha": 0.5}, lambda x: x if x >= 0.5 else 0.0),
]
BINARY: list[tuple[str, str, Formula]] = [
    ("add", "addBroadcastable", lambda x, y: x + y),
    ("sub", "subtractBroadcastable", lambda x, y: x - y),
    ("mul", "multiplyBroadcastable", lambda x, y: x * y),
    ("real_div", "divideBroadcastable", lambda x, y: x / y),
    ("floor_div", "floorDivBroadcastable", lambda x, y: math.floor(x / y)),
    ("mod", "modBroadcastable", lambda x, y: x - y * math.floor(x / y)),
    ("maximum", "maxBroadcastable", max),
    ("minimum", "minBroadcastable", min),
    ("equal", "equal", lambda x, y: x == y),
    ("not_equal", "notEqual", lambda x, y: x != y),
    ("less", "lessThan", lambda x, y: x < y),
    ("less_equal", "lessEqual", lambda x, y: x <= y),
    ("greater", "greaterThan", lambda x, y: x > y),
    ("greater_equal", "greaterEqual", lambda x, y: x >= y),
]


def function(registry: Any, op: str) -> Callable[..., Any]:
    kernel = registry.find(op, 18)
    assert kernel is not None, op
    return kernel.function


def expected(formula: Formula, *arrays: Any) -> Any:
    return np.vectorize(formula, otypes=[np.float64])(*(array.astype(np.float64) for array in arrays))


def close(obtained: Any, expected: Any) -> None:
    assert obtained.shape == expected.shape
    np.testing.assert_allclose(np.asarray(obtained, np.float64), expected, rtol=3e-6, atol=3e-6)


def arrays(low: float, high: float, shape: Any = shapes) -> Any:
    # Quarters are exact in float32, and so are sums and products of two of them.
    elements = st.integers(math.ceil(low * 4), math.floor(high * 4)).map(lambda value: value / 4)
    if math.ceil(low * 4) > math.floor(high * 4) or high - low < 3:
        elements = st.floats(low, high, width=32)
    return npst.arrays(np.float32, shape, elements=elements)


@pytest.mark.parametrize(
    ("op", "layer", "formula", "domain"), UNARY, ids=lambda item: item if isinstance(item, str) else ""
)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_unary(op: str, layer: str, formula: Formula, domain: tuple[float, float], data: Any) -> None:
    low, high = (float(np.nextafter(np.float32(bound), np.float32(0))) for bound in domain)
    x = data.draw(arrays(low, high))
    close(function(mil, op)(x=x), expected(formula, x))
    if layer:
        close(function(nn, layer)(x), expected(formula, x))


@pytest.mark.parametrize(("op", "layer", "values", "formula"), PARAMETRIC, ids=[item[0] for item in PARAMETRIC])
@settings(max_examples=15, deadline=None)
@given(x=arrays(-5, 5))
def test_parametric(op: str, layer: str, values: dict[str, float], formula: Formula, x: Any) -> None:
    kernel = mil.find(op, 15)
    assert kernel is not None
    formed = {
        name: np.float32(value) if kernel.parameters[name].kind == "array" else value for name, value in values.items()
    }
    close(kernel.function(x=x, **formed), expected(formula, x))
    if layer:
        close(function(nn, layer)(x, **values), expected(formula, x))


@pytest.mark.parametrize(("op", "layer", "formula"), BINARY, ids=[item[0] for item in BINARY])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_binary_broadcasts(op: str, layer: str, formula: Formula, data: Any) -> None:
    pair = data.draw(npst.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
    x = data.draw(arrays(-8, 8, pair.input_shapes[0]))
    y = data.draw(arrays(-8, 8, pair.input_shapes[1]))
    if op in ("real_div", "floor_div", "mod"):
        y = np.where(y == 0, np.float32(1), y)
    for obtained in (function(mil, op)(x=x, y=y), function(nn, layer)(x, y)):
        close(np.asarray(obtained), np.asarray(expected(formula, x, y)).reshape(pair.result_shape))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_integer_division_truncates_and_keeps_the_type(data: Any) -> None:
    elements = st.integers(-50, 50)
    x = data.draw(npst.arrays(np.int32, 4, elements=elements))
    y = data.draw(npst.arrays(np.int32, 4, elements=elements.filter(bool)))
    obtained = function(mil, "real_div")(x=x, y=y)
    assert obtained.dtype == np.int32
    assert obtained.tolist() == [int(a / b) for a, b in zip(x.tolist(), y.tolist())]


@pytest.mark.parametrize(
    ("op", "layer"), [("logical_and", "logicalAnd"), ("logical_or", "logicalOr"), ("logical_xor", "logicalXor")]
)
def test_logic(op: str, layer: str) -> None:
    x, y = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    table = {"logical_and": [0, 0, 0, 1], "logical_or": [0, 1, 1, 1], "logical_xor": [0, 1, 1, 0]}[op]
    assert function(mil, op)(x=x, y=y).tolist() == [bool(item) for item in table]
    assert function(nn, layer)(x * np.float32(2), y * np.float32(3)).tolist() == [bool(item) for item in table]


def test_logical_not() -> None:
    assert function(mil, "logical_not")(x=np.array([True, False])).tolist() == [False, True]
    assert function(nn, "logicalNot")(np.array([2.0, 0.0], np.float32)).tolist() == [False, True]


@settings(max_examples=40, deadline=None)
@given(x=arrays(-100, 100, npst.array_shapes(min_dims=1, max_dims=3, max_side=4)), data=st.data())
def test_softmax(x: Any, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    powers = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    wanted = powers / powers.sum(axis, keepdims=True)
    close(function(mil, "softmax")(x=x, axis=axis), wanted)
    close(function(nn, "softmaxND")(x, axis=axis), wanted)


def test_softmax_of_extreme_values_is_finite() -> None:
    x = np.array([[1e30, -1e30, 0.0]], np.float32)
    assert function(mil, "softmax")(x=x).tolist() == [[1.0, 0.0, 0.0]]


@settings(max_examples=40, deadline=None)
@given(x=arrays(-8, 8, npst.array_shapes(min_dims=1, max_dims=3, max_side=4)), data=st.data())
def test_cumsum(x: Any, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    exclusive, reverse = data.draw(st.booleans()), data.draw(st.booleans())
    wanted = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        at = index[axis]
        span = range(at, x.shape[axis]) if reverse else range(at + 1)
        position = list(index)
        for other in span:
            if not (exclusive and other == at):
                position[axis] = other
                wanted[index] += x[tuple(position)]
    close(function(mil, "cumsum")(x=x, axis=axis, exclusive=exclusive, reverse=reverse), wanted)
    close(function(nn, "cumSum")(x, axis=axis, excludeFinalSum=exclusive, reverse=reverse), wanted)


@pytest.mark.parametrize("mode", ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])
def test_gelu_modes(mode: str) -> None:
    x = np.linspace(-3, 3, 13, dtype=np.float32)
    formulas: dict[str, Formula] = {
        "EXACT": lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))),
        "TANH_APPROXIMATION": lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
        "SIGMOID_APPROXIMATION": lambda v: v * sigmoid(1.702 * v),
    }
    close(function(mil, "gelu")(x=x, mode=mode), expected(formulas[mode], x))
    close(function(nn, "gelu")(x, mode=list(formulas).index(mode)), expected(formulas[mode], x))


@pytest.mark.parametrize(
    ("number", "formula"),
    [
        (0, lambda v: math.sqrt(v)),
        (1, lambda v: 1 / math.sqrt(v + 1e-6)),
        (2, lambda v: 1 / (v + 1e-6)),
        (3, lambda v: v**1.5),
        (4, math.exp),
        (5, lambda v: math.log(v + 1e-6)),
        (6, abs),
        (7, lambda v: max(v, 1.5)),
    ],
)
def test_unary_layer_shifts_and_scales_and_reads_zero_as_default(number: int, formula: Formula) -> None:
    x = np.linspace(0.5, 3, 6, dtype=np.float32)
    close(function(nn, "unary")(x, type=number, alpha=1.5), expected(formula, x))
    moved = expected(lambda v: formula(2 * v + 1), x)
    close(function(nn, "unary")(x, type=number, alpha=1.5, scale=2.0, shift=1.0), moved)


def test_one_input_layers_use_alpha() -> None:
    x = np.array([1.0, -2.0], np.float32)
    assert function(nn, "add")(x, alpha=3.0).tolist() == [4.0, 1.0]
    assert function(nn, "add")(x).tolist() == [1.0, -2.0]
    assert function(nn, "multiply")(x, alpha=3.0).tolist() == [3.0, -6.0]
    assert function(nn, "multiply")(x).tolist() == [0.0, -0.0]
    assert function(nn, "lessThan")(x, alpha=0.5).tolist() == [False, True]
    assert function(nn, "lessThan")(x).tolist() == [False, True]
    assert function(nn, "average")(x, x + 2, x + 4).tolist() == [3.0, 0.0]


def test_per_channel_activations() -> None:
    x = np.full((1, 2, 3), -1, np.float32)
    alpha, beta = np.array([0.5, 0.25], np.float32), np.array([1.0, 2.0], np.float32)
    assert function(mil, "prelu")(x=x, alpha=alpha)[0, :, 0].tolist() == [-0.5, -0.25]
    assert function(nn, "activation.PReLU")(x[0][:, :, None], alpha=alpha)[:, 0, 0].tolist() == [-0.5, -0.25]
    obtained = function(mil, "softplus_parametric")(x=x, alpha=alpha, beta=beta)
    close(obtained[0, :, 0], np.array([0.5 * softplus(-1), 0.25 * softplus(-2)]))


def test_select_keeps_nan_out() -> None:
    chosen = function(mil, "select")(cond=np.array([True, False]), a=np.float32(1), b=np.array([np.nan, 2], np.float32))
    assert chosen.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [("int32", [1, -1, 0]), ("bool", [True, True, False]), ("fp16", [1.75, -1.75, 0.0]), ("fp32", [1.75, -1.75, 0.0])],
)
def test_cast(dtype: str, wanted: list[Any]) -> None:
    assert function(mil, "cast")(x=np.array([1.75, -1.75, 0.0], np.float32), dtype=dtype).tolist() == wanted
