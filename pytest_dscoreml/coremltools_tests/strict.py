"""The second verdict on float16. Imports NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

ATOL = 0.02
RTOL = 0.01


def judge(
    *, expected: Mapping[str, Any], obtained: Mapping[str, Any], find: Callable[[Mapping[str, Any], str], Any]
) -> tuple[bool, str]:
    """Whether float16 outputs agree within ``ATOL`` and ``RTOL``, and which first does not.

    coremltools itself admits differences of 0.5, and 5 %.
    """
    for name, wanted in expected.items():
        try:
            got = find(obtained, name)
        except KeyError:
            return False, f"{name}: missing"
        if not isinstance(got, np.ndarray):
            continue
        left, right = np.asarray(got, dtype=np.float64), np.asarray(wanted)
        if right.dtype.kind not in "fiub":
            continue
        try:
            close = np.isclose(left, right.astype(np.float64), atol=ATOL, rtol=RTOL, equal_nan=True)
        except ValueError:
            return False, f"{name}: shape {left.shape}, expected {right.shape}"
        if not close.all():
            with np.errstate(all="ignore"):
                worst = np.nanmax(np.abs(left - right)) if left.size else 0.0
            return (
                False,
                f"{name}: {close.size - int(close.sum())} of {close.size} values differ, at most by {worst:.3g}",
            )
    return True, ""
