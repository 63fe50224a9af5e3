"""Sorting, top k, non-zero indices, one-hot vectors, bands and box suppression, against their definitions."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_ordering
DTYPES = (np.float32, np.float16, np.int32, np.uint8, np.int8)
shapes = npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5)
# Few different values, so that there are equals.
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(dtype, shapes, elements=st.integers(0, 3).map(dtype))
)


def run(op: str, ios: int, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**arguments)


def sorted_indices(row: Any, *, ascending: bool) -> list[int]:
    """Sorted by value, equals by index."""
    return sorted(range(len(row)), key=lambda index: (int(row[index]) * (1 if ascending else -1), index))


def along(function: Any, axis: int, x: Any) -> Any:
    return np.apply_along_axis(function, axis, x)


@settings(max_examples=60, deadline=None)
@given(x=arrays, ascending=st.booleans(), data=st.data())
def test_argsort(x: Any, ascending: bool, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    obtained = run("argsort", 15, x=x, axis=axis, ascending=ascending)
    expected = along(lambda row: sorted_indices(row, ascending=ascending), axis, x)
    assert obtained.dtype == np.int32
    np.testing.assert_array_equal(obtained, expected)


@settings(max_examples=60, deadline=None)
@given(x=arrays, ascending=st.booleans(), ios=st.sampled_from([15, 16, 17]), data=st.data())
def test_topk(x: Any, ascending: bool, ios: int, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    k = data.draw(st.sampled_from([-1, *range(1, x.shape[axis] + 1)]))
    options: dict[str, Any] = {} if ios == 15 else {"sort": data.draw(st.booleans()), "return_indices": True}
    if ios == 17:
        options["output_indices_dtype"] = data.draw(st.sampled_from(["int32", "uint16"]))
    values, indices = run("topk", ios, x=x, k=k, axis=axis, ascending=ascending, **options)
    count = x.shape[axis] if k == -1 else k
    expected = along(lambda row: sorted_indices(row, ascending=ascending)[:count], axis, x)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(x, expected, axis))
    assert values.dtype == x.dtype
    assert indices.dtype == options.get("output_indices_dtype", "int32")
    if ios > 15:
        alone = run("topk", ios, x=x, k=k, axis=axis, ascending=ascending, return_indices=False)
        np.testing.assert_array_equal(alone, values)


def test_topk_refuses_more_than_there_are() -> None:
    with pytest.raises(ValueError, match=r"^the top 4 of 3 values$"):
        run("topk", 15, x=np.zeros(3, np.float32), k=4)


@settings(max_examples=40, deadline=None)
@given(
    x=npst.arrays(np.float32, npst.array_shapes(max_dims=3, min_side=0, max_side=4), elements=st.sampled_from([0, 1]))
)
def test_non_zero(x: Any) -> None:
    expected = [position for position in np.ndindex(*x.shape) if x[position] != 0]
    obtained = run("non_zero", 15, x=x)
    assert obtained.shape == (len(expected), x.ndim)
    assert obtained.dtype == np.int32
    assert [tuple(row) for row in obtained.tolist()] == expected


@settings(max_examples=40, deadline=None)
@given(
    indices=npst.arrays(
        np.int32, npst.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3), elements=st.integers(-1, 5)
    ),
    size=st.integers(0, 4),
    data=st.data(),
)
def test_one_hot(indices: Any, size: int, data: Any) -> None:
    axis = data.draw(st.integers(-indices.ndim - 1, indices.ndim))
    on, off = np.float32(2.5), np.float32(-1)
    obtained = run("one_hot", 15, indices=indices, one_hot_vector_size=size, axis=axis, on_value=on, off_value=off)
    last = np.moveaxis(obtained, axis, -1)
    assert last.shape == (*indices.shape, size)
    assert obtained.dtype == np.float32
    for position in np.ndindex(*last.shape):
        assert last[position] == (on if indices[position[:-1]] == position[-1] else off)


def test_one_hot_is_int32_one_and_zero_by_default() -> None:
    obtained = run("one_hot", 15, indices=np.array([1], np.int32), one_hot_vector_size=2)
    assert obtained.dtype == np.int32
    assert obtained.tolist() == [[0, 1]]


@settings(max_examples=40, deadline=None)
@given(
    x=npst.arrays(np.int32, npst.array_shapes(min_dims=2, max_dims=3, max_side=5), elements=st.integers(1, 9)),
    lower=st.integers(-2, 4),
    upper=st.integers(-2, 4),
)
def test_band_part(x: Any, lower: int, upper: int) -> None:
    obtained = run("band_part", 15, x=x, lower=lower, upper=upper)
    for position in np.ndindex(*x.shape):
        row, column = position[-2:]
        kept = (lower < 0 or row - column <= lower) and (upper < 0 or column - row <= upper)
        assert obtained[position] == (x[position] if kept else 0)


def overlap(one: Any, two: Any) -> float:
    """Intersection over union of (x, y, width, height), in the plainest way."""
    sides = []
    for axis in (0, 1):
        low = max(one[axis] - one[axis + 2] / 2, two[axis] - two[axis + 2] / 2)
        high = min(one[axis] + one[axis + 2] / 2, two[axis] + two[axis + 2] / 2)
        sides.append(max(high - low, 0.0))
    shared = sides[0] * sides[1]
    return float(shared / (one[2] * one[3] + two[2] * two[3] - shared))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), per_class=st.booleans(), most=st.integers(1, 8))
def test_suppression_keeps_the_best_that_do_not_overlap(seed: int, per_class: bool, most: int) -> None:
    random = np.random.default_rng(seed)
    boxes = random.uniform(1, 5, (2, 8, 4)).astype(np.float32)
    scores = random.permutation(48).reshape(2, 8, 3).astype(np.float32)
    found = run(
        "non_maximum_suppression",
        15,
        boxes=boxes,
        scores=scores,
        iou_threshold=0.3,
        score_threshold=20.0,
        max_boxes=most,
        per_class_suppression=per_class,
    )
    for batch in range(2):
        kept: list[int] = []
        for box in sorted(range(8), key=lambda box: -scores[batch, box].max()):
            rivals = [
                other for other in kept if not per_class or scores[batch, other].argmax() == scores[batch, box].argmax()
            ]
            clear = all(overlap(boxes[batch, box], boxes[batch, other]) <= 0.3 for other in rivals)
            if clear and scores[batch, box].max() >= 20 and len(kept) < most:
                kept.append(box)
        count = len(kept)
        assert found[3][batch] == count
        assert found[2][batch].tolist() == kept + [-1] * (most - count)
        np.testing.assert_array_equal(found[0][batch, :count], boxes[batch, kept])
        np.testing.assert_array_equal(found[1][batch, :count], scores[batch, kept])
        assert not found[0][batch, count:].any()
        assert not found[1][batch, count:].any()


def test_suppression_takes_the_best_box_when_none_reaches_the_threshold() -> None:
    boxes = np.ones((1, 2, 4), np.float32)
    scores = np.array([[[1.0], [2.0]]], np.float32)
    found = run(
        "non_maximum_suppression", 15, boxes=boxes, scores=scores, iou_threshold=0.5, score_threshold=9.0, max_boxes=2
    )
    assert [part.tolist() for part in found[2:]] == [[[1, -1]], [1]]


def test_suppression_of_ios17_has_boxes_in_the_last_axis_and_no_threshold() -> None:
    random = np.random.default_rng(3)
    boxes = random.uniform(1, 5, (1, 6, 4)).astype(np.float32)
    scores = random.permutation(12).reshape(1, 6, 2).astype(np.float32)
    common = {"iou_threshold": 0.2, "max_boxes": 4, "per_class_suppression": False}
    old = run("non_maximum_suppression", 15, boxes=boxes, scores=scores, score_threshold=-1.0, **common)
    new = run("non_maximum_suppression", 17, boxes=boxes.transpose(0, 2, 1), scores=scores.transpose(0, 2, 1), **common)
    assert len(new) == 3
    np.testing.assert_array_equal(new[0], old[0].transpose(0, 2, 1))
    np.testing.assert_array_equal(new[1], old[1].transpose(0, 2, 1))
    np.testing.assert_array_equal(new[2], old[2])
