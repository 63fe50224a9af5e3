"""Reductions, softmax and running sums against TensorFlow and SciPy: empty axes, negative axes, every type."""

from __future__ import annotations

import os
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_linear
SOME = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 10**6)
shapes = npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
# Sums of at most 256 numbers around 1 in float32; float16 rounds their result to 11 bits.
RTOL = {"float16": 2.0**-10, "float32": 2e-5}


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    """The kernel's result; float16 arguments are widened first where the executor does so."""
    kernel = mil.find(op, ios)
    assert kernel is not None, op
    with np.errstate(all="ignore"):
        return kernel.function(**{name: widen(value) if kernel.wide else value for name, value in arguments.items()})


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None, name
    with np.errstate(all="ignore"):
        return kernel.function(*inputs, **fields)


def agree(obtained: Any, expected: Any, dtype: str) -> None:
    assert np.shape(obtained) == np.shape(expected)
    if dtype == "int32":
        # What the executor makes of it, and coremltools when it folds constants: cut to an integer.
        np.testing.assert_array_equal(np.asarray(obtained).astype(dtype), np.trunc(expected))
    else:
        rounded = np.asarray(obtained).astype(dtype).astype(np.float64)
        np.testing.assert_allclose(rounded, np.asarray(expected), rtol=RTOL[dtype], atol=RTOL[dtype])


def array(seed: int, shape: Any, dtype: str) -> Any:
    """Numbers that float16 holds exactly, so that all types see the same ones."""
    whole = np.random.default_rng(seed).integers(-12, 13, shape)
    return np.asarray(whole if dtype == "int32" else whole / 8, dtype)


@st.composite
def some_axes(draw: Any, rank: int) -> Any:
    """None, or different axes, each counted from either end, in any order."""
    chosen = draw(st.none() | st.lists(st.integers(0, rank - 1), min_size=1, unique=True))
    return chosen if chosen is None else tuple(axis - rank * draw(st.integers(0, 1)) for axis in chosen)


REDUCTIONS = {
    "sum": "reduceSum",
    "mean": "reduceMean",
    "max": "reduceMax",
    "min": "reduceMin",
    "prod": "reduceProd",
    "l1_norm": "reduceL1",
    "l2_norm": "reduceL2",
    "sum_square": "reduceSumSquare",
    "log_sum": "reduceLogSum",
    "log_sum_exp": "reduceLogSumExp",
}


def reference(tf: Any, op: str, x: Any, axes: Any, keep: bool) -> Any:
    """TensorFlow's answer in double. None where there is none: the greatest of no values."""
    if op in ("max", "min") and 0 in [x.shape[axis] for axis in (range(x.ndim) if axes is None else axes)]:
        return None
    wide = tf.constant(x, tf.float64)
    parts = {
        "l1_norm": lambda: tf.reduce_sum(tf.abs(wide), axes, keep),
        "l2_norm": lambda: tf.sqrt(tf.reduce_sum(wide * wide, axes, keep)),
        "sum_square": lambda: tf.reduce_sum(wide * wide, axes, keep),
        "log_sum": lambda: tf.math.log(tf.reduce_sum(wide, axes, keep)),
        "log_sum_exp": lambda: tf.math.log(tf.reduce_sum(tf.exp(wide), axes, keep)),
    }
    return (parts[op]() if op in parts else getattr(tf, f"reduce_{op}")(wide, axes, keep)).numpy()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("op", REDUCTIONS)
@SOME
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32", "int32"]), seed=seeds, data=st.data())
def test_reductions(tf: Any, op: str, shape: Any, dtype: str, seed: int, data: Any) -> None:
    x = array(seed, shape, dtype)
    axes, keep = data.draw(some_axes(len(shape))), data.draw(st.booleans())
    if op == "prod":
        x = np.clip(x, -1, 1)
    if op == "log_sum" or (dtype == "int32" and op != "prod"):
        x = np.abs(x) + x.dtype.type(1)
    if dtype == "int32":
        x = np.minimum(x, 3)
    wanted = reference(tf, op, x, axes, keep)
    if wanted is None:
        with pytest.raises(ValueError, match="zero-size array"):
            run(f"reduce_{op}", x=x, axes=axes, keep_dims=keep)
        return
    if dtype == "int32" and not np.isfinite(wanted).all():
        return  # the mean or the logarithm of nothing is no integer
    agree(run(f"reduce_{op}", x=x, axes=axes, keep_dims=keep), wanted, dtype)
    if dtype == "float32":
        fields: dict[str, Any] = {"reduceAll": True} if axes is None else {"axes": axes}
        agree(layer(REDUCTIONS[op], x, keepDims=keep, **fields), wanted, dtype)


