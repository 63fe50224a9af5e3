"""The second verdict on float16. Imports NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

ATOL = 0.02
RTOL = 0.01


def judge(*, expected: Any, obtained: Any, admitted: float = 0.0) -> tuple[bool, str]:
    """Whether values computed in float16 agree within ``ATOL`` and ``RTOL``, and by how much they do not.

    coremltools itself admits differences of 0.5, and 5 %. ``admitted`` is the share of values that may differ.
    """
    left, right = np.asarray(obtained), np.asarray(expected)
    if left.dtype.kind not in "fiub" or right.dtype.kind not in "fiub":
        return True, ""
    left, right = left.astype(np.float64), right.astype(np.float64)
    try:
        close = np.isclose(left, right, atol=ATOL, rtol=RTOL, equal_nan=True)
    except ValueError:
        return False, f"shape {left.shape}, expected {right.shape}"
    wrong = close.size - int(np.count_nonzero(close))
    if wrong <= admitted * close.size:
        return True, ""
    with np.errstate(all="ignore"):
        worst = np.max(np.abs(left - right)[~close])
    return False, f"{wrong} of {close.size} values differ, at most by {worst:.3g}"
