"""What float16 costs: the errors of a run beside the one in float32, and as a part of what is tolerated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_dscoreml.agreement.metrics import difference, greedy_flips
from pytest_dscoreml.agreement.tolerances import Tolerances
from pytest_dscoreml.engines.protocol import Outputs


@dataclass(frozen=True)
class Errors:
    """The worst over some sequences, beside float32.

    Attributes:
        logits: largest absolute difference of the probabilities.
        c, h: of the states after each sequence.
        flips: frames of all sequences whose most probable class differs.
        loss: the largest of the three as a part of its tolerance: 1 is as much as the gate lets pass. Infinite where a
            value is not finite.
    """

    logits: float
    c: float
    h: float
    flips: int
    loss: float


def measure(expected: Sequence[Outputs], obtained: Sequence[Outputs], tolerances: Tolerances) -> Errors:
    """The errors of one run of the sequences."""
    worst = {"logits": 0.0, "c": 0.0, "h": 0.0}
    flips, loss = 0, 0.0
    for wanted, given in zip(expected, obtained):
        for name, tolerance, one, other in (
            ("logits", tolerances.probabilities, wanted.logits, given.logits),
            ("c", tolerances.state_c, wanted.state.c, given.state.c),
            ("h", tolerances.state_h, wanted.state.h, given.state.h),
        ):
            found = difference(expected=one, obtained=other, tolerance=tolerance, steps=len(wanted.logits))
            worst[name] = max(worst[name], found.largest)
            loss = max(loss, found.largest / found.limit)
        flips += len(greedy_flips(expected=wanted.logits, obtained=given.logits))
    return Errors(**worst, flips=flips, loss=loss)


def are_same(one: Sequence[Outputs], other: Sequence[Outputs]) -> bool:
    """Whether two runs gave the same, bit for bit."""
    return all(
        np.array_equal(wanted, given, equal_nan=True)
        for first, second in zip(one, other)
        for wanted, given in ((first.logits, second.logits), *zip(first.state, second.state))
    )
