"""Element-wise kernels of both formats against TensorFlow in double: every type, empty axes, scalars, broadcasting."""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Optional

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_elementwise
SOME = settings(max_examples=20, deadline=None)
FEW = settings(max_examples=8, deadline=None)
shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
seeds = st.integers(0, 10**6)
# A float16 result is one that was computed in float32 and rounded: 11 bits.
RTOL = {"float16": 2.0**-10, "float32": 3e-6}


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    """The kernel's result; float16 arguments are widened first where the executor does so."""
    kernel = mil.find(op, ios)
    assert kernel is not None, op
    return kernel.function(**{name: widen(value) if kernel.wide else value for name, value in arguments.items()})


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None, name
    return kernel.function(*inputs, **fields)


def numbers(seed: int, shape: Any, dtype: str, low: float, high: float) -> Any:
    random = np.random.default_rng(seed)
    if dtype == "int32":
        return np.asarray(random.integers(int(low), int(high) + 1, shape), np.int32)
    return np.asarray(random.uniform(low, high, shape), dtype)


def agree(obtained: Any, expected: Any, dtype: str) -> None:
    assert np.shape(obtained) == np.shape(expected)
    if dtype in RTOL:
        rounded = np.asarray(obtained).astype(dtype).astype(np.float64)
        np.testing.assert_allclose(rounded, np.asarray(expected, np.float64), rtol=RTOL[dtype], atol=RTOL[dtype])
    else:
        np.testing.assert_array_equal(obtained, expected)


# operation, layer, TensorFlow's function of an array in double, domain
UNARY: list[tuple[str, str, Callable[[Any, Any], Any], tuple[float, float]]] = [
    ("abs", "", lambda tf, x: tf.abs(x), (-50, 50)),
    ("acos", "acos", lambda tf, x: tf.acos(x), (-1, 1)),
    ("asin", "asin", lambda tf, x: tf.asin(x), (-1, 1)),
    ("atan", "atan", lambda tf, x: tf.atan(x), (-50, 50)),
    ("atanh", "atanh", lambda tf, x: tf.atanh(x), (-0.9, 0.9)),
    ("ceil", "ceil", lambda tf, x: tf.math.ceil(x), (-50, 50)),
    ("cos", "cos", lambda tf, x: tf.cos(x), (-6, 6)),
    ("cosh", "cosh", lambda tf, x: tf.cosh(x), (-6, 6)),
    ("erf", "erf", lambda tf, x: tf.math.erf(x), (-4, 4)),
    ("exp", "", lambda tf, x: tf.exp(x), (-8, 8)),
    ("exp2", "exp2", lambda tf, x: tf.pow(tf.constant(2, tf.float64), x), (-8, 8)),
    ("floor", "floor", lambda tf, x: tf.floor(x), (-50, 50)),
    ("gelu", "gelu", lambda tf, x: tf.nn.gelu(x), (-6, 6)),
    ("inverse", "", lambda tf, x: 1 / (x + 1e-4), (0.1, 9)),
    ("log", "", lambda tf, x: tf.math.log(x), (0.1, 9)),
    ("relu", "activation.ReLU", lambda tf, x: tf.nn.relu(x), (-50, 50)),
    ("relu6", "", lambda tf, x: tf.nn.relu6(x), (-50, 50)),
    ("round", "round", lambda tf, x: tf.round(x), (-50, 50)),
    ("rsqrt", "", lambda tf, x: tf.math.rsqrt(x + 1e-12), (0.1, 9)),
    ("sigmoid", "activation.sigmoid", lambda tf, x: tf.sigmoid(x), (-50, 50)),
    ("sign", "sign", lambda tf, x: tf.sign(x), (-2, 2)),
    ("silu", "", lambda tf, x: tf.nn.silu(x), (-50, 50)),
    ("sin", "sin", lambda tf, x: tf.sin(x), (-6, 6)),
    ("sinh", "sinh", lambda tf, x: tf.sinh(x), (-6, 6)),
    ("softplus", "activation.softplus", lambda tf, x: tf.math.softplus(x), (-50, 50)),
    ("softsign", "activation.softsign", lambda tf, x: tf.nn.softsign(x), (-50, 50)),
    ("sqrt", "", lambda tf, x: tf.sqrt(x), (0, 50)),
    ("square", "", lambda tf, x: tf.square(x), (-50, 50)),
    ("tan", "tan", lambda tf, x: tf.tan(x), (-1.4, 1.4)),
    ("tanh", "tanh", lambda tf, x: tf.tanh(x), (-50, 50)),
    ("", "acosh", lambda tf, x: tf.acosh(x), (1.1, 50)),
    ("", "asinh", lambda tf, x: tf.asinh(x), (-50, 50)),
]