@SOME
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32", "int32"]), seed=seeds, data=st.data())
def test_places_of_the_greatest_and_least(tf: Any, shape: Any, dtype: str, seed: int, data: Any) -> None:
    x = array(seed, shape, dtype)
    axis, keep = data.draw(st.integers(-len(shape), len(shape) - 1)), data.draw(st.booleans())
    for op, name in (("argmax", "argMax"), ("argmin", "argMin")):
        if shape[axis] == 0:
            # Nothing is the greatest of nothing, even where the result would hold no elements.
            with pytest.raises(ValueError, match="empty sequence"):
                run(f"reduce_{op}", x=x, axis=axis, keep_dims=keep)
            continue
        # TensorFlow too takes the first of equals.
        wanted = getattr(tf, op)(x, axis).numpy()
        wanted = np.expand_dims(wanted, axis) if keep else wanted
        for ios in (15, 17):
            obtained = run(f"reduce_{op}", ios, x=x, axis=axis, keep_dims=keep)
            assert obtained.shape == wanted.shape
            np.testing.assert_array_equal(obtained, wanted)
        assert run(f"reduce_{op}", 17, x=x, axis=axis, output_dtype="uint16").dtype == np.uint16
        np.testing.assert_array_equal(layer(name, x, axis=axis, removeDim=not keep), wanted)


@SOME
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32"]), seed=seeds, data=st.data())
def test_softmax(shape: Any, dtype: str, seed: int, data: Any) -> None:
    x = np.asarray(np.random.default_rng(seed).normal(0, 30, shape), dtype)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    wide = x.astype(np.float64)
    # SciPy has no softmax of nothing; it is nothing.
    wanted = scipy.special.softmax(wide, axis) if x.size else wide
    agree(run("softmax", x=x, axis=axis), wanted, dtype)
    if dtype == "float32":
        agree(layer("softmaxND", x, axis=axis), wanted, dtype)


@SOME
@given(shape=npst.array_shapes(min_dims=3, max_dims=5, min_side=0, max_side=3), seed=seeds)
def test_softmax_of_blobs_is_over_the_channels(shape: Any, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)
    wanted = scipy.special.softmax(x.astype(np.float64), -3) if x.size else x
    agree(layer("softmax", x), wanted, "float32")


@SOME
@given(shape=shapes, magnitude=st.sampled_from([1.0, 80.0, 1e4]), seed=seeds, data=st.data())
def test_logarithm_of_sums_of_powers(shape: Any, magnitude: float, seed: int, data: Any) -> None:
    x = (np.random.default_rng(seed).normal(0, magnitude, shape)).astype(np.float32)
    axes, keep = data.draw(some_axes(len(shape))), data.draw(st.booleans())
    reduced = range(x.ndim) if axes is None else [axis % x.ndim for axis in axes]
    if 0 in [shape[axis] for axis in reduced]:
        kept = [1 if axis in reduced else size for axis, size in enumerate(shape) if keep or axis not in reduced]
        wanted = np.full(kept, -np.inf)
    else:
        wanted = scipy.special.logsumexp(x.astype(np.float64), axis=axes, keepdims=keep) if x.size else None
    obtained = run("reduce_log_sum_exp", x=x, axes=axes, keep_dims=keep)
    if wanted is None:
        assert obtained.size == 0
    else:
        agree(obtained, wanted, "float32")


@settings(max_examples=40, deadline=None)
@given(shape=shapes, dtype=st.sampled_from(["float16", "float32", "int32"]), seed=seeds, data=st.data())
def test_running_sums(tf: Any, shape: Any, dtype: str, seed: int, data: Any) -> None:
    x = array(seed, shape, dtype)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    exclusive, reverse = data.draw(st.booleans()), data.draw(st.booleans())
    wanted = tf.cumsum(tf.constant(x, tf.float64), axis, exclusive, reverse).numpy()
    obtained = run("cumsum", x=x, axis=axis, exclusive=exclusive, reverse=reverse)
    agree(obtained, wanted, dtype)
    if dtype == "int32":
        assert obtained.dtype == np.int32
    if dtype == "float32":
        agree(layer("cumSum", x, axis=axis, excludeFinalSum=exclusive, reverse=reverse), wanted, dtype)


@pytest.mark.parametrize("large", [1e20, np.inf])
def test_exclusive_sums_do_not_see_the_element_they_leave_out(large: float) -> None:
    x = np.array([1, large, 3], np.float32)
    assert run("cumsum", x=x, exclusive=True).tolist() == [0, 1, np.float32(large)]
    assert run("cumsum", x=x[::-1], exclusive=True, reverse=True).tolist() == [np.float32(large), 1, 0]
    assert layer("cumSum", x, excludeFinalSum=True).tolist() == [0, 1, np.float32(large)]
