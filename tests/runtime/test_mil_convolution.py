"""Convolution and its transpose against loops over the definition in double, the adjoint, and TensorFlow."""

from __future__ import annotations

import itertools
import os
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.kernels.functions import convolution
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_convolution
# Sums of at most 4 * 27 products of numbers around 1, in single precision.
CLOSE = {"rtol": 1e-5, "atol": 2e-5}


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**arguments)


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def loops(x: Any, weight: Any, strides: Any, pads: Any, dilations: Any, groups: int) -> Any:
    """The sum over channels and taps, element by element; what lies outside of x counts nothing."""
    outputs, per_group, *kernel = weight.shape
    sizes = x.shape[2:]
    positions = [
        (size + pads[2 * axis] + pads[2 * axis + 1] - (kernel[axis] - 1) * dilations[axis] - 1) // strides[axis] + 1
        for axis, size in enumerate(sizes)
    ]
    result = np.zeros((x.shape[0], outputs, *positions))
    for item, output, *position in np.ndindex(*result.shape):
        first = output // (outputs // groups) * per_group
        total = 0.0
        for channel, *tap in np.ndindex(per_group, *kernel):
            at = [
                place * stride + index * dilation - before
                for place, stride, index, dilation, before in zip(position, strides, tap, dilations, pads[::2])
            ]
            if all(0 <= index < size for index, size in zip(at, sizes)):
                total += float(x[(item, first + channel, *at)]) * float(weight[(output, channel, *tap)])
        result[(item, output, *position)] = total
    return result


