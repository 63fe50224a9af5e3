"""Turns a program into a plan: names become slots, steps become bound instructions, and every fault is noted.

Imports only the runtime's forms and the binder.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.bind import adapter, bind, ios_version, place_of, registry_of
from pytest_dscoreml.runtime.plan import EXECUTOR_SLOT, Argument, Branch, Call, Code, Instruction, Loop, Plan
from pytest_dscoreml.runtime.problems import Place, Problems
from pytest_dscoreml.runtime.program import (
    BRANCHES,
    LOOPS,
    NEURALNETWORK,
    NO_NUMBERS,
    UNREADABLE,
    Block,
    Constant,
    Operand,
    Program,
    Ref,
    Step,
    TensorType,
    Value,
    is_numeric,
)
from pytest_dscoreml.runtime.running import LOOP_LIMIT


def compile_program(program: Program, problems: Problems) -> Plan:
    """The plan of ``program``; LoadError with everything that is wrong."""
    return _Compiler(program, problems).plan()


class _Scope:
    """The names visible at a point, with their slots and declared types."""

    def __init__(self, outer: Optional[_Scope] = None) -> None:
        self.slots: dict[str, int] = dict(outer.slots) if outer else {}
        self.types: dict[str, Optional[TensorType]] = dict(outer.types) if outer else {}


class _Compiler:
    def __init__(self, program: Program, problems: Problems) -> None:
        self._program = program
        self._problems = problems
        self._registry = registry_of(program.format)
        self._ios = ios_version(program)
        self._count = EXECUTOR_SLOT + 1
        self._constants: dict[int, Any] = {}
        self._names: dict[int, str] = {}

    def plan(self) -> Plan:
        scope = _Scope()
        main = self._program.main
        inputs = {value.name: self._define(value, scope, None) for value in main.inputs}
        code = self._code(main, scope)
        outputs: dict[str, int] = {}
        for output, name in self._program.outputs.items():
            if name in scope.slots:
                outputs[output] = scope.slots[name]
            else:
                self._problems.add(f"the model's output {output!r} is not defined by the program")
        self._problems.raise_if_any()
        return Plan(code, self._count, self._constants, inputs, outputs, self._names)

    def _code(self, block: Block, scope: _Scope) -> Code:
        instructions: list[Instruction] = []
        for step in block.steps:
            place = place_of(step, self._program)
            if step.op in LOOPS:
                instruction: Optional[Instruction] = self._loop(step, place, scope)
            elif step.op in BRANCHES:
                instruction = self._branch(step, place, scope)
            else:
                instruction = self._call(step, place, scope)
            if instruction is not None:
                instructions.append(instruction)
        return tuple(instructions)

    def _call(self, step: Step, place: Place, scope: _Scope) -> Optional[Call]:
        self._check_defined(step, place, scope)
        binding = bind(step, place, self._registry, self._ios, self._problems)
        if step.blocks:
            self._problems.add(place.says("has nested blocks, which only loops and branches may have"))
        arguments: list[Argument] = []
        for parameter, operand in binding.dynamic if binding else ():
            half = any(self._is_half(item, scope) for item in _items(operand))
            slots = tuple(self._slot(item, scope) for item in _items(operand))
            sequence = parameter is not None and parameter.kind in ("arrays", "values")
            if len(slots) != 1 and not sequence:
                self._problems.add(
                    place.says(f"gives {len(slots)} values for {parameter.name if parameter else 'an input'}")
                )
            adapt = adapter(parameter, half=half, wide=binding is not None and binding.kernel.wide)
            arguments.append(Argument(parameter.name if parameter else None, slots, sequence, adapt))
        writes = tuple(self._define(value, scope, place) for value in step.outputs)
        if not writes and (binding is None or binding.kernel.pure):
            self._problems.add(place.says("has no outputs"))
        if binding is None:
            return None
        dtypes = tuple(self._result_dtype(value, place) for value in step.outputs)
        return Call(step, place, binding.kernel, binding.fixed, tuple(arguments), writes, dtypes)

    def _loop(self, step: Step, place: Place, scope: _Scope) -> Optional[Loop]:
        self._check_defined(step, place, scope)
        parameters = dict(step.parameters)
        limit = parameters.pop("maxLoopIterations", None)
        for name in parameters:
            self._problems.add(place.says(f"sets {name}, which the kernel does not take (it takes loop_vars)"))
        if len(step.blocks) != 2:
            self._problems.add(place.says(f"has {len(step.blocks)} blocks, expected a condition and a body"))
            self._refused(step, place, scope)
            return None
        condition, body = step.blocks
        count = len(step.operands)
        lengths = (len(condition.inputs), len(body.inputs), len(body.outputs), len(step.outputs))
        if any(length != count for length in lengths) or len(condition.outputs) > 1:
            self._problems.add(
                place.says(
                    f"carries {count} values, its condition takes {lengths[0]}, its body takes {lengths[1]} and "
                    f"yields {lengths[2]}, and it defines {lengths[3]}"
                )
            )
            self._refused(step, place, scope)
            return None
        sources = tuple(self._slot(_items(operand)[0], scope) for operand in step.operands)
        inner = _Scope(scope)
        carried = tuple(self._define(value, inner, place) for value in condition.inputs)
        condition_code = self._code(condition, inner)
        condition_slot = self._output(condition.outputs[0], inner, place) if condition.outputs else None
        # A neural network has one name space, so its body sees what the condition defines.
        body_scope = inner if self._program.format == NEURALNETWORK else _Scope(scope)
        for value, slot in zip(body.inputs, carried):
            self._bind_name(value, slot, body_scope, place, again=body_scope is inner)
        body_code = self._code(body, body_scope)
        produced = tuple(self._output(name, body_scope, place) for name in body.outputs)
        writes = tuple(self._define(value, scope, place) for value in step.outputs)
        most = int(limit.value) if isinstance(limit, Constant) else None
        if most is not None and most > LOOP_LIMIT:
            # A damaged file may name any number: then it must end by itself.
            most = None
        return Loop(step, place, sources, carried, condition_code, condition_slot, body_code, produced, writes, most)

    def _branch(self, step: Step, place: Place, scope: _Scope) -> Optional[Branch]:
        self._check_defined(step, place, scope)
        operands = [*step.operands, *step.parameters.values()]
        unknown = set(step.parameters) - {"pred"}
        for name in unknown:
            self._problems.add(place.says(f"sets {name}, which the kernel does not take (it takes pred)"))
        conditions = [item for operand in operands for item in _items(operand)]
        if len(step.blocks) != 2 or len(conditions) != 1 or any(block.inputs for block in step.blocks):
            self._problems.add(place.says("must have one condition and two blocks without inputs"))
            self._refused(step, place, scope)
            return None
        if any(len(block.outputs) != len(step.outputs) for block in step.blocks):
            self._problems.add(place.says("has blocks that yield another number of values than it defines"))
            self._refused(step, place, scope)
            return None
        codes: list[Code] = []
        results: list[tuple[int, ...]] = []
        for block in step.blocks:
            inner = _Scope(scope)
            codes.append(self._code(block, inner))
            results.append(tuple(self._output(name, inner, place) for name in block.outputs))
        predicate = self._slot(conditions[0], scope)
        writes = tuple(self._define(value, scope, place) for value in step.outputs)
        return Branch(step, place, predicate, (codes[0], codes[1]), (results[0], results[1]), writes)

    def _refused(self, step: Step, place: Place, scope: _Scope) -> None:
        """Define the results of a step that was refused, so that those who read them are not blamed."""
        for value in step.outputs:
            self._define(value, scope, place)

    def _check_defined(self, step: Step, place: Place, scope: _Scope) -> None:
        for reference in step.references():
            if reference.name not in scope.slots and reference is not UNREADABLE:
                self._problems.add(place.says(f"reads {reference.name!r}, which is not defined before it"))

    def _output(self, name: str, scope: _Scope, place: Place) -> int:
        if name not in scope.slots:
            self._problems.add(place.says(f"has a block that yields {name!r}, which is not defined in it"))
        return scope.slots.get(name, EXECUTOR_SLOT)

    def _slot(self, item: Any, scope: _Scope) -> int:
        if isinstance(item, Ref):
            return scope.slots.get(item.name, EXECUTOR_SLOT)
        self._constants[self._count] = item.value
        self._count += 1
        return self._count - 1

    def _define(self, value: Value, scope: _Scope, place: Optional[Place]) -> int:
        slot = self._count
        self._count += 1
        self._names[slot] = value.name
        self._bind_name(value, slot, scope, place)
        return slot

    def _bind_name(
        self, value: Value, slot: int, scope: _Scope, place: Optional[Place], *, again: bool = False
    ) -> None:
        if value.name in scope.slots and not again:
            text = f"defines {value.name!r}, which is defined already"
            self._problems.add(place.says(text) if place else f"the program {text}")
        scope.slots[value.name] = slot
        scope.types[value.name] = value.type

    def _is_half(self, item: Any, scope: _Scope) -> bool:
        if isinstance(item, Constant):
            return isinstance(item.value, np.ndarray) and item.value.dtype == np.float16
        declared = scope.types.get(item.name)
        return declared is not None and declared.dtype == "float16"

    def _result_dtype(self, value: Value, place: Place) -> Optional[str]:
        if value.type is None:
            self._problems.add(place.says(f"defines {value.name!r} of a kind that is not supported (a tuple)"))
            return None
        if value.type.dtype in NO_NUMBERS:
            return None
        if is_numeric(value.type.stored):
            return value.type.stored
        self._problems.add(place.says(f"defines {value.name!r} of type {value.type.dtype}, which is not supported"))
        return None


def _items(operand: Operand) -> tuple[Any, ...]:
    return operand if isinstance(operand, tuple) else (operand,)
