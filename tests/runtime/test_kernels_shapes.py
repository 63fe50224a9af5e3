"""Shape, slice, concatenation, matrix and reduction kernels of both formats."""

from __future__ import annotations

import math
import re
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_shapes
whole = st.integers(-8, 8).map(float)


def exactly(message: str) -> str:
    """The pattern that matches ``message`` and nothing else."""
    return f"^{re.escape(message)}$"


def arrays(min_dims: int = 1, max_dims: int = 3, min_side: int = 1) -> Any:
    shapes = npst.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4)
    return npst.arrays(np.float32, shapes, elements=whole)


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**arguments)


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


same = np.testing.assert_array_equal


@settings(max_examples=60, deadline=None)
@given(x=arrays(), data=st.data())
def test_slices(x: Any, data: Any) -> None:
    bounds = [
        data.draw(st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.sampled_from([1, 2, -1]))) for _ in x.shape
    ]
    masks = [data.draw(st.tuples(st.booleans(), st.booleans(), st.booleans())) for _ in x.shape]
    index: list[Any] = []
    for (begin, end, stride), (open_begin, open_end, squeeze), size in zip(bounds, masks, x.shape):
        if squeeze:
            index.append(begin % size)
        else:
            index.append(slice(None if open_begin else begin, None if open_end else end, stride))
    begins = tuple(b % size if squeeze else b for (b, _, _), (_, _, squeeze), size in zip(bounds, masks, x.shape))
    ends, strides = (tuple(item) for item in list(zip(*bounds))[1:])
    begin_mask, end_mask, squeeze_mask = (tuple(item) for item in zip(*masks))
    wanted = x[tuple(index)]
    same(
        run(
            "slice_by_index",
            x=x,
            begin=begins,
            end=ends,
            stride=strides,
            begin_mask=begin_mask,
            end_mask=end_mask,
            squeeze_mask=squeeze_mask,
        ),
        wanted,
    )
    fields = {"beginMasks": begin_mask, "endMasks": end_mask, "squeezeMasks": squeeze_mask}
    same(layer("sliceStatic", x, beginIds=begins, endIds=ends, strides=strides, **fields), wanted)
    same(layer("sliceDynamic", x, begins, endIds=ends, strides=strides, **fields), wanted)
    same(layer("sliceDynamic", x, begins, ends, strides, begin_mask, end_mask, squeeze_mask), wanted)


def test_slice_defaults() -> None:
    x = np.arange(4.0)
    assert run("slice_by_index", x=x, begin=(1,), end=(3,)).tolist() == [1.0, 2.0]
    assert run("slice_by_size", x=x, begin=(1,), size=(-1,)).tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=exactly("slice 3 to 5 lies outside axis 0 of shape (4,)")):
        run("slice_by_size", x=x, begin=(3,), size=(2,))


@pytest.mark.parametrize(("axis", "wanted"), [(0, -3), (1, -2), (2, -1)])
def test_slice_layer_counts_axes_from_the_end(axis: int, wanted: int) -> None:
    x = np.arange(60).reshape(3, 4, 5)
    same(
        layer("slice", x, startIndex=1, endIndex=-1, stride=1, axis=axis),
        np.take(x, range(1, x.shape[wanted] - 1), wanted),
    )


@settings(max_examples=40, deadline=None)
@given(x=arrays(), data=st.data())
def test_split_and_concat_are_inverse(x: Any, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=3)))
    sizes = tuple(int(item) for item in np.diff([0, *cuts, size]))
    parts = run("split", x=x, axis=axis, split_sizes=sizes)
    assert [part.shape[axis] for part in parts] == list(sizes)
    same(run("concat", values=parts, axis=axis), x)
    same(layer("concatND", *layer("splitND", x, axis=axis, splitSizes=sizes), axis=axis), x)
    equal = run("split", x=x, axis=axis, num_splits=size)
    same(np.concatenate(layer("splitND", x, axis=axis, numSplits=size), axis), x)
    assert [part.shape[axis] for part in equal] == [1] * size
    same(run("concat", values=[x, x + 1], axis=axis, interleave=True), np.repeat(x, 2, axis) + _alternating(x, axis))


