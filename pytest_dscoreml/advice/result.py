"""An advice with all that it rests on, as plain data: for the terminal, for JSON, and for reports."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_dscoreml.advice.measuring import Errors
from pytest_dscoreml.advice.ranking import OperationLoss


@dataclass(frozen=True)
class Written:
    """A file that the converter wrote.

    Attributes:
        errors: beside the float32 file, both on the reference engine.
        size: bytes on disk.
        casts: its operations that only cast.
        as_simulated: whether its outputs are those of the simulation, bit for bit.
    """

    errors: Errors
    size: int
    casts: int
    as_simulated: bool


def selectors(kept: Iterable[OperationLoss]) -> tuple[str, ...]:
    """The names by which the converter asks for operations and for what makes their constants."""
    return tuple(sorted({name for row in kept for name in (row.selector, *row.makers)}))


@dataclass(frozen=True)
class Advice:
    """Which operations lose most in float16, which to keep in float32, and what came of keeping them.

    Attributes:
        conversion: the float16 conversion that it is about.
        coremltools: the version that converted.
        sequences: steps of what was fed, by name.
        rows: every operation that may be chosen, the one that loses most first.
        before: the file in float16 throughout.
        goal: the loss to get down to; None where a number of operations was asked for.
        kept: the operations to keep, in the order of their loss.
        simulated: the errors to expect with them kept.
        after: the file that the converter wrote with them kept; None where it refused.
        faults: why that file is not what was asked for; empty where it is.
        seconds: that all this took.
    """

    conversion: str
    coremltools: str
    sequences: Mapping[str, int]
    rows: tuple[OperationLoss, ...]
    before: Written
    goal: float | None
    kept: tuple[OperationLoss, ...]
    simulated: Errors
    after: Written | None
    faults: tuple[str, ...]
    seconds: float

    @property
    def held(self) -> bool:
        """Whether the written file keeps what it should and loses no more than the goal, without one than was simulated."""
        if self.after is None or self.faults:
            return False
        return self.after.errors.loss <= (self.simulated.loss if self.goal is None else self.goal)

    @property
    def helped(self) -> bool:
        """Whether the written file loses less than the one in float16 throughout."""
        return self.after is not None and self.after.errors.loss < self.before.errors.loss

    @property
    def selectors(self) -> tuple[str, ...]:
        """The names to keep as an `op_selector` sees them: of the operations, and of those that make their constants."""
        return selectors(self.kept)

    def to_json(self) -> dict[str, Any]:
        """All of it in values that JSON has; what is not finite becomes null."""
        values = dataclasses.asdict(self)
        values.update(held=self.held, selectors=list(self.selectors))
        plain: dict[str, Any] = _plain(values)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
