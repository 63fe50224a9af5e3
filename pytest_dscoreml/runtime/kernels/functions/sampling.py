"""Resampling of images: grids, resizing along axes, and reading at arbitrary points. Imports only NumPy.

A pixel's coordinate is its index, so that an image of W columns covers 0 to W - 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.shapes import check_size
from pytest_dscoreml.runtime.registry import Array

SAMPLING_MODES = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS")
PADDING_MODES = ("constant", "border", "reflection", "symmetric")
COORDINATES_MODES = ("unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one")


def grid(mode: str, size: Any, number: int) -> Any:
    """Where ``number`` points fall in an input of ``size`` pixels, in double: [*shape of size, number].

    The modes are those that coremltools documents for ``resize_bilinear``; points may fall outside of the input.
    """
    if mode not in SAMPLING_MODES:
        raise ValueError(f"sampling_mode {mode!r} is none of {', '.join(SAMPLING_MODES)}")
    if number < 1:
        raise ValueError(f"{number} points are asked for, expected 1 or more")
    check_size((number,), 8)
    extent = np.asarray(size, np.float64)[..., None]
    index = np.arange(number, dtype=np.float64)
    if mode == "ALIGN_CORNERS" and number == 1:
        return (extent - 1) / 2
    if mode in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        return index * ((extent - 1) / max(number - 1, 1))
    if mode == "DEFAULT":
        return index * (extent / number)
    if mode == "OFFSET_CORNERS":
        return (index + 0.5) * (np.maximum(extent - 1, 1) / number)
    return (index + 0.5) * (extent / number) - 0.5


def resize(x: Array, axis: int, number: int, mode: str, *, nearest: bool = False) -> Array:
    """x with ``number`` elements along ``axis``, interpolated linearly or taken from the nearest (the later of two)."""
    size = x.shape[axis]
    if size < 1:
        raise ValueError(f"axis {axis} of shape {x.shape} is empty")
    points = np.clip(grid(mode, size, number), 0, size - 1)
    shape = list(x.shape)
    shape[axis] = number
    check_size(shape, x.itemsize)
    if nearest:
        # A hair more than a half: 1.5 must not become 1.4999 by rounding and fall to the other side.
        return np.asarray(np.take(x, np.floor(points + (0.5 + 1e-9)).astype(np.intp), axis))
    if x.dtype.kind != "f":
        raise ValueError(f"linear interpolation between values of type {x.dtype.name} is not supported")
    first = np.floor(points).astype(np.intp)
    fraction_shape = [1] * x.ndim
    fraction_shape[axis] = number
    fraction = (points - first).astype(x.dtype).reshape(fraction_shape)
    low = np.asarray(np.take(x, first, axis))
    if not fraction.any():
        return low
    high = np.take(x, np.minimum(first + 1, size - 1), axis)
    return np.asarray(low + (high - low) * fraction)


def take_floor(x: Array, axis: int, number: int) -> Array:
    """x with ``number`` elements along ``axis``, the i-th being that at floor(i size / number)."""
    shape = list(x.shape)
    shape[axis] = number
    check_size(shape, x.itemsize)
    if number < 1:
        raise ValueError(f"axis {axis} would get {number} elements, expected 1 or more")
    return np.asarray(np.take(x, np.arange(number) * x.shape[axis] // number, axis))


def scaled(size: int, factor: float) -> int:
    """floor(size factor), in single precision as the factor is stored."""
    product = np.float32(size) * np.float32(factor)
    if not 0 < product < 2**31:
        raise ValueError(f"a scale factor of {factor} for {size} elements")
    return math.floor(product)


def pixels(coordinates: Array, size: int, mode: str, *, align_corners: bool) -> Any:
    """Coordinates in one of ``COORDINATES_MODES`` as pixel coordinates, in double.

    With ``align_corners`` the ends of a normalised range are the centres of the outermost pixels, else their edges.
    """
    if mode not in COORDINATES_MODES:
        raise ValueError(f"coordinates_mode {mode!r} is none of {', '.join(COORDINATES_MODES)}")
    values = coordinates.astype(np.float64)
    if mode == "unnormalized":
        return values
    if mode == "normalized_minus_one_to_one":
        values = (values + 1) / 2
    return values * (size - 1) if align_corners else values * size - 0.5


def sample(x: Array, rows: Any, columns: Any, *, mode: str, padding_mode: str, padding_value: float) -> Array:
    """x [n, channels, H, W] read at pixel coordinates ``rows`` and ``columns`` [n, *points]: [n, channels, *points].

    ``mode`` is ``bilinear`` or ``nearest`` (of two, the even one). Outside of the image lies what ``padding_mode``
    says: ``constant`` the padding value, ``border`` the outermost pixel, ``reflection`` the image mirrored at the
    centres of its outermost pixels, ``symmetric`` mirrored at their edges.
    """
    if mode not in ("bilinear", "nearest"):
        raise ValueError(f"sampling_mode {mode!r} is none of bilinear, nearest")
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"padding_mode {padding_mode!r} is none of {', '.join(PADDING_MODES)}")
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"x has shape {x.shape}, expected [batch, channels, height, width] that is not empty")
    height, width = x.shape[2:]
    check_size((x.shape[0], x.shape[1], *rows.shape[1:]), 8)
    rows, columns = _inside(rows, height, padding_mode), _inside(columns, width, padding_mode)
    if mode == "nearest":
        return _read(x, np.rint(rows), np.rint(columns), padding_value)
    top, left = np.floor(rows), np.floor(columns)
    down, right = ((rows - top)[:, None].astype(x.dtype), (columns - left)[:, None].astype(x.dtype))
    upper = _read(x, top, left, padding_value) * (1 - right) + _read(x, top, left + 1, padding_value) * right
    lower = _read(x, top + 1, left, padding_value) * (1 - right) + _read(x, top + 1, left + 1, padding_value) * right
    return np.asarray(upper * (1 - down) + lower * down)


def _inside(points: Any, size: int, padding_mode: str) -> Any:
    """``points`` brought into the image as ``padding_mode`` says; ``constant`` leaves them alone."""
    if padding_mode == "reflection":
        points = _mirror(points, 0.0, float(size - 1))
    elif padding_mode == "symmetric":
        points = _mirror(points, -0.5, size - 0.5)
    return points if padding_mode == "constant" else np.clip(points, 0, size - 1)


def _mirror(points: Any, low: float, high: float) -> Any:
    length = high - low
    if length == 0:
        return np.full_like(points, low)
    folded = np.mod(points - low, 2 * length)
    return low + np.minimum(folded, 2 * length - folded)


def _read(x: Array, rows: Any, columns: Any, outside: float) -> Array:
    """The pixels at whole coordinates, ``outside`` where there are none."""
    height, width = x.shape[2:]
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    batch = np.arange(x.shape[0]).reshape(-1, *(1,) * (rows.ndim - 1))
    row = np.where(within, rows, 0).astype(np.intp)
    column = np.where(within, columns, 0).astype(np.intp)
    # Advanced indices around the channels' slice put the channels last.
    values = np.moveaxis(x[batch, :, row, column], -1, 1)
    return np.where(within[:, None], values, x.dtype.type(outside))


def crop_and_resize(x: Array, boxes: Any, images: Any, *, height: int, width: int, mode: str, outside: float) -> Array:
    """Boxes of images, each resized: [boxes, channels, height, width].

    ``boxes`` [number, 4] are top, left, bottom and right in pixels, corners included; ``images`` [number] says which of
    x's images each is cut from. Points outside of the image are ``outside``; none lies outside of its box.
    """
    if images.size and not (images.min() >= 0 and images.max() < x.shape[0]):
        raise ValueError(f"a box is cut from image {images.max()} (or {images.min()}) of {x.shape[0]}")
    check_size((len(boxes), x.shape[1], height, width), x.itemsize)
    rows = _between(boxes[:, 0], boxes[:, 2], mode, height)
    columns = _between(boxes[:, 1], boxes[:, 3], mode, width)
    result = np.empty((len(boxes), x.shape[1], height, width), x.dtype)
    for number, (image, row, column) in enumerate(zip(images, rows, columns)):
        at_rows, at_columns = np.broadcast_arrays(row[:, None], column[None, :])
        # A point a rounding error outside of the image is on its edge.
        at_rows, at_columns = _snap(at_rows, x.shape[2]), _snap(at_columns, x.shape[3])
        read = sample(
            x[image : image + 1],
            at_rows[None],
            at_columns[None],
            mode="bilinear",
            padding_mode="border",
            padding_value=0.0,
        )[0]
        beyond = (at_rows < 0) | (at_rows > x.shape[2] - 1) | (at_columns < 0) | (at_columns > x.shape[3] - 1)
        result[number] = np.where(beyond, x.dtype.type(outside), read)
    return result


def _between(first: Any, last: Any, mode: str, number: int) -> Any:
    """``number`` points from pixel ``first`` to ``last`` of each box, in double: [boxes, number].

    The grid of a box ends at its outermost pixels as that of an image does; its last may come before its first.
    """
    points = first[:, None] + grid(mode, last - first + 1, number)
    return np.clip(points, np.minimum(first, last)[:, None], np.maximum(first, last)[:, None])


def _snap(points: Any, size: int) -> Any:
    near = 1e-5 * max(size, 1)
    points = np.where((points < 0) & (points > -near), 0.0, points)
    return np.where((points > size - 1) & (points < size - 1 + near), float(size - 1), points)