def _alternating(x: Any, axis: int) -> Any:
    shape = [1] * x.ndim
    shape[axis] = 2 * x.shape[axis]
    return np.tile([0.0, 1.0], x.shape[axis]).reshape(shape)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_splits": 3}, "axis 0 of size 4 cannot be cut into 3 equal parts"),
        ({"split_sizes": (1, 2)}, "sizes (1, 2) do not add up to the 4 of axis 0"),
        ({"num_splits": 3, "split_sizes": (1, 3)}, "3 parts with 2 sizes"),
        ({}, "neither a number of parts nor their sizes are given"),
    ],
)
def test_split_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=exactly(message)):
        run("split", x=np.zeros(4), axis=0, **arguments)


def test_reshape_reads_zero_and_minus_one() -> None:
    x = np.zeros((2, 3, 4))
    assert run("reshape", x=x, shape=(0, -1, 2)).shape == (2, 6, 2)
    assert layer("reshapeStatic", x, targetShape=(-1, 4)).shape == (6, 4)
    assert layer("reshapeDynamic", x, (4, 6)).shape == (4, 6)
    assert layer("reshapeLike", x, np.zeros((8, 3))).shape == (8, 3)
    assert layer("rankPreservingReshape", x, targetShape=(0, 12, -1)).shape == (2, 12, 1)
    assert run("reshape", ios=17, x=np.zeros((2, 50)), shape=(1, 0, -1, 0)).shape == (1, 1, 2, 50)
    with pytest.raises(ValueError, match="cannot reshape"):
        run("reshape", x=x, shape=(5, 5))


def test_axes_come_and_go() -> None:
    x = np.zeros((2, 1, 3))
    assert run("expand_dims", x=x, axes=(0, -1)).shape == (1, 2, 1, 3, 1)
    assert layer("expandDims", x, axes=(0,)).shape == (1, 2, 1, 3)
    assert run("squeeze", x=x, axes=(0, 1)).shape == (2, 3)
    assert run("squeeze", x=x).shape == (2, 3)
    assert layer("squeeze", x, axes=(1,)).shape == (2, 3)
    assert layer("squeeze", x, squeezeAll=True).shape == (2, 3)
    with pytest.raises(ValueError, match="not equal to one"):
        layer("squeeze", x, axes=(0,))
    assert run("transpose", x=x, perm=(2, 0, 1)).shape == (3, 2, 1)
    assert layer("transpose", x, axes=(2, 0, 1)).shape == (3, 2, 1)
    assert run("flatten2d", x=x, axis=-1).shape == (2, 3)
    assert layer("flattenTo2D", x, axis=1).shape == (2, 3)
    assert run("shape", x=x).tolist() == layer("getShape", x).tolist() == [2, 1, 3]


def test_reverse_stack_tile() -> None:
    x = np.arange(4.0).reshape(2, 2)
    assert run("reverse", x=x, axes=(1,)).tolist() == [[1, 0], [3, 2]]
    assert run("reverse", x=x).tolist() == [[3, 2], [1, 0]]
    assert layer("reverse", x, reverseDim=(False, True)).tolist() == [[1, 0], [3, 2]]
    assert run("stack", values=[x, x], axis=1).shape == layer("stack", x, x, axis=1).shape == (2, 2, 2)
    assert run("tile", x=x, reps=(1, 2)).tolist() == [[0, 1, 0, 1], [2, 3, 2, 3]]
    assert layer("tile", x, reps=(2, 1)).tolist() == layer("tile", x, (2, 1)).tolist() == [[0, 1], [2, 3]] * 2
    with pytest.raises(ValueError, match=exactly("1 repetitions for rank 2")):
        run("tile", x=x, reps=(2,))


