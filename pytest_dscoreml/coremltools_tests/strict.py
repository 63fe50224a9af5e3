"""The second verdict on float16, and whether a test asks more of float16 than it can give. Imports NumPy only."""

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


def beyond_float16(*, expected: Any, obtained: Any, exact: Any, rtol: float, atol: float) -> bool:
    """Whether a comparison within these tolerances failed for what float16 cannot resolve.

    ``exact`` is the same prediction in double: the program as the file has it, its float16 weights included, without any
    rounding on the way. The comparison asks too much where these values would have failed as well, or would have after
    being rounded to float16 once, as the obtained ones are; and where the expected values, computed in float16, are the
    obtained ones rounded.
    """
    left, right, best = np.asarray(obtained), np.asarray(expected), np.asarray(exact)
    if left.dtype.kind != "f" or right.dtype.kind != "f" or not left.shape == right.shape == best.shape:
        return False
    with np.errstate(all="ignore"):
        if np.array_equal(left.astype(np.float16).astype(left.dtype), left, equal_nan=True):
            best = best.astype(np.float16)
        elif right.dtype == np.float16 and np.array_equal(left.astype(np.float16), right, equal_nan=True):
            return True
        return not np.allclose(best.astype(np.float64), right.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True)
