"""Shapes and slices of both formats, element by element: empty axes, negative axes, every type, rank 0 to 4."""

from __future__ import annotations

import itertools
import math
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_shapes
SOME = settings(max_examples=30, deadline=None)
DTYPES = ("float16", "float32", "int32", "bool", "int8", "uint16")
dtypes = st.sampled_from(DTYPES)
shapes = npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3)


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**arguments)


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


def numbered(shape: Any, dtype: str = "float32") -> Any:
    """Every element another value, none of them 0; of truth values, every second is set."""
    values = np.arange(1, 1 + math.prod(shape))
    return (values % 2 if dtype == "bool" else values).astype(dtype).reshape(shape)


def same(obtained: Any, expected: Any) -> None:
    expected = np.asarray(expected)
    assert np.shape(obtained) == expected.shape
    np.testing.assert_array_equal(obtained, expected)


def exactly(obtained: Any, expected: Any, dtype: str) -> None:
    assert np.asarray(obtained).dtype == dtype
    same(obtained, expected)


def row_major(shape: Any) -> Any:
    """The places of an array, in the order in which its elements lie in memory."""
    return itertools.product(*(range(size) for size in shape))


def signed(data: Any, axis: int, rank: int) -> int:
    return axis - rank * int(data.draw(st.integers(0, 1)))


def some_axes(data: Any, rank: int) -> Any:
    return data.draw(st.lists(st.integers(0, rank - 1), min_size=1, unique=True))


@SOME
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_axes_of_size_one(shape: Any, dtype: str, data: Any) -> None:
    x = numbered(shape, dtype)
    count = data.draw(st.integers(1, 2))
    rank = len(shape) + count
    places = data.draw(st.lists(st.integers(0, rank - 1), min_size=count, max_size=count, unique=True))
    remaining = iter(shape)
    wanted = tuple(1 if axis in places else next(remaining) for axis in range(rank))
    axes = tuple(signed(data, axis, rank) for axis in places)
    grown = run("expand_dims", x=x, axes=axes)
    exactly(grown, x.reshape(wanted), dtype)
    same(layer("expandDims", x, axes=axes), x.reshape(wanted))
    exactly(run("squeeze", x=grown, axes=axes), x, dtype)
    same(layer("squeeze", grown, axes=axes), x)
    bare = tuple(size for size in shape if size != 1)
    same(run("squeeze", x=grown), x.reshape(bare))
    same(layer("squeeze", grown, squeezeAll=True), x.reshape(bare))


@SOME
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_transpose_and_reverse(shape: Any, dtype: str, data: Any) -> None:
    x = numbered(shape, dtype)
    order = data.draw(st.permutations(range(len(shape))))
    perm = tuple(signed(data, axis, len(shape)) for axis in order)
    wanted = np.empty([shape[axis] for axis in order], dtype)
    for position in row_major(wanted.shape):
        origin = dict(zip(order, position))
        wanted[position] = x[tuple(origin[axis] for axis in range(len(shape)))]
    exactly(run("transpose", x=x, perm=perm), wanted, dtype)
    same(layer("transpose", x, axes=perm), wanted)
    chosen = some_axes(data, len(shape))
    mirrored, whole = np.empty(shape, dtype), np.empty(shape, dtype)
    for position in row_major(shape):
        opposite = tuple(size - 1 - at for at, size in zip(position, shape))
        whole[position] = x[opposite]
        mirrored[position] = x[tuple(o if axis in chosen else p for axis, (o, p) in enumerate(zip(opposite, position)))]
    exactly(run("reverse", x=x, axes=tuple(signed(data, axis, len(shape)) for axis in chosen)), mirrored, dtype)
    same(run("reverse", x=x), whole)
    same(layer("reverse", x, reverseDim=tuple(axis in chosen for axis in range(len(shape)))), mirrored)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_reshape(shape: Any, dtype: str, data: Any) -> None:
    """Any other shape of as many elements, in the same order; 0 keeps a size, -1 stands for what is left."""
    x = numbered(shape, dtype)
    size = x.size
    wanted: list[int] = []
    left = size
    for _ in range(data.draw(st.integers(0, 3))):
        divisor = data.draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0])) if left else 0
        wanted.append(divisor if left else data.draw(st.integers(0, 3)))
        left = left // divisor if left else 0
    wanted.append(left if size else 0)
    given_shape = list(wanted)
    known = math.prod(wanted[:-1])
    # What is left is not known beside a 0.
    if known and data.draw(st.booleans()):
        given_shape[-1] = -1
    if 0 not in given_shape or len(given_shape) != x.ndim:
        obtained = run("reshape", x=x, shape=tuple(given_shape))
        exactly(obtained, x.reshape(wanted), dtype)
        assert [obtained[p] for p in row_major(wanted)] == [x[p] for p in row_major(shape)]
        same(layer("reshapeDynamic", x, tuple(given_shape)), x.reshape(wanted))
        same(layer("reshapeStatic", x, targetShape=tuple(given_shape)), x.reshape(wanted))
    same(layer("reshapeLike", x, np.zeros(wanted)), x.reshape(wanted))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, data=st.data())