@pytest.mark.parametrize(("op", "name", "formula", "domain"), UNARY, ids=[item[0] or item[1] for item in UNARY])
@FEW
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32"]), seed=seeds)
def test_unary(tf: Any, op: str, name: str, formula: Any, domain: Any, shape: Any, dtype: str, seed: int) -> None:
    x = numbers(seed, shape, dtype, *domain)
    wanted = formula(tf, tf.constant(x, tf.float64)).numpy()
    if op:
        agree(run(op, x=x), wanted, dtype)
    if name:
        single = x.astype(np.float32)
        agree(layer(name, single), formula(tf, tf.constant(single, tf.float64)).numpy(), "float32")


@FEW
@given(shape=shapes, seed=seeds)
def test_unary_of_integers(shape: Any, seed: int) -> None:
    x = numbers(seed, shape, "int32", -40, 40)
    for op, formula in {"abs": abs, "sign": lambda v: (v > 0) - (v < 0), "square": lambda v: v * v}.items():
        obtained = run(op, x=x)
        assert obtained.dtype == np.int32
        assert np.asarray(obtained).ravel().tolist() == [formula(value) for value in x.ravel().tolist()]
        assert np.shape(obtained) == shape


# operation, layer, TensorFlow's function, its function of integers if that is another
BINARY: list[tuple[str, str, str, Optional[str]]] = [
    ("add", "addBroadcastable", "add", "add"),
    ("sub", "subtractBroadcastable", "subtract", "subtract"),
    ("mul", "multiplyBroadcastable", "multiply", "multiply"),
    ("real_div", "divideBroadcastable", "divide", "truncatediv"),
    ("floor_div", "floorDivBroadcastable", "math.floordiv", "math.floordiv"),
    ("mod", "modBroadcastable", "math.floormod", "math.floormod"),
    ("pow", "powBroadcastable", "pow", "pow"),
    ("maximum", "maxBroadcastable", "maximum", "maximum"),
    ("minimum", "minBroadcastable", "minimum", "minimum"),
    ("equal", "equal", "equal", "equal"),
    ("not_equal", "notEqual", "not_equal", "not_equal"),
    ("less", "lessThan", "less", "less"),
    ("less_equal", "lessEqual", "less_equal", "less_equal"),
    ("greater", "greaterThan", "greater", "greater"),
    ("greater_equal", "greaterEqual", "greater_equal", "greater_equal"),
]


def named(tf: Any, name: str) -> Any:
    if name == "truncatediv":
        return tf.raw_ops.TruncateDiv
    return functools.reduce(getattr, name.split("."), tf)


@pytest.mark.parametrize(("op", "name", "floating", "whole"), BINARY, ids=[item[0] for item in BINARY])
@SOME
@given(
    pair=npst.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=4, min_side=0, max_side=3),
    dtype=st.sampled_from(["float16", "float32", "int32"]),
    seed=seeds,
)
def test_binary(tf: Any, op: str, name: str, floating: str, whole: str, pair: Any, dtype: str, seed: int) -> None:
    # Quarters are exact in every type, and so are sums and products of two of them, and whether two are equal.
    scale = 1 if dtype == "int32" else 4
    x, y = (
        np.asarray(np.random.default_rng(seed + index).integers(-6 * scale, 6 * scale + 1, shape) / scale)
        for index, shape in enumerate(pair.input_shapes)
    )
    if op in ("real_div", "floor_div", "mod"):
        y = np.where(y == 0, 1.0, y)
    if op == "pow":
        x, y = np.abs(x) + 1, np.abs(y) / 2 if dtype != "int32" else np.abs(y)
        y = np.minimum(y, 3)
    if dtype == "int32":
        parts = [tf.constant(item.astype(np.int32)) for item in (x, y)]
        function = named(tf, whole)
        wanted = (function(x=parts[0], y=parts[1])).numpy()
    else:
        wanted = named(tf, floating)(tf.constant(x, tf.float64), tf.constant(y, tf.float64)).numpy()
    assert wanted.shape == pair.result_shape
    obtained = run(op, x=x.astype(dtype), y=y.astype(dtype))
    if dtype == "int32" and wanted.dtype == np.int32:
        assert obtained.dtype == np.int32
    agree(obtained, wanted, "bool" if wanted.dtype == np.bool_ else dtype)
    if dtype == "float32":
        agree(layer(name, x.astype(dtype), y.astype(dtype)), wanted, "bool" if wanted.dtype == np.bool_ else dtype)


