"""``ReferenceModel``: a Core ML model that is loaded, checked and compiled once, and run as often as wanted.

Imports the rest of the runtime and nothing else of the package but the errors.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Optional, Union

import numpy as np

from pytest_dscoreml.errors import ExecutionError, InputError
from pytest_dscoreml.runtime import large_floats
from pytest_dscoreml.runtime.compile import compile_program
from pytest_dscoreml.runtime.declared_types import check_types
from pytest_dscoreml.runtime.description import check_agreement, check_description, is_state
from pytest_dscoreml.runtime.execute import Executable
from pytest_dscoreml.runtime.interface import Interface
from pytest_dscoreml.runtime.interface_reader import read_interface
from pytest_dscoreml.runtime.mil_reader import read_program
from pytest_dscoreml.runtime.nn_interface import NETWORKS, network_interface
from pytest_dscoreml.runtime.nn_reader import read_network
from pytest_dscoreml.runtime.passes import PASSES, PLAN_PASSES, PROGRAM_PASSES
from pytest_dscoreml.runtime.plan import Plan
from pytest_dscoreml.runtime.precision import in_double
from pytest_dscoreml.runtime.problems import Problems
from pytest_dscoreml.runtime.program import Program
from pytest_dscoreml.runtime.source import Source, open_source
from pytest_dscoreml.runtime.states import ModelState
from pytest_dscoreml.runtime.trace import Trace
from pytest_dscoreml.runtime.values import State

DEFAULT_FUNCTION = "main"
# Of iOS 26: a newer one may mean something else by the same fields.
NEWEST_SPECIFICATION = 10
# Of iOS 15.
OLDEST_WITH_PROGRAMS = 6


class ReferenceModel:
    """Runs a Core ML model in NumPy.

    ``source`` is a ``.mlmodel`` or ``.mlpackage`` path, a coremltools ``MLModel``, or a ``Model`` message; a message
    whose weights are in a file needs ``weights_dir``, the directory that holds ``weight.bin``. With
    ``compute_precision="float64"`` everything the file types as float is computed, and returned, in double.
    ``passes`` names the optimisations to apply (``PASSES`` are all of them, which is the default). ``function_name``
    chooses a function of a multi-function model; without it, it is the one that an ``MLModel`` was opened with, or the
    model's default function.

    Raises ``LoadError`` with everything that is wrong with the model: damage, operations or parameters that are not
    supported, names that are not defined. A model may be used by several threads at once.
    """

    def __init__(
        self,
        source: Any,
        *,
        compute_precision: Optional[Literal["float64"]] = None,
        weights_dir: Optional[Union[str, os.PathLike[str]]] = None,
        passes: Optional[Iterable[str]] = None,
        function_name: Optional[str] = None,
    ) -> None:
        if compute_precision not in (None, "float64"):
            raise ValueError(f"compute_precision is None or 'float64', given {compute_precision!r}")
        chosen = tuple(PASSES if passes is None else passes)
        unknown = [name for name in chosen if name not in PASSES]
        if unknown:
            raise ValueError(f"unknown passes {', '.join(unknown)} (known are {', '.join(PASSES)})")
        opened = open_source(source, weights_dir)
        self._label = opened.label
        self._double = compute_precision == "float64"
        problems = Problems(self._label)
        if function_name is None:
            function_name = getattr(source, "function_name", None)
        # A damaged weight may overflow where weights are decompressed: that is a result, and nothing to print.
        with np.errstate(all="ignore"):
            self._interface, self._program = _read(opened, problems, function_name)
        self._states = tuple(value.name for value in self._program.main.inputs if is_state(value))
        self._types = {value.name: value.type for step in self._program.main.steps for value in step.outputs}
        self._passes = chosen
        self._compile(problems)

    def _compile(self, problems: Problems) -> None:
        program = in_double(self._program) if self._double else self._program
        self._unoptimised = program
        for name, program_pass in PROGRAM_PASSES.items():
            # A program with problems is compiled as it is, so that they are told about the file's own steps.
            if name in self._passes and not problems.messages:
                program = program_pass(program)
        plan = compile_program(program, problems)
        for name, plan_pass in PLAN_PASSES.items():
            if name in self._passes:
                plan = plan_pass(plan)
        self._plan = plan
        self._executable = Executable(plan)
        self._tracing: Optional[tuple[Plan, Executable]] = None

    def with_program(self, program: Program) -> ReferenceModel:
        """A model of the same interface that runs ``program``, a rewriting of this one's; ``LoadError`` where it cannot."""
        made = copy.copy(self)
        made._program = program
        made._compile(Problems(self._label))
        return made

    @property
    def interface(self) -> Interface:
        """The declared inputs and outputs."""
        return self._interface

    @property
    def program(self) -> Program:
        """The program as the file has it, before any optimisation."""
        return self._program

    def __repr__(self) -> str:
        return f"ReferenceModel({self._label!r}, {self._program.format}, {self._program.opset})"

    def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        intermediates: Union[Literal["all"], Iterable[str], None] = None,
        state: Optional[ModelState] = None,
    ) -> dict[str, Any]:
        """The outputs for ``inputs``, by name; scalars have shape (1,).

        Results are arrays, but a classifier's label (a string or an integer) and its probabilities (a dictionary), and
        images (uint8, [height, width, 3] or [height, width]). Values may be arrays, numbers or nested lists, and images
        as arrays or PIL images; they are cast to the declared type. ``InputError`` when one is
        missing, unknown, misshapen or no number; ``ExecutionError`` naming the operation when one fails.

        A stateful model needs ``state``, from ``make_state()``, and changes it.

        ``intermediates`` adds inner values to the result: those of the given names, or ``"all"`` but constants. Values
        inside a loop come back stacked over its passes, ``[passes, *shape]``, except those that rewrite a history
        (scatter) or change their shape, which are given as after the last pass. A loop that makes no pass leaves the
        names inside it out. A neural network may write a name several times: the later values are ``name@2`` and so on,
        as in ``program``. Such runs are not optimised, and slower.
        """
        arguments: dict[str, Any]
        prepared = self._interface.prepare(inputs, self._label)
        arguments = {
            value.name: prepared[value.name].astype(self._computed(value.type.dtype), copy=False)
            for value in self._program.main.inputs
            if value.type is not None and not is_state(value)
        }
        for value in self._program.main.inputs:
            if not is_state(value) and value.type is not None and not value.type.admits(prepared[value.name].shape):
                raise InputError(
                    f"{self._label}: input {value.name!r} has shape {prepared[value.name].shape}, the program takes "
                    f"{value.type}"
                )
        arguments.update(self._held(state))
        if intermediates is None:
            return self._deliver(self._run(self._executable, arguments))
        wanted = None if intermediates == "all" else frozenset(intermediates)
        plan, executable = self._tracer()
        self._check_names(wanted)
        trace = Trace(plan, wanted)
        outputs = self._deliver(self._run(executable, arguments, trace))
        return {**trace.values(), **outputs}

    def make_state(self) -> ModelState:
        """New states, all zeros, for the predictions of one sequence; InputError when the model has none."""
        if not self._states:
            raise InputError(f"{self._label}: the model has no states")
        states: dict[str, State] = {}
        for value in self._program.main.inputs:
            if value.type is not None and value.type.element is not None and is_state(value):
                shape = tuple(size for size in value.type.element.shape or () if size is not None)
                states[value.name] = State(shape, self._computed(value.type.element.stored))
        return ModelState(states, self._label)

    def _run(
        self, executable: Executable, arguments: Mapping[str, Any], trace: Optional[Trace] = None
    ) -> Mapping[str, Any]:
        try:
            return executable.run(arguments, trace)
        except ExecutionError as error:
            # An operation knows its place in the file, but not which file that is.
            raise ExecutionError(f"{self._label}: {error}") from error.__cause__

    def _held(self, state: Optional[ModelState]) -> Mapping[str, State]:
        if state is None and self._states:
            names = ", ".join(self._states)
            raise InputError(f"{self._label}: the model has states ({names}): predict needs state=model.make_state()")
        return {} if state is None else state.of(self._states)

    def _computed(self, dtype: str) -> str:
        return "float64" if self._double and np.dtype(dtype).kind == "f" else dtype

    def _deliver(self, values: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in values.items():
            declared = self._types.get(self._program.outputs[name])
            if declared is not None and isinstance(value, np.ndarray) and not declared.admits(value.shape):
                raise ExecutionError(
                    f"{self._label}: output {name!r} has shape {value.shape}, the program declares {declared}"
                )
        try:
            with np.errstate(all="ignore"):
                return self._interface.deliver(values, self._label, keep_double=self._double)
        except MemoryError as error:
            raise ExecutionError(f"{self._label}: the outputs do not fit into memory ({error})") from None

    def _tracer(self) -> tuple[Plan, Executable]:
        if self._tracing is None:
            plan = compile_program(self._unoptimised, Problems(self._label))
            self._tracing = (plan, Executable(plan, records=True))
        return self._tracing

    def _check_names(self, wanted: Optional[frozenset[str]]) -> None:
        known = {value.name for step in self._program.main.operations() for value in step.outputs}
        unknown = sorted((wanted or frozenset()) - known)
        if unknown:
            raise InputError(f"{self._label}: there is no inner value {', '.join(map(repr, unknown))}")


def _read(opened: Source, problems: Problems, function_name: Optional[str]) -> tuple[Interface, Program]:
    message = opened.message
    kind = message.WhichOneof("Type")
    if kind not in ("mlProgram", *NETWORKS):
        problems.add(
            "the file holds no model"
            if kind is None
            else f"models of type {kind} are not supported (expected mlProgram or {', '.join(NETWORKS)})"
        )
        problems.raise_if_any()
    oldest = OLDEST_WITH_PROGRAMS if kind == "mlProgram" else 1
    if not oldest <= message.specificationVersion <= NEWEST_SPECIFICATION:
        problems.add(
            f"the file is of specification version {message.specificationVersion}, which is not known (known are {oldest} "
            f"to {NEWEST_SPECIFICATION})"
        )
    function = function_name or message.description.defaultFunctionName or DEFAULT_FUNCTION
    if function_name is not None and kind != "mlProgram":
        problems.add(f"a {kind} has no functions, {function_name!r} is asked for")
    interface = read_interface(message.description, function, problems)
    check_description(message.description, function, interface, problems)
    if kind == "mlProgram":
        program = read_program(message.mlProgram, weights_dir=opened.weights_dir, function=function, problems=problems)
        check_types(program, problems)
    else:
        network = getattr(message, kind)
        interface = network_interface(network, interface, problems)
        result = message.description.predictedFeatureName
        with large_floats.in_use(opened.floats):
            program = read_network(network, interface, message.specificationVersion, problems, result=result)
    if kind == "mlProgram":
        check_agreement(message.description, function, interface, program, problems)
    return interface, program
