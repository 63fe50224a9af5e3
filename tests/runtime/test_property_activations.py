"""Activations of both formats against SciPy in double: modes and parameters, and values so large that powers overflow."""

from __future__ import annotations

import warnings
from typing import Any, Callable

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_elementwise
SOME = settings(max_examples=30, deadline=None)
shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
seeds = st.integers(0, 10**6)
# A float16 result is one that was computed in float32 and rounded: 11 bits.
RTOL = {"float16": 2.0**-10, "float32": 3e-6}
Formula = Callable[[Any], Any]


def run(op: str, **arguments: Any) -> Any:
    """The kernel's result; float16 arguments are widened first, and overflow is no warning, as in the executor."""
    kernel = mil.find(op, 15)
    assert kernel is not None
    assert kernel.wide
    with np.errstate(all="ignore"):
        return kernel.function(**{name: widen(value) for name, value in arguments.items()})


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    with np.errstate(all="ignore"):
        return kernel.function(*inputs, **fields)


def agree(obtained: Any, expected: Any, dtype: str) -> None:
    assert np.shape(obtained) == np.shape(expected)
    with np.errstate(over="ignore"):
        rounded, wanted = (np.asarray(part).astype(dtype).astype(np.float64) for part in (obtained, expected))
    np.testing.assert_allclose(rounded, wanted, rtol=RTOL[dtype], atol=RTOL[dtype])


GELU: dict[str, Formula] = {
    "EXACT": lambda x: x * scipy.special.ndtr(x),
    "TANH_APPROXIMATION": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "SIGMOID_APPROXIMATION": lambda x: x * scipy.special.expit(1.702 * x),
}


@SOME
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32"]), mode=st.sampled_from(list(GELU)), seed=seeds)
def test_gelu(shape: Any, dtype: str, mode: str, seed: int) -> None:
    x = np.asarray(np.random.default_rng(seed).uniform(-8, 8, shape)).astype(dtype)
    wanted = GELU[mode](x.astype(np.float64))
    agree(run("gelu", x=x, mode=mode), wanted, dtype)
    if mode == "EXACT":
        agree(run("gelu", x=x), wanted, dtype)
    if dtype == "float32":
        agree(layer("gelu", x, mode=list(GELU).index(mode)), wanted, dtype)


def softplus(x: Any) -> Any:
    return np.logaddexp(0, x)


# operation, layer, formula in double that holds for every number
EVERYWHERE: list[tuple[str, str, Formula]] = [
    ("erf", "erf", scipy.special.erf),
    ("relu", "activation.ReLU", lambda x: np.where(x > 0, x, 0)),
    ("relu6", "", lambda x: np.where(x > 6, 6, np.where(x > 0, x, 0))),
    ("sigmoid", "activation.sigmoid", scipy.special.expit),
    ("silu", "", lambda x: x * scipy.special.expit(x)),
    ("softplus", "activation.softplus", softplus),
    ("softsign", "activation.softsign", lambda x: x / (1 + np.abs(x))),
    ("tanh", "activation.tanh", np.tanh),
    ("gelu", "gelu", GELU["EXACT"]),
]
LARGE = [0.0, 1e-30, 1e-6, 0.5, 15.0, 20.0, 87.0, 89.0, 104.0, 709.0, 711.0, 1e4, 65504.0, 1e15, 3e38]


@pytest.mark.parametrize(("op", "name", "formula"), EVERYWHERE, ids=[item[0] for item in EVERYWHERE])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_no_number_is_too_large(op: str, name: str, formula: Formula, dtype: str) -> None:
    """None becomes infinite or no number at all where the value itself is one; relative where it is large."""
    magnitudes = [value for value in LARGE if value <= np.finfo(dtype).max]
    x = np.array([*magnitudes, *(-value for value in magnitudes)]).astype(dtype)
    wanted = formula(x.astype(np.float64))
    assert np.isfinite(wanted).all()
    agree(run(op, x=x), wanted, dtype)
    if name and dtype == "float32":
        agree(layer(name, x), wanted, dtype)


