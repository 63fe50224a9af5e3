"""ML Program: resizing, cropping and resampling of images [..., height, width]."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import sampling as functions
from pytest_dscoreml.runtime.registry import Array, Ints, mil

_BOX_MODES = (
    "CORNERS_HEIGHT_FIRST",
    "CORNERS_WIDTH_FIRST",
    "CENTER_SIZE_HEIGHT_FIRST",
    "CENTER_SIZE_WIDTH_FIRST",
)


def _resize_both(x: Array, height: int, width: int, mode: str, *, nearest: bool = False) -> Array:
    if x.ndim < 2:
        raise ValueError(f"x has rank {x.ndim}, expected 2 or more")
    rows = functions.resize(x, x.ndim - 2, height, mode, nearest=nearest)
    return functions.resize(rows, x.ndim - 1, width, mode, nearest=nearest)


@mil.kernel("resize_bilinear", wide=True, fresh=True, grows=True)
def resize_bilinear(
    *, x: Array, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Array:
    """x with another height and width, interpolated linearly on the grid that ``sampling_mode`` names."""
    return _resize_both(x, target_size_height, target_size_width, sampling_mode)


@mil.kernel("resize_nearest_neighbor", fresh=True, grows=True)
def resize_nearest_neighbor(*, x: Array, target_size_height: int, target_size_width: int) -> Array:
    """x with another height and width, each pixel the one under its centre: index floor((i + 0.5) in / out)."""
    return _resize_both(x, target_size_height, target_size_width, "UNALIGN_CORNERS", nearest=True)


@mil.kernel("upsample_nearest_neighbor", fresh=True, grows=True)
def upsample_nearest_neighbor(*, x: Array, scale_factor_height: float = 1.0, scale_factor_width: float = 1.0) -> Array:
    """x with floor(size factor) rows and columns, row i being that at floor(i in / out)."""
    rows = functions.take_floor(x, x.ndim - 2, functions.scaled(x.shape[-2], scale_factor_height))
    return functions.take_floor(rows, x.ndim - 1, functions.scaled(x.shape[-1], scale_factor_width))


@mil.kernel("upsample_bilinear", wide=True, fresh=True, grows=True)
def upsample_bilinear(
    *, x: Array, scale_factor_height: float = 1.0, scale_factor_width: float = 1.0, align_corners: bool = True
) -> Array:
    """x with floor(size factor) rows and columns, interpolated linearly."""
    return upsample_bilinear_ios16(
        x=x,
        scale_factor_height=scale_factor_height,
        scale_factor_width=scale_factor_width,
        align_corners=align_corners,
    )


@mil.kernel("upsample_bilinear", since=16, wide=True, fresh=True, grows=True)
def upsample_bilinear_ios16(
    *,
    x: Array,
    scale_factor_height: float = 1.0,
    scale_factor_width: float = 1.0,
    align_corners: bool = True,
    half_pixel_centers: Optional[bool] = None,
) -> Array:
    """As before iOS 16, with the choice where a pixel's centre lies; it lies in its middle unless corners align."""
    centred = not align_corners if half_pixel_centers is None else half_pixel_centers
    if align_corners and centred:
        raise ValueError("align_corners and half_pixel_centers exclude each other")
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if centred else "DEFAULT"
    height, width = (
        functions.scaled(x.shape[-2], scale_factor_height),
        functions.scaled(x.shape[-1], scale_factor_width),
    )
    return _resize_both(x, height, width, mode)


