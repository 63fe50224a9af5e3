"""Resizing, upsampling, boxes and resampling of images, point by point on the documented grids: modes, ranks, types."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.kernels.nn import records
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_images
SOME = settings(max_examples=50, deadline=None)
seeds = st.integers(0, 10**6)
side = st.integers(1, 6)
# The modes of an ML Program; the first four are a neural network's, in the order of their numbers.
MODES = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS")
modes = st.sampled_from(MODES)
# Between pixels around 1, weights that were rounded to single precision.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def run(op: str, ios: int = 17, **arguments: Any) -> Any:
    """The kernel's result; float16 arguments are widened first where the executor does so."""
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**{name: widen(value) if kernel.wide else value for name, value in arguments.items()})


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


def image(seed: int, *shape: int, dtype: str = "float32") -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def points(mode: str, size: float, number: int) -> list[float]:
    """The grid as coremltools documents it for ``resize_bilinear``; of one point, i * spacing is 0."""
    found = []
    for i in range(number):
        if mode == "ALIGN_CORNERS" and number == 1:
            place = (size - 1) / 2
        elif mode in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
            place = i * (size - 1) / (number - 1) if i else 0.0
        elif mode == "DEFAULT":
            place = i * (size - size / number) / (number - 1) if i else 0.0
        elif mode == "OFFSET_CORNERS":
            delta = max(1.0, size - 1) / number
            place = 0.5 * delta + i * delta
        else:
            spacing = size / number
            place = i * spacing + 0.5 * spacing - 0.5
        found.append(min(max(size - 1, 0), max(min(size - 1, 0), place)))
    return found


def interpolated(x: Any, axis: int, places: list[float]) -> Any:
    """x at fractional places along ``axis``, in double."""

    def line(values: Any) -> Any:
        return np.interp(places, np.arange(len(values)), values)

    return np.apply_along_axis(line, axis, x.astype(np.float64))


def resized(x: Any, axes: Any, grids: Any) -> Any:
    for axis, places in zip(axes, grids):
        x = interpolated(x, axis, places)
    return x


@SOME
@given(
    lead=npst.array_shapes(min_dims=1, max_dims=3, max_side=2), sizes=st.tuples(side, side), target=st.tuples(side, side),
    mode=modes, dtype=st.sampled_from(["float16", "float32"]), seed=seeds,
)  # fmt: skip
def test_resize_bilinear(lead: Any, sizes: Any, target: Any, mode: str, dtype: str, seed: int) -> None:
    x = image(seed, *lead, *sizes, dtype=dtype)
    wanted = resized(x, (-2, -1), [points(mode, *pair) for pair in zip(sizes, target)])
    height, width = target
    obtained = run("resize_bilinear", x=x, target_size_height=height, target_size_width=width, sampling_mode=mode)
    assert obtained.dtype == np.float32
    np.testing.assert_allclose(obtained, wanted, **CLOSE)
    if mode in MODES[:4] and dtype == "float32":
        sampling = records.SamplingMode(MODES.index(mode))
        np.testing.assert_allclose(layer("resizeBilinear", x, targetSize=target, mode=sampling), wanted, **CLOSE)


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=5, max_side=4), mode=modes, dtype=st.sampled_from(["float32", "int32"]),
    nearest=st.booleans(), seed=seeds, data=st.data(),
)  # fmt: skip
def test_resize(shape: Any, mode: str, dtype: str, nearest: bool, seed: int, data: Any) -> None:
    """Any number of last axes of any rank; a size of 0 keeps what there is, but not where its pixels lie."""
    count = data.draw(st.integers(0, len(shape)))
    asked = data.draw(st.lists(st.integers(0, 5), min_size=count, max_size=len(shape)))
    axes = range(len(shape) - count, len(shape))
    sizes = [wanted or shape[axis] for axis, wanted in zip(axes, asked[len(asked) - count :])]
    options = {"shape": tuple(asked), "resized_dims": count, "sampling_mode": mode}
    if not nearest:
        x = image(seed, *shape)
        wanted = resized(x, axes, [points(mode, shape[axis], size) for axis, size in zip(axes, sizes)])
        np.testing.assert_allclose(run("resize", x=x, interpolation_mode="LINEAR", **options), wanted, **CLOSE)
        return
    # Elements that say where they lie: of two that are as near, either may be taken.
    for axis, size in zip(axes, sizes):
        x = np.broadcast_to(np.arange(shape[axis]).reshape(-1, *(1,) * (len(shape) - 1 - axis)), shape).astype(dtype)
        found = run("resize", x=x, interpolation_mode="NEAREST_NEIGHBOR", **options)
        assert found.dtype == dtype
        assert found.shape == (*shape[: len(shape) - count], *sizes)
        # By default the nearest pixel is the one under the centre, as in the operation that this one replaces.
        places = points("UNALIGN_CORNERS" if mode == "DEFAULT" else mode, shape[axis], size)
        distance = np.moveaxis(found, axis, -1) - np.array(places)
        assert np.abs(distance).max(initial=0) <= 0.5 + 1e-6


