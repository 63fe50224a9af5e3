"""Resizing, cropping and resampling against TensorFlow, SciPy and the values that coremltools documents."""

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
from pytest_dscoreml.runtime.kernels.functions import sampling
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_images
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
side = st.integers(1, 7)


def run(op: str, ios: int = 15, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    result = kernel.function(**arguments)
    assert result.dtype == np.float32
    return result


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def image(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("mode", "number", "wanted"),
    [
        ("UNALIGN_CORNERS", 5, [0, 0.1, 0.5, 0.9, 1]),
        ("STRICT_ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
        ("ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
        ("DEFAULT", 5, [0, 0.4, 0.8, 1, 1]),
        ("OFFSET_CORNERS", 5, [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("UNALIGN_CORNERS", 6, [0, 0, 1 / 3, 2 / 3, 1, 1]),
        ("STRICT_ALIGN_CORNERS", 6, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ("DEFAULT", 6, [0, 1 / 3, 2 / 3, 1, 1, 1]),
        ("OFFSET_CORNERS", 6, [1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12]),
        ("ALIGN_CORNERS", 1, [0.5]),
        ("STRICT_ALIGN_CORNERS", 1, [0]),
    ],
)
def test_the_documented_grids(mode: str, number: int, wanted: Any) -> None:
    """An image of 0 and 1 shows where it is read."""
    x = np.array([[[0.0, 1.0]]], np.float32)
    obtained = run("resize_bilinear", x=x, target_size_height=1, target_size_width=number, sampling_mode=mode)
    np.testing.assert_allclose(obtained[0, 0], wanted, **CLOSE)
    resized = run("resize", 17, x=x, shape=(number,), resized_dims=1, sampling_mode=mode)
    np.testing.assert_array_equal(resized, obtained)


@settings(max_examples=60, deadline=None)
@given(sizes=st.tuples(side, side, side, side), seed=st.integers(0, 99))
def test_bilinear_is_tensorflows(tf: Any, sizes: Any, seed: int) -> None:
    height, width, to_height, to_width = sizes
    x = image(seed, 2, 3, height, width)
    for mode, align, centred in (
        ("DEFAULT", False, False),
        ("STRICT_ALIGN_CORNERS", True, False),
        ("UNALIGN_CORNERS", False, True),
    ):
        wanted = tf.raw_ops.ResizeBilinear(
            images=np.moveaxis(x, 1, -1),
            size=[to_height, to_width],
            align_corners=align,
            half_pixel_centers=centred,
        ).numpy()
        obtained = run(
            "resize_bilinear", x=x, target_size_height=to_height, target_size_width=to_width, sampling_mode=mode
        )
        np.testing.assert_allclose(np.moveaxis(obtained, 1, -1), wanted, **CLOSE)
        resized = run("resize", 17, x=x, shape=(1, to_height, to_width), resized_dims=2, sampling_mode=mode)
        np.testing.assert_array_equal(resized, obtained)
        upsampled = run(
            "upsample_bilinear",
            16,
            x=x,
            scale_factor_height=(to_height + 1e-4) / height,
            scale_factor_width=(to_width + 1e-4) / width,
            align_corners=align,
            half_pixel_centers=centred,
        )
        np.testing.assert_array_equal(upsampled, obtained)
        if centred != align:
            older = run(
                "upsample_bilinear",
                x=x,
                scale_factor_height=(to_height + 1e-4) / height,
                scale_factor_width=(to_width + 1e-4) / width,
                align_corners=align,
            )
            np.testing.assert_array_equal(older, obtained)


@settings(max_examples=60, deadline=None)
@given(sizes=st.tuples(side, side, side, side), seed=st.integers(0, 99))
def test_nearest_is_tensorflows(tf: Any, sizes: Any, seed: int) -> None:
    height, width, to_height, to_width = sizes
    x = image(seed, 2, 3, height, width)
    for centred in (False, True):
        wanted = tf.raw_ops.ResizeNearestNeighbor(
            images=np.moveaxis(x, 1, -1), size=[to_height, to_width], half_pixel_centers=centred
        ).numpy()
        if centred:
            obtained = run("resize_nearest_neighbor", x=x, target_size_height=to_height, target_size_width=to_width)
            options = {"interpolation_mode": "NEAREST_NEIGHBOR", "sampling_mode": "UNALIGN_CORNERS"}
            resized = run("resize", 17, x=x, shape=(to_height, to_width), resized_dims=2, **options)
            np.testing.assert_array_equal(resized, obtained)
        else:
            obtained = run(
                "upsample_nearest_neighbor",
                x=x,
                scale_factor_height=(to_height + 1e-4) / height,
                scale_factor_width=(to_width + 1e-4) / width,
            )
        np.testing.assert_array_equal(np.moveaxis(obtained, 1, -1), wanted)


def test_resize_keeps_sizes_of_zero_and_the_axes_before() -> None:
    x = image(0, 2, 3, 4, 5)
    resized = run("resize", 17, x=x, shape=(9, 0, 7), resized_dims=2)
    assert resized.shape == (2, 3, 4, 7)
    np.testing.assert_array_equal(resized, run("resize_bilinear", x=x, target_size_height=4, target_size_width=7))
    kept = run("resize", 17, x=x, shape=(0, 0), resized_dims=2)
    np.testing.assert_array_equal(kept, x)
    assert not np.shares_memory(kept, x)


@settings(max_examples=60, deadline=None)
@given(draw=st.data(), seed=st.integers(0, 99))
def test_crop_resize_is_tensorflows(tf: Any, draw: Any, seed: int) -> None:
    height, width, to_height, to_width = (draw.draw(st.integers(2, 6)) for _ in range(4))
    x = image(seed, 3, 2, height, width)
    random = np.random.default_rng(seed)
    number = draw.draw(st.integers(1, 4))
    boxes = random.uniform(-0.3, 1.3, size=(number, 4)).astype(np.float32)
    images = random.integers(0, 3, size=number).astype(np.int32)
    outside = draw.draw(st.sampled_from([0.0, 2.5]))
    wanted = tf.image.crop_and_resize(
        np.moveaxis(x, 1, -1), boxes, images, [to_height, to_width], extrapolation_value=outside
    ).numpy()
    wanted = np.moveaxis(wanted, -1, 1)
    shared = {
        "x": x,
        "target_height": to_height,
        "target_width": to_width,
        "normalized_coordinates": True,
        "sampling_mode": "ALIGN_CORNERS",
    }
    # Double differs from single precision by so much of a pixel.
    close = {"rtol": 1e-4, "atol": 1e-4}
    obtained = run("crop_resize", 17, boxes=boxes, box_indices=images, pad_value=outside, **shared)
    np.testing.assert_allclose(obtained, wanted, **close)
    roi = np.concatenate((images[:, None].astype(np.float32), boxes), 1)[:, None, :, None, None]
    np.testing.assert_array_equal(run("crop_resize", 16, roi=roi, pad_value=outside, **shared)[:, 0], obtained)
    if outside == 0:
        np.testing.assert_array_equal(run("crop_resize", 15, roi=roi, **shared)[:, 0], obtained)
    every = run("crop_resize", 16, roi=roi[:, :, 1:], pad_value=outside, **shared)
    assert every.shape == (number, 3, 2, to_height, to_width)
    np.testing.assert_array_equal(every[np.arange(number), images], obtained)


def test_conventions_of_boxes() -> None:
    x = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
    shared = {"x": x, "target_height": 3, "target_width": 5, "sampling_mode": "ALIGN_CORNERS"}
    wanted = x[:, :, 2:5, 1:6]
    for mode, box, scale in (
        ("CORNERS_HEIGHT_FIRST", [2, 1, 4, 5], 1.0),
        ("CORNERS_WIDTH_FIRST", [1, 2, 5, 4], 1.0),
        ("CENTER_SIZE_HEIGHT_FIRST", [3, 3, 2, 4], 1.0),
        ("CENTER_SIZE_WIDTH_FIRST", [3, 3, 4, 2], 1.0),
        ("CORNERS_HEIGHT_FIRST", [8, 4, 16, 20], 0.25),
    ):
        boxes = np.array([box], np.float32)
        obtained = run("crop_resize", 17, boxes=boxes, box_coordinate_mode=mode, spatial_scale=scale, **shared)
        np.testing.assert_allclose(obtained, wanted, **CLOSE)
    whole = np.array([[0, 0, 7, 7]], np.float32)
    for mode in sampling.SAMPLING_MODES:
        boxed = run("crop_resize", 17, boxes=whole, **{**shared, "sampling_mode": mode})
        resized = run("resize_bilinear", x=x, target_size_height=3, target_size_width=5, sampling_mode=mode)
        np.testing.assert_allclose(boxed, resized, **CLOSE)


SCIPY_MODES = {"constant": "grid-constant", "border": "nearest", "reflection": "mirror", "symmetric": "reflect"}


@settings(max_examples=80, deadline=None)
@given(
    draw=st.data(),
    padding=st.sampled_from(sorted(SCIPY_MODES)),
    mode=st.sampled_from(["bilinear", "nearest"]),
    coordinates=st.sampled_from(sampling.COORDINATES_MODES),
    align=st.booleans(),
)
def test_resample_is_scipys(draw: Any, padding: str, mode: str, coordinates: str, align: bool) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    height, width, rows, columns = (draw.draw(st.integers(2, 5)) for _ in range(4))
    random = np.random.default_rng(draw.draw(st.integers(0, 99)))
    x = image(1, 2, 3, height, width)
    points = random.uniform(-2, 3, size=(2, rows, columns, 2)).astype(np.float32)
    obtained = run(
        "resample",
        x=x,
        coordinates=points,
        sampling_mode=mode,
        padding_mode=padding,
        padding_value=1.5,
        coordinates_mode=coordinates,
        align_corners=align,
    )
    unit = {"unnormalized": points, "normalized_zero_to_one": points, "normalized_minus_one_to_one": (points + 1) / 2}
    for item, channel in np.ndindex(2, 3):
        across, down = np.moveaxis(unit[coordinates][item].astype(np.float64), -1, 0)
        if coordinates != "unnormalized":
            across = across * (width - 1) if align else across * width - 0.5
            down = down * (height - 1) if align else down * height - 0.5
        wanted = ndimage.map_coordinates(
            x[item, channel].astype(np.float64),
            [down, across],
            order=1 if mode == "bilinear" else 0,
            mode=SCIPY_MODES[padding],
            cval=1.5,
            prefilter=False,
        )
        np.testing.assert_allclose(obtained[item, channel], wanted, rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(draw=st.data(), shared=st.booleans())
def test_affine(draw: Any, shared: bool) -> None:
    """The output's corners are at -1 and 1, as the input's are; outside of the input is zero."""
    height, width, rows, columns = (draw.draw(st.integers(2, 5)) for _ in range(4))
    x = image(draw.draw(st.integers(0, 99)), 2, 2, height, width)
    matrix = image(draw.draw(st.integers(0, 99)), 1 if shared else 2, 6)
    obtained = run(
        "affine",
        x=x,
        transform_matrix=matrix,
        output_height=rows,
        output_width=columns,
        sampling_mode="bilinear",
        padding_mode="constant",
        padding_value=0.0,
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=True,
    )
    for item, channel, row, column in np.ndindex(*obtained.shape):
        a0, a1, a2, b0, b1, b2 = matrix[0 if shared else item].astype(float)
        across, down = 2 * column / (columns - 1) - 1, 2 * row / (rows - 1) - 1
        at_column = (a0 * across + a1 * down + a2 + 1) / 2 * (width - 1)
        at_row = (b0 * across + b1 * down + b2 + 1) / 2 * (height - 1)
        wanted = 0.0
        for near_row, near_column in itertools.product(range(height), range(width)):
            share = max(0.0, 1 - abs(at_row - near_row)) * max(0.0, 1 - abs(at_column - near_column))
            wanted += share * float(x[item, channel, near_row, near_column])
        assert abs(obtained[item, channel, row, column] - wanted) < 1e-4


def test_crop() -> None:
    x = image(0, 2, 3, 6, 7)
    np.testing.assert_array_equal(run("crop", x=x, crop_height=(0, 1), crop_width=(2, 3)), x[:, :, :5, 2:4])
    np.testing.assert_array_equal(run("crop", x=x, crop_height=(0, 0), crop_width=(0, 0)), x)


X = np.zeros((1, 1, 2, 2), np.float32)
RESAMPLE = {
    "coordinates": np.zeros((1, 1, 1, 2)),
    "sampling_mode": "bilinear",
    "padding_mode": "constant",
    "padding_value": 0.0,
    "coordinates_mode": "unnormalized",
    "align_corners": True,
}
AFFINE = {
    "transform_matrix": np.zeros((1, 6)),
    "output_height": 1,
    "output_width": 1,
    **{name: RESAMPLE[name] for name in ("sampling_mode", "padding_mode", "padding_value", "align_corners")},
    "coordinates_mode": "normalized_minus_one_to_one",
}


@pytest.mark.parametrize(
    ("op", "arguments", "message"),
    [
        (
            "resize_bilinear",
            {"sampling_mode": "CORNERS"},
            f"sampling_mode 'CORNERS' is none of {', '.join(sampling.SAMPLING_MODES)}",
        ),
        ("resize_bilinear", {"target_size_height": 0}, "0 points are asked for, expected 1 or more"),
        (
            "resize_nearest_neighbor",
            {"target_size_height": 1 << 20, "target_size_width": 1 << 20},
            "shape (1, 1, 1048576, 1048576) asks for more than 2 GiB",
        ),
        ("upsample_nearest_neighbor", {"scale_factor_width": 0.1}, "axis 3 would get 0 elements, expected 1 or more"),
        ("upsample_nearest_neighbor", {"scale_factor_width": -1.0}, "a scale factor of -1.0 for 2 elements"),
        (
            "upsample_bilinear",
            {"half_pixel_centers": True},
            "align_corners and half_pixel_centers exclude each other",
        ),
        (
            "resize",
            {"shape": (3,), "resized_dims": 2},
            "resized_dims 2 with shape (3,) for an x of rank 4",
        ),
        (
            "resize",
            {"shape": (3,), "resized_dims": 1, "x": np.zeros((1, 1, 2, 2), np.int32)},
            "linear interpolation between values of type int32 is not supported",
        ),
        (
            "resize",
            {"shape": (3,), "resized_dims": 1, "interpolation_mode": "CUBIC"},
            "interpolation_mode 'CUBIC' is none of LINEAR, NEAREST_NEIGHBOR",
        ),
        (
            "crop",
            {"crop_height": (1, 1), "crop_width": (0, 0)},
            "crop_height (1, 1) and crop_width (0, 0) leave nothing of shape (1, 1, 2, 2)",
        ),
        (
            "crop_resize",
            {"boxes": np.zeros((2, 4)), "box_indices": np.array([0, 3])},
            "a box is cut from image 3 (or 0) of 1",
        ),
        (
            "crop_resize",
            {"boxes": np.zeros((1, 4)), "box_indices": np.array([0, 0])},
            "box_indices has shape (2,) for 1 boxes",
        ),
        (
            "resample",
            {**RESAMPLE, "padding_mode": "wrap"},
            "padding_mode 'wrap' is none of constant, border, reflection, symmetric",
        ),
        ("resample", {**RESAMPLE, "sampling_mode": "cubic"}, "sampling_mode 'cubic' is none of bilinear, nearest"),
        (
            "affine",
            {**AFFINE, "align_corners": False},
            "only coordinates_mode normalized_minus_one_to_one with align_corners is supported",
        ),
    ],
)
def test_refuses(op: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(op, 18, **{"x": X, **arguments})
