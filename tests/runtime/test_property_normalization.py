"""Normalisation in both formats against TensorFlow in double: any axes, types, empty axes, what is left out, neighbours."""

from __future__ import annotations

import math
import os
import warnings
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_normalization
SOME = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 10**6)
dtypes = st.sampled_from(["float16", "float32"])
# Inputs are eighths, whose sums are exact: a spread is 0 or well away from it, and what is left is a few roundings.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
# None leaves the parameter to its default.
epsilons = st.sampled_from([None, 1e-2, 0.5])
BATCH_EPSILON, L2_EPSILON = 1e-5, 1e-6


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def shapes(low: int, high: int) -> Any:
    return npst.array_shapes(min_dims=low, max_dims=high, min_side=0, max_side=4)


def run(op: str, **arguments: Any) -> Any:
    """The kernel's result, without a warning; float16 arguments are widened first, as the executor does."""
    kernel = mil.find(op, 15)
    assert kernel is not None
    assert kernel.wide
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return kernel.function(**{name: widen(value) for name, value in arguments.items() if value is not None})


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return kernel.function(*inputs, **{key: value for key, value in fields.items() if value is not None})


def eighths(seed: int, shape: Any, dtype: str = "float32", least: int = -40) -> Any:
    return np.asarray(np.random.default_rng(seed).integers(least, 41, shape) / 8).astype(dtype)


def agree(obtained: Any, expected: Any) -> None:
    assert obtained.dtype == np.float32
    assert obtained.shape == expected.shape
    np.testing.assert_allclose(obtained, expected, **CLOSE)


def scaled(tf: Any, x: Any, axes: Any, epsilon: float, gamma: Any = None, beta: Any = None) -> Any:
    """TensorFlow's moments over ``axes`` and its normalisation with them, in double."""
    wide = tf.constant(x, tf.float64)
    mean, variance = tf.nn.moments(wide, axes, keepdims=True)
    # The moments of nothing are no numbers, which its normalisation of nothing does not meet.
    gamma, beta = (None if part is None else tf.constant(part, tf.float64) for part in (gamma, beta))
    return tf.nn.batch_normalization(wide, mean, variance, beta, gamma, epsilon).numpy()


def column(values: Any, rank: int, axis: int) -> Any:
    """A vector along ``axis``, counted from the front, of an array of ``rank``."""
    return None if values is None else values.reshape(-1, *(1,) * (rank - 1 - axis))


@SOME
@given(shape=shapes(3, 5), dtype=dtypes, epsilon=epsilons, parts=st.tuples(st.booleans(), st.booleans()), seed=seeds)
def test_batch_norm(tf: Any, shape: Any, dtype: str, epsilon: Any, parts: Any, seed: int) -> None:
    for axis, name in ((1, "batch_norm"), (len(shape) - 3, "batchnorm")):
        x, mean = eighths(seed, shape, dtype), eighths(seed + 1, shape[axis], dtype)
        variance = eighths(seed + 2, shape[axis], dtype, 1)
        gamma, beta = (eighths(seed + 3 + i, shape[axis], dtype) if part else None for i, part in enumerate(parts))
        every = [column(part, len(shape), axis) for part in (mean, variance, beta, gamma)]
        wide = [None if part is None else tf.constant(part, tf.float64) for part in every]
        small = BATCH_EPSILON if epsilon is None else epsilon
        wanted = tf.nn.batch_normalization(tf.constant(x, tf.float64), *wide, small).numpy()
        if name == "batch_norm":
            agree(run(name, x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=epsilon), wanted)
        elif dtype == "float32":
            fields = {"channels": shape[axis], "mean": mean, "variance": variance, "gamma": gamma, "beta": beta}
            agree(layer(name, x, epsilon=epsilon, **fields), wanted)


@SOME
@given(shape=shapes(3, 5), dtype=dtypes, epsilon=epsilons, parts=st.tuples(st.booleans(), st.booleans()), seed=seeds)
def test_instance_norm(tf: Any, shape: Any, dtype: str, epsilon: Any, parts: Any, seed: int) -> None:
    """Each image's channels on their own: all axes behind the second; for the layer, the last two, or all of the batch."""
    rank = len(shape)
    small = BATCH_EPSILON if epsilon is None else epsilon
    x = eighths(seed, shape, dtype)
    gamma, beta = (eighths(seed + 3 + i, shape[1], dtype) if part else None for i, part in enumerate(parts))
    wanted = scaled(tf, x, list(range(2, rank)), small, column(gamma, rank, 1), column(beta, rank, 1))
    agree(run("instance_norm", x=x, gamma=gamma, beta=beta, epsilon=epsilon), wanted)
    if dtype == "float32":
        channels = shape[rank - 3]
        gamma, beta = (eighths(seed + 3 + i, channels) if part else None for i, part in enumerate(parts))
        for alone in (True, False):
            axes = [rank - 2, rank - 1] if alone else [axis for axis in range(rank) if axis != rank - 3]
            wanted = scaled(tf, x, axes, small, column(gamma, rank, rank - 3), column(beta, rank, rank - 3))
            fields = {"channels": channels, "computeMeanVar": True, "instanceNormalization": alone}
            agree(layer("batchnorm", x, gamma=gamma, beta=beta, epsilon=epsilon, **fields), wanted)