@mil.kernel("resize", since=17, wide=True, fresh=True, grows=True)
def resize(
    *,
    x: Array,
    shape: Ints,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Array:
    """x with its last ``resized_dims`` axes of the last sizes in ``shape``, where 0 keeps a size.

    The nearest pixel is by default the one under its centre, as in ``resize_nearest_neighbor``, which this replaces: so
    coremltools' tests of the operation and of TensorFlow's ResizeNearestNeighbor have it.
    """
    if interpolation_mode not in ("LINEAR", "NEAREST_NEIGHBOR"):
        raise ValueError(f"interpolation_mode {interpolation_mode!r} is none of LINEAR, NEAREST_NEIGHBOR")
    if not 0 <= resized_dims <= len(shape) <= x.ndim:
        raise ValueError(f"resized_dims {resized_dims} with shape {shape} for an x of rank {x.ndim}")
    nearest = interpolation_mode == "NEAREST_NEIGHBOR"
    if nearest and sampling_mode == "DEFAULT":
        sampling_mode = "UNALIGN_CORNERS"
    result = x
    for axis, size in zip(range(x.ndim - resized_dims, x.ndim), shape[len(shape) - resized_dims :]):
        if size not in (0, x.shape[axis]) or sampling_mode == "OFFSET_CORNERS":
            number = size or x.shape[axis]
            result = functions.resize(result, axis, number, sampling_mode, nearest=nearest)
    return np.array(result) if result is x else result


@mil.kernel("crop", fresh=True)
def crop(*, x: Array, crop_height: Ints, crop_width: Ints) -> Array:
    """x without so many rows at its top and bottom, and so many columns at its left and right."""
    if x.ndim < 2 or len(crop_height) != 2 or len(crop_width) != 2 or min(crop_height + crop_width) < 0:
        raise ValueError(f"crop_height {crop_height} and crop_width {crop_width} for an x of shape {x.shape}")
    height, width = x.shape[-2] - sum(crop_height), x.shape[-1] - sum(crop_width)
    if height < 1 or width < 1:
        raise ValueError(f"crop_height {crop_height} and crop_width {crop_width} leave nothing of shape {x.shape}")
    top, left = crop_height[0], crop_width[0]
    return np.array(x[..., top : top + height, left : left + width])


def _boxes(values: Any, x: Array, normalized: bool, scale: float, mode: str) -> Any:
    """[number, 4] boxes of any convention as top, left, bottom and right pixels, in double."""
    if mode not in _BOX_MODES:
        raise ValueError(f"box_coordinate_mode {mode!r} is none of {', '.join(_BOX_MODES)}")
    boxes = values.astype(np.float64)
    if mode.endswith("WIDTH_FIRST"):
        boxes = boxes[:, [1, 0, 3, 2]]
    if mode.startswith("CENTER"):
        boxes = np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), 1)
    if normalized:
        boxes = boxes * (np.array([*x.shape[2:], *x.shape[2:]]) - 1)
    return boxes * scale


@mil.kernel("crop_resize", wide=True, fresh=True, grows=True)
def crop_resize(
    *,
    x: Array,
    roi: Array,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
) -> Array:
    """Boxes cut from x [B, C, H, W] and resized; see ``crop_resize_ios16``, whose padding is 0 here."""
    return crop_resize_ios16(
        x=x,
        roi=roi,
        target_height=target_height,
        target_width=target_width,
        normalized_coordinates=normalized_coordinates,
        spatial_scale=spatial_scale,
        box_coordinate_mode=box_coordinate_mode,
        sampling_mode=sampling_mode,
    )


