"""Binds a step to its kernel: finds it, checks every parameter against its signature, brings constants into form.

Imports only the runtime's registry and forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

import numpy as np

from pytest_dscoreml.runtime.problems import Place, Problems
from pytest_dscoreml.runtime.program import MLPROGRAM, NEURALNETWORK, OPSETS, Constant, Operand, Program, Ref, Step
from pytest_dscoreml.runtime.registry import Kernel, Parameter, Registry, is_half, mil, nn, record_parameters


@dataclass(frozen=True)
class Binding:
    """A kernel with its arguments: ``fixed`` ones are in final form, ``dynamic`` ones are operands yet to be read.

    A dynamic argument is (parameter, operand, adapter); the parameter's name is ``None`` for the inputs of a variadic
    kernel, which go by position.
    """

    kernel: Kernel
    fixed: dict[str, Any]
    dynamic: tuple[tuple[Optional[Parameter], Operand], ...]


def registry_of(program_format: str) -> Registry:
    """The kernels of a format."""
    # Registration happens on import, and importing it here keeps the kernels out of the readers' dependencies.
    import pytest_dscoreml.runtime.kernels  # noqa: F401

    return {MLPROGRAM: mil, NEURALNETWORK: nn}[program_format]


def ios_version(program: Program) -> int:
    """The iOS version of an ML Program's opset (``CoreML5`` is iOS 15); 0 for neural networks."""
    return OPSETS[program.opset] if program.format == MLPROGRAM else 0


def place_of(step: Step, program: Program) -> Place:
    """How messages name ``step``."""
    kind = "operation" if program.format == MLPROGRAM else "layer"
    return Place(kind, step.op, step.name, step.location, program.opset)


def bind(step: Step, place: Place, registry: Registry, ios: int, problems: Problems) -> Optional[Binding]:
    """The binding of ``step``, or ``None`` with the reasons noted."""
    kernel = registry.find(step.op, ios)
    if kernel is None:
        problems.add(place.says("is not supported by the runtime"))
        return None
    before = len(problems.messages)
    given: list[tuple[Optional[Parameter], Operand]] = []
    inputs = kernel.inputs
    if kernel.variadic:
        given += [(None, operand) for operand in step.operands]
        if not step.operands:
            problems.add(place.says("has no inputs"))
    else:
        if len(step.operands) > len(inputs):
            problems.add(place.says(f"has {len(step.operands)} inputs, the kernel takes {len(inputs)}"))
        given += list(zip(inputs, step.operands))
        for parameter in inputs[len(step.operands) :]:
            if parameter.required:
                problems.add(place.says(f"has {len(step.operands)} inputs, {parameter.name} is missing"))
    for name in step.parameters:
        if name not in kernel.parameters:
            problems.add(place.says(f"sets {name}, which the kernel does not take (it takes {kernel.accepts})"))
    for name, parameter in kernel.parameters.items():
        if name in step.parameters:
            given.append((parameter, step.parameters[name]))
        elif parameter.required:
            problems.add(place.says(f"does not set {name}, which it must"))
    fixed: dict[str, Any] = {}
    dynamic: list[tuple[Optional[Parameter], Operand]] = []
    for described, operand in given:
        if described is None or not _is_constant(operand):
            dynamic.append((described, operand))
            continue
        try:
            fixed[described.name] = _fix(operand, described, kernel)
        except ValueError as error:
            problems.add(place.says(f"sets {described.name} to {error}"))
    if len(problems.messages) > before:
        return None
    return Binding(kernel, fixed, tuple(dynamic))


def adapter(parameter: Optional[Parameter], *, half: bool, wide: bool) -> Optional[Callable[[Any], Any]]:
    """What turns a value into the form the parameter asks for while running; ``None`` for nothing to do."""
    kind = "array" if parameter is None else parameter.kind
    if kind in ("array", "arrays"):
        return widen if wide and half else None
    if kind in ("values", "list", "state", "record", "records"):
        return None
    return _FORMS[kind]


def widen(value: Any) -> Any:
    """A float16 array in float32, anything else as it is."""
    return value.astype(np.float32) if is_half(value) else value


def _is_constant(operand: Operand) -> bool:
    return all(isinstance(item, Constant) for item in (operand if isinstance(operand, tuple) else (operand,)))


