"""What every way of running a plan shares: the truth of a condition, the limit of a loop, the words for a failure.

Imports only NumPy, the plan and the words for problems.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.plan import Call, Instruction
from pytest_dscoreml.runtime.problems import shortened

# A loop that runs this often is taken for one that never ends: half an hour of speech is 90,000 frames.
LOOP_LIMIT = 100_000

Environment = list[Any]


def truth(value: Any) -> bool:
    """The one truth value in a condition's result; ValueError when it is none or several."""
    if value.size != 1:
        raise ValueError(f"the condition has shape {value.shape}, expected one value")
    return bool(value.reshape(()))


def failure(instruction: Optional[Instruction], environment: Environment, error: Exception) -> str:
    """What to tell about a failure: the operation, its inputs and the reason."""
    if instruction is None:
        return f"{type(error).__name__}: {error}"
    shown: list[str] = []
    if isinstance(instruction, Call):
        for index, argument in enumerate(instruction.arguments):
            for slot in argument.slots:
                value = environment[slot]
                what = f"{value.dtype.name}{value.shape}" if isinstance(value, np.ndarray) else repr(value)
                shown.append(f"{argument.name or f'input {index}'} {what}")
        shown += [
            f"{name} {value.dtype.name}{value.shape}" if isinstance(value, np.ndarray) else f"{name} {value}"
            for name, value in instruction.fixed.items()
        ]
    reason = str(error) or type(error).__name__
    return shortened(instruction.place.says(f"failed: {reason}" + (f" (with {', '.join(shown)})" if shown else "")))
