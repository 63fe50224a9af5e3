"""Normalisation and attention against their formulas in double, and against TensorFlow."""

from __future__ import annotations

import math
import os
import re
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_normalization
CLOSE = {"rtol": 2e-5, "atol": 2e-5}
numbers = st.integers(-40, 40).map(lambda number: number / 8)


def arrays(low: int, high: int) -> Any:
    shapes = npst.array_shapes(min_dims=low, max_dims=high, max_side=4)
    return npst.arrays(np.float32, shapes, elements=numbers)


def vector(draw: Any, size: int, least: int = -40) -> Any:
    elements = st.integers(least, 40).map(lambda number: number / 8)
    return draw.draw(st.one_of(st.none(), npst.arrays(np.float32, size, elements=elements)))


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    result = kernel.function(**arguments)
    assert result.dtype == np.float32
    return result


def filled(values: Any, size: int, default: float) -> Any:
    return np.full(size, default) if values is None else values.astype(np.float64)


@settings(max_examples=60, deadline=None)
@given(x=arrays(3, 5), draw=st.data(), epsilon=st.sampled_from([1e-5, 1e-2]))
def test_batch_norm(x: Any, draw: Any, epsilon: float) -> None:
    channels = x.shape[1]
    mean = draw.draw(npst.arrays(np.float32, channels, elements=numbers))
    variance = draw.draw(npst.arrays(np.float32, channels, elements=st.integers(1, 40).map(lambda number: number / 8)))
    gamma, beta = vector(draw, channels), vector(draw, channels)
    wanted = np.empty(x.shape)
    for channel in range(channels):
        spread = math.sqrt(float(variance[channel]) + epsilon)
        standard = (x[:, channel].astype(np.float64) - mean[channel]) / spread
        wanted[:, channel] = standard * filled(gamma, channels, 1)[channel] + filled(beta, channels, 0)[channel]
    obtained = run("batch_norm", x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=epsilon)
    np.testing.assert_allclose(obtained, wanted, **CLOSE)


@settings(max_examples=60, deadline=None)
@given(x=arrays(3, 5), draw=st.data(), epsilon=st.sampled_from([1e-5, 1e-2]))
def test_instance_norm(x: Any, draw: Any, epsilon: float) -> None:
    channels = x.shape[1]
    gamma, beta = vector(draw, channels), vector(draw, channels)
    wanted = np.empty(x.shape)
    for item in range(x.shape[0]):
        for channel in range(channels):
            values = x[item, channel].astype(np.float64)
            standard = (values - values.mean()) / math.sqrt(values.var() + epsilon)
            scaled = standard * filled(gamma, channels, 1)[channel]
            wanted[item, channel] = scaled + filled(beta, channels, 0)[channel]
    # The mean of equal values is off by a rounding, which a small epsilon makes large.
    close = {"rtol": 1e-4, "atol": 1e-3}
    np.testing.assert_allclose(run("instance_norm", x=x, gamma=gamma, beta=beta, epsilon=epsilon), wanted, **close)


@settings(max_examples=60, deadline=None)
@given(x=arrays(1, 4), draw=st.data())
def test_layer_norm(x: Any, draw: Any) -> None:
    axes = draw.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    signed = tuple(axis - x.ndim if draw.draw(st.booleans()) else axis for axis in axes)
    inner = tuple(x.shape[axis] for axis in sorted(axes))
    gamma, beta = vector(draw, inner), vector(draw, inner)  # type: ignore[arg-type]
    last = range(x.ndim - len(axes), x.ndim)
    moved = np.moveaxis(x.astype(np.float64), sorted(axes), last)
    wanted = np.empty(moved.shape)
    for position in np.ndindex(*moved.shape[: x.ndim - len(axes)]):
        values = moved[position]
        standard = (values - values.mean()) / math.sqrt(values.var() + 1e-2)
        wanted[position] = standard * filled(gamma, inner, 1) + filled(beta, inner, 0)  # type: ignore[arg-type]
    wanted = np.moveaxis(wanted, last, sorted(axes))
    obtained = run("layer_norm", x=x, axes=signed, gamma=gamma, beta=beta, epsilon=1e-2)
    np.testing.assert_allclose(obtained, wanted, **CLOSE)
    if len(axes) == x.ndim:
        np.testing.assert_array_equal(run("layer_norm", x=x, gamma=gamma, beta=beta, epsilon=1e-2), obtained)


