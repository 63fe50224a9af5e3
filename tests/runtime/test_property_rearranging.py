"""What only moves elements, against TensorFlow: blocks, padding, windows, sequences, crops, in every type and both formats."""

from __future__ import annotations

import os
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.kernels.nn import records
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_rearranging
SOME = settings(max_examples=40, deadline=None)
side = st.integers(1, 3)
maybe = st.integers(0, 3)
dtypes = st.sampled_from(["float16", "float32", "int32"])


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def run(op: str, **arguments: Any) -> Any:
    kernel = mil.find(op, 18)
    assert kernel is not None
    return kernel.function(**arguments)


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


def numbered(*shape: int, dtype: str = "float32") -> Any:
    """Every element another value, none of them 0."""
    return np.arange(1, 1 + int(np.prod(shape))).reshape(shape).astype(dtype)


def exactly(obtained: Any, expected: Any, dtype: str) -> None:
    assert obtained.dtype == dtype
    assert obtained.shape == expected.shape
    np.testing.assert_array_equal(obtained, expected)


def last(x: Any) -> Any:
    """[n, c, h, w] as TensorFlow's [n, h, w, c]."""
    return np.moveaxis(x, 1, -1)


def first(x: Any) -> Any:
    return np.moveaxis(np.asarray(x), -1, 1)


@SOME
@given(n=side, channels=side, cells=st.tuples(side, side), block=st.integers(2, 3), dtype=dtypes)
def test_blocks_and_channels(tf: Any, n: int, channels: int, cells: Any, block: int, dtype: str) -> None:
    """TensorFlow's channels have the block's position as their slower part; a shuffled pixel's is the faster one."""
    space = numbered(n, channels, cells[0] * block, cells[1] * block, dtype=dtype)
    deep = first(tf.nn.space_to_depth(last(space), block))
    exactly(run("space_to_depth", x=space, block_size=block), deep, dtype)
    exactly(run("depth_to_space", x=deep, block_size=block), first(tf.nn.depth_to_space(last(deep), block)), dtype)
    faster = deep.reshape(n, block * block, channels, *cells).swapaxes(1, 2).reshape(deep.shape)
    exactly(run("pixel_unshuffle", x=space, downscale_factor=block), faster, dtype)
    exactly(run("pixel_shuffle", x=faster, upscale_factor=block), space, dtype)
    if dtype == "float32":
        for lead in ((n,), (1, n), ()):
            if lead or n == 1:
                there, back = space.reshape(*lead, *space.shape[1:]), deep.reshape(*lead, *deep.shape[1:])
                exactly(layer("reorganizeData", there, mode=0, blockSize=block), back, dtype)
                exactly(layer("reorganizeData", back, mode=1, blockSize=block), there, dtype)
                shuffled = faster.reshape(*lead, *faster.shape[1:])
                exactly(layer("reorganizeData", shuffled, mode=2, blockSize=block), there, dtype)


@SOME
@given(
    n=side, channels=side, cells=st.tuples(side, side), block=st.tuples(side, side),
    amounts=st.tuples(maybe, maybe, maybe, maybe), dtype=dtypes,
)  # fmt: skip
def test_blocks_and_batches(tf: Any, n: int, channels: int, cells: Any, block: Any, amounts: Any, dtype: str) -> None:
    """Padding on all four sides, and crops of so much."""
    pairs = np.array(amounts, np.int32).reshape(2, 2)
    sizes = [cell * step - int(pair.sum()) for cell, step, pair in zip(cells, block, pairs)]
    if min(sizes) < 1:
        pairs = np.zeros((2, 2), np.int32)
        sizes = [cell * step for cell, step in zip(cells, block)]
    x = numbered(n, channels, *sizes, dtype=dtype)
    batches = first(tf.space_to_batch(last(x), block, pairs))
    exactly(run("space_to_batch", x=x, block_shape=block, paddings=pairs), batches, dtype)
    back = first(tf.raw_ops.BatchToSpaceND(input=last(batches), block_shape=list(block), crops=pairs))
    exactly(run("batch_to_space", x=batches, block_shape=block, crops=pairs), back, dtype)


