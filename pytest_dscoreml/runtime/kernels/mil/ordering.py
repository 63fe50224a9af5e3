"""ML Program: sorting, choosing, bands and box suppression."""

from __future__ import annotations

from typing import Optional, Union

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import boxes as box_functions
from pytest_dscoreml.runtime.kernels.functions import ordering as functions
from pytest_dscoreml.runtime.registry import Array, mil


@mil.kernel("argsort", fresh=True)
def argsort(*, x: Array, axis: int = -1, ascending: bool = False) -> Array:
    """The indices that sort x along ``axis``; equal values keep their order."""
    return functions.argsort(x, axis, ascending=ascending)


@mil.kernel("topk", fresh=True)
def topk(*, x: Array, k: int = 1, axis: int = -1, ascending: bool = False) -> list[Array]:
    """The k greatest (least) values along ``axis`` and their indices."""
    return list(functions.topk(x, k, axis, ascending=ascending))


@mil.kernel("topk", since=16, fresh=True)
def topk_ios16(
    *,
    x: Array,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
) -> Union[Array, list[Array]]:
    """As before iOS 16; what is not asked to be sorted is sorted all the same, which it may be."""
    values, indices = functions.topk(x, k, axis, ascending=ascending)
    return [values, indices] if return_indices else values


@mil.kernel("topk", since=17, fresh=True)
def topk_ios17(
    *,
    x: Array,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: Optional[str] = None,
) -> Union[Array, list[Array]]:
    """As before iOS 17, with indices as int32 (the default) or uint16."""
    values, indices = functions.topk(x, k, axis, ascending=ascending)
    return [values, indices.astype(output_indices_dtype or "int32")] if return_indices else values


@mil.kernel("non_zero", fresh=True)
def non_zero(*, x: Array) -> Array:
    """The index of each element that is not zero, a row each."""
    return functions.non_zero(x)


@mil.kernel("one_hot", fresh=True, grows=True)
def one_hot(
    *,
    indices: Array,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: Optional[Array] = None,
    off_value: Optional[Array] = None,
) -> Array:
    """``on_value`` (1) at the indices along a new axis, ``off_value`` (0) elsewhere."""
    # What is left out takes the type of what is given, and is int32 by default.
    on = np.ones((), np.int32 if off_value is None else off_value.dtype) if on_value is None else on_value
    off = np.zeros((), on.dtype) if off_value is None else off_value
    return functions.one_hot(indices, one_hot_vector_size, axis, on, off)


@mil.kernel("band_part", fresh=True)
def band_part(*, x: Array, lower: int = -1, upper: int = -1) -> Array:
    """x with zeros outside a band around the diagonal."""
    return functions.band_part(x, lower, upper)


@mil.kernel("non_maximum_suppression", wide=True, fresh=True)
def non_maximum_suppression(
    *,
    boxes: Array,
    scores: Array,
    iou_threshold: float,
    score_threshold: float,
    max_boxes: int,
    per_class_suppression: bool = False,
) -> list[Array]:
    """The best boxes [n, B, 4] that do not overlap: boxes, scores, indices and their number."""
    return list(
        box_functions.non_maximum_suppression(
            boxes, scores, iou_threshold, score_threshold, max_boxes, per_class=per_class_suppression
        )
    )


@mil.kernel("non_maximum_suppression", since=17, wide=True, fresh=True)
def non_maximum_suppression_ios17(
    *, boxes: Array, scores: Array, iou_threshold: float, max_boxes: int, per_class_suppression: bool = False
) -> list[Array]:
    """As before iOS 17, boxes in the last axis, without a score threshold and the number."""
    kept, values, indices, _ = box_functions.non_maximum_suppression(
        np.swapaxes(boxes, 1, 2),
        np.swapaxes(scores, 1, 2),
        iou_threshold,
        None,
        max_boxes,
        per_class=per_class_suppression,
    )
    return [np.swapaxes(kept, 1, 2), np.swapaxes(values, 1, 2), indices]
