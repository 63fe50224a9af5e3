"""Suppression of boxes that overlap a better one. Imports only NumPy."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.shapes import check_size
from pytest_dscoreml.runtime.registry import Array


def non_maximum_suppression(
    boxes: Array,
    scores: Array,
    iou_threshold: float,
    score_threshold: Optional[float],
    max_boxes: int,
    *,
    per_class: bool,
) -> tuple[Array, Array, Array, Array]:
    """The best of ``boxes`` [n, B, 4] (centre x, centre y, width, height) that do not overlap.

    A box's score is the greatest of its classes' ``scores`` [n, B, K], its class the one that has it. Boxes are taken
    from the best score down, unless an intersection over union with one already taken (of the same class, if
    ``per_class``) is over ``iou_threshold``, or the score is under ``score_threshold``; if none is left, the best is
    taken all the same. Returns the boxes [n, max, 4], scores [n, max, K], indices [n, max] and the number taken [n];
    places left over hold zeros, and index -1.
    """
    batches, _, classes = scores.shape
    check_size((batches, max_boxes, 4 + classes), 4)
    kept_boxes = np.zeros((batches, max_boxes, 4), boxes.dtype)
    kept_scores = np.zeros((batches, max_boxes, classes), scores.dtype)
    indices = np.full((batches, max_boxes), -1, np.int32)
    counts = np.zeros(batches, np.int32)
    for batch in range(batches):
        taken = _take(boxes[batch], scores[batch], iou_threshold, score_threshold, max_boxes, per_class=per_class)
        count = len(taken)
        kept_boxes[batch, :count] = boxes[batch, taken]
        kept_scores[batch, :count] = scores[batch, taken]
        indices[batch, :count] = taken
        counts[batch] = count
    return kept_boxes, kept_scores, indices, counts


def _take(
    boxes: Array, scores: Array, iou_threshold: float, score_threshold: Optional[float], most: int, *, per_class: bool
) -> list[int]:
    best, kind = scores.max(axis=-1), scores.argmax(axis=-1)
    order = np.argsort(-best, kind="stable")
    taken: list[int] = []
    for candidate in order:
        if len(taken) == most:
            break
        if score_threshold is not None and best[candidate] < score_threshold:
            continue
        rivals = [other for other in taken if not per_class or kind[other] == kind[candidate]]
        if not rivals or float(_overlap(boxes[candidate], boxes[rivals]).max()) <= iou_threshold:
            taken.append(int(candidate))
    return taken or [int(first) for first in order[: min(most, 1)]]


def _overlap(box: Array, others: Array) -> Any:
    """The intersection over union of ``box`` [4] with ``others`` [N, 4]; 0 where a box has no area."""
    half, halves = box[2:] / 2, others[:, 2:] / 2
    low = np.maximum(box[:2] - half, others[:, :2] - halves)
    high = np.minimum(box[:2] + half, others[:, :2] + halves)
    shared = np.maximum(high - low, 0).prod(axis=-1)
    area, areas = box[2:].prod(), others[:, 2:].prod(axis=-1)
    union = area + areas - shared
    return np.where((area > 0) & (areas > 0), shared / np.where(union > 0, union, 1), 0)
