"""Sorting, choosing and suppression of both formats against TensorFlow: empty axes, negative axes, every type."""

from __future__ import annotations

import os
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_ordering
SOME = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 10**6)
shapes = npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
same = np.testing.assert_array_equal


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**arguments)


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


def array(seed: int, shape: Any, dtype: str) -> Any:
    """Few different values, so that there are equals; the least value of the type too, which has no opposite."""
    random = np.random.default_rng(seed)
    values = random.integers(-2, 3, shape)
    if np.dtype(dtype).kind == "i" and random.integers(0, 2):
        return np.where(values == -2, np.iinfo(dtype).min, values).astype(dtype)
    return np.asarray(values, dtype)


@SOME
@given(
    shape=shapes,
    dtype=st.sampled_from(["float16", "float32", "int32", "int8"]),
    ascending=st.booleans(),
    seed=seeds,
    data=st.data(),
)
def test_argsort_and_topk(tf: Any, shape: Any, dtype: str, ascending: bool, seed: int, data: Any) -> None:
    x = array(seed, shape, dtype)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    direction = "ASCENDING" if ascending else "DESCENDING"
    # TensorFlow sorts descending by what it makes of the opposite, which the least integer does not have.
    sortable = x.astype(np.float64)
    order = tf.argsort(sortable, axis, direction, stable=True).numpy()
    obtained = run("argsort", x=x, axis=axis, ascending=ascending)
    assert obtained.dtype == np.int32
    assert obtained.shape == x.shape
    same(obtained, order)
    k = data.draw(st.integers(0, shape[axis]))
    for ios in (15, 16, 17):
        values, indices = run("topk", ios, x=x, k=k, axis=axis, ascending=ascending)
        assert values.dtype == dtype
        same(indices, order.take(range(k), axis))
        same(values, np.take_along_axis(x, order.take(range(k), axis), axis))
    if dtype == "float32":
        same(layer("argSort", x, axis=axis, descending=not ascending), order)
        values, indices = layer("topK", x, axis=axis, K=k, useBottomK=ascending)
        same(indices, order.take(range(k), axis))
        same(values, np.take_along_axis(x, indices, axis))


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3),
    dtype=st.sampled_from(["float16", "float32", "int32", "bool"]),
    seed=seeds,
)
def test_non_zero(tf: Any, shape: Any, dtype: str, seed: int) -> None:
    x = np.asarray(np.random.default_rng(seed).integers(-1, 2, shape), dtype)
    wanted = tf.where(tf.not_equal(x, np.zeros((), dtype))).numpy()
    obtained = run("non_zero", x=x)
    assert obtained.dtype == np.int32
    assert obtained.shape == wanted.shape
    same(obtained, wanted)
    same(layer("whereNonZero", x.astype(np.float32)), wanted)


@SOME
@given(
    shape=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    size=st.integers(0, 4),
    dtype=st.sampled_from(["float16", "float32", "int32"]),
    seed=seeds,
    data=st.data(),
)
def test_one_hot(tf: Any, shape: Any, size: int, dtype: str, seed: int, data: Any) -> None:
    indices = np.asarray(np.random.default_rng(seed).integers(-1, size + 2, shape), np.int32)
    axis = data.draw(st.integers(0, indices.ndim))
    on, off = np.asarray(3, dtype), np.asarray(-2, dtype)
    # TensorFlow's own -1 is the last axis.
    wanted = tf.one_hot(indices, size, on, off, axis).numpy()
    for given_axis in (axis, axis - indices.ndim - 1):
        obtained = run(
            "one_hot", indices=indices, one_hot_vector_size=size, axis=given_axis, on_value=on, off_value=off
        )
        assert obtained.dtype == dtype
        assert obtained.shape == wanted.shape
        same(obtained, wanted)
        fields = {"axis": given_axis, "onValue": 3.0, "offValue": -2.0}
        same(layer("oneHot", indices.astype(np.float32), oneHotVectorSize=size, **fields), wanted)
        same(layer("oneHot", indices.astype(np.float32), size, **fields), wanted)


@SOME
@given(
    shape=npst.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4),
    lower=st.integers(-1, 4),
    upper=st.integers(-1, 4),
    k=st.integers(-5, 5),
    dtype=st.sampled_from(["float16", "float32", "int32"]),
)
def test_bands(tf: Any, shape: Any, lower: int, upper: int, k: int, dtype: str) -> None:
    x = np.arange(1, 1 + int(np.prod(shape))).astype(dtype).reshape(shape)
    wanted = x.copy()
    below, above = x.copy(), x.copy()
    for position in np.ndindex(*shape):
        row, column = position[-2:]
        if (lower >= 0 and row - column > lower) or (upper >= 0 and column - row > upper):
            wanted[position] = 0
        if column - row > k:
            below[position] = 0
        if column - row < k:
            above[position] = 0
    if lower <= shape[-2] and upper <= shape[-1]:
        same(tf.linalg.band_part(x, lower, upper).numpy(), wanted)
    obtained = run("band_part", x=x, lower=lower, upper=upper)
    assert obtained.dtype == dtype
    same(obtained, wanted)
    same(layer("matrixBandPart", x, numLower=lower, numUpper=upper), wanted)
    same(layer("lowerTriangular", x, k=k), below)
    same(layer("upperTriangular", x, k=k), above)


@SOME
@given(
    count=st.integers(0, 7), classes=st.integers(1, 3), most=st.integers(0, 8), batches=st.integers(0, 2), seed=seeds
)
def test_suppression_is_tensorflows(tf: Any, count: int, classes: int, most: int, batches: int, seed: int) -> None:
    """Over all classes: a box's score is the greatest of its classes'."""
    random = np.random.default_rng(seed)
    boxes = random.uniform(0.5, 3, (batches, count, 4)).astype(np.float32)
    scores = random.permutation(batches * count * classes).reshape(batches, count, classes).astype(np.float32)
    arguments = {"boxes": boxes, "scores": scores, "iou_threshold": 0.3, "max_boxes": most}
    found = run("non_maximum_suppression", score_threshold=-1.0, **arguments)
    assert [part.shape for part in found] == [
        (batches, most, 4),
        (batches, most, classes),
        (batches, most),
        (batches,),
    ]
    for batch in range(batches):
        x, y, width, height = boxes[batch].T
        corners = np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], -1)
        kept = tf.image.non_max_suppression(corners, scores[batch].max(-1), most, 0.3).numpy().tolist()
        assert found[2][batch].tolist() == kept + [-1] * (most - len(kept))
        assert found[3][batch] == len(kept)
        same(found[0][batch, : len(kept)], boxes[batch, kept])
        same(found[1][batch, : len(kept)], scores[batch, kept])
    fields = {"iouThreshold": 0.3, "scoreThreshold": -1.0, "maxBoxes": most}
    for one, other in zip(layer("NonMaximumSuppression", boxes, scores, **fields), found):
        same(one, other)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: mil.find("topk", 15).function(x=x, k=1, axis=5), "axis 5 of an array of rank 2"),
        (lambda x: mil.find("split", 15).function(x=x, axis=-3, num_splits=1), "axis -3 of an array of rank 2"),
        (lambda x: mil.find("gather", 15).function(x=x, indices=np.array([0]), axis=2), "axis 2 of an array of rank 2"),
        (lambda x: mil.find("band_part", 15).function(x=x[0]), "a band of an array of rank 1, expected 2 or more"),
    ],
)
def test_axes_that_are_not_there(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        call(np.zeros((2, 3), np.float32))
