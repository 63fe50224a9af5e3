"""Gather and scatter against TensorFlow and loops over their definition: batches, types, modes, bounds of each opset."""

from __future__ import annotations

import os
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.kernels.functions.indexing import SCATTER_MODES
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_indexing
SOME = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 10**6)
DTYPES = ("float16", "float32", "int32")
OPSETS = (15, 16, 17, 18)
dtypes = st.sampled_from(DTYPES)
opsets = st.sampled_from(OPSETS)
COMBINE: dict[str, Any] = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new,
    "div": lambda old, new: old / new,
    "max": max,
    "min": min,
}
same = np.testing.assert_array_equal


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def run(op: str, ios: int, **arguments: Any) -> Any:
    """The kernel's result; a product that overflows its type is no warning to the executor either."""
    kernel = mil.find(op, ios)
    assert kernel is not None
    with np.errstate(all="ignore"):
        return kernel.function(**arguments)


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    with np.errstate(all="ignore"):
        return kernel.function(*inputs, **fields)


def array(seed: int, shape: Any, dtype: str) -> Any:
    return np.asarray(np.random.default_rng(seed).integers(1, 9, shape), dtype)


def places(seed: int, shape: Any, size: int) -> Any:
    """Indices into an axis of ``size``; none if that is 0."""
    return np.random.default_rng(seed).integers(0, max(size, 1), shape).astype(np.int32)


def any_sign(indices: Any, sizes: Any, seed: int, ios: int) -> Any:
    """``indices``, some of them counted from the end where the opset admits that."""
    chosen = np.random.default_rng(seed).integers(0, 2, indices.shape) if ios < 17 else 0
    return (indices - chosen * np.asarray(sizes)).astype(np.int32)


def rounded(value: Any, dtype: str) -> Any:
    """A value in double as ``dtype`` holds it: of updates at one place each rounds, and float16 ends at 65504."""
    with np.errstate(over="ignore"):
        return np.asarray(value).astype(dtype)