def test_blocks_of_nothing() -> None:
    """No images, or no channels, are no obstacle."""
    x, none = np.zeros((0, 4, 4, 2), np.float32), np.zeros((2, 2), np.int32)
    assert run("space_to_depth", x=x, block_size=2).shape == (0, 16, 2, 1)
    assert run("depth_to_space", x=x, block_size=2).shape == (0, 1, 8, 4)
    assert run("pixel_shuffle", x=x, upscale_factor=2).shape == (0, 1, 8, 4)
    assert run("pixel_unshuffle", x=x, downscale_factor=2).shape == (0, 16, 2, 1)
    assert run("space_to_batch", x=x, block_shape=(2, 1), paddings=none).shape == (0, 4, 2, 2)
    assert run("batch_to_space", x=x, block_shape=(2, 1), crops=none).shape == (0, 4, 8, 2)
    assert layer("reorganizeData", x, mode=0, blockSize=2).shape == (0, 16, 2, 1)


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4),
    mode=st.sampled_from(["constant", "reflect", "replicate"]), value=st.integers(-3, 3), dtype=dtypes, data=st.data(),
)  # fmt: skip
def test_padding(tf: Any, shape: Any, mode: str, value: int, dtype: str, data: Any) -> None:
    """Around the last axes, so many as there are amounts for; the layers' are the last two, or all."""
    x = numbered(*shape, dtype=dtype)
    count = data.draw(st.integers(0, len(shape)))
    most = {"constant": 3, "reflect": 0, "replicate": 3}[mode]
    pairs = [(0, 0)] * (len(shape) - count)
    for size in shape[len(shape) - count :]:
        limit = most or max(size - 1, 0)
        limit = 0 if size == 0 and mode != "constant" else limit
        pairs.append((data.draw(st.integers(0, limit)), data.draw(st.integers(0, limit))))
    if mode == "constant":
        wanted = tf.pad(x, pairs, constant_values=tf.constant(value, x.dtype))
    else:
        # TensorFlow does not repeat edges, nor reflect any array: it gathers the elements at the places they come from.
        wanted = x
        for axis, (pair, size) in enumerate(zip(pairs, shape)):
            places = np.arange(-pair[0], size + pair[1])
            mirrored = size - 1 - abs(size - 1 - abs(places))
            wanted = tf.gather(wanted, mirrored if mode == "reflect" else places.clip(0, max(size - 1, 0)), axis=axis)
    amounts = tuple(amount for pair in pairs[len(shape) - count :] for amount in pair)
    exactly(run("pad", x=x, pad=amounts, mode=mode, constant_val=float(value)), np.asarray(wanted), dtype)
    if dtype != "float32":
        return
    if mode == "constant":
        every = tuple(amount for pair in pairs for amount in pair)
        exactly(layer("constantPad", x, padAmounts=every, value=float(value)), np.asarray(wanted), dtype)
        exactly(layer("constantPad", x, every, value=float(value)), np.asarray(wanted), dtype)
        # Sizes instead of amounts: the first of a pair fills up in front, the second behind.
        sizes = [(size + before, 0) if before else (0, size + after) for size, (before, after) in zip(shape, pairs)]
        alone = [(before, 0) if before else (0, after) for before, after in pairs]
        filled = np.asarray(tf.pad(x, alone, constant_values=tf.constant(value, x.dtype)))
        given_sizes = tuple(size for pair in sizes for size in pair)
        exactly(
            layer("constantPad", x, padAmounts=given_sizes, value=float(value), padToGivenOutputSizeMode=True),
            filled,
            dtype,
        )
    if len(shape) >= 2 and not any(map(any, pairs[:-2])):
        border = records.BorderAmounts(tuple(records.EdgeSizes(*pair) for pair in pairs[-2:]))
        kind: dict[str, Any] = {
            "constant": {"constant": records.PaddingConstant(float(value))},
            "reflect": {"reflection": records.Nothing()},
            "replicate": {"replication": records.Nothing()},
        }[mode]
        exactly(layer("padding", x, paddingAmounts=border, **kind), np.asarray(wanted), dtype)


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6), stride=st.integers(1, 3), dtype=dtypes,
    data=st.data(),
)  # fmt: skip
def test_sliding_windows(tf: Any, shape: Any, stride: int, dtype: str, data: Any) -> None:
    axes = [axis for axis, size in enumerate(shape) if size]
    if not axes:
        return
    axis = data.draw(st.sampled_from(axes))
    size = data.draw(st.integers(1, shape[axis]))
    x = numbered(*shape, dtype=dtype)
    wanted = tf.signal.frame(x, size, stride, axis=axis).numpy()
    signed = data.draw(st.sampled_from([axis, axis - len(shape)]))
    exactly(run("sliding_windows", x=x, axis=signed, size=size, stride=stride), wanted, dtype)
    if dtype == "float32":
        exactly(layer("slidingWindows", x, axis=signed, windowSize=size, step=stride), wanted, dtype)