@SOME
@given(
    lead=npst.array_shapes(min_dims=1, max_dims=2, max_side=2), sizes=st.tuples(side, side),
    factors=st.tuples(*[st.sampled_from([1.0, 1.5, 2.0, 2.7, 3.0])] * 2), seed=seeds,
)  # fmt: skip
def test_upsample(lead: Any, sizes: Any, factors: Any, seed: int) -> None:
    """Every linear mode of both formats, with whole and fractional factors, and the nearest pixel."""
    x = image(seed, *lead, *sizes)
    # Factors are stored in single precision.
    target = [int(np.floor(np.float32(size) * np.float32(factor))) for size, factor in zip(sizes, factors)]
    whole = all(factor.is_integer() for factor in factors)
    scale = {"scale_factor_height": factors[0], "scale_factor_width": factors[1]}
    fields = {"scalingFactor": tuple(map(int, factors))} if whole else {"fractionalScalingFactor": factors}
    cases: list[tuple[str, int, dict[str, Any]]] = [
        ("DEFAULT", 0, {"align_corners": False, "half_pixel_centers": False}),
        ("STRICT_ALIGN_CORNERS", 1, {"align_corners": True}),
        ("UNALIGN_CORNERS", 2, {"align_corners": False}),
    ]
    for mode, number, options in cases:
        wanted = resized(x, (-2, -1), [points(mode, *pair) for pair in zip(sizes, target)])
        np.testing.assert_allclose(run("upsample_bilinear", **scale, x=x, **options), wanted, **CLOSE)
        obtained = layer("upsample", x, mode=1, linearUpsampleMode=number, **fields)
        np.testing.assert_allclose(obtained, wanted, **CLOSE)
    places = [[i * size // number for i in range(number)] for size, number in zip(sizes, target)]
    nearest = x[..., places[0], :][..., places[1]]
    np.testing.assert_array_equal(run("upsample_nearest_neighbor", **scale, x=x), nearest)
    if whole:
        np.testing.assert_array_equal(layer("upsample", x, **fields), nearest)
        np.testing.assert_array_equal(nearest, x.repeat(int(factors[0]), -2).repeat(int(factors[1]), -1))


def source(index: int, size: int, padding: str) -> int:
    """Where the pixel at an index of an endless row comes from; -1 is the padding value."""
    if 0 <= index < size or padding == "constant":
        return index if 0 <= index < size else -1
    if padding == "border":
        return min(max(index, 0), size - 1)
    period = 2 * size if padding == "symmetric" else max(2 * size - 2, 1)
    index %= period
    return index if index < size else period - index - (padding == "symmetric")


@SOME
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)), target=st.tuples(side, side),
    padding=st.sampled_from(["constant", "border", "reflection", "symmetric"]), nearest=st.booleans(),
    form=st.sampled_from(["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"]), align=st.booleans(),
    dtype=st.sampled_from(["float16", "float32"]), seed=seeds,
)  # fmt: skip
def test_resample(
    sizes: Any, target: Any, padding: str, nearest: bool, form: str, align: bool, dtype: str, seed: int
) -> None:
    """Images of one pixel among them, read far outside; every point is a sum over the pixels around it."""
    x = image(seed, 2, 2, *sizes, dtype=dtype)
    places = np.random.default_rng(seed).uniform(-4, 4, (2, *target, 2)).astype(dtype)
    obtained = run("resample", x=x, coordinates=places, sampling_mode="nearest" if nearest else "bilinear",
                   padding_mode=padding, padding_value=2.5, coordinates_mode=form, align_corners=align)  # fmt: skip
    wanted = np.zeros(obtained.shape)
    for batch, row, column in np.ndindex(2, *target):
        shares: list[list[tuple[int, float]]] = []
        for size, given_place in zip(sizes, reversed(places[batch, row, column].tolist())):
            place = (given_place + 1) / 2 if form == "normalized_minus_one_to_one" else given_place
            if form != "unnormalized":
                # With aligned corners the ends of the range are the outermost pixels' centres, else their edges.
                place = place * (size - 1) if align else place * size - 0.5
            first = int(np.floor(place))
            # Which of two pixels that are equally far is the nearest one is not specified.
            assume(not nearest or abs(place - first - 0.5) > 1e-3)
            part = round(place - first) if nearest else place - first
            shares.append([(source(first, size, padding), 1 - part), (source(first + 1, size, padding), part)])
        for (at_row, by_row), (at_column, by_column) in itertools.product(*shares):
            outside = at_row < 0 or at_column < 0
            values = 2.5 if outside else x[batch, :, at_row, at_column].astype(np.float64)
            wanted[batch, :, row, column] += by_row * by_column * values
    np.testing.assert_allclose(obtained, wanted, rtol=1e-4, atol=1e-4)


