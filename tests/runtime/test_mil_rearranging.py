"""Padding, windows, sequences, blocks and slice updates, element by element against where each must come from."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_rearranging
small = st.integers(1, 3)


def run(op: str, ios: int, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**arguments)


def numbered(*shape: int, dtype: Any = np.float32) -> Any:
    """Every element another value, none of them 0."""
    return np.arange(1, 1 + int(np.prod(shape)), dtype=dtype).reshape(shape)


def source(index: int, size: int, mode: str) -> int:
    """Where an element at ``index``, maybe outside, is taken from; -1 for the constant."""
    if 0 <= index < size:
        return index
    if mode == "constant":
        return -1
    if mode == "replicate":
        return min(max(index, 0), size - 1)
    return -index if index < 0 else 2 * (size - 1) - index


@settings(max_examples=80, deadline=None)
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4),
    mode=st.sampled_from(["constant", "reflect", "replicate"]),
    data=st.data(),
)
def test_pad(shape: tuple[int, ...], mode: str, data: Any) -> None:
    x = numbered(*shape)
    padded_axes = data.draw(st.integers(0, x.ndim))
    amounts: list[int] = []
    for size in shape[x.ndim - padded_axes :]:
        most = size - 1 if mode == "reflect" else 3
        amounts += [data.draw(st.integers(0, most)), data.draw(st.integers(0, most))]
    obtained = run("pad", 15, x=x, pad=tuple(amounts), mode=mode, constant_val=-2.5)
    pairs = [(0, 0)] * (x.ndim - padded_axes) + list(zip(amounts[::2], amounts[1::2]))
    assert obtained.shape == tuple(size + before + after for size, (before, after) in zip(shape, pairs))
    for position in np.ndindex(*obtained.shape):
        origin = [source(at - pair[0], size, mode) for at, pair, size in zip(position, pairs, shape)]
        assert obtained[position] == (-2.5 if -1 in origin else x[tuple(origin)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pad": (3, 0), "mode": "reflect"}, r"^amounts \(3, 0\) reflect more than shape \(2, 3\) has$"),
        ({"pad": (1, 1), "mode": "wrap"}, r"^mode 'wrap' is none of constant, reflect, replicate$"),
        ({"pad": (1,)}, r"^amounts \(1,\) for an array of rank 2$"),
        ({"pad": (-1, 0)}, r"^amounts \(-1, 0\) for an array of rank 2$"),
        ({"pad": (0, 2**40)}, r"asks for more than 2 GiB$"),
    ],
)
def test_pad_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run("pad", 15, x=numbered(2, 3), **arguments)


@settings(max_examples=60, deadline=None)
@given(shape=npst.array_shapes(min_dims=1, max_dims=3, max_side=6), stride=st.integers(1, 3), data=st.data())
def test_sliding_windows(shape: tuple[int, ...], stride: int, data: Any) -> None:
    x = numbered(*shape)
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = data.draw(st.integers(1, shape[axis]))
    obtained = run("sliding_windows", 15, x=x, axis=axis, size=size, stride=stride)
    first = axis % x.ndim
    starts = range(0, shape[axis] - size + 1, stride)
    windows = [np.take(x, np.arange(start, start + size), first) for start in starts]
    np.testing.assert_array_equal(obtained, np.stack(windows, first))


@settings(max_examples=60, deadline=None)
@given(shape=npst.array_shapes(min_dims=2, max_dims=3, max_side=4), data=st.data())
def test_reverse_sequence(shape: tuple[int, ...], data: Any) -> None:
    x = numbered(*shape)
    axes = data.draw(st.permutations(range(x.ndim)))
    sequence, batch = axes[0], axes[1]
    lengths = data.draw(npst.arrays(np.int32, shape[batch], elements=st.integers(0, shape[sequence])))
    obtained = run(
        "reverse_sequence",
        15,
        x=x,
        lengths=lengths,
        seq_axis=sequence - x.ndim * data.draw(small.map(lambda n: n % 2)),
        batch_axis=batch,
    )
    for position in np.ndindex(*shape):
        origin = list(position)
        length = int(lengths[position[batch]])
        if origin[sequence] < length:
            origin[sequence] = length - 1 - origin[sequence]
        assert obtained[position] == x[tuple(origin)]


@settings(max_examples=40, deadline=None)
@given(n=small, channels=small, height=small, width=small, block=st.integers(1, 3))
def test_blocks_to_channels_and_back(n: int, channels: int, height: int, width: int, block: int) -> None:
    space = numbered(n, channels, height * block, width * block)
    depth = run("space_to_depth", 15, x=space, block_size=block)
    pixels = run("pixel_unshuffle", 16, x=space, downscale_factor=block)
    assert depth.shape == pixels.shape == (n, channels * block * block, height, width)
    for b, c, y, x in np.ndindex(*space.shape):
        inside = (y % block) * block + x % block
        assert depth[b, inside * channels + c, y // block, x // block] == space[b, c, y, x]
        assert pixels[b, c * block * block + inside, y // block, x // block] == space[b, c, y, x]
    np.testing.assert_array_equal(run("depth_to_space", 15, x=depth, block_size=block), space)
    np.testing.assert_array_equal(run("pixel_shuffle", 15, x=pixels, upscale_factor=block), space)


@settings(max_examples=40, deadline=None)
@given(n=small, channels=small, cells=st.tuples(small, small), block=st.tuples(small, small), data=st.data())
def test_blocks_to_batch_and_back(n: int, channels: int, cells: Any, block: Any, data: Any) -> None:
    sizes = [cell * step for cell, step in zip(cells, block)]
    amounts = np.array([[data.draw(st.integers(0, size - 1)), 0] for size in sizes], np.int32)
    x = numbered(n, channels, *(size - int(row.sum()) for size, row in zip(sizes, amounts)))
    batch = run("space_to_batch", 15, x=x, block_shape=block, paddings=amounts)
    assert batch.shape == (n * block[0] * block[1], channels, *cells)
    padded = np.pad(x, [(0, 0), (0, 0), *amounts.tolist()])
    for b, c, row, column in np.ndindex(*padded.shape):
        inside = (row % block[0]) * block[1] + column % block[1]
        assert batch[inside * n + b, c, row // block[0], column // block[1]] == padded[b, c, row, column]
    np.testing.assert_array_equal(run("batch_to_space", 15, x=batch, block_shape=block, crops=amounts), x)


@pytest.mark.parametrize(
    ("op", "arguments", "message"),
    [
        ("space_to_depth", {"block_size": 2}, r"^3 is not a multiple of 2$"),
        ("depth_to_space", {"block_size": 2}, r"^1 is not a multiple of 4$"),
        ("depth_to_space", {"block_size": 0}, r"^1 is not a multiple of 0$"),
        (
            "space_to_batch",
            {"block_shape": (2,), "paddings": np.zeros((2, 2), int)},
            r"^a block of 1 sizes, expected 2$",
        ),
        (
            "batch_to_space",
            {"block_shape": (1, 1), "crops": np.array([[2, 2], [0, 0]])},
            r"^crops \[\[2, 2\], \[0, 0\]\] of shape \(1, 1, 3, 4\)$",
        ),
        ("sliding_windows", {"axis": 2, "size": 4}, r"^windows of 4, 1 apart, along axis 2 of shape \(1, 1, 3, 4\)$"),
        ("reverse_sequence", {"lengths": np.array([5]), "seq_axis": 2}, r"^lengths \[5\] for shape \(1, 1, 3, 4\)$"),
    ],
)
def test_what_does_not_fit_is_refused(op: str, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(op, 18, x=numbered(1, 1, 3, 4), **arguments)


def test_reshape_like_joins_stretches_of_shapes() -> None:
    x = numbered(6, 20)
    references = [numbered(2, 3, 4), numbered(1, 4, 5)]
    integers = [np.int32(value) for value in (0, 1, 2, 0)]
    obtained = run(
        "reshape_like",
        16,
        x=x,
        ref_tensors=references,
        begins=integers[:2],
        ends=integers[2:],
        end_masks=[np.bool_(False), np.bool_(True)],
    )
    assert obtained.shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(obtained.ravel(), x.ravel())


@settings(max_examples=60, deadline=None)
@given(shape=npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), data=st.data())
def test_slice_update_writes_what_slice_by_index_reads(shape: tuple[int, ...], data: Any) -> None:
    x = numbered(*shape)
    begins, ends, strides = [], [], []
    for size in shape:
        first, last = sorted((data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))))
        begins.append(first)
        ends.append(max(last, first + 1))
        strides.append(data.draw(small))
    masks = {name: tuple(data.draw(st.booleans()) for _ in shape) for name in ("begin_mask", "end_mask")}
    # One axis stays: a single element is refused.
    masks["squeeze_mask"] = (False, *(data.draw(st.booleans()) for _ in shape[1:]))
    where = {"begin": tuple(begins), "end": tuple(ends), "stride": tuple(strides), **masks}
    update = -run("slice_by_index", 18, x=x, **where)
    obtained = run("slice_update", 18, x=x.copy(), update=update, **where)
    np.testing.assert_array_equal(run("slice_by_index", 18, x=obtained, **where), update)
    untouched = obtained > 0
    np.testing.assert_array_equal(obtained[untouched], x[untouched])
    assert np.count_nonzero(~untouched) == update.size
