"""Pooling against loops over its definition, and against TensorFlow."""

from __future__ import annotations

import itertools
import math
import os
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.kernels.functions import pooling
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_pooling


def run(op: str, **arguments: Any) -> Any:
    kernel = mil.find(op, 16)
    assert kernel is not None
    return kernel.function(**arguments)


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def loops(op: str, x: Any, kernel: Any, strides: Any, pads: Any, ceil_mode: bool, exclude: bool) -> Any:
    rank = len(kernel)
    positions = []
    for axis in range(rank):
        room = x.shape[2 + axis] + pads[2 * axis] + pads[2 * axis + 1] - kernel[axis]
        number = (math.ceil if ceil_mode else math.floor)(room / strides[axis]) + 1
        if ceil_mode and (number - 1) * strides[axis] >= x.shape[2 + axis] + pads[2 * axis]:
            number -= 1
        positions.append(number)
    result = np.zeros((*x.shape[:2], *positions))
    for item, channel, *position in np.ndindex(*result.shape):
        values, counted = [], 0
        for tap in np.ndindex(*kernel):
            at = [
                place * stride + index - before
                for place, stride, index, before in zip(position, strides, tap, pads[::2])
            ]
            if all(0 <= index < size for index, size in zip(at, x.shape[2:])):
                values.append(float(x[(item, channel, *at)]))
            # A window may reach beyond the padding in ceil mode, which counts as nothing.
            counted += all(index < size + after for index, size, after in zip(at, x.shape[2:], pads[1::2]))
        if op == "max_pool":
            result[(item, channel, *position)] = max(values, default=-math.inf)
        elif op == "l2_pool":
            result[(item, channel, *position)] = math.sqrt(sum(value * value for value in values))
        else:
            result[(item, channel, *position)] = sum(values) / (len(values) if exclude else counted)
    return result


@settings(max_examples=150, deadline=None)
@given(draw=st.data(), op=st.sampled_from(["max_pool", "avg_pool", "l2_pool"]), ceil_mode=st.booleans())
def test_pool(draw: Any, op: str, ceil_mode: bool) -> None:
    rank = draw.draw(st.integers(1, 3))
    kernel = draw.draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    strides = draw.draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    pads: list[int] = []
    sizes: list[int] = []
    for axis in range(rank):
        # More padding than half of the kernel would make windows of nothing but padding.
        before, after = (draw.draw(st.integers(0, kernel[axis] // 2)) for _ in range(2))
        after = before if ceil_mode else after
        pads += [before, after]
        sizes.append(max(1, kernel[axis] - before - after) + draw.draw(st.integers(0, 5 - rank)))
    exclude = draw.draw(st.booleans())
    random = np.random.default_rng(draw.draw(st.integers(0, 99)))
    x = random.normal(size=(1, 2, *sizes)).astype(np.float32)
    beyond = [
        math.ceil((size + 2 * pad - extent) / stride) * stride >= size and not pad
        for size, pad, extent, stride in zip(sizes, pads[::2], kernel, strides)
    ]
    options = {"exclude_padding_from_average": exclude} if op == "avg_pool" else {}
    arguments = {
        "x": x,
        "kernel_sizes": tuple(kernel),
        "strides": tuple(strides),
        "pad_type": "custom",
        "pad": tuple(pads),
    }
    if ceil_mode and any(beyond):
        with pytest.raises(ValueError, match="ceil_mode makes a window that begins after the"):
            run(op, ceil_mode=True, **arguments, **options)
        return
    obtained = run(op, ceil_mode=ceil_mode, **arguments, **options)
    wanted = loops(op, x, kernel, strides, pads, ceil_mode, exclude)
    assert obtained.dtype == np.float32
    np.testing.assert_allclose(obtained, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_padding_is_tensorflows(tf: Any, rank: int, padding: str, op: str) -> None:
    random = np.random.default_rng(rank)
    for size, kernel, stride in itertools.product((4, 5, 7), (1, 2, 3), (1, 2, 3)):
        x = random.normal(size=(2, 3, *(size,) * rank)).astype(np.float32)
        function = getattr(tf.nn, f"{op}{rank}d")
        wanted = function(np.moveaxis(x, 1, -1), kernel, stride, padding).numpy()
        options = {"exclude_padding_from_average": True} if op == "avg_pool" else {}
        obtained = run(
            op, x=x, kernel_sizes=(kernel,) * rank, strides=(stride,) * rank, pad_type=padding.lower(), **options
        )
        np.testing.assert_allclose(np.moveaxis(obtained, 1, -1), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["max_pool", "avg_pool", "l2_pool"])
def test_large_kernels_are_reduced_alike(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 90, 7)).astype(np.float32)
    arguments = {"x": x, "kernel_sizes": (50, 3), "strides": (7, 2), "pad_type": "same"}
    obtained = run(op, **arguments)
    monkeypatch.setattr(pooling, "_FEW_TAPS", 1000)
    np.testing.assert_allclose(obtained, run(op, **arguments), rtol=1e-5, atol=1e-6)


def test_the_whole_image_in_one_window() -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 40, 50)).astype(np.float32)
    obtained = run("avg_pool", x=x, kernel_sizes=(40, 50), pad_type="valid")
    np.testing.assert_allclose(obtained, x.mean((2, 3), keepdims=True, dtype=np.float64), rtol=1e-5, atol=1e-6)


def test_same_lower_puts_the_odd_element_before() -> None:
    x = np.array([[[1.0, 2.0, 3.0]]], np.float32)
    np.testing.assert_array_equal(run("max_pool", x=x, kernel_sizes=(2,), pad_type="same_lower")[0, 0], [1, 2, 3])
    np.testing.assert_array_equal(run("max_pool", x=x, kernel_sizes=(2,), pad_type="same")[0, 0], [2, 3, 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_sizes": (9,)}, "a window of 9 is larger than the 4 elements it slides over"),
        ({"kernel_sizes": (9,), "ceil_mode": True}, "a window of 9 is larger than the 4 elements it slides over"),
        ({"kernel_sizes": (1, 1)}, "kernel_sizes (1, 1) for 1 spatial axes, expected 1 positive numbers"),
        ({"pad_type": "none"}, "pad_type 'none' is none of valid, same, same_lower, custom"),
        (
            {"x": np.zeros((1, 0, 4), np.float32)},
            "x has shape (1, 0, 4), expected [batch, channels, *spatial] that is not empty",
        ),
    ],
)
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    given_arguments = {"x": np.zeros((1, 2, 4), np.float32), "kernel_sizes": (2,), "pad_type": "valid"}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run("max_pool", **{**given_arguments, **arguments})