def test_fill_range_broadcast() -> None:
    assert run("fill", shape=(2,), value=np.array(3, np.int32)).tolist() == [3, 3]
    assert run("fill", shape=(1,)).dtype == np.float32
    assert run("fill_like", ios=16, ref_tensor=np.zeros((2,)), value=np.float32(1)).tolist() == [1, 1]
    for held in (np.array([2.0]), np.array([[2.0]])):
        filled = layer("fillDynamic", held, value=2.0).tolist()
        assert filled == layer("fillStatic", targetShape=(2,), value=2.0).tolist()
    for held in (np.ones((2, 2)), np.array([1.5]), np.array([np.nan])):
        with pytest.raises(ValueError, match="expected a vector of integers"):
            layer("fillDynamic", held)
    assert layer("fillLike", np.zeros(2), value=2.0).tolist() == [2, 2]
    assert run("range_1d", start=np.int32(1), end=np.int32(6), step=np.int32(2)).tolist() == [1, 3, 5]
    assert run("range_1d", start=np.int32(3), end=np.int32(0), step=np.int32(-2)).tolist() == [3, 1]
    assert run("range_1d", start=np.int32(3), end=np.int32(3), step=np.int32(1)).tolist() == []
    assert layer("rangeDynamic", 3.0, startValue=1.0, stepSizeValue=1.0).tolist() == [1, 2]
    assert layer("rangeDynamic", 3.0, 0.0, 2.0).tolist() == [0, 2]
    assert layer("rangeStatic", endValue=2.0, stepSizeValue=1.0).tolist() == [0, 1]
    assert layer("broadcastToStatic", np.ones(2), targetShape=(2, 2)).tolist() == [[1, 1], [1, 1]]
    assert layer("broadcastToLike", np.ones(1), np.zeros((2,))).tolist() == [1, 1]
    assert layer("broadcastToDynamic", np.ones(1), (2,)).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run("fill", shape=(1 << 40,)), "shape (1099511627776,) asks for more than 2 GiB"),
        (lambda: run("fill", shape=(-1,)), "shape (-1,) has a negative size"),
        (lambda: run("tile", x=np.zeros(8), reps=(1 << 40,)), "shape (8796093022208,) asks for more than 2 GiB"),
        (
            lambda: run("range_1d", start=np.int32(0), end=np.int32(2**31 - 1), step=np.int32(1)),
            "shape (2147483647,) asks for more than 2 GiB",
        ),
        (lambda: layer("rangeStatic", endValue=1.0), "the step of a range is 0"),
    ],
)
def test_absurd_sizes_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=exactly(message)):
        call()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), bias=st.booleans())
def test_linear(data: Any, bias: bool) -> None:
    x = data.draw(arrays())
    outputs, inputs = data.draw(st.integers(1, 4)), x.shape[-1]
    weight = data.draw(npst.arrays(np.float32, (outputs, inputs), elements=whole))
    added = data.draw(npst.arrays(np.float32, (outputs,), elements=whole)) if bias else None
    wanted = np.empty((*x.shape[:-1], outputs))
    for position in np.ndindex(*wanted.shape):
        row = x[position[:-1]].tolist()
        wanted[position] = math.fsum(a * b for a, b in zip(row, weight[position[-1]].tolist()))
        wanted[position] += 0 if added is None else float(added[position[-1]])
    same(run("linear", x=x, weight=weight, bias=added), wanted)
    fields = {"inputChannels": inputs, "outputChannels": outputs, "weights": weight, "bias": added}
    same(layer("innerProduct", x, hasBias=bias, **fields), wanted)


def test_inner_product_of_ranks_four_and_five_folds_the_last_three_axes() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 1, 2)
    weight = np.ones((4, 6), np.float32)
    obtained = layer("innerProduct", x, inputChannels=6, outputChannels=4, weights=weight)
    assert obtained.shape == (2, 4, 1, 1)
    assert obtained[:, 0, 0, 0].tolist() == [15.0, 51.0]
    assert layer("innerProduct", x[None], inputChannels=6, outputChannels=4, weights=weight).shape == (1, 2, 4, 1, 1)


def test_inner_product_uses_bias_only_when_it_has_one() -> None:
    x, weight, bias = np.ones(1, np.float32), np.ones((1, 1), np.float32), np.full(1, 5, np.float32)
    assert layer("innerProduct", x, weights=weight, bias=bias).tolist() == [1.0]