def test_reshape_keeps_sizes_where_it_reads_zero(shape: Any, data: Any) -> None:
    """Two neighbouring axes that are not kept exchange a factor; one of the new sizes may be left to be found."""
    x = numbered(shape)
    first = data.draw(st.integers(0, max(0, len(shape) - 2)))
    wanted = list(shape)
    if len(shape) > 1:
        product = shape[first] * shape[first + 1]
        # A size of 0 cannot be asked for: it keeps what is there.
        if product:
            wanted[first : first + 2] = [product, 1] if data.draw(st.booleans()) else [1, product]
    given_shape = [0 if have == want and data.draw(st.booleans()) else want for have, want in zip(shape, wanted)]
    named = [axis for axis, size in enumerate(given_shape) if size > 0]
    others = math.prod(size for size in given_shape if size > 0)
    if named and others and data.draw(st.booleans()):
        given_shape[data.draw(st.sampled_from(named))] = -1
    same(run("reshape", x=x, shape=tuple(given_shape)), x.reshape(wanted))
    same(run("reshape", 17, x=x, shape=tuple(given_shape)), x.reshape(wanted))
    same(layer("rankPreservingReshape", x, targetShape=tuple(given_shape)), x.reshape(wanted))
    # From iOS 17 on a 0 counts from the right, so that axes of size 1 may come in front.
    same(run("reshape", 17, x=x, shape=(1, 1, *given_shape)), x.reshape(1, 1, *wanted))


@SOME
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_flatten_and_shape(shape: Any, dtype: str, data: Any) -> None:
    x = numbered(shape, dtype)
    axis = data.draw(st.integers(0, len(shape)))
    given_axis = signed(data, axis, len(shape)) if axis < len(shape) else axis
    wanted = x.reshape(math.prod(shape[:axis]), math.prod(shape[axis:]))
    exactly(run("flatten2d", x=x, axis=given_axis), wanted, dtype)
    same(layer("flattenTo2D", x, axis=given_axis), wanted)
    assert run("shape", x=x).tolist() == list(shape)
    assert layer("getShape", x.astype(np.float32)).tolist() == list(shape)


@settings(max_examples=60, deadline=None)
@given(shape=npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4), dtype=dtypes, data=st.data())
def test_slice_by_index(shape: Any, dtype: str, data: Any) -> None:
    """The places that begin, end and stride name, counted out one by one; what lies outside of x is not there."""
    x = numbered(shape, dtype)
    begins, ends, strides, open_begin, open_end, single = [], [], [], [], [], []
    chosen: list[list[int]] = []
    for size in shape:
        stride = data.draw(st.sampled_from([1, 2, 3, -1, -2]))
        begin, end = data.draw(st.integers(-size - 2, size + 2)), data.draw(st.integers(-size - 2, size + 2))
        masks = [data.draw(st.booleans()) for _ in range(2)]
        alone = size > 0 and data.draw(st.integers(0, 3)) == 0
        if alone:
            begin = data.draw(st.integers(-size, size - 1))
            chosen.append([begin % size])
        else:
            first = begin + size if begin < 0 else begin
            last = end + size if end < 0 else end
            first = (0 if stride > 0 else size - 1) if masks[0] else first
            last = (size if stride > 0 else -1) if masks[1] else last
            # A bound before the start, counted from the end, is before the first element.
            start, stop = (max(first, 0), last) if stride > 0 else (min(first, size - 1), max(last, -1))
            chosen.append([at for at in range(start, stop, stride) if 0 <= at < size])
        for items, value in zip((begins, ends, strides), (begin, end, stride)):
            items.append(value)
        for marks, mark in zip((open_begin, open_end, single), (*masks, alone)):
            marks.append(mark)
    wanted = np.array([x[place] for place in itertools.product(*chosen)], dtype)
    wanted = wanted.reshape([len(places) for places, alone in zip(chosen, single) if not alone])
    bounds = [tuple(item) for item in (begins, ends, strides)]
    masks_given = [tuple(item) for item in (open_begin, open_end, single)]
    obtained = run(
        "slice_by_index",
        x=x,
        begin=bounds[0],
        end=bounds[1],
        stride=bounds[2],
        begin_mask=masks_given[0],
        end_mask=masks_given[1],
        squeeze_mask=masks_given[2],
    )
    exactly(obtained, wanted, dtype)
    fields = dict(zip(("beginMasks", "endMasks", "squeezeMasks"), masks_given))
    same(layer("sliceStatic", x, beginIds=bounds[0], endIds=bounds[1], strides=bounds[2], **fields), wanted)
    same(layer("sliceDynamic", x, *bounds, *masks_given), wanted)


