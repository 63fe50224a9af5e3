"""ML Program: states, and the operation that makes a classifier's outputs. Imports the values that hold states.

coremltools' ``coreml_update_state`` is written to the file as ``write_state``, followed by ``read_state`` where the
value is used.
"""

from __future__ import annotations

from pytest_dscoreml.runtime.registry import Array, mil
from pytest_dscoreml.runtime.values import Label, Labels, State


@mil.kernel("read_state", since=18, fresh=True, pure=False)
def read_state(*, input: State) -> Array:
    """A copy of the state."""
    return input.read()


@mil.kernel("write_state", since=18, pure=False)
def write_state(*, input: State, data: Array) -> tuple[()]:
    """The state becomes a copy of ``data``."""
    input.write(data)
    return ()


@mil.kernel("classify")
def classify(*, probabilities: Array, classes: Labels) -> tuple[Label, dict[Label, float]]:
    """The class of the greatest probability, and the probability of each."""
    values = probabilities.ravel()
    if values.size != len(classes) or not classes:
        raise ValueError(f"{values.size} probabilities for {len(classes)} classes")
    return classes[int(values.argmax())], {label: float(value) for label, value in zip(classes, values)}
