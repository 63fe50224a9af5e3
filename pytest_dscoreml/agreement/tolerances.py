"""Every tolerance of the gate: its name, its values and the reason for them. Nothing else decides what is close enough."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """How far obtained may be from expected: atol + (rtol + per_step * steps) * scale.

    The scale is the largest magnitude of the expected array: an LSTM state holds values near zero beside large ones,
    and what the next step makes of it depends on the large ones. `per_step` is for what adds up over a sequence.
    """

    name: str
    atol: float
    rtol: float
    why: str
    per_step: float = 0.0

    def limit(self, scale: float, steps: int = 0) -> float:
        """The largest difference that passes after so many steps."""
        return self.atol + (self.rtol + self.per_step * steps) * scale

    def __str__(self) -> str:
        values = (("atol", self.atol, ""), ("rtol", self.rtol, ""), ("rtol", self.per_step, " a step"))
        parts = [f"{name} {value:g}{unit}" for name, value, unit in values if value]
        return f"{self.name} ({', '.join(parts)}: {self.why})"


@dataclass(frozen=True)
class Tolerances:
    """The tolerances of one precision.

    Attributes:
        probabilities: of the softmax's output.
        log_probabilities: of its logarithm, which is the value before the softmax up to a constant per frame; compared
            where expected is at least `floor`, below which the type cannot hold the probability.
        state_c: of the cell state.
        state_h: of the hidden state, which lies within -1 and 1.
        sums: of a row of probabilities, which is one.
        floor: smallest probability whose logarithm is compared.
    """

    probabilities: Tolerance
    log_probabilities: Tolerance
    state_c: Tolerance
    state_h: Tolerance
    sums: Tolerance
    floor: float


#: docs/tolerances.md tells how the healthy errors and those of defects were measured; benchmarks/tolerances.py measures
#: them again.
FLOAT32 = Tolerances(
    probabilities=Tolerance(
        "float32-probabilities",
        atol=1e-5,
        rtol=0.0,
        why="24-bit significand, sums taken in another order than TensorFlow's; healthy 6e-6 at worst, defects 0.9",
    ),
    log_probabilities=Tolerance(
        "float32-log-probabilities",
        atol=1e-3,
        rtol=0.0,
        why="the logits' own rounding, which the softmax hides; healthy 5e-5 at worst, defects 12",
    ),
    state_c=Tolerance(
        "float32-state-c",
        atol=1e-6,
        rtol=1e-4,
        why="rounding adds up over the steps; healthy 2e-6 of the largest value at worst, defects 1.1",
    ),
    state_h=Tolerance(
        "float32-state-h",
        atol=1e-6,
        rtol=1e-4,
        why="tanh passes the rounding of c on; healthy 1.1e-5 of the largest value at worst, defects 1.8",
    ),
    sums=Tolerance("float32-sums", atol=1e-5, rtol=0.0, why="29 to 256 rounded values added up; healthy 5e-7"),
    floor=1e-30,
)

FLOAT16 = Tolerances(
    probabilities=Tolerance(
        "float16-probabilities",
        atol=5e-2,
        rtol=0.0,
        why="11-bit significand through 6 matrix products and the steps; healthy 2.3e-2 at worst, defects 0.9",
    ),
    log_probabilities=Tolerance(
        "float16-log-probabilities",
        atol=0.5,
        rtol=0.0,
        why="logits around 10 are 1/128 apart before errors add up; healthy 0.22 at worst, defects 8",
    ),
    state_c=Tolerance(
        "float16-state-c",
        atol=1e-3,
        rtol=2e-2,
        # Half a unit in the last of 11 bits: where the forget gate stays open, each step's rounding of c remains in it.
        per_step=2.0**-12,
        why="each step rounds c to 11 bits, which adds up; healthy 3.2e-2 of the largest value after 177 steps, defects 1.1",
    ),
    state_h=Tolerance(
        "float16-state-h",
        atol=1e-3,
        rtol=0.15,
        why="where c crosses zero beside units of 80, its error passes tanh undamped; healthy 7.2e-2 at worst, defects 1.8",
    ),
    sums=Tolerance("float16-sums", atol=2e-3, rtol=0.0, why="rounded values added up; healthy 4e-4"),
    floor=1e-3,
)

BY_PRECISION = {"float32": FLOAT32, "float16": FLOAT16}
