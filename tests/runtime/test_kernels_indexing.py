"""Gather and scatter against loops over their definition; indices that are out of range."""

from __future__ import annotations

import re
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
COMBINE = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new,
    "div": lambda old, new: old / new,
    "max": max,
    "min": min,
}
numbers = st.integers(1, 8).map(float)
data_arrays = npst.arrays(np.float32, npst.array_shapes(min_dims=1, max_dims=3, max_side=4), elements=numbers)


def exactly(message: str) -> str:
    """The pattern that matches ``message`` and nothing else."""
    return f"^{re.escape(message)}$"


def run(op: str, ios: int, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**arguments)


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


@settings(max_examples=60, deadline=None)
@given(x=data_arrays, data=st.data())
def test_gather(x: Any, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    indices = data.draw(npst.arrays(np.int32, shape, elements=st.integers(-size, size - 1)))
    moved = np.moveaxis(x, axis, 0)
    wanted = np.empty((*shape, *moved.shape[1:]), np.float32)
    for position in np.ndindex(*shape):
        wanted[position] = moved[indices[position]]
    first = axis % x.ndim
    wanted = np.moveaxis(wanted, range(len(shape)), range(first, first + len(shape)))
    np.testing.assert_array_equal(run("gather", 15, x=x, indices=indices, axis=axis), wanted)
    np.testing.assert_array_equal(layer("gather", x, indices.astype(np.float32), axis=axis), wanted)
    if indices.size and (indices >= 0).all():
        np.testing.assert_array_equal(run("gather", 17, x=x, indices=indices, axis=axis), wanted)


@settings(max_examples=60, deadline=None)
@given(data=data_arrays, draw=st.data(), mode=st.sampled_from(SCATTER_MODES))
def test_scatter(data: Any, draw: Any, mode: str) -> None:
    axis = draw.draw(st.integers(-data.ndim, data.ndim - 1))
    size = data.shape[axis]
    count = draw.draw(st.integers(0, 4))
    unique = mode == "update"
    indices = draw.draw(
        npst.arrays(np.int32, min(count, size) if unique else count, elements=st.integers(0, size - 1), unique=unique)
    )
    shape = list(data.shape)
    shape[axis] = indices.size
    updates = draw.draw(npst.arrays(np.float32, tuple(shape), elements=numbers))
    wanted = np.moveaxis(data.copy(), axis, 0)
    rows = np.moveaxis(updates, axis, 0)
    for row, index in enumerate(indices):
        for position in np.ndindex(*wanted.shape[1:]):
            at = (index, *position)
            wanted[at] = COMBINE[mode](wanted[at], rows[(row, *position)])
    wanted = np.moveaxis(wanted, 0, axis)
    obtained = run("scatter", 15, data=data.copy(), indices=indices, updates=updates, axis=axis, mode=mode)
    np.testing.assert_allclose(obtained, wanted, rtol=1e-6)
    number = SCATTER_MODES.index(mode)
    obtained = layer("scatter", data.copy(), indices.astype(np.float32), updates, axis=axis, mode=number)
    np.testing.assert_allclose(obtained, wanted, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(x=data_arrays, draw=st.data())
def test_gather_nd_and_scatter_nd(x: Any, draw: Any) -> None:
    depth = draw.draw(st.integers(1, x.ndim))
    count = draw.draw(st.integers(1, 3))
    columns = [draw.draw(npst.arrays(np.int32, count, elements=st.integers(0, size - 1))) for size in x.shape[:depth]]
    indices = np.stack(columns, -1)
    wanted = np.stack([x[tuple(vector)] for vector in indices])
    np.testing.assert_array_equal(run("gather_nd", 15, x=x, indices=indices), wanted)
    np.testing.assert_array_equal(layer("gatherND", x, indices.astype(np.float32)), wanted)
    negative = (indices - np.array(x.shape[:depth])).astype(np.int32)
    np.testing.assert_array_equal(run("gather_nd", 16, x=x, indices=negative), wanted)
    updates = np.ones_like(wanted)
    summed = x.copy()
    for vector in indices:
        summed[tuple(vector)] += 1
    np.testing.assert_array_equal(run("scatter_nd", 15, data=x.copy(), indices=indices, updates=updates), summed)


@settings(max_examples=40, deadline=None)
@given(x=data_arrays, draw=st.data())
def test_along_axis(x: Any, draw: Any) -> None:
    axis = draw.draw(st.integers(-x.ndim, x.ndim - 1))
    indices = draw.draw(npst.arrays(np.int32, x.shape, elements=st.integers(0, x.shape[axis] - 1)))
    wanted, summed = np.empty_like(x), x.copy()
    for position in np.ndindex(*x.shape):
        at = list(position)
        at[axis] = int(indices[position])
        wanted[position] = x[tuple(at)]
        summed[tuple(at)] += 1
    np.testing.assert_array_equal(run("gather_along_axis", 15, x=x, indices=indices, axis=axis), wanted)
    ones = np.ones_like(x)
    np.testing.assert_array_equal(
        run("scatter_along_axis", 15, data=x.copy(), indices=indices, updates=ones, axis=axis), summed
    )


def test_batch_dimensions() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    indices = np.array([[2, 0], [1, 1]], np.int32)
    wanted = np.stack([x[batch][indices[batch]] for batch in range(2)])
    np.testing.assert_array_equal(run("gather", 16, x=x, indices=indices, axis=1, batch_dims=1), wanted)
    vectors = np.array([[[2, 1]], [[0, 0]]], np.int32)
    wanted = np.array([[x[0, 2, 1]], [x[1, 0, 0]]])
    np.testing.assert_array_equal(run("gather_nd", 16, x=x, indices=vectors, batch_dims=1), wanted)


@pytest.mark.parametrize(
    ("ios", "index", "message"),
    [
        (15, 3, "index 3 is out of range, the axis admits -3 to 2"),
        (15, -4, "index -4 is out of range, the axis admits -3 to 2"),
        (17, -1, "index -1 is out of range, the axis admits 0 to 2"),
        (17, 3, "index 3 is out of range, the axis admits 0 to 2"),
    ],
)
def test_out_of_range(ios: int, index: int, message: str) -> None:
    x = np.zeros((3, 2), np.float32)
    row = np.zeros((1, 2), np.float32)
    indices = np.array([index], np.int32)
    for call in (
        lambda: run("gather", ios, x=x, indices=indices, axis=0),
        lambda: run("gather_nd", ios, x=x, indices=indices[:, None]),
        lambda: run("scatter", ios, data=x, indices=indices, updates=row),
        lambda: run("scatter_nd", ios, data=x, indices=indices[:, None], updates=row),
        lambda: run("gather_along_axis", ios, x=x, indices=indices[:, None].repeat(2, 1)),
    ):
        with pytest.raises(ValueError, match=exactly(message)):
            call()
    np.testing.assert_array_equal(x, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"updates": np.zeros((2, 2), np.float32)}, "updates have shape (2, 2), expected (1, 2)"),
        ({"mode": "plus"}, "mode 'plus' is none of update, add, sub, mul, div, max, min"),
        ({"axis": 2}, "axis 2 of an array of rank 2"),
    ],
)
def test_scatter_refuses(arguments: dict[str, Any], message: str) -> None:
    given_arguments: dict[str, Any] = {
        "data": np.zeros((3, 2), np.float32),
        "indices": np.array([1], np.int32),
        "updates": np.zeros((1, 2), np.float32),
    }
    with pytest.raises(ValueError, match=exactly(message)):
        run("scatter", 15, **{**given_arguments, **arguments})