@SOME
@given(
    shape=shapes(1, 5), dtype=dtypes, epsilon=epsilons, parts=st.tuples(st.booleans(), st.booleans()), seed=seeds,
    data=st.data(),
)  # fmt: skip
def test_layer_norm(tf: Any, shape: Any, dtype: str, epsilon: Any, parts: Any, seed: int, data: Any) -> None:
    """Axes in any order and of any sign; gamma and beta have the sizes of those axes, in rising order."""
    rank = len(shape)
    axes = sorted(data.draw(st.lists(st.integers(0, rank - 1), min_size=1, unique=True)))
    inner = [shape[axis] for axis in axes]
    x = eighths(seed, shape, dtype)
    gamma, beta = (eighths(seed + 3 + i, inner, dtype) if part else None for i, part in enumerate(parts))
    spread = [shape[axis] if axis in axes else 1 for axis in range(rank)]
    reshaped = [None if part is None else part.reshape(spread) for part in (gamma, beta)]
    wanted = scaled(tf, x, axes, BATCH_EPSILON if epsilon is None else epsilon, *reshaped)
    mixed = tuple(axis - rank * data.draw(st.integers(0, 1)) for axis in data.draw(st.permutations(axes)))
    agree(run("layer_norm", x=x, axes=mixed, gamma=gamma, beta=beta, epsilon=epsilon), wanted)
    if len(axes) == rank:
        agree(run("layer_norm", x=x, gamma=gamma, beta=beta, epsilon=epsilon), wanted)
    if axes == list(range(axes[0], rank)) and dtype == "float32":
        fields = {"normalizedShape": tuple(inner), "gamma": gamma, "beta": beta}
        agree(layer("layerNormalization", x, eps=epsilon, **fields), wanted)


@SOME
@given(shape=shapes(3, 6), dtype=dtypes, epsilon=epsilons, seed=seeds)
def test_norms_of_images(tf: Any, shape: Any, dtype: str, epsilon: Any, seed: int) -> None:
    """Over the last three axes: divided by the length, or moved to mean 0 and, if asked for, spread 1."""
    x = eighths(seed, shape, dtype)
    small = L2_EPSILON if epsilon is None else epsilon
    wide = tf.constant(x, tf.float64)
    squares = tf.reduce_sum(wide * wide, [-3, -2, -1], keepdims=True)
    wanted = (wide * tf.math.rsqrt(squares + small)).numpy()
    agree(run("l2_norm", x=x, epsilon=epsilon), wanted)
    if dtype != "float32":
        return
    agree(layer("l2normalize", x, epsilon=epsilon), wanted)
    for across in (True, False):
        axes = [-3, -2, -1] if across else [-2, -1]
        positive = [axis + len(shape) for axis in axes]
        fields = {"acrossChannels": across, "epsilon": epsilon}
        agree(layer("mvn", x, normalizeVariance=True, **fields), scaled(tf, x, positive, small))
        moved = (wide - tf.reduce_mean(wide, axes, keepdims=True)).numpy()
        agree(layer("mvn", x, **fields), moved)


@SOME
@given(
    shape=shapes(3, 4), size=st.integers(1, 9), dtype=dtypes, alpha=st.sampled_from([None, 0.5, 2.0]),
    beta=st.sampled_from([None, 0.5, 1.0]), k=st.sampled_from([None, 1.5]), seed=seeds,
)  # fmt: skip
def test_local_response_norm(shape: Any, size: int, dtype: str, alpha: Any, beta: Any, k: Any, seed: int) -> None:
    """Channels are axis 1, for the layer axis -3: as many neighbours before as after, of an even number one more before."""
    x = eighths(seed, shape, dtype)
    # The layer has no defaults of alpha and beta: they are 0.
    for axis, op, defaults in ((1, True, (1e-4, 0.75)), (len(shape) - 3, False, (0.0, 0.0))):
        by = [default if value is None else value for value, default in zip((alpha, beta), defaults)]
        wanted = np.empty(shape)
        for position in np.ndindex(*shape):
            total = 0.0
            for channel in range(position[axis] - size // 2, position[axis] - size // 2 + size):
                if 0 <= channel < shape[axis]:
                    total += float(x[(*position[:axis], channel, *position[axis + 1 :])]) ** 2
            wanted[position] = float(x[position]) / math.pow((k or 1.0) + by[0] / size * total, by[1])
        if op:
            agree(run("local_response_norm", x=x, size=size, alpha=alpha, beta=beta, k=k), wanted)
        elif dtype == "float32":
            agree(layer("lrn", x, localSize=size, alpha=alpha, beta=beta, k=k), wanted)
