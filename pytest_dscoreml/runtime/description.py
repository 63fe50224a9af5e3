"""Checks a model's description: in itself, and against the ML Program that it describes.

Imports only NumPy, the interface, the runtime's forms and the words for problems.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pytest_dscoreml.runtime.interface import Interface
from pytest_dscoreml.runtime.interface_reader import described_function
from pytest_dscoreml.runtime.problems import Problems
from pytest_dscoreml.runtime.program import Program, Value, is_numeric

# In elements: a damaged file may declare any size.
LARGEST_STATE = 1 << 30


def is_state(value: Value) -> bool:
    """Whether a program's input is a state."""
    return value.type is not None and value.type.dtype == "state"


def check_description(description: Any, function: str, interface: Interface, problems: Problems) -> None:
    """Note what is wrong with a ``ModelDescription`` by itself."""
    for kind, features in (("input", interface.inputs), ("output", interface.outputs)):
        # The converter declares an output twice that a model returns twice.
        different = tuple(dict.fromkeys(features)) if kind == "output" else features
        names = [feature.name for feature in different]
        if len(set(names)) != len(names):
            problems.add(f"two {kind}s have the same name: {', '.join(sorted(names))}")
    outputs = {feature.name for feature in interface.outputs}
    if not outputs:
        problems.add("the model declares no outputs: the file is damaged or truncated")
    holder = described_function(description, function)
    for field in ("predictedFeatureName", "predictedProbabilitiesName"):
        name = getattr(holder, field)
        if outputs and name and name not in outputs:
            problems.add(f"the model's {field} is {name!r}, which is no output")


def check_agreement(
    description: Any, function: str, interface: Interface, program: Program, problems: Problems
) -> None:
    """The description and the program must speak of the same inputs, outputs and states."""
    _check_inputs(interface, program, problems)
    yielded = Counter(feature.name for feature in interface.outputs)
    for feature in interface.outputs:
        if feature.name not in program.outputs:
            problems.add(f"the model's output {feature.name!r} is not an output of the program")
    for name, count in Counter(program.main.outputs).items():
        if yielded and name not in yielded:
            problems.add(f"the program yields {name!r}, which the model's description does not declare as an output")
        elif yielded and count != yielded[name]:
            problems.add(f"the program yields {name!r} {count} times, the model's description declares {yielded[name]}")
    _check_states(description, function, program, problems)


def _check_inputs(interface: Interface, program: Program, problems: Problems) -> None:
    described = {feature.name: feature for feature in interface.inputs}
    taken = {value.name: value for value in program.main.inputs if not is_state(value)}
    for name in taken.keys() - described.keys():
        problems.add(f"the program takes {name!r}, which the model's description does not declare as an input")
    for name in described.keys() - taken.keys():
        problems.add(f"the model's description declares the input {name!r}, which the program does not take")
    for name in taken.keys() & described.keys():
        declared = taken[name].type
        if declared is None or not is_numeric(declared.dtype):
            problems.add(f"input {name!r}: the program takes {declared or 'a tuple'} there, which is not supported")
        elif np.dtype(described[name].dtype).kind != np.dtype(declared.dtype).kind:
            problems.add(f"input {name!r} is described as {described[name].dtype}, the program takes {declared}")
        elif not described[name].meets(declared.shape):
            problems.add(
                f"input {name!r} is described as {described[name].describe_shape()}, the program takes {declared}"
            )


def _check_states(description: Any, function: str, program: Program, problems: Problems) -> None:
    described = {item.name: item for item in described_function(description, function).state}
    states = {value.name: value for value in program.main.inputs if is_state(value)}
    for name, value in states.items():
        element = value.type.element if value.type is not None else None
        if element is None or element.shape is None or None in element.shape or not is_numeric(element.stored):
            problems.add(f"the state {name!r} is declared {value.type}, expected a tensor of known shape")
        elif int(np.prod(np.array(element.shape, dtype=object))) > LARGEST_STATE:
            problems.add(f"the state {name!r} is declared {value.type}, which is more than {LARGEST_STATE} values")
        elif name not in described:
            problems.add(f"the program takes the state {name!r}, which the model's description does not declare")
        elif (shape := tuple(described[name].type.stateType.arrayType.shape)) != element.shape:
            problems.add(f"the state {name!r} is described as {shape}, the program takes {value.type}")
    for name in described.keys() - states.keys():
        problems.add(f"the model's description declares the state {name!r}, which the program does not take")