@SOME
@given(shape=npst.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=4), dtype=dtypes, seed=side, data=st.data())
def test_reverse_sequence(tf: Any, shape: Any, dtype: str, seed: int, data: Any) -> None:
    sequence, batch = data.draw(st.permutations(range(len(shape))))[:2]
    x = numbered(*shape, dtype=dtype)
    lengths = np.random.default_rng(seed).integers(0, shape[sequence] + 1, shape[batch]).astype(np.int32)
    wanted = tf.reverse_sequence(x, lengths, seq_axis=sequence, batch_axis=batch).numpy()
    signed = [axis - len(shape) * data.draw(st.integers(0, 1)) for axis in (sequence, batch)]
    exactly(run("reverse_sequence", x=x, lengths=lengths, seq_axis=signed[0], batch_axis=signed[1]), wanted, dtype)
    if dtype == "float32":
        floats = lengths.astype(np.float32)
        exactly(layer("reverseSeq", x, floats, sequenceAxis=signed[0], batchAxis=signed[1]), wanted, dtype)


@SOME
@given(
    lead=npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=2), kept=st.tuples(side, side),
    amounts=st.tuples(maybe, maybe, maybe, maybe), dtype=dtypes,
)  # fmt: skip
def test_crop(tf: Any, lead: Any, kept: Any, amounts: Any, dtype: str) -> None:
    top, bottom, left, right = amounts
    x = numbered(*lead, kept[0] + top + bottom, kept[1] + left + right, dtype=dtype)
    wanted = tf.slice(x, [0] * len(lead) + [top, left], [*lead, *kept]).numpy()
    exactly(run("crop", x=x, crop_height=(top, bottom), crop_width=(left, right)), wanted, dtype)
    if dtype == "float32":
        border = records.BorderAmounts((records.EdgeSizes(top, bottom), records.EdgeSizes(left, right)))
        exactly(layer("crop", x, cropAmounts=border), wanted, dtype)
        exactly(layer("crop", x, np.zeros((*lead, *kept)), offset=(top, left)), wanted, dtype)


@SOME
@given(shape=npst.array_shapes(min_dims=5, max_dims=6, min_side=0, max_side=3), repetitions=maybe)
def test_sequences_repeat(tf: Any, shape: Any, repetitions: int) -> None:
    x = numbered(*shape)
    multiples = [repetitions or 1 if axis == len(shape) - 5 else 1 for axis in range(len(shape))]
    exactly(layer("sequenceRepeat", x, nRepetitions=repetitions), tf.tile(x, multiples).numpy(), "float32")


@SOME
@given(shapes=st.lists(npst.array_shapes(min_dims=1, max_dims=3, max_side=3), min_size=1, max_size=3), data=st.data())
def test_reshape_like(shapes: Any, data: Any) -> None:
    """Stretches of the references' shapes, one after the other, bounds counted from the end among them."""
    begins, ends, masks, wanted = [], [], [], []
    for shape in shapes:
        begin, end = sorted((data.draw(st.integers(0, len(shape))), data.draw(st.integers(0, len(shape)))))
        masks.append(data.draw(st.booleans()))
        wanted += shape[begin:] if masks[-1] else shape[begin:end]
        begins.append(begin - len(shape) if begin < len(shape) and data.draw(st.booleans()) else begin)
        ends.append(end - len(shape) if end < len(shape) and data.draw(st.booleans()) else end)
    x = numbered(int(np.prod(wanted)))
    obtained = run(
        "reshape_like",
        x=x,
        ref_tensors=[np.zeros(shape, np.float32) for shape in shapes],
        begins=[np.int32(begin) for begin in begins],
        ends=[np.int32(end) for end in ends],
        end_masks=[np.bool_(mask) for mask in masks],
    )
    exactly(obtained, x.reshape(wanted), "float32")
