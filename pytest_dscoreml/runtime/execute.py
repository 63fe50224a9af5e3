"""Runs a plan: each instruction becomes a closure over its slots, and a run is a list that they read and fill.

Imports only NumPy, the errors, the plan and what checks results.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import ExecutionError, RuntimeModelError
from pytest_dscoreml.runtime.endless import Watch
from pytest_dscoreml.runtime.loops.straight import StraightLoop
from pytest_dscoreml.runtime.plan import EXECUTOR_SLOT, Branch, Call, Code, Instruction, Loop, Plan
from pytest_dscoreml.runtime.results import check_result, storing_anything, storing_shaped
from pytest_dscoreml.runtime.running import LOOP_LIMIT, failure, truth

Environment = list[Any]
Runner = Callable[[Environment], None]
# Called after each call with its slots' names and values; see ``trace.Trace``.
Recorder = Callable[[Call, Sequence[Any]], None]


class Executable:
    """An assembled plan. It keeps nothing between runs, so that threads may share it."""

    def __init__(self, plan: Plan, *, records: bool = False) -> None:
        self._plan = plan
        self._records = records
        self._rank_one = any(call.place.kind == "layer" for call in plan.calls())
        self._origin: dict[Runner, Instruction] = {}
        self._template: Environment = [None] * plan.slots
        for slot, value in plan.constants.items():
            self._template[slot] = value
        self._code = self._assemble(plan.code)

    def run(self, inputs: Mapping[str, NDArray[Any]], record: Optional[Recorder] = None) -> dict[str, NDArray[Any]]:
        """The outputs for ``inputs``, both by name. ExecutionError names the operation that failed."""
        environment = list(self._template)
        environment[EXECUTOR_SLOT] = record
        for name, slot in self._plan.inputs.items():
            environment[slot] = inputs[name]
        with np.errstate(all="ignore"):
            self._execute(self._code, environment)
        return {name: environment[slot] for name, slot in self._plan.outputs.items()}

    def _execute(self, code: Sequence[Runner], environment: Environment) -> None:
        run: Optional[Runner] = None
        try:
            for run in code:
                run(environment)
        except RuntimeModelError:
            raise
        except Exception as error:
            # Kernels raise what NumPy raises; the user gets one kind of error, with the operation named.
            instruction = self._origin[run] if run is not None else None
            raise ExecutionError(failure(instruction, environment, error)) from error

    def _assemble(self, code: Code, *, frees: bool = True) -> list[Runner]:
        runners: list[Runner] = []
        for instruction in code:
            if isinstance(instruction, Call):
                runner = self._call(instruction)
            elif isinstance(instruction, Loop):
                runner = self._loop(instruction)
            else:
                runner = self._branch(instruction)
            if instruction.frees and frees:
                runner = _freeing(runner, instruction.frees)
            self._origin[runner] = instruction
            runners.append(runner)
        return runners

    def _call(self, call: Call) -> Runner:
        compute = computation(call)
        fit = _cast if call.kernel.casts else _fit_vector if self._rank_one else _fit
        if len(call.writes) == 1:
            (slot,), dtype = call.writes, call.dtypes[0]
            declared = call.step.outputs[0].type
            if dtype is None:
                runner = storing_anything(compute, slot, declared)
            elif declared is None or declared.shape is None:
                runner = _storing(compute, slot, np.dtype(dtype), fit)
            else:
                runner = storing_shaped(compute, slot, np.dtype(dtype), fit, declared)
        else:
            runner = _storing_many(compute, call, fit)
        return _recording(runner, call) if self._records else runner

    def _loop(self, loop: Loop) -> Runner:
        condition, body = self._assemble(loop.condition), self._assemble(loop.body)
        entry = tuple(
            (source, slot, index in loop.private)
            for index, (source, slot) in enumerate(zip(loop.sources, loop.carried))
        )
        limit = LOOP_LIMIT if loop.limit is None else loop.limit
        execute, tested = self._execute, loop.condition_slot
        carried, produced, writes = loop.carried, loop.produced, loop.writes
        inner = {slot for instruction in (*loop.condition, *loop.body) for slot in instruction.writes}
        stale = tuple(inner | set(carried))
        straight = self._straight(loop, limit) if loop.straight and not self._records else None
        watch = Watch(loop)

        def run(environment: Environment) -> None:
            for source, slot, private in entry:
                value = environment[source]
                environment[slot] = value.copy() if private else value
            passes = 0 if straight is None else straight.run(environment)
            before = watch.look(environment) if passes == 0 else None
            while passes >= 0:
                if tested is not None:
                    execute(condition, environment)
                    if not truth(environment[tested]):
                        break
                if passes == limit:
                    if loop.limit is None:
                        raise ValueError(f"it has not ended after {LOOP_LIMIT} passes")
                    break
                execute(body, environment)
                results = [environment[slot] for slot in produced]
                for slot, value in zip(carried, results):
                    environment[slot] = value
                if passes == 0:
                    watch.check(before, environment)
                passes += 1
            results = [environment[slot] for slot in carried]
            for slot in stale:
                environment[slot] = None
            for slot, value in zip(writes, results):
                environment[slot] = value

        return run

    def _straight(self, loop: Loop, limit: int) -> StraightLoop:
        runners = {
            id(instruction): runner
            for code in (loop.condition, loop.body)
            for instruction, runner in zip(code, self._assemble(code, frees=False))
        }
        return StraightLoop(loop, limit, runners, self._execute)

    def _branch(self, branch: Branch) -> Runner:
        codes = (self._assemble(branch.blocks[0]), self._assemble(branch.blocks[1]))
        execute = self._execute

        def run(environment: Environment) -> None:
            chosen = 0 if truth(environment[branch.predicate]) else 1
            execute(codes[chosen], environment)
            results = [environment[slot] for slot in branch.results[chosen]]
            for slot, value in zip(branch.writes, results):
                environment[slot] = value

        return run


def computation(call: Call) -> Callable[[Any], Any]:
    """The kernel call as a function of the environment: anything that gives values by slot."""
    function: Callable[..., Any] = call.kernel.function
    if call.fixed:
        fixed = dict(call.fixed)
        if call.kernel.overwrites in fixed:
            # A constant must survive the call that would overwrite it.
            function = _with_copy(function, call.kernel.overwrites, fixed.pop(call.kernel.overwrites))
        function = functools.partial(function, **fixed)
    arguments = [
        (argument.name, argument.slots, argument.sequence, _adaption(call, argument.name, argument.adapt))
        for argument in call.arguments
    ]
    simple = [(name, slots[0]) for name, slots, sequence, adapt in arguments if not sequence and adapt is None and name]
    if len(simple) == len(arguments) and len(simple) in (1, 2, 3):
        return _simple_computation(function, [(str(name), slot) for name, slot in simple])
    if all(name is None and adapt is None for name, _, _, adapt in arguments):
        positions = [slots[0] for _, slots, _, _ in arguments]
        return lambda environment: function(*[environment[slot] for slot in positions])

    def compute(environment: Environment) -> Any:
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for name, slots, sequence, adapt in arguments:
            value: Any
            if sequence:
                value = [environment[slot] if adapt is None else adapt(environment[slot]) for slot in slots]
            else:
                value = environment[slots[0]] if adapt is None else adapt(environment[slots[0]])
            if name is None:
                positional.append(value)
            else:
                named[name] = value
        return function(*positional, **named)

    return compute


def _simple_computation(function: Callable[..., Any], named: list[tuple[str, int]]) -> Callable[[Environment], Any]:
    """One to three named arguments, read as they are: what nearly all calls in a loop are."""
    if len(named) == 1:
        ((name, slot),) = named
        return lambda environment: function(**{name: environment[slot]})
    if len(named) == 2:
        (first, one), (second, two) = named
        return lambda environment: function(**{first: environment[one], second: environment[two]})
    (first, one), (second, two), (third, three) = named
    return lambda environment: function(
        **{first: environment[one], second: environment[two], third: environment[three]}
    )


def _adaption(call: Call, name: Optional[str], adapt: Optional[Callable[[Any], Any]]) -> Optional[Callable[[Any], Any]]:
    if name is not None and name == call.kernel.overwrites and call.copies:
        return np.array
    return adapt


def _with_copy(function: Callable[..., Any], name: str, value: Any) -> Callable[..., Any]:
    return lambda **others: function(**{name: np.array(value)}, **others)


def _storing(compute: Callable[[Environment], Any], slot: int, dtype: np.dtype[Any], fit: Callable[..., Any]) -> Runner:
    def run(environment: Environment) -> None:
        result = compute(environment)
        if result.__class__ is not np.ndarray or result.dtype is not dtype or not result.ndim:
            result = fit(result, dtype)
        environment[slot] = result

    return run


def _storing_many(compute: Callable[[Environment], Any], call: Call, fit: Callable[..., Any]) -> Runner:
    dtypes = [None if dtype is None else np.dtype(dtype) for dtype in call.dtypes]
    declared = [value.type for value in call.step.outputs]

    def run(environment: Environment) -> None:
        results = compute(environment)
        if not isinstance(results, (list, tuple)) or len(results) != len(call.writes):
            got = len(results) if isinstance(results, (list, tuple)) else 1
            raise ValueError(f"it yields {got} values, {len(call.writes)} are declared")
        for slot, result, dtype, kind in zip(call.writes, results, dtypes, declared):
            environment[slot] = result if dtype is None else fit(result, dtype)
            check_result(environment[slot], kind)

    return run


def _recording(runner: Runner, call: Call) -> Runner:
    writes = call.writes

    def run(environment: Environment) -> None:
        runner(environment)
        environment[EXECUTOR_SLOT](call, [environment[slot] for slot in writes])

    return run


def _freeing(runner: Runner, slots: tuple[int, ...]) -> Runner:
    def run(environment: Environment) -> None:
        runner(environment)
        for slot in slots:
            environment[slot] = None

    return run


def _fit(result: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The result in its declared type; floats are rounded, but never turned into integers silently."""
    array = np.asarray(result)
    if array.dtype == dtype:
        return array
    if array.dtype.kind != dtype.kind and {array.dtype.kind, dtype.kind} != {"i", "u"}:
        raise ValueError(f"the result is {array.dtype.name}, the file declares {dtype.name}")
    return array.astype(dtype)


def _cast(result: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The result in its declared type, whatever it was computed in."""
    return np.asarray(result).astype(dtype, copy=False)


def _fit_vector(result: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """As a neural network has it: everything is a float, and nothing has rank 0."""
    array = np.asarray(result)
    if array.dtype != dtype:
        array = array.astype(dtype)
    return array if array.ndim else array.reshape(1)