@SOME
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_slice_by_size(shape: Any, dtype: str, data: Any) -> None:
    x = numbered(shape, dtype)
    begin = [data.draw(st.integers(0, size)) for size in shape]
    size = [data.draw(st.integers(0, whole - first)) for whole, first in zip(shape, begin)]
    wanted = np.empty(size, dtype)
    for position in row_major(size):
        wanted[position] = x[tuple(at + first for at, first in zip(position, begin))]
    negative = [
        first - whole if first < whole and data.draw(st.booleans()) else first for first, whole in zip(begin, shape)
    ]
    rest = [
        -1 if first + count == whole and data.draw(st.booleans()) else count
        for first, count, whole in zip(begin, size, shape)
    ]
    exactly(run("slice_by_size", x=x, begin=tuple(negative), size=tuple(rest)), wanted, dtype)
    axis = data.draw(st.integers(0, len(shape) - 1))
    along = signed(data, axis, len(shape))
    taken = x.take(range(begin[axis], begin[axis] + size[axis]), axis)
    same(layer("sliceBySize", x, negative[axis], size=size[axis], axis=along), taken)


@SOME
@given(shape=shapes, dtype=dtypes, number=st.integers(1, 3), interleave=st.booleans(), data=st.data())
def test_concat_stack_and_split(shape: Any, dtype: str, number: int, interleave: bool, data: Any) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    along = signed(data, axis, len(shape))
    sizes = [shape[axis] if interleave else data.draw(st.integers(0, 3)) for _ in range(number)]
    values = [numbered((*shape[:axis], size, *shape[axis + 1 :]), dtype) for size in sizes]
    wanted = np.empty((*shape[:axis], sum(sizes), *shape[axis + 1 :]), dtype)
    order = [(part, at) for part, size in enumerate(sizes) for at in range(size)]
    if interleave:
        order = [(part, at) for at in range(shape[axis]) for part in range(number)]
    for place, (part, at) in enumerate(order):
        for rest in row_major((*shape[:axis], *shape[axis + 1 :])):
            wanted[(*rest[:axis], place, *rest[axis:])] = values[part][(*rest[:axis], at, *rest[axis:])]
    exactly(run("concat", values=values, axis=along, interleave=interleave), wanted, dtype)
    same(layer("concatND", *values, axis=along, interleave=interleave), wanted)
    if not interleave:
        parts = run("split", x=wanted, axis=along, split_sizes=tuple(sizes))
        assert len(parts) == number
        for part, value in zip(parts, values):
            exactly(part, value, dtype)
        for part, value in zip(layer("splitND", wanted, axis=along, splitSizes=tuple(sizes)), values):
            same(part, value)
    alike = [numbered(shape, dtype) for _ in range(number)]
    new = data.draw(st.integers(0, len(shape)))
    stacked = run("stack", values=alike, axis=signed(data, new, len(shape) + 1))
    assert stacked.shape == (*shape[:new], number, *shape[new:])
    for part in range(number):
        exactly(stacked.take(part, new), alike[part], dtype)
    same(layer("stack", *alike, axis=new), stacked)


@SOME
@given(shape=shapes, number=st.integers(1, 4), data=st.data())
def test_equal_parts(shape: Any, number: int, data: Any) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    along = signed(data, axis, len(shape))
    whole = (*shape[:axis], shape[axis] * number, *shape[axis + 1 :])
    x = numbered(whole)
    parts = run("split", x=x, axis=along, num_splits=number)
    assert len(parts) == number
    for part, obtained in enumerate(parts):
        same(obtained, x.take(range(part * shape[axis], (part + 1) * shape[axis]), axis))
    for one, other in zip(layer("splitND", x, axis=along, numSplits=number), parts):
        same(one, other)
    blob = x.reshape(*whole[: axis + 1], 1, -1) if math.prod(whole) else None
    if blob is not None:
        for one, other in zip(layer("split", blob, nOutputs=number), parts):
            same(one.ravel(), other.ravel())