@pytest.mark.parametrize(
    ("op", "name"), [("logical_and", "logicalAnd"), ("logical_or", "logicalOr"), ("logical_xor", "logicalXor")]
)
@FEW
@given(pair=npst.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3), seed=seeds)
def test_logic(tf: Any, op: str, name: str, pair: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = (np.asarray(random.integers(0, 2, shape), bool) for shape in pair.input_shapes)
    wanted = getattr(tf, op if op != "logical_xor" else "not_equal")(x, y).numpy()
    agree(run(op, x=x, y=y), wanted, "bool")
    agree(layer(name, x * np.float32(3), y * np.float32(-2)), wanted, "bool")


@SOME
@given(
    three=npst.mutually_broadcastable_shapes(num_shapes=3, min_side=0, max_side=3, max_dims=3),
    dtype=st.sampled_from(["float16", "float32", "int32"]),
    seed=seeds,
)
def test_select(tf: Any, three: Any, dtype: str, seed: int) -> None:
    condition, a, b = (numbers(seed + i, shape, dtype, -9, 9) for i, shape in enumerate(three.input_shapes))
    wanted = tf.where(tf.constant(condition) > 0, tf.constant(a), tf.constant(b)).numpy()
    obtained = run("select", cond=condition > 0, a=a, b=b)
    assert obtained.dtype == dtype
    agree(obtained, wanted, "exact")
    agree(layer("whereBroadcastable", (condition > 0).astype(np.float32), a, b), wanted, "exact")


@pytest.mark.parametrize(
    ("name", "combine"),
    [
        ("add", lambda values: sum(values)),
        ("multiply", lambda values: functools.reduce(lambda p, q: p * q, values)),
        ("average", lambda values: sum(values) / len(values)),
        ("max", max),
        ("maxBroadcastable", max),
        ("min", min),
        ("minBroadcastable", min),
    ],
)
@FEW
@given(several=npst.mutually_broadcastable_shapes(num_shapes=3, min_side=0, max_side=3, max_dims=3), seed=seeds)
def test_layers_of_several_inputs(name: str, combine: Any, several: Any, seed: int) -> None:
    inputs = [numbers(seed + i, shape, "float32", -3, 3) for i, shape in enumerate(several.input_shapes)]
    wanted = np.zeros(several.result_shape)
    for position in np.ndindex(*several.result_shape):
        values = []
        for item in inputs:
            tail = position[len(position) - item.ndim :]
            values.append(float(item[tuple(0 if size == 1 else at for at, size in zip(tail, item.shape))]))
        wanted[position] = combine(values)
    agree(layer(name, *inputs), wanted, "float32")


@SOME
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32"]), seed=seeds, data=st.data())
def test_activations_with_parameters(tf: Any, shape: Any, dtype: str, seed: int, data: Any) -> None:
    x = numbers(seed, shape, dtype, -5, 5)
    quarters = st.integers(-12, 12).map(lambda number: number / 4)
    alpha, beta = data.draw(quarters), data.draw(quarters)
    wide = tf.constant(x, tf.float64)
    array = {"alpha": np.asarray(alpha, dtype), "beta": np.asarray(beta, dtype)}
    low, high = sorted((alpha, beta))
    zero = tf.zeros_like(wide)
    cases: dict[str, tuple[str, dict[str, Any], Any]] = {
        "clip": ("clip", {"alpha": low, "beta": high}, tf.clip_by_value(wide, low, high)),
        "threshold": ("", {"alpha": alpha}, tf.maximum(wide, alpha)),
        "thresholded_relu": ("activation.thresholdedReLU", {"alpha": alpha}, tf.where(wide >= alpha, wide, zero)),
        "elu": ("activation.ELU", {"alpha": alpha}, tf.where(wide > 0, wide, alpha * tf.math.expm1(wide))),
        "leaky_relu": ("activation.leakyReLU", {"alpha": array["alpha"]}, tf.where(wide >= 0, wide, alpha * wide)),
        "linear_activation": ("activation.linear", array, alpha * wide + beta),
        "scaled_tanh": ("activation.scaledTanh", array, alpha * tf.tanh(beta * wide)),
        "sigmoid_hard": ("activation.sigmoidHard", array, tf.clip_by_value(alpha * wide + beta, 0.0, 1.0)),
        "clamped_relu": ("clampedReLU", array, tf.minimum(tf.where(wide >= 0, wide, alpha * wide), beta)),
    }
    for op, (name, options, wanted) in cases.items():
        agree(run(op, x=x, **options), wanted.numpy(), dtype)
        if name and dtype == "float32":
            fields = {key: float(value) for key, value in options.items()}
            if name == "clip":
                fields = {"minVal": low, "maxVal": high}
            agree(layer(name, x, **fields), wanted.numpy(), dtype)


@SOME
@given(
    shape=npst.array_shapes(min_dims=3, max_dims=5, min_side=0, max_side=3),
    dtype=st.sampled_from(["float16", "float32"]),
    seed=seeds,
)
def test_activations_with_parameters_for_each_channel(shape: Any, dtype: str, seed: int) -> None:
    x = numbers(seed, shape, dtype, -5, 5)
    for axis, registry in ((1, "mlprogram"), (-3, "neuralnetwork")):
        alpha, beta = (numbers(seed + index, (shape[axis],), dtype, -2, 2) for index in (1, 2))
        rectified, smooth = np.empty(shape), np.empty(shape)
        for position in np.ndindex(*shape):
            value = float(x[position])
            a, b = float(alpha[position[axis]]), float(beta[position[axis]])
            rectified[position] = value if value >= 0 else a * value
            smooth[position] = a * np.log1p(np.exp(b * value))
        if registry == "mlprogram":
            agree(run("prelu", x=x, alpha=alpha), rectified, dtype)
            agree(run("softplus_parametric", x=x, alpha=alpha, beta=beta), smooth, dtype)
        elif dtype == "float32":
            agree(layer("activation.PReLU", x, alpha=alpha), rectified, dtype)
            agree(layer("activation.parametricSoftplus", x, alpha=alpha, beta=beta), smooth, dtype)


INTEGERS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-(2**15), 2**15 - 1), "uint16": (0, 2**16 - 1)}


@SOME
@given(
    shape=shapes,
    source=st.sampled_from(["float16", "float32", "int32", "bool", *INTEGERS]),
    target=st.sampled_from(["fp16", "fp32", "int32", "bool", *INTEGERS]),
    seed=seeds,
)
def test_cast(shape: Any, source: str, target: str, seed: int) -> None:
    """Values that both types hold: what is outside of a type is defined nowhere."""
    low, high = INTEGERS.get(target, (-120, 120))
    first, last = INTEGERS.get(source, (-120, 120))
    drawn = np.random.default_rng(seed).uniform(max(low, first, -2000), min(high, last, 2000), shape)
    x = np.asarray(drawn).astype(source)
    obtained = run("cast", 17, x=x, dtype=target)
    name = {"fp16": "float16", "fp32": "float32"}.get(target, target)
    assert obtained.dtype == name
    convert: Any = {"b": bool, "i": int, "u": int, "f": float}[np.dtype(name).kind]
    wanted = [convert(value) for value in x.ravel().tolist()]
    agree(obtained, np.array(wanted, name).reshape(shape), "exact")