@settings(max_examples=30, deadline=None)
@given(data=st.data(), transpose_x=st.booleans(), transpose_y=st.booleans())
def test_matmul(data: Any, transpose_x: bool, transpose_y: bool) -> None:
    batch, rows, inner, columns = (data.draw(st.integers(1, 3)) for _ in range(4))
    x = data.draw(npst.arrays(np.float32, (batch, rows, inner), elements=whole))
    y = data.draw(npst.arrays(np.float32, (inner, columns), elements=whole))
    wanted = np.einsum("brk,kc->brc", x.astype(np.float64), y.astype(np.float64))
    left, right = (x.swapaxes(-1, -2) if transpose_x else x), (y.T if transpose_y else y)
    same(run("matmul", x=left, y=right, transpose_x=transpose_x, transpose_y=transpose_y), wanted)
    same(layer("batchedMatmul", left, right, transposeA=transpose_x, transposeB=transpose_y), wanted)
    # The file holds the matrix of a layer with one input transposed; its flags speak of two inputs.
    stored = np.ascontiguousarray(y.T)
    same(layer("batchedMatmul", x, weights=stored, hasBias=True, bias=np.ones(columns)), wanted + 1)
    same(layer("batchedMatmul", x, weights=stored, transposeA=transpose_x, transposeB=transpose_y), wanted)


REDUCTIONS = {
    "sum": ("reduceSum", math.fsum),
    "mean": ("reduceMean", lambda v: math.fsum(v) / len(v)),
    "max": ("reduceMax", max),
    "min": ("reduceMin", min),
    "prod": ("reduceProd", math.prod),
    "l1_norm": ("reduceL1", lambda v: math.fsum(map(abs, v))),
    "l2_norm": ("reduceL2", lambda v: math.sqrt(math.fsum(a * a for a in v))),
    "sum_square": ("reduceSumSquare", lambda v: math.fsum(a * a for a in v)),
    "log_sum": ("reduceLogSum", lambda v: math.log(math.fsum(v))),
    "log_sum_exp": ("reduceLogSumExp", lambda v: math.log(math.fsum(map(math.exp, v)))),
}


@pytest.mark.parametrize("op", REDUCTIONS)
@settings(max_examples=25, deadline=None)
@given(x=arrays(), data=st.data())
def test_reductions(op: str, x: Any, data: Any) -> None:
    x = np.abs(x) + 1 if op == "log_sum" else x
    chosen = data.draw(st.none() | st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    negative, keep = data.draw(st.booleans()), data.draw(st.booleans())
    reduced = set(range(x.ndim) if chosen is None else chosen)
    kept = [size for axis, size in enumerate(x.shape) if axis not in reduced]
    moved = np.moveaxis(x, sorted(reduced), range(-len(reduced), 0)).reshape(*kept, -1).astype(np.float64)
    name, formula = REDUCTIONS[op]
    wanted = np.array([formula(row.tolist()) for row in moved.reshape(-1, moved.shape[-1])]).reshape(kept)
    if keep:
        wanted = wanted.reshape([1 if axis in reduced else size for axis, size in enumerate(x.shape)])
    axes = None if chosen is None else tuple(axis - x.ndim if negative else axis for axis in chosen)
    obtained = run(f"reduce_{op}", x=x, axes=axes, keep_dims=keep)
    assert obtained.shape == wanted.shape
    np.testing.assert_allclose(obtained, wanted, rtol=1e-5, atol=1e-5)
    fields: dict[str, Any] = {"reduceAll": True} if axes is None else {"axes": axes}
    np.testing.assert_allclose(layer(name, x, keepDims=keep, **fields), wanted, rtol=1e-5, atol=1e-5)


def test_log_sum_exp_does_not_overflow() -> None:
    assert run("reduce_log_sum_exp", x=np.array([1e4, 1e4], np.float32)) == np.float32(1e4 + math.log(2))


def test_reduction_layers_must_say_what_to_reduce() -> None:
    with pytest.raises(ValueError, match=exactly("neither axes nor reduceAll is set")):
        layer("reduceSum", np.zeros(2))


def test_arg_reductions() -> None:
    x = np.array([[1.0, 3.0, 3.0], [5.0, 2.0, 0.0]])
    assert run("reduce_argmax", x=x).tolist() == [1, 0]
    assert run("reduce_argmin", x=x, axis=0, keep_dims=True).tolist() == [[0, 1, 1]]
    assert run("reduce_argmax", ios=17, x=x, output_dtype="uint16").dtype == np.uint16
    assert layer("argMax", x, axis=1).tolist() == [[1], [0]]
    assert layer("argMin", x, axis=1, removeDim=True).tolist() == [0, 2]