def _fix(operand: Operand, parameter: Parameter, kernel: Kernel) -> Any:
    """A constant in the form that ``parameter`` asks for; ValueError says what it is instead."""
    items = [
        item.value for item in (operand if isinstance(operand, tuple) else (operand,)) if isinstance(item, Constant)
    ]
    if parameter.kind == "arrays":
        return [_array(item, kernel) for item in items]
    if parameter.kind == "values":
        return items
    if len(items) != 1:
        raise ValueError(f"{len(items)} values, expected one")
    if parameter.kind == "array":
        return _array(items[0], kernel)
    if parameter.form is not None:
        return _records(items[0], parameter)
    if parameter.kind in ("list", "state"):
        raise ValueError(f"{_described(items[0])}, expected a {parameter.kind}")
    return _FORMS[parameter.kind](items[0])


def _records(value: Any, parameter: Parameter) -> Any:
    """The record, or the tuple of records, that a nested message or several of them make."""
    assert parameter.form is not None
    if parameter.kind == "record":
        return _record(value, parameter.form)
    if not isinstance(value, tuple):
        raise ValueError(f"{_described(value)}, expected messages")
    return tuple(_record(item, parameter.form) for item in value)


def _record(value: Any, form: type) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{_described(value)}, expected a message")
    known = record_parameters(form)
    for name in value:
        if name not in known:
            raise ValueError(
                f"a message with {name}, which the kernel does not take (it takes {', '.join(known) or 'nothing'})"
            )
    arguments: dict[str, Any] = {}
    for name, parameter in known.items():
        if name not in value:
            if parameter.required:
                raise ValueError(f"a message without {name}, which must be set")
        elif parameter.form is not None:
            arguments[name] = _records(value[name], parameter)
        elif parameter.kind == "array":
            arguments[name] = value[name]
        else:
            arguments[name] = _FORMS[parameter.kind](value[name])
    return form(**arguments)


def _array(value: Any, kernel: Kernel) -> Any:
    # A const operation may hold strings; only its own kernel sees them as its value.
    if not isinstance(value, np.ndarray) and kernel.op != "const":
        raise ValueError(f"{value!r}, expected an array")
    return widen(value) if kernel.wide else value


def _scalar(value: Any, kinds: str, name: str) -> Any:
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in kinds:
        return value.reshape(()).item()
    raise ValueError(f"{_described(value)}, expected {name}")


def _integer(value: Any) -> int:
    number = _scalar(value, "iubf", "an integer")
    if isinstance(number, float) and not number.is_integer():
        raise ValueError(f"{number}, expected an integer")
    return int(number)


def _vector(value: Any, name: str) -> list[Any]:
    if isinstance(value, np.ndarray) and value.ndim <= 1 and value.dtype.kind in "iubf":
        listed = value.reshape(-1).tolist()
        return list(listed)
    raise ValueError(f"{_described(value)}, expected {name}")


def _integers(value: Any) -> tuple[int, ...]:
    listed = _vector(value, "a vector of integers")
    whole = tuple(int(item) for item in listed if item == item and abs(item) != float("inf"))
    if list(whole) != listed:
        raise ValueError(f"{listed}, expected integers")
    return whole


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{_described(value)}, expected a string")


def _labels(value: Any) -> tuple[Any, ...]:
    if isinstance(value, tuple):
        return value
    raise ValueError(f"{_described(value)}, expected a list of strings or integers")


def _described(value: Any) -> str:
    return f"{value.dtype.name}{value.shape}" if isinstance(value, np.ndarray) else repr(value)


_FORMS: dict[str, Callable[[Any], Union[int, float, bool, str, tuple[Any, ...]]]] = {
    "int": _integer,
    "float": lambda value: float(_scalar(value, "iubf", "a number")),
    "bool": lambda value: bool(_scalar(value, "iubf", "a truth value")),
    "str": _string,
    "ints": _integers,
    "floats": lambda value: tuple(float(item) for item in _vector(value, "a vector of numbers")),
    "bools": lambda value: tuple(bool(item) for item in _vector(value, "a vector of truth values")),
    "labels": _labels,
}


def references(operand: Operand) -> list[Ref]:
    """The names in one operand."""
    return [item for item in (operand if isinstance(operand, tuple) else (operand,)) if isinstance(item, Ref)]
