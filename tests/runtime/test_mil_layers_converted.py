"""Layers built with coremltools' MIL builder and converted: one model for each family, in single and half precision."""

from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np
import pytest

from pytest_dscoreml.runtime import ReferenceModel

STEPS, INPUTS, HIDDEN = 6, 4, 5
RANDOM = np.random.default_rng(8)


def normal(*shape: int) -> Any:
    return (0.5 * RANDOM.normal(size=shape)).astype(np.float32)


WEIGHT_IH, WEIGHT_HH, BIAS = normal(4 * HIDDEN, INPUTS), normal(4 * HIDDEN, HIDDEN), normal(4 * HIDDEN)
KERNEL, BACK, SHIFT = normal(6, 2, 3), normal(6, 2, 4), normal(6)
GAMMA, BETA = normal(3), normal(3)


def recurrent(mb: Any, x: Any) -> Any:
    """[steps, 1, inputs] through an LSTM."""
    zeros = np.zeros((1, HIDDEN), np.float32)
    return mb.lstm(
        x=x,
        initial_h=zeros,
        initial_c=zeros,
        weight_ih=WEIGHT_IH,
        weight_hh=WEIGHT_HH,
        bias=BIAS,
        output_sequence=True,
        name="result",
    )[0]


def recurrent_expected(x: Any) -> Any:
    h = c = np.zeros(HIDDEN)
    rows = []
    for step in x[:, 0].astype(np.float64):
        enter, forget, leave, cell = np.split(WEIGHT_IH @ step + WEIGHT_HH @ h + BIAS, 4)
        c = c / (1 + np.exp(-forget)) + np.tanh(cell) / (1 + np.exp(-enter))
        h = np.tanh(c) / (1 + np.exp(-leave))
        rows.append(h)
    return np.stack(rows)[:, None]


def convolution(mb: Any, x: Any) -> Any:
    """[1, 4, steps] through a strided convolution of two groups, and back up through a transposed one."""
    down = mb.conv(x=x, weight=KERNEL, bias=SHIFT, strides=[2], pad_type="same", groups=2)
    return mb.conv_transpose(x=down, weight=BACK, strides=[2], pad_type="custom", pad=[1, 1], name="result")


def convolution_expected(x: Any) -> Any:
    padded = np.pad(x[0].astype(np.float64), ((0, 0), (0, 1)))  # 6 elements, 3 windows: one is missing at the end
    down = np.zeros((6, 3))
    for output, at in np.ndindex(6, 3):
        group = output // 3
        window = padded[2 * group : 2 * group + 2, 2 * at : 2 * at + 3]
        down[output, at] = (window * KERNEL[output]).sum() + SHIFT[output]
    whole = np.zeros((2, 8))
    for at in range(3):
        whole[:, 2 * at : 2 * at + 4] += np.einsum("i,iok->ok", down[:, at], BACK.astype(np.float64))
    return whole[None, :, 1:-1]


def pooling(mb: Any, x: Any) -> Any:
    """[1, 3, 6, 6]: means of 3 by 3 without the padding, then maxima of 2 by 2."""
    means = mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[1, 1], pad_type="same", exclude_padding_from_average=True)
    return mb.max_pool(x=means, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", name="result")


def pooling_expected(x: Any) -> Any:
    means = np.zeros(x.shape)
    for row, column in np.ndindex(6, 6):
        near = x[..., max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        means[..., row, column] = near.astype(np.float64).mean((2, 3))
    return means.reshape(1, 3, 3, 2, 3, 2).max((3, 5))


def normalization(mb: Any, x: Any) -> Any:
    """[1, 3, 6, 6] normalised by instance, then over the last axis."""
    one = mb.instance_norm(x=x, gamma=GAMMA, beta=BETA, epsilon=1e-3)
    return mb.layer_norm(x=one, axes=[-1], epsilon=1e-2, name="result")


def normalization_expected(x: Any) -> Any:
    values = x.astype(np.float64)
    one = (values - values.mean((2, 3), keepdims=True)) / np.sqrt(values.var((2, 3), keepdims=True) + 1e-3)
    one = one * GAMMA[:, None, None] + BETA[:, None, None]
    return (one - one.mean(3, keepdims=True)) / np.sqrt(one.var(3, keepdims=True) + 1e-2)


def images(mb: Any, x: Any) -> Any:
    """[1, 3, 6, 6] cropped to the inner 4 by 4, and resized to 7 by 7 with its corners kept."""
    cut = mb.crop(x=x, crop_height=[1, 1], crop_width=[1, 1])
    return mb.resize_bilinear(
        x=cut, target_size_height=7, target_size_width=7, sampling_mode="STRICT_ALIGN_CORNERS", name="result"
    )


def images_expected(x: Any) -> Any:
    cut = x[..., 1:5, 1:5].astype(np.float64)
    spread = np.maximum(0, 1 - np.abs(np.arange(7)[:, None] / 2 - np.arange(4)))
    return spread @ cut @ spread.T


def attention(mb: Any, x: Any) -> Any:
    """[1, 6, 4] attending to itself."""
    return mb.scaled_dot_product_attention(query=x, key=x, value=x, name="result")


def attention_expected(x: Any) -> Any:
    values = x[0].astype(np.float64)
    powers = np.exp(values @ values.T / math.sqrt(values.shape[1]))
    return (powers / powers.sum(1, keepdims=True) @ values)[None]


FAMILIES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...], str]] = {
    "recurrent": (recurrent, recurrent_expected, (STEPS, 1, INPUTS), "iOS17"),
    "convolution": (convolution, convolution_expected, (1, 4, STEPS), "iOS15"),
    "pooling": (pooling, pooling_expected, (1, 3, 6, 6), "iOS15"),
    "normalization": (normalization, normalization_expected, (1, 3, 6, 6), "iOS15"),
    "images": (images, images_expected, (1, 3, 6, 6), "iOS15"),
    "attention": (attention, attention_expected, (1, 6, 4), "iOS18"),
}
TOLERANCE = {"FLOAT32": 1e-5, "FLOAT16": 1e-2}


@pytest.mark.parametrize("precision", sorted(TOLERANCE))
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_converted(family: str, precision: str) -> None:
    ct = pytest.importorskip("coremltools")
    from coremltools.converters.mil import Builder

    build, expected, shape, target = FAMILIES[family]
    opset = getattr(ct.target, target)

    @Builder.program(input_specs=[Builder.TensorSpec(shape=shape)], opset_version=opset)
    def program(x: Any) -> Any:
        return build(Builder, x)

    converted = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=opset,
        compute_precision=getattr(ct.precision, precision),
        skip_model_load=True,
    )
    model = ReferenceModel(converted)
    computed_in = {
        value.type.dtype
        for step in model.program.main.steps
        for value in step.outputs
        if value.type is not None and step.op not in ("const", "cast")
    }
    assert computed_in == {precision.lower()}
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    (obtained,) = model.predict({"x": x}).values()
    wanted = expected(x)
    assert obtained.shape == wanted.shape
    np.testing.assert_allclose(
        obtained, wanted, rtol=0, atol=TOLERANCE[precision] * max(1.0, float(np.abs(wanted).max()))
    )