CONVENTIONS = (
    "CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST"
)  # fmt: skip


def box_of(corners: Any, convention: str) -> list[float]:
    """Top, left, bottom and right as the convention has them."""
    top, left, bottom, right = corners
    if convention.startswith("CENTER"):
        box = [(top + bottom) / 2, (left + right) / 2, bottom - top, right - left]
    else:
        box = [top, left, bottom, right]
    return [box[1], box[0], box[3], box[2]] if convention.endswith("WIDTH_FIRST") else box


def grid_of(first: float, last: float, mode: str, number: int) -> list[float]:
    """A box is an interval of last - first + 1 pixels; one that is turned round is read backwards."""
    return [first + place for place in points(mode, last - first + 1, number)]


def cut_out(x: Any, corners: Any, target: Any, mode: str, outside: float) -> Any:
    """One box of x [C, H, W]; points outside of the image, but for a rounding, are ``outside``."""
    grids = [grid_of(corners[axis], corners[axis + 2], mode, target[axis]) for axis in (0, 1)]
    result = resized(x, (1, 2), grids)
    for axis, places in enumerate(grids):
        beyond = [not -1e-6 < place < x.shape[1 + axis] - 1 + 1e-6 for place in places]
        result[(slice(None),) * (1 + axis) + (np.array(beyond),)] = outside
    return result


@SOME
@given(
    sizes=st.tuples(st.integers(2, 6), st.integers(2, 6)), target=st.tuples(side, side), mode=modes,
    convention=st.sampled_from(CONVENTIONS), normalized=st.booleans(), scale=st.sampled_from([1.0, 0.5]),
    outside=st.sampled_from([0.0, 2.5]), whole=st.booleans(), seed=seeds,
)  # fmt: skip
def test_boxes(
    sizes: Any, target: Any, mode: str, convention: str, normalized: bool, scale: float, outside: float, whole: bool,
    seed: int,
) -> None:  # fmt: skip
    """Inside of the image, over its edges and turned round; the whole image is resized as an image is."""
    x, random = image(seed, 3, 2, *sizes), np.random.default_rng(seed)
    ends = np.array([*sizes, *sizes]) - 1.0
    # Eighths, so that no corner is a rounding away from the image's edge.
    corners = random.integers(-8, 57, (4, 4)) / 8
    if whole:
        corners[0] = [0, 0, *ends[2:]]
    images = random.integers(0, 3, 4)
    wanted = np.stack([cut_out(x[i], corner, target, mode, outside) for i, corner in zip(images, corners)])
    if whole:
        as_image = run("resize_bilinear", x=x, target_size_height=target[0], target_size_width=target[1],
                       sampling_mode=mode)  # fmt: skip
        np.testing.assert_allclose(as_image[images[0]], wanted[0], **CLOSE)
    given_corners = corners / scale / (ends if normalized else 1)
    boxes = np.array([box_of(corner, convention) for corner in given_corners]).astype(np.float32)
    shared = {"target_height": target[0], "target_width": target[1], "normalized_coordinates": normalized}
    shared.update(spatial_scale=scale, box_coordinate_mode=convention, sampling_mode=mode)
    # Boxes in single precision, of images as steep as 3 from one pixel to the next.
    close = {"rtol": 1e-4, "atol": 1e-4}
    obtained = run("crop_resize", x=x, boxes=boxes, box_indices=images, pad_value=outside, **shared)
    np.testing.assert_allclose(obtained, wanted, **close)
    indexed = np.concatenate((images[:, None].astype(np.float32), boxes), 1)[:, None, :, None, None]
    np.testing.assert_array_equal(run("crop_resize", 16, x=x, roi=indexed, pad_value=outside, **shared)[:, 0], obtained)
    if outside or mode not in MODES[:4]:
        return
    np.testing.assert_array_equal(run("crop_resize", 15, x=x, roi=indexed, **shared)[:, 0], obtained)
    fields = {"targetSize": target, "normalizedCoordinates": normalized, "spatialScale": scale if scale != 1 else 0.0}
    fields.update(mode=records.SamplingMode(MODES.index(mode)))
    fields.update(boxIndicesMode=records.BoxCoordinatesMode(CONVENTIONS.index(convention)))
    np.testing.assert_allclose(layer("cropResize", x[None], indexed, **fields)[:, 0], wanted, **close)
    every = layer("cropResize", x[None], indexed[:, :, 1:], **fields)
    assert every.shape == (4, 3, 2, *target)
    np.testing.assert_allclose(every[np.arange(4), images], wanted, **close)