def checks(data: Any, ios: int) -> dict[str, Any]:
    """From iOS 17 on the bounds may be checked, which changes nothing for indices within them."""
    return {"validate_indices": data.draw(st.booleans())} if ios >= 17 else {}


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3),
    tail=npst.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3),
    dtype=dtypes,
    ios=opsets,
    seed=seeds,
    data=st.data(),
)
def test_gather(tf: Any, shape: Any, tail: Any, dtype: str, ios: int, seed: int, data: Any) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    batch = data.draw(st.integers(0, axis)) if ios > 15 else 0
    tail = tail if shape[axis] else (*tail, 0)
    x, indices = array(seed, shape, dtype), places(seed, (*shape[:batch], *tail), shape[axis])
    wanted = tf.gather(x, indices, axis=axis, batch_dims=batch).numpy()
    signed = any_sign(indices, shape[axis], seed, ios)
    options: dict[str, Any] = {} if ios == 15 else {"batch_dims": batch}
    given_axis = axis - data.draw(st.sampled_from([0, len(shape)]))
    obtained = run("gather", ios, x=x, indices=signed, axis=given_axis, **options, **checks(data, ios))
    assert obtained.dtype == dtype
    same(obtained, wanted)
    assert obtained.shape == wanted.shape
    if batch == 0 and dtype == "float32":
        same(layer("gather", x, indices.astype(np.float32), axis=given_axis), wanted)
    if ios > 15:
        small = run("gather", ios, x=x, indices=indices.astype(np.uint16), axis=given_axis, **options)
        same(small, wanted)


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=3),
    tail=npst.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3),
    dtype=dtypes,
    ios=opsets,
    seed=seeds,
    data=st.data(),
)
def test_gather_nd(tf: Any, shape: Any, tail: Any, dtype: str, ios: int, seed: int, data: Any) -> None:
    batch = data.draw(st.integers(0, len(shape) - 1)) if ios > 15 else 0
    depth = data.draw(st.integers(0, len(shape) - batch))
    x = array(seed, shape, dtype)
    sizes = shape[batch : batch + depth]
    where = (*shape[:batch], *tail)
    columns = [places(seed + index, where, size) for index, size in enumerate(sizes)]
    indices = np.stack(columns, -1) if columns else np.zeros((*where, 0), np.int32)
    wanted = np.empty((*where, *shape[batch + depth :]), dtype)
    for position in np.ndindex(*where):
        wanted[position] = x[(*position[:batch], *indices[position])]
    if depth:
        same(tf.gather_nd(x, indices, batch_dims=batch).numpy(), wanted)
    options: dict[str, Any] = {} if ios == 15 else {"batch_dims": batch}
    signed = any_sign(indices, sizes, seed, ios)
    obtained = run("gather_nd", ios, x=x, indices=signed, **options, **checks(data, ios))
    assert obtained.dtype == dtype
    assert obtained.shape == wanted.shape
    same(obtained, wanted)
    if batch == 0 and dtype == "float32":
        same(layer("gatherND", x, indices.astype(np.float32)), wanted)


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3),
    count=st.integers(0, 4),
    dtype=dtypes,
    ios=opsets,
    seed=seeds,
    data=st.data(),
)
def test_along_axis(shape: Any, count: int, dtype: str, ios: int, seed: int, data: Any) -> None:
    """The axis may have any length in the indices; the others are x's."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size, first = shape[axis], axis % len(shape)
    of_indices = (*shape[:first], count if size else 0, *shape[first + 1 :])
    x, indices = array(seed, shape, dtype), places(seed, of_indices, size)
    signed = any_sign(indices, size, seed, ios)
    updates = array(seed + 1, of_indices, dtype)
    gathered, summed = np.empty(of_indices, dtype), x.copy()
    for position in np.ndindex(*of_indices):
        at = (*position[:first], int(indices[position]), *position[first + 1 :])
        gathered[position] = x[at]
        summed[at] += updates[position]
    options = checks(data, ios)
    obtained = run("gather_along_axis", ios, x=x, indices=signed, axis=axis, **options)
    assert obtained.shape == of_indices
    assert obtained.dtype == dtype
    same(obtained, gathered)
    scattered = run("scatter_along_axis", ios, data=x.copy(), indices=signed, updates=updates, axis=axis, **options)
    assert scattered.dtype == dtype
    same(scattered, summed)
    if dtype == "float32":
        floats = indices.astype(np.float32)
        same(layer("gatherAlongAxis", x, floats, axis=axis), gathered)
        same(layer("scatterAlongAxis", x.copy(), floats, updates, axis=axis, mode=1), summed)


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3),
    count=st.integers(0, 4),
    mode=st.sampled_from(SCATTER_MODES),
    dtype=dtypes,
    ios=opsets,
    seed=seeds,
    data=st.data(),
)
def test_scatter(shape: Any, count: int, mode: str, dtype: str, ios: int, seed: int, data: Any) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size, first = shape[axis], axis % len(shape)
    x, indices = array(seed, shape, dtype), places(seed, count, size)
    if mode in ("update", "div"):
        # Which of two updates of one element comes last is not said, nor how integers round between two divisions.
        indices = np.unique(indices).astype(np.int32)
    of_updates = (*shape[:first], indices.size, *shape[first + 1 :])
    updates = array(seed + 1, of_updates, dtype)
    wanted = x.astype(np.float64)
    for position in np.ndindex(*of_updates):
        at = (*position[:first], int(indices[position[first]]), *position[first + 1 :])
        wanted[at] = rounded(COMBINE[mode](wanted[at], float(updates[position])), dtype)
    signed = any_sign(indices, size, seed, ios)
    obtained = run(
        "scatter", ios, data=x.copy(), indices=signed, updates=updates, axis=axis, mode=mode, **checks(data, ios)
    )
    assert obtained.dtype == dtype
    same(obtained, wanted.astype(dtype))
    if dtype == "float32":
        number = SCATTER_MODES.index(mode)
        floats = signed.astype(np.float32)
        same(layer("scatter", x.copy(), floats, updates, axis=axis, mode=number), wanted.astype(dtype))


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3),
    where=npst.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3),
    mode=st.sampled_from(SCATTER_MODES),
    dtype=dtypes,
    ios=opsets,
    seed=seeds,
    data=st.data(),
)
def test_scatter_nd(shape: Any, where: Any, mode: str, dtype: str, ios: int, seed: int, data: Any) -> None:
    depth = data.draw(st.integers(0, len(shape)))
    if mode in ("update", "div") or depth == 0:
        where = ()
    x = array(seed, shape, dtype)
    columns = [places(seed + index, where, size) for index, size in enumerate(shape[:depth])]
    indices = np.stack(columns, -1) if columns else np.zeros((*where, 0), np.int32)
    updates = array(seed + 1, (*where, *shape[depth:]), dtype)
    wanted = x.astype(np.float64)
    for position in np.ndindex(*where):
        for rest in np.ndindex(*shape[depth:]):
            at = (*indices[position], *rest)
            wanted[at] = rounded(COMBINE[mode](wanted[at], float(updates[(*position, *rest)])), dtype)
    signed = any_sign(indices, shape[:depth], seed, ios)
    obtained = run("scatter_nd", ios, data=x.copy(), indices=signed, updates=updates, mode=mode, **checks(data, ios))
    assert obtained.dtype == dtype
    same(obtained, wanted.astype(dtype))
    if dtype == "float32":
        number = SCATTER_MODES.index(mode)
        floats = signed.astype(np.float32)
        same(layer("scatterND", x.copy(), floats, updates, mode=number), wanted.astype(dtype))


@settings(max_examples=20, deadline=None)
@given(
    rank=st.integers(1, 3),
    ios=opsets,
    beyond=st.sampled_from(["before", "after", "negative"]),
    validate=st.booleans(),
    data=st.data(),
)
def test_indices_out_of_bounds(rank: int, ios: int, beyond: str, validate: bool, data: Any) -> None:
    """One element of any shape is outside; without ``validate_indices`` the result is undefined, here it is refused."""
    size = data.draw(st.integers(1, 3))
    x = np.zeros((size,) * rank, np.float32)
    axis = data.draw(st.integers(0, rank - 1))
    bad = {"before": -size - 1, "after": size, "negative": -1}[beyond]
    indices = np.zeros((size,) * rank, np.int32)
    indices.ravel()[data.draw(st.integers(0, indices.size - 1))] = bad
    options: dict[str, Any] = {"validate_indices": validate} if ios >= 17 else {}
    vectors = np.zeros((2, rank), np.int32)
    vectors[1, axis] = bad
    row = np.array([bad], np.int32)
    of_row = x.take([0], axis)
    calls: list[Any] = [
        lambda: run("gather", ios, x=x, indices=indices, axis=axis, **options),
        lambda: run("gather_along_axis", ios, x=x, indices=indices, axis=axis, **options),
        lambda: run("gather_nd", ios, x=x, indices=vectors, **options),
        lambda: run("scatter", ios, data=x, indices=row, updates=of_row, axis=axis, **options),
        lambda: run("scatter_along_axis", ios, data=x, indices=indices, updates=x + 1, axis=axis, **options),
        lambda: run("scatter_nd", ios, data=x, indices=vectors, updates=np.ones(2, np.float32), **options),
    ]
    for call in calls:
        if ios < 17 and beyond == "negative":
            call()
        else:
            with pytest.raises(ValueError, match=rf"^index {bad} is out of range, the axis admits"):
                call()


@pytest.mark.parametrize("op", ["gather_along_axis", "scatter_along_axis"])
def test_indices_along_an_axis_have_the_other_sizes_of_x(op: str) -> None:
    """Sizes of 1 are not broadcast: the result would have another shape than the indices, or miss elements."""
    x, indices = np.zeros((2, 3), np.float32), np.zeros((2, 1), np.int32)
    options = {"x": x} if op.startswith("gather") else {"data": x, "updates": np.ones((2, 1), np.float32)}
    name = op.split("_")[0] + "AlongAxis"
    message = r"^indices of shape \(2, 1\) along axis 0 of shape \(2, 3\)$"
    with pytest.raises(ValueError, match=message):
        run(op, 15, indices=indices, axis=0, **options)
    inputs = [x, indices.astype(np.float32), *([options["updates"]] if "updates" in options else [])]
    with pytest.raises(ValueError, match=message):
        layer(name, *inputs, axis=0)


def test_scatter_nd_without_an_index_changes_all_of_x() -> None:
    x = np.ones((2, 3), np.float32)
    updates = np.stack([x, 2 * x])
    obtained = run("scatter_nd", 15, data=x.copy(), indices=np.zeros((2, 0), np.int32), updates=updates)
    same(obtained, 4 * x)