@settings(max_examples=40, deadline=None)
@given(x=arrays(3, 5))
def test_l2_norm(x: Any) -> None:
    wanted = np.empty(x.shape)
    for position in np.ndindex(*x.shape[:-3]):
        values = x[position].astype(np.float64)
        wanted[position] = values / math.sqrt((values**2).sum() + 1e-6)
    np.testing.assert_allclose(run("l2_norm", x=x), wanted, **CLOSE)


@settings(max_examples=60, deadline=None)
@given(x=arrays(3, 5), size=st.integers(1, 9), alpha=st.sampled_from([1e-4, 0.5]), k=st.sampled_from([1.0, 2.5]))
def test_local_response_norm(x: Any, size: int, alpha: float, k: float) -> None:
    wanted = np.empty(x.shape)
    for channel in range(x.shape[1]):
        near = x[:, max(0, channel - size // 2) : channel + (size - 1) // 2 + 1].astype(np.float64)
        wanted[:, channel] = x[:, channel] / (k + alpha / size * (near**2).sum(1)) ** 0.75
    np.testing.assert_allclose(run("local_response_norm", x=x, size=size, alpha=alpha, k=k), wanted, **CLOSE)


def test_local_response_norm_is_tensorflows() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tf = pytest.importorskip("tensorflow")
    x = np.random.default_rng(0).normal(size=(2, 7, 3, 4)).astype(np.float32)
    for radius in (1, 2, 4):
        size = 2 * radius + 1
        wanted = tf.nn.local_response_normalization(np.moveaxis(x, 1, -1), radius, 1.5, 0.3 / size, 0.6).numpy()
        obtained = run("local_response_norm", x=x, size=size, alpha=0.3, beta=0.6, k=1.5)
        np.testing.assert_allclose(np.moveaxis(obtained, 1, -1), wanted, **CLOSE)


@settings(max_examples=60, deadline=None)
@given(draw=st.data(), masked=st.sampled_from(["no", "bool", "float"]))
def test_attention(draw: Any, masked: str) -> None:
    leading = draw.draw(npst.array_shapes(min_dims=1, max_dims=2, max_side=2))
    target, source, width, values = (draw.draw(st.integers(1, 4)) for _ in range(4))
    random = np.random.default_rng(draw.draw(st.integers(0, 99)))
    query = random.normal(size=(*leading, target, width)).astype(np.float32)
    key = random.normal(size=(*leading, source, width)).astype(np.float32)
    value = random.normal(size=(*leading, source, values)).astype(np.float32)
    mask = added = None
    if masked != "no":
        shape = draw.draw(st.sampled_from([(source,), (target, source), (*leading, target, source)]))
        mask = random.normal(size=shape).astype(np.float32)
        if masked == "bool":
            mask = mask > 0
            mask[..., 0] = True
        added = np.broadcast_to(np.where(mask, 0, -np.inf) if masked == "bool" else mask, (*leading, target, source))
    wanted = np.empty((*leading, target, values))
    for at in np.ndindex(*leading, target):
        scores = [float(query[at] @ key[(*at[:-1], other)]) / math.sqrt(width) for other in range(source)]
        if added is not None:
            scores = [score + float(added[(*at, other)]) for other, score in enumerate(scores)]
        powers = [math.exp(score) for score in scores]
        wanted[at] = sum(power / sum(powers) * value[(*at[:-1], other)] for other, power in enumerate(powers))
    obtained = run("scaled_dot_product_attention", 18, query=query, key=key, value=value, attn_mask=mask)
    np.testing.assert_allclose(obtained, wanted, **CLOSE)


X = np.zeros((1, 2, 3), np.float32)


@pytest.mark.parametrize(
    ("op", "arguments", "message"),
    [
        ("layer_norm", {"axes": (3,)}, "axes (3,) of an array of rank 3"),
        ("layer_norm", {"axes": (1, -2)}, "axes (1, -2) name one axis twice"),
        ("layer_norm", {"axes": (1, 2), "gamma": np.zeros((3, 2))}, "gamma has shape (3, 2), expected (2, 3)"),
        ("instance_norm", {"beta": np.zeros(3)}, "beta has shape (3,), expected (2,)"),
        ("l2_norm", {"x": np.zeros((2, 3))}, "x has rank 2, expected 3 or more"),
        ("local_response_norm", {"size": 0}, "size is 0, expected 1 or more"),
    ],
)
def test_refuses(op: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(op, **{"x": X, **arguments})