@SOME
@given(
    values=st.lists(st.sampled_from([sign * value for value in LARGE for sign in (1, -1)]), min_size=1, max_size=4),
    alpha=st.sampled_from([-2.0, 0.25, 1.0]),
    beta=st.sampled_from([-1.5, 0.5, 1.0]),
)
def test_no_number_is_too_large_with_parameters(values: Any, alpha: float, beta: float) -> None:
    x = np.array(values, np.float32)
    wide = x.astype(np.float64)
    arrays = {"alpha": np.float32(alpha), "beta": np.float32(beta)}
    line = np.clip(alpha * wide + beta, 0, 1)
    cases: dict[str, tuple[str, dict[str, Any], Any]] = {
        "elu": ("activation.ELU", {"alpha": alpha}, np.where(wide > 0, wide, alpha * np.expm1(np.minimum(wide, 0)))),
        "scaled_tanh": ("activation.scaledTanh", arrays, alpha * np.tanh(beta * wide)),
        "sigmoid_hard": ("activation.sigmoidHard", arrays, line),
        "thresholded_relu": ("activation.thresholdedReLU", {"alpha": alpha}, np.where(wide >= alpha, wide, 0)),
        "clip": ("clip", {"alpha": -abs(alpha), "beta": abs(beta)}, np.clip(wide, -abs(alpha), abs(beta))),
    }
    for op, (name, options, wanted) in cases.items():
        agree(run(op, x=x, **options), wanted, "float32")
        fields = {key: float(value) for key, value in options.items()}
        if name == "clip":
            fields = {"minVal": -abs(alpha), "maxVal": abs(beta)}
        agree(layer(name, x, **fields), wanted, "float32")
    images = x.reshape(1, -1, 1, 1)
    vectors = {name: np.full(x.size, value) for name, value in arrays.items()}
    wanted = alpha * softplus(beta * wide.reshape(images.shape))
    agree(run("softplus_parametric", x=images, **vectors), wanted, "float32")
    agree(layer("activation.parametricSoftplus", images, **vectors), wanted, "float32")
    # One pair for all channels is a neural network's alone.
    alone = {name: np.full(1, value) for name, value in arrays.items()}
    agree(layer("activation.parametricSoftplus", images, **alone), wanted, "float32")
    rectified = np.where(wide >= 0, wide, alpha * wide).reshape(images.shape)
    agree(layer("activation.PReLU", images, alpha=alone["alpha"]), rectified, "float32")


# UnaryFunctionLayerParams.Operation: the number, a formula of the moved argument, alpha and epsilon
UNARY: list[tuple[str, int, Callable[[Any, float, float], Any]]] = [
    ("square root", 0, lambda v, alpha, epsilon: np.sqrt(v)),
    ("inverse square root", 1, lambda v, alpha, epsilon: 1 / np.sqrt(v + epsilon)),
    ("inverse", 2, lambda v, alpha, epsilon: 1 / (v + epsilon)),
    ("power", 3, lambda v, alpha, epsilon: v**alpha),
    ("exponential", 4, lambda v, alpha, epsilon: np.exp(v)),
    ("logarithm", 5, lambda v, alpha, epsilon: np.log(v + epsilon)),
    ("magnitude", 6, lambda v, alpha, epsilon: np.abs(v)),
    ("threshold", 7, lambda v, alpha, epsilon: np.maximum(v, alpha)),
]


@pytest.mark.parametrize(("name", "number", "formula"), UNARY, ids=[item[0] for item in UNARY])
@settings(max_examples=15, deadline=None)
@given(
    shape=shapes, scale=st.sampled_from([0.0, 0.5, 2.0]), shift=st.sampled_from([0.0, 1.5]),
    epsilon=st.sampled_from([0.0, 0.125]), alpha=st.sampled_from([-2.0, 0.0, 0.5, 3.0]), seed=seeds,
)  # fmt: skip
def test_unary_layer(
    name: str,
    number: int,
    formula: Any,
    shape: Any,
    scale: float,
    shift: float,
    epsilon: float,
    alpha: float,
    seed: int,
) -> None:
    """A scale of 0 is 1, an epsilon of 0 is 1e-6; the logarithm has one too, as coremltools writes it."""
    x = np.asarray(np.random.default_rng(seed).uniform(0.25, 4, shape), np.float32)
    if name == "magnitude":
        x = -x
    wanted = formula((scale or 1.0) * x.astype(np.float64) + shift, alpha, epsilon or 1e-6)
    fields = {"scale": scale, "shift": shift, "epsilon": epsilon, "alpha": alpha}
    agree(layer("unary", x, type=number, **fields), wanted, "float32")


@SOME
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32"]), epsilon=st.sampled_from([None, 0.25]), seed=seeds)
def test_epsilons_of_operations(shape: Any, dtype: str, epsilon: Any, seed: int) -> None:
    x = np.asarray(np.random.default_rng(seed).uniform(0.25, 4, shape)).astype(dtype)
    wide = x.astype(np.float64)
    formulas: dict[str, tuple[float, Formula]] = {
        "inverse": (1e-4, lambda v: 1 / v),
        "log": (1e-45, np.log),
        "rsqrt": (1e-12, lambda v: v**-0.5),
    }
    for op, (default, formula) in formulas.items():
        options = {} if epsilon is None else {"epsilon": epsilon}
        agree(run(op, x=x, **options), formula(wide + (default if epsilon is None else epsilon)), dtype)


def test_no_number_stays_no_number() -> None:
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for op, name, _ in EVERYWHERE:
            assert np.isnan(run(op, x=x)[0])
            assert not name or np.isnan(layer(name, x)[0])
        for op, at_most, at_least in (("sigmoid", 1, 0), ("tanh", 1, -1), ("erf", 1, -1), ("relu6", 6, 0)):
            assert run(op, x=x)[1:].tolist() == [at_most, at_least]
        assert run("softplus", x=x)[1:].tolist() == [np.inf, 0]