@mil.kernel("crop_resize", since=16, wide=True, fresh=True, grows=True)
def crop_resize_ios16(
    *,
    x: Array,
    roi: Array,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Array:
    """Boxes cut from x [B, C, H, W] and resized.

    ``roi`` [N, 1, 4, 1, 1] cuts every box from every image, [N, B, C, height, width]; with an image's index in front,
    [N, 1, 5, 1, 1], each from that one, [N, 1, C, height, width].
    """
    if x.ndim != 4 or roi.ndim != 5 or roi.shape[2] not in (4, 5) or roi.size != roi.shape[0] * roi.shape[2]:
        raise ValueError(f"x {x.shape} and roi {roi.shape}, expected [B, C, H, W] and [N, 1, 4 or 5, 1, 1]")
    values = roi.reshape(roi.shape[0], roi.shape[2])
    boxes = _boxes(values[:, -4:], x, normalized_coordinates, spatial_scale, box_coordinate_mode)
    each = 1 if roi.shape[2] == 5 else x.shape[0]
    images = values[:, 0].astype(np.intp) if each == 1 and roi.shape[2] == 5 else np.tile(np.arange(each), len(boxes))
    cut = functions.crop_and_resize(
        x,
        np.repeat(boxes, each, 0),
        images,
        height=target_height,
        width=target_width,
        mode=sampling_mode,
        outside=pad_value,
    )
    return cut.reshape(len(boxes), each, *cut.shape[1:])


@mil.kernel("crop_resize", since=17, wide=True, fresh=True, grows=True)
def crop_resize_ios17(
    *,
    x: Array,
    boxes: Array,
    box_indices: Optional[Array] = None,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Array:
    """Boxes [N, 4] cut from the images that ``box_indices`` name (box i from image i by default), and resized."""
    if x.ndim != 4 or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"x {x.shape} and boxes {boxes.shape}, expected [B, C, H, W] and [N, 4]")
    images = np.arange(len(boxes)) if box_indices is None else box_indices.astype(np.intp)
    if images.shape != (len(boxes),):
        raise ValueError(f"box_indices has shape {images.shape} for {len(boxes)} boxes")
    return functions.crop_and_resize(
        x,
        _boxes(boxes, x, normalized_coordinates, spatial_scale, box_coordinate_mode),
        images,
        height=target_height,
        width=target_width,
        mode=sampling_mode,
        outside=pad_value,
    )


@mil.kernel("resample", wide=True, fresh=True, grows=True)
def resample(
    *,
    x: Array,
    coordinates: Array,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Array:
    """x [B, C, H, W] read at ``coordinates`` [B, rows, columns, 2] of (column, row)."""
    if coordinates.ndim != 4 or coordinates.shape[-1] != 2 or x.ndim != 4 or coordinates.shape[0] != x.shape[0]:
        raise ValueError(f"x {x.shape} and coordinates {coordinates.shape}, expected [B, C, H, W] and [B, h, w, 2]")
    columns = functions.pixels(coordinates[..., 0], x.shape[3], coordinates_mode, align_corners=align_corners)
    rows = functions.pixels(coordinates[..., 1], x.shape[2], coordinates_mode, align_corners=align_corners)
    return functions.sample(
        x, rows, columns, mode=sampling_mode, padding_mode=padding_mode, padding_value=padding_value
    )


@mil.kernel("affine", wide=True, fresh=True, grows=True)
def affine(
    *,
    x: Array,
    transform_matrix: Array,
    output_height: int,
    output_width: int,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Array:
    """x [B, C, H, W] read where a linear map takes each output pixel: [a0, a1, a2, b0, b1, b2] for each image.

    The output's coordinates are normalised like the input's, so that its outermost pixels are at the range's ends.
    """
    if x.ndim != 4 or transform_matrix.ndim != 2 or transform_matrix.shape[1] != 6:
        raise ValueError(f"x {x.shape} and transform_matrix {transform_matrix.shape}, expected [B, C, H, W] and [B, 6]")
    if transform_matrix.shape[0] not in (1, x.shape[0]):
        raise ValueError(f"{transform_matrix.shape[0]} transform matrices for {x.shape[0]} images")
    if sampling_mode.lower() != "bilinear" or padding_mode.lower() != "constant":
        raise ValueError(
            f"sampling_mode {sampling_mode!r} and padding_mode {padding_mode!r}: only bilinear and constant"
        )
    if coordinates_mode.lower() != "normalized_minus_one_to_one" or not align_corners:
        raise ValueError("only coordinates_mode normalized_minus_one_to_one with align_corners is supported")
    if output_height < 1 or output_width < 1:
        raise ValueError(f"an output of {output_height} rows and {output_width} columns")
    across = np.linspace(-1, 1, output_width)[None, None, :]
    down = np.linspace(-1, 1, output_height)[None, :, None]
    matrix = np.broadcast_to(transform_matrix, (x.shape[0], 6)).astype(np.float64)[:, :, None, None]
    columns = matrix[:, 0] * across + matrix[:, 1] * down + matrix[:, 2]
    rows = matrix[:, 3] * across + matrix[:, 4] * down + matrix[:, 5]
    return functions.sample(
        x,
        functions.pixels(rows, x.shape[2], "normalized_minus_one_to_one", align_corners=True),
        functions.pixels(columns, x.shape[3], "normalized_minus_one_to_one", align_corners=True),
        mode="bilinear",
        padding_mode="constant",
        padding_value=padding_value,
    )