@st.composite
def geometries(draw: Any) -> Any:
    rank = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    numbers = [draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank)) for _ in range(3)]
    kernel, strides, dilations = numbers
    pads = draw(st.lists(st.integers(0, 3), min_size=2 * rank, max_size=2 * rank))
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations)]
    most = {1: 9, 2: 5, 3: 3}[rank]
    sizes = [
        max(1, extent - pads[2 * axis] - pads[2 * axis + 1]) + draw(st.integers(0, most))
        for axis, extent in enumerate(reach)
    ]
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    x = random.normal(size=(draw(st.integers(1, 2)), inputs, *sizes)).astype(np.float32)
    weight = random.normal(size=(outputs, inputs // groups, *kernel)).astype(np.float32)
    bias = random.normal(size=outputs).astype(np.float32) if draw(st.booleans()) else None
    return x, weight, bias, {"strides": strides, "pad": pads, "dilations": dilations, "groups": groups}


def with_bias(result: Any, bias: Any) -> Any:
    return result if bias is None else result + bias.reshape(-1, *(1,) * (result.ndim - 2))


@settings(max_examples=80, deadline=None)
@given(drawn=geometries())
def test_conv(drawn: Any) -> None:
    x, weight, bias, geometry = drawn
    wanted = loops(x, weight, geometry["strides"], geometry["pad"], geometry["dilations"], geometry["groups"])
    obtained = run("conv", x=x, weight=weight, bias=bias, pad_type="custom", **geometry)
    assert obtained.dtype == np.float32
    np.testing.assert_allclose(obtained, with_bias(wanted, bias), **CLOSE)


@settings(max_examples=80, deadline=None)
@given(drawn=geometries(), seed=st.integers(0, 99))
def test_conv_transpose_is_the_adjoint(drawn: Any, seed: int) -> None:
    """<conv(u), y> = <u, conv_transpose(y)> for every u and y defines the transpose."""
    u, weight, _, geometry = drawn
    y = loops(u, weight, geometry["strides"], geometry["pad"], geometry["dilations"], geometry["groups"])
    fed = np.random.default_rng(seed).normal(size=y.shape)
    # The first axis of a transposed convolution's weight is its input's channels: those that conv puts out.
    transposed = run(
        "conv_transpose",
        x=fed,
        weight=weight.astype(np.float64),
        pad_type="custom",
        output_shape=(u.shape[0], u.shape[1], *u.shape[2:]),
        **geometry,
    )
    assert transposed.shape == u.shape
    np.testing.assert_allclose(np.sum(y * fed), np.sum(u * transposed), rtol=1e-9, atol=1e-9)


def test_conv_transpose_without_an_output_shape() -> None:
    x = np.array([[[1.0, 2.0]]], np.float32)
    weight = np.array([[[1.0, 10.0, 100.0]]], np.float32)
    for arguments, wanted in (
        ({}, [1, 12, 120, 200]),
        ({"strides": (2,)}, [1, 10, 102, 20, 200]),
        ({"dilations": (2,)}, [1, 2, 10, 20, 100, 200]),
        ({"pad_type": "custom", "pad": (1, 2), "strides": (2,)}, [10, 102]),
        # Of the three elements of a kernel, a stride of 2 keeps two for each of x's.
        ({"pad_type": "same", "strides": (2,)}, [1, 10, 102, 20]),
        ({"pad_type": "same"}, [12, 120]),
        # A stride longer than the kernel leaves gaps, and the bias everywhere.
        ({"pad_type": "same", "strides": (4,), "bias": np.array([5.0])}, [6, 15, 105, 5, 7, 25, 205, 5]),
    ):
        np.testing.assert_array_equal(run("conv_transpose", x=x, weight=weight, **arguments)[0, 0], wanted)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_padding_is_tensorflows(tf: Any, rank: int, padding: str) -> None:
    random = np.random.default_rng(rank)
    layout = {1: "NWC", 2: "NHWC", 3: "NDHWC"}[rank]
    compared = 0
    for size, kernel, stride, dilation in itertools.product((5, 6, 8), (1, 2, 3), (1, 2, 3), (1, 2)):
        if stride > 1 and dilation > 1:
            continue  # TensorFlow has no such convolution
        if rank == 3 and dilation > 1:
            continue  # nor this one, on CPUs
        x = random.normal(size=(1, 2, *(size,) * rank)).astype(np.float32)
        weight = random.normal(size=(3, 2, *(kernel,) * rank)).astype(np.float32)
        wanted = tf.nn.convolution(
            np.moveaxis(x, 1, -1),
            np.moveaxis(weight, (0, 1), (-1, -2)),
            strides=[stride] * rank,
            padding=padding,
            dilations=[dilation] * rank,
            data_format=layout,
        ).numpy()
        obtained = run(
            "conv", x=x, weight=weight, strides=(stride,) * rank, dilations=(dilation,) * rank, pad_type=padding.lower()
        )
        np.testing.assert_allclose(np.moveaxis(obtained, 1, -1), wanted, **CLOSE)
        compared += 1
    assert compared == (27 if rank == 3 else 36)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_conv_transpose_is_tensorflows(tf: Any, padding: str) -> None:
    random = np.random.default_rng(3)
    for size, kernel, stride in itertools.product((5, 6, 7, 9), (1, 2, 3, 4), (1, 2, 3)):
        image = np.zeros((2, size, size + 1, 3), np.float32)
        filters = random.normal(size=(kernel, kernel, 3, 2)).astype(np.float32)
        y = tf.nn.conv2d(image, filters, stride, padding).numpy()
        fed = random.normal(size=y.shape).astype(np.float32)
        wanted = tf.nn.conv2d_transpose(fed, filters, image.shape, stride, padding).numpy()
        obtained = run(
            "conv_transpose",
            x=np.moveaxis(fed, -1, 1),
            weight=np.transpose(filters, (3, 2, 0, 1)),
            strides=(stride, stride),
            pad_type=padding.lower(),
            output_shape=(2, 3, size, size + 1),
        )
        np.testing.assert_allclose(np.moveaxis(obtained, 1, -1), wanted, **CLOSE)


def test_same_lower_puts_the_odd_element_before() -> None:
    x = np.array([[[1.0, 2.0, 3.0]]], np.float32)
    weight = np.array([[[1.0, 10.0]]], np.float32)
    np.testing.assert_array_equal(run("conv", x=x, weight=weight, pad_type="same")[0, 0], [21, 32, 3])
    np.testing.assert_array_equal(run("conv", 16, x=x, weight=weight, pad_type="same_lower")[0, 0], [10, 21, 32])


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("most", [1, 3000, 40_000])
def test_windows_taken_in_turns_are_all_of_them(monkeypatch: pytest.MonkeyPatch, groups: int, most: int) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 4, 11, 6)).astype(np.float32)
    weight = random.normal(size=(6, 4 // groups, 3, 2)).astype(np.float32)
    whole = run("conv", x=x, weight=weight, groups=groups)
    monkeypatch.setattr(convolution, "_COLUMNS_BYTES", most)
    np.testing.assert_allclose(run("conv", x=x, weight=weight, groups=groups), whole, **CLOSE)


X, W = np.zeros((1, 2, 4), np.float32), np.zeros((2, 2, 3), np.float32)


@pytest.mark.parametrize(
    ("op", "arguments", "message"),
    [
        ("conv", {"groups": 2}, "weight (2, 2, 3) does not fit the 2 channels of x in 2 groups"),
        ("conv", {"groups": 0}, "weight (2, 2, 3) does not fit the 2 channels of x in 0 groups"),
        ("conv", {"strides": (0,)}, "strides (0,) for 1 spatial axes, expected 1 positive numbers"),
        ("conv", {"dilations": (1, 1)}, "dilations (1, 1) for 1 spatial axes, expected 1 positive numbers"),
        ("conv", {"dilations": (2,)}, "a window of 5 is larger than the 4 elements it slides over"),
        ("conv", {"pad_type": "full"}, "pad_type 'full' is none of valid, same, same_lower, custom"),
        ("conv", {"pad_type": "custom", "pad": (1,)}, "pad (1,) for 1 spatial axes, expected 2 numbers of 0 or more"),
        (
            "conv",
            {"pad_type": "custom", "pad": (-1, 0)},
            "pad (-1, 0) for 1 spatial axes, expected 2 numbers of 0 or more",
        ),
        ("conv", {"pad_type": "custom", "pad": (0, 1 << 40)}, "shape (1, 2, 1099511627780) asks for more than 2 GiB"),
        ("conv", {"bias": np.zeros(3)}, "bias has 3 values for 2 output channels"),
        ("conv", {"weight": np.zeros((2, 2, 3, 1))}, "x has rank 3 and weight rank 4, expected both 3, 4 or 5"),
        (
            "conv_transpose",
            {"output_shape": (1, 3, 6)},
            "output_shape (1, 3, 6) does not begin with (1, 2) or has another rank than x",
        ),
        ("conv_transpose", {"pad_type": "custom", "pad": (3, 3)}, "the result would have the spatial sizes (0,)"),
        ("conv_transpose", {"strides": (1 << 40,)}, "shape (1, 2, 3298534883331) asks for more than 2 GiB"),
    ],
)
def test_refuses(op: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(op, **{"x": X, "weight": W, **arguments})
