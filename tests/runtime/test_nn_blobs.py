"""Neural network: older layers, normalisation, images, sorting and random numbers, against their formulas in double."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.kernels.nn import records
from pytest_dscoreml.runtime.registry import nn

assert kernels
FEW = settings(max_examples=25, deadline=None)
same = np.testing.assert_array_equal


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


def near(obtained: Any, expected: Any, atol: float = 2e-5) -> None:
    np.testing.assert_allclose(obtained, expected, rtol=2e-5, atol=atol)


@st.composite
def images(draw: Any, min_dims: int = 3, max_dims: int = 5, min_side: int = 1) -> Any:
    shape = draw(npst.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4))
    return np.random.default_rng(draw(st.integers(0, 999))).normal(size=shape).astype(np.float32)


def drawn(*shape: int) -> Any:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


@FEW
@given(x=images(), across=st.booleans(), variance=st.booleans())
def test_mean_variance_normalisation(x: Any, across: bool, variance: bool) -> None:
    wide = x.astype(np.float64)
    axes = (-3, -2, -1) if across else (-2, -1)
    expected = wide - wide.mean(axes, keepdims=True)
    if variance:
        expected = expected / np.sqrt(wide.var(axes, keepdims=True) + 0.01)
    near(layer("mvn", x, acrossChannels=across, normalizeVariance=variance, epsilon=0.01), expected)


@FEW
@given(x=images(), own=st.booleans(), instance=st.booleans())
def test_batch_normalisation(x: Any, own: bool, instance: bool) -> None:
    channels = x.shape[-3]
    gamma, beta, mean = drawn(3, channels)
    variance = np.square(drawn(channels)) + 1
    wide = x.astype(np.float64)
    column = (channels, 1, 1)
    fields: dict[str, Any] = {"channels": channels, "gamma": gamma, "beta": beta, "epsilon": 0.1}
    if own:
        axes = (-2, -1) if instance else tuple(axis for axis in range(x.ndim) if axis != x.ndim - 3)
        middle, spread = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
        fields.update(computeMeanVar=True, instanceNormalization=instance)
    else:
        middle, spread = mean.reshape(column), variance.reshape(column)
        fields.update(mean=mean, variance=variance)
    expected = gamma.reshape(column) * (wide - middle) / np.sqrt(spread + 0.1) + beta.reshape(column)
    near(layer("batchnorm", x, **fields), expected)


def test_batch_normalisation_without_statistics() -> None:
    with pytest.raises(ValueError, match=r"^neither mean and variance nor computeMeanVar are set$"):
        layer("batchnorm", drawn(2, 3, 3), channels=2)


def test_an_epsilon_of_zero_is_the_default() -> None:
    x = np.zeros((1, 2, 2), np.float32)
    x[0, 0, 0] = 1e-3
    wide = x.astype(np.float64)
    near(layer("l2normalize", x), wide / np.sqrt(np.square(wide).sum() + 1e-6))
    near(layer("batchnorm", x, computeMeanVar=True, instanceNormalization=True)[0], (
        (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
    )[0])  # fmt: skip
    near(layer("layerNormalization", x[0, 0], normalizedShape=(2,)), (
        (wide[0, 0] - wide[0, 0].mean()) / np.sqrt(wide[0, 0].var() + 1e-5)
    ))  # fmt: skip


@FEW
@given(x=images(), size=st.integers(1, 5), k=st.sampled_from([0.0, 2.0]))
def test_local_response_normalisation(x: Any, size: int, k: float) -> None:
    squares = np.square(x.astype(np.float64))
    expected = np.empty(x.shape)
    for channel in range(x.shape[-3]):
        first, last = max(0, channel - size // 2), channel + (size - 1) // 2 + 1
        total = squares[..., first:last, :, :].sum(-3)
        expected[..., channel, :, :] = x[..., channel, :, :] / ((k or 1) + 0.5 / size * total) ** 0.75
    near(layer("lrn", x, alpha=0.5, beta=0.75, localSize=size, k=k), expected)


@FEW
@given(x=images(min_dims=1), data=st.data())
def test_layer_normalisation(x: Any, data: Any) -> None:
    count = data.draw(st.integers(1, x.ndim))
    shape = x.shape[x.ndim - count :]
    gamma, beta = drawn(*shape), drawn(*shape) + 1
    axes = tuple(range(-count, 0))
    wide = x.astype(np.float64)
    expected = gamma * (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + 0.1) + beta
    near(layer("layerNormalization", x, normalizedShape=shape, eps=0.1, gamma=gamma, beta=beta), expected)


@FEW
@given(x=images(), shape=st.sampled_from(["one", "channels", "pixels", "all"]))
def test_scale_and_bias(x: Any, shape: str) -> None:
    channels, height, width = x.shape[-3:]
    sizes = {"one": (1,), "channels": (channels,), "pixels": (1, height, width), "all": (channels, height, width)}[
        shape
    ]
    by, plus = drawn(*sizes), drawn(*sizes) + 1
    column = (channels, 1, 1) if shape == "channels" else sizes
    expected = x * by.reshape(column).astype(np.float64)
    near(layer("scale", x, shapeScale=sizes, scale=by), expected)
    near(layer("scale", x, shapeScale=sizes, scale=by, hasBias=True, shapeBias=sizes, bias=plus), (
        expected + plus.reshape(column)
    ))  # fmt: skip
    near(layer("bias", x, shape=sizes, bias=plus), x + plus.reshape(column))


def test_dot_products() -> None:
    x, y = drawn(2, 3, 1, 1), drawn(2, 3, 1, 1) + 1
    expected = np.einsum("bchw,bchw->b", x, y).reshape(2, 1, 1, 1)
    near(layer("dot", x, y), expected)
    lengths = np.linalg.norm(x, axis=1, keepdims=True) * np.linalg.norm(y, axis=1, keepdims=True)
    near(layer("dot", x, y, cosineSimilarity=True), expected / lengths)


@pytest.mark.parametrize("axis", range(5))
@pytest.mark.parametrize("mode", range(10))
def test_reduce(mode: int, axis: int) -> None:
    x = np.abs(drawn(2, 3, 4, 5)) + 0.5
    wide = x.astype(np.float64)
    axes = [(-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,)][axis]
    if mode == 9:
        if len(axes) > 1:
            with pytest.raises(ValueError, match=r"^the greatest value's index along several axes"):
                layer("reduce", x, mode=mode, axis=axis)
            return
        expected = np.expand_dims(wide.argmax(axes[0]), axes[0])
    else:
        expected = [
            lambda v: v.sum(axes, keepdims=True),
            lambda v: v.mean(axes, keepdims=True),
            lambda v: v.prod(axes, keepdims=True),
            lambda v: np.log(v + 1e-6).sum(axes, keepdims=True),
            lambda v: (v**2).sum(axes, keepdims=True),
            lambda v: np.abs(v).sum(axes, keepdims=True),
            lambda v: np.sqrt((v**2).sum(axes, keepdims=True)),
            lambda v: v.max(axes, keepdims=True),
            lambda v: v.min(axes, keepdims=True),
        ][mode](wide)
    near(layer("reduce", x, mode=mode, axis=axis), expected, atol=1e-3)


@FEW
@given(x=images())
def test_flatten(x: Any) -> None:
    same(layer("flatten", x), x.reshape(*x.shape[:-3], -1, 1, 1))
    last = np.moveaxis(x, -3, -1).reshape(*x.shape[:-3], -1, 1, 1)
    same(layer("flatten", x, mode=1), last)


def test_reshape_of_blobs() -> None:
    x = drawn(2, 3, 4, 2, 3)
    same(layer("reshape", x, targetShape=(6, 4, 1)), x.reshape(2, 3, 6, 4, 1))
    first = layer("reshape", x, targetShape=(4, 2, 2, 3))
    assert first.shape == (4, 3, 2, 2, 3)
    for batch in range(3):
        same(first[:, batch].ravel(), x[:, batch].ravel())
    last = layer("reshape", x, targetShape=(6, 4, 1), mode=1)
    for step in range(2):
        for batch in range(3):
            same(last[step, batch].transpose(1, 2, 0).ravel(), x[step, batch].transpose(1, 2, 0).ravel())


def test_permute_keeps_the_batch() -> None:
    x = drawn(2, 3, 4, 5, 6)
    assert layer("permute", x, axis=(0, 3, 1, 2)).shape == (2, 3, 6, 4, 5)
    assert layer("permute", x, axis=(3, 1, 2, 0)).shape == (6, 3, 4, 5, 2)
    same(layer("permute", x), x)
    with pytest.raises(ValueError, match=r"^axis \(0, 1, 1, 2\), expected 0, 1, 2 and 3 in any order$"):
        layer("permute", x, axis=(0, 1, 1, 2))


def test_sequences_and_constants() -> None:
    x = drawn(2, 1, 3, 1, 1)
    same(layer("sequenceRepeat", x, nRepetitions=2), np.concatenate((x, x)))
    same(layer("sequenceRepeat", x), x)
    same(layer("loadConstant", shape=(3, 1, 1), data=x[0, 0]), x[:1])
    same(layer("sliceBySize", x, 1, size=2, axis=2), x[:, :, 1:3])
    with pytest.raises(ValueError, match=r"^elements 2 to 4 of the 3 along axis 2$"):
        layer("sliceBySize", x, 2, size=2, axis=2)


def test_embeddings() -> None:
    table, bias = drawn(4, 6), drawn(4)
    x = np.array([[2.0], [5.0], [0.0]], np.float32)
    fields = {"weights": table, "bias": bias}
    same(layer("embeddingND", x, vocabSize=6, embeddingSize=4, hasBias=True, **fields), table.T[[2, 5, 0]] + bias)
    old = layer("embedding", x[..., None, None], inputDim=6, outputChannels=4, hasBias=False, **fields)
    same(old, table.T[[2, 5, 0]][..., None, None])
    with pytest.raises(ValueError, match=r"^index 6 is out of range, the axis admits 0 to 5$"):
        layer("embeddingND", x + 1, weights=table)


@FEW
@given(x=images(min_side=2), amounts=st.tuples(*[st.integers(0, 1)] * 4))
def test_padding(x: Any, amounts: Any) -> None:
    top, bottom, left, right = amounts
    border = records.BorderAmounts((records.EdgeSizes(top, bottom), records.EdgeSizes(left, right)))
    pairs = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
    constant = layer("padding", x, constant=records.PaddingConstant(2.5), paddingAmounts=border)
    same(constant, np.pad(x, pairs, constant_values=2.5))
    same(layer("padding", x, reflection=records.Nothing(), paddingAmounts=border), np.pad(x, pairs, "reflect"))
    same(layer("padding", x, replication=records.Nothing(), paddingAmounts=border), np.pad(x, pairs, "edge"))


def test_padding_of_no_kind() -> None:
    with pytest.raises(ValueError, match=r"^the kind of padding is not set$"):
        layer("padding", drawn(1, 2, 2))


def test_constant_padding() -> None:
    x = drawn(2, 3)
    same(layer("constantPad", x, value=7.0, padAmounts=(1, 0, 0, 2)), np.pad(x, [(1, 0), (0, 2)], constant_values=7))
    same(layer("constantPad", x, (0, 5, 0, 0), padToGivenOutputSizeMode=True), np.pad(x, [(0, 3), (0, 0)]))
    same(layer("constantPad", x, (5, 0, 3, 0), padToGivenOutputSizeMode=True), np.pad(x, [(3, 0), (0, 0)]))
    with pytest.raises(ValueError, match=r"^2 amounts for an input of rank 2, expected 4$"):
        layer("constantPad", x, padAmounts=(1, 1))


def test_crop() -> None:
    x = drawn(2, 5, 6)
    border = records.BorderAmounts((records.EdgeSizes(1, 2), records.EdgeSizes(0, 3)))
    same(layer("crop", x, cropAmounts=border, offset=(0, 0)), x[:, 1:3, :3])
    same(layer("crop", x, drawn(2, 2, 3), offset=(3, 1)), x[:, 3:5, 1:4])
    with pytest.raises(ValueError, match=r"^rows 4 to 6 and columns 0 to 3 of shape \(2, 5, 6\)$"):
        layer("crop", x, drawn(2, 2, 3), offset=(4, 0))


@FEW
@given(x=images(min_side=2), target=st.tuples(st.integers(1, 7), st.integers(1, 7)), mode=st.integers(0, 3))
def test_resize_bilinear(x: Any, target: Any, mode: int) -> None:
    def points(size: int, number: int) -> Any:
        if mode == 0:
            grid = np.linspace(0, size - 1, number)
        elif mode == 1:
            grid = np.full(1, (size - 1) / 2) if number == 1 else np.linspace(0, size - 1, number)
        elif mode == 2:
            grid = np.linspace(0, size - size / number, number)
        else:
            spacing = max(1, size - 1) / number
            grid = np.linspace(spacing / 2, spacing / 2 + (number - 1) * spacing, number)
        return np.minimum(size - 1, grid)

    obtained = layer("resizeBilinear", x, targetSize=target, mode=records.SamplingMode(mode))
    assert obtained.shape == (*x.shape[:-2], *target)
    rows, columns = np.meshgrid(points(x.shape[-2], target[0]), points(x.shape[-1], target[1]), indexing="ij")
    for index in np.ndindex(*x.shape[:-2]):
        wide = x[index].astype(np.float64)
        near(obtained[index], scipy.ndimage.map_coordinates(wide, [rows, columns], order=1), atol=1e-4)


def test_upsample() -> None:
    x = drawn(1, 2, 3)
    same(layer("upsample", x, scalingFactor=(2, 3)), x.repeat(2, -2).repeat(3, -1))
    line = np.array([[[1.0, 2.0, 3.0]]], np.float32)
    near(layer("upsample", line, scalingFactor=(1, 3), mode=1)[0, 0], [1, 4 / 3, 5 / 3, 2, 7 / 3, 8 / 3, 3, 3, 3])
    near(layer("upsample", line, scalingFactor=(1, 2), mode=1, linearUpsampleMode=1)[0, 0], np.linspace(1, 3, 6))
    near(
        layer("upsample", line, scalingFactor=(1, 2), mode=1, linearUpsampleMode=2)[0, 0],
        [1, 1.25, 1.75, 2.25, 2.75, 3],
    )
    with pytest.raises(ValueError, match=r"^fractional factors and linearUpsampleMode need the bilinear mode$"):
        layer("upsample", x, fractionalScalingFactor=(1.5, 1.5))


@pytest.mark.parametrize("convention", range(4))
@pytest.mark.parametrize("indexed", [False, True])
def test_crop_resize(convention: int, indexed: bool) -> None:
    x = drawn(1, 2, 3, 5, 6)
    top, left, bottom, right = 1, 2, 3, 5
    box = [
        [top, left, bottom, right],
        [left, top, right, bottom],
        [(top + bottom) / 2, (left + right) / 2, bottom - top, right - left],
        [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top],
    ][convention]
    numbers = np.array([[1, *box]] if indexed else [box], np.float32)[:, None, :, None, None]
    obtained = layer(
        "cropResize",
        x,
        numbers,
        targetSize=(3, 4),
        mode=records.SamplingMode(0),
        boxIndicesMode=records.BoxCoordinatesMode(convention),
    )
    part = x[:, 1:2] if indexed else x
    near(obtained, part[..., top : bottom + 1, left : right + 1])


@FEW
@given(data=st.data())
def test_reorganised_data(data: Any) -> None:
    block = data.draw(st.integers(2, 3))
    lead = data.draw(npst.array_shapes(min_dims=1, max_dims=2, max_side=2))
    x = drawn(*lead, 2, 2 * block, 3 * block)
    deep = layer("reorganizeData", x, mode=0, blockSize=block)
    assert deep.shape == (*lead, 2 * block * block, 2, 3)
    same(layer("reorganizeData", deep, mode=1, blockSize=block), x)
    for i in range(block):
        for j in range(block):
            first = (i * block + j) * 2
            same(deep[..., first : first + 2, :, :], x[..., i::block, j::block])
            shuffled = layer("reorganizeData", deep, mode=2, blockSize=block)
            same(shuffled[..., i::block, j::block], deep[..., i * block + j :: block * block, :, :])


@FEW
@given(x=images(min_dims=1), data=st.data())
def test_sorting(x: Any, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    k = data.draw(st.integers(1, x.shape[axis]))
    for least in (False, True):
        values, indices = layer("topK", x, axis=axis, K=k, useBottomK=least)
        ordered = np.sort(x, axis) if least else np.flip(np.sort(x, axis), axis)
        same(values, np.take(ordered, range(k), axis))
        same(np.take_along_axis(x, indices, axis), values)
        same(layer("topK", x, k, axis=axis, useBottomK=least)[1], indices)
        order = layer("argSort", x, axis=axis, descending=not least)
        same(np.take_along_axis(x, order, axis), ordered)


@FEW
@given(x=images(min_dims=2), lower=st.integers(-1, 3), upper=st.integers(-1, 3), k=st.integers(-3, 3))
def test_bands(x: Any, lower: int, upper: int, k: int) -> None:
    rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
    kept = ((lower < 0) | (rows - columns <= lower)) & ((upper < 0) | (columns - rows <= upper))
    same(layer("matrixBandPart", x, numLower=lower, numUpper=upper), np.where(kept, x, 0))
    same(layer("lowerTriangular", x, k=k), np.where(columns - rows <= k, x, 0))
    same(layer("upperTriangular", x, k=k), np.where(columns - rows >= k, x, 0))


def test_choices() -> None:
    x = np.array([[0, 3], [-1, 0]], np.float32)
    same(layer("whereNonZero", x), [[0, 1], [1, 0]])
    hot = layer("oneHot", np.array([1, -1, 5], np.float32), oneHotVectorSize=3, axis=-1, onValue=2.0, offValue=1.0)
    same(hot, [[1, 2, 1], [1, 1, 1], [1, 1, 1]])
    same(layer("oneHot", np.array([1], np.float32), 2, axis=0, onValue=1.0), [[0], [1]])


def test_overlapping_boxes_are_suppressed() -> None:
    boxes = np.array([[[0, 0, 2, 2], [0.1, 0, 2, 2], [5, 5, 1, 1]]], np.float32)
    scores = np.array([[[0.9, 0.1], [0.2, 0.8], [0.3, 0.1]]], np.float32)
    fields = {"iouThreshold": 0.5, "scoreThreshold": 0.2, "maxBoxes": 3}
    _, _, indices, count = layer("NonMaximumSuppression", boxes, scores, **fields)
    same(indices, [[0, 2, -1]])
    same(count, [2])
    same(layer("NonMaximumSuppression", boxes, scores, perClassSuppression=True, **fields)[2], [[0, 1, 2]])
    same(layer("NonMaximumSuppression", boxes, scores, 0.5, 0.95, 2)[2], [[0, -1]])


SHAPE = (40, 50)


@pytest.mark.parametrize(
    ("kind", "fields", "mean", "deviation"),
    [
        ("Normal", {"mean": 1.0, "stdDev": 2.0}, 1.0, 2.0),
        ("Uniform", {"minVal": 2.0, "maxVal": 5.0}, 3.5, 3 / np.sqrt(12)),
        ("Bernoulli", {"prob": 0.25}, 0.25, np.sqrt(0.25 * 0.75)),
    ],
)
def test_random_numbers(kind: str, fields: Any, mean: float, deviation: float) -> None:
    results = [
        layer(f"random{kind}Like", np.zeros(SHAPE, np.float32), seed=3, **fields),
        layer(f"random{kind}Static", seed=3, outputShape=SHAPE, **fields),
        layer(f"random{kind}Dynamic", SHAPE, seed=3, **fields),
    ]
    for result in results:
        assert (result.shape, result.dtype) == (SHAPE, np.float32)
        same(result, results[0])
    error = deviation / np.sqrt(results[0].size)
    assert abs(results[0].mean() - mean) < 5 * error
    assert abs(results[0].std() - deviation) < 0.1 * deviation
    assert not np.array_equal(results[0], layer(f"random{kind}Static", seed=4, outputShape=SHAPE, **fields))


@pytest.mark.parametrize("temperature", [0.0, 2.0])
@pytest.mark.parametrize("logits", [False, True])
def test_categorical_distribution(logits: bool, temperature: float) -> None:
    probabilities = np.array([0.1, 0.6, 0.3])
    x = (np.log(probabilities) if logits else probabilities).astype(np.float32)
    drawn_classes = layer(
        "categoricalDistribution", x, seed=1, numSamples=20000, isLogits=logits, temperature=temperature
    )
    wanted = probabilities ** (1 / (temperature or 1))
    wanted = wanted / wanted.sum()
    frequencies = np.bincount(drawn_classes.astype(int), minlength=3) / drawn_classes.size
    np.testing.assert_allclose(frequencies, wanted, atol=5 * 0.5 / np.sqrt(20000))


def test_windows_and_sequences_backwards() -> None:
    x = np.arange(6, dtype=np.float32)
    same(layer("slidingWindows", x, axis=0, windowSize=3, step=2), [[0, 1, 2], [2, 3, 4]])
    rows = x.reshape(2, 3)
    same(
        layer("reverseSeq", rows, np.array([2.0, 3.0], np.float32), batchAxis=0, sequenceAxis=1), [[1, 0, 2], [5, 4, 3]]
    )


def test_split_leaves_the_rest_to_the_first_parts() -> None:
    parts = layer("splitND", np.arange(8, dtype=np.float32), axis=0, numSplits=3)
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_tile_counts_axes_from_the_end() -> None:
    x = drawn(2, 3)
    same(layer("tile", x, reps=(2,)), np.tile(x, 2))
    same(layer("tile", x, (2, 1, 3)), np.tile(x, (2, 1, 3)))


@FEW
@given(x=images())
def test_parametric_softplus(x: Any) -> None:
    channels = x.shape[-3]
    alpha, beta = drawn(2, channels)
    wide = x.astype(np.float64)
    expected = alpha.reshape(-1, 1, 1) * np.log1p(np.exp(beta.reshape(-1, 1, 1).astype(np.float64) * wide))
    near(layer("activation.parametricSoftplus", x, alpha=alpha, beta=beta), expected)
    near(layer("activation.parametricSoftplus", x, alpha=alpha[:1], beta=beta[:1]), (
        alpha[0] * np.log1p(np.exp(np.float64(beta[0]) * wide))
    ))  # fmt: skip


def test_products_of_vectors_keep_the_matrix() -> None:
    x, y = drawn(3), drawn(3) + 1
    near(layer("batchedMatmul", x, y), [[np.dot(x, y)]])
    matrix, bias = drawn(3, 4), drawn(4)
    stored = {"weights": np.ascontiguousarray(matrix.T), "bias": bias, "hasBias": True}
    near(layer("batchedMatmul", x, **stored), x @ matrix + bias)
    exact = drawn(2, 5, 3)
    near(layer("batchedMatmul", exact, **stored), exact @ matrix + bias)


def test_integer_products_round_their_input() -> None:
    x, weights = drawn(7, 6), drawn(4, 6)
    scale = np.abs(x).max() / 127
    rounded = np.rint(x / scale) * scale
    near(layer("innerProduct", x, weights=weights, int8DynamicQuantize=True), rounded @ weights.T)
    near(layer("batchedMatmul", x, weights=weights, int8DynamicQuantize=True), rounded @ weights.T)
    same(layer("innerProduct", np.zeros_like(x), weights=weights, int8DynamicQuantize=True), np.zeros((7, 4)))


def test_running_sums_take_their_axis_from_an_input() -> None:
    x = drawn(3, 4)
    near(layer("cumSum", x, 1), np.cumsum(x, 1))
    near(layer("cumSum", x, axis=0), np.cumsum(x, 0))