@SOME
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_tile_and_broadcast(shape: Any, dtype: str, data: Any) -> None:
    x = numbered(shape, dtype)
    reps = tuple(data.draw(st.integers(1, 3)) for _ in shape)
    wanted = np.empty([size * times for size, times in zip(shape, reps)], dtype)
    for position in row_major(wanted.shape):
        wanted[position] = x[tuple(at % size for at, size in zip(position, shape))]
    exactly(run("tile", x=x, reps=reps), wanted, dtype)
    same(layer("tile", x, reps=reps), wanted)
    # Of a neural network, repetitions are those of the last axes, and there may be more of them than axes.
    same(layer("tile", x[None], reps=reps), wanted[None])
    same(layer("tile", x, (2, *reps)), np.stack([wanted, wanted]))
    narrow = tuple(1 if data.draw(st.booleans()) else size for size in shape)
    y = numbered(narrow, dtype)
    target = (data.draw(st.integers(0, 2)), *shape)
    spread = np.empty(target, dtype)
    for position in row_major(target):
        spread[position] = y[tuple(0 if size == 1 else at for at, size in zip(position[1:], narrow))]
    same(layer("broadcastToStatic", y, targetShape=target), spread)
    same(layer("broadcastToDynamic", y, target), spread)
    same(layer("broadcastToLike", y, np.zeros(target)), spread)


@SOME
@given(
    shape=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    dtype=st.sampled_from(DTYPES),
    value=st.integers(0, 1),
)
def test_fill(shape: Any, dtype: str, value: int) -> None:
    filler = np.asarray(value, dtype)
    exactly(run("fill", shape=shape, value=filler), np.full(shape, value, dtype), dtype)
    exactly(run("fill_like", 16, ref_tensor=np.zeros(shape), value=filler), np.full(shape, value, dtype), dtype)
    exactly(run("fill", shape=shape), np.zeros(shape, np.float32), "float32")
    for obtained in (
        layer("fillStatic", targetShape=shape, value=float(value)),
        layer("fillDynamic", np.array(shape, np.float32), value=float(value)),
        layer("fillLike", np.zeros(shape, np.float32), value=float(value)),
    ):
        exactly(obtained, np.full(shape, value), "float32")


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(-40, 40),
    end=st.integers(-40, 40),
    step=st.integers(-20, 20).filter(bool),
    dtype=st.sampled_from(["float16", "float32", "int32"]),
)
def test_ranges(start: int, end: int, step: int, dtype: str) -> None:
    scale = 1 if dtype == "int32" else 8
    wanted = []
    number = start
    while (number < end) if step > 0 else (number > end):
        wanted.append(number / scale)
        number += step
    bounds = [np.asarray(value / scale, dtype) for value in (start, end, step)]
    exactly(run("range_1d", start=bounds[0], end=bounds[1], step=bounds[2]), np.array(wanted, dtype), dtype)
    floats = [float(value) for value in bounds]
    static = layer("rangeStatic", endValue=floats[1], startValue=floats[0], stepSizeValue=floats[2])
    exactly(static, np.array(wanted), "float32")
    same(layer("rangeDynamic", floats[1], floats[0], floats[2]), wanted)
    same(layer("rangeDynamic", floats[1], startValue=floats[0], stepSizeValue=floats[2]), wanted)


@SOME
@given(shape=npst.array_shapes(min_dims=3, max_dims=5, min_side=1, max_side=4), axis=st.integers(0, 2), data=st.data())
def test_slices_of_blobs(shape: Any, axis: int, data: Any) -> None:
    """Channel, height or width, from startIndex up to endIndex, which may count from the end."""
    x = numbered(shape)
    place = len(shape) - 3 + axis
    size = shape[place]
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    stride = data.draw(st.integers(1, 3))
    given_end = end - size if end < size and data.draw(st.booleans()) else end
    obtained = layer("slice", x, startIndex=start, endIndex=given_end, stride=stride, axis=axis)
    same(obtained, x.take(range(start, end, stride), place))


def test_reshape_of_nothing_finds_what_is_left() -> None:
    """0 keeps the axis without elements; -1 is what is left of the others."""
    x = np.zeros((0, 4, 3), np.float32)
    assert run("reshape", x=x, shape=(0, -1, 2)).shape == (0, 6, 2)
    assert run("reshape", 17, x=x, shape=(0, -1, 0)).shape == (0, 4, 3)
    assert run("reshape", x=np.zeros((4, 0, 3), np.float32), shape=(-1, 0, 1)).shape == (12, 0, 1)
    assert run("reshape", x=np.zeros((0, 3), np.float32), shape=(0, -1)).shape == (0, 3)
    with pytest.raises(ValueError, match=r"^cannot reshape array of size 0 into shape \(0,newaxis,5\)$"):
        run("reshape", x=x, shape=(0, -1, 5))
