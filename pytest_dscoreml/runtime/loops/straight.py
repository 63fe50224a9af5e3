"""Runs a loop as one generated Python function: straight-line code, arrays that are allocated once, rows as slices.

The first pass of a loop runs as everything else does. By then the shapes of all its values are known, and where the
carried values keep theirs, the remaining passes run as a function that is generated for these shapes (the number of
rows of a history or a sequence is left open) and kept for the next run. Operations the generator does not know are
called as they are. What is generated computes what the kernels compute, operation by operation; see ``generator``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import CodeType, TracebackType
from typing import Any, Callable, Optional

from pytest_dscoreml.errors import ExecutionError, RuntimeModelError
from pytest_dscoreml.runtime.endless import Watch
from pytest_dscoreml.runtime.loops.generator import generate
from pytest_dscoreml.runtime.loops.signatures import FILE, Generated, Shapes, open_rows, signature
from pytest_dscoreml.runtime.plan import Instruction, Loop
from pytest_dscoreml.runtime.running import Environment, failure, truth
from pytest_dscoreml.runtime.threads import one_thread

#: Kept functions of one loop; a model that is run at more combinations of shapes than this generates them anew.
_MOST_KEPT = 16
#: What ``run`` returns when the loop has ended.
ENDED = -1

Execute = Callable[[Sequence[Any], Environment], None]


class StraightLoop:
    """A loop and the functions generated for it. Threads may share it: a function keeps nothing between runs."""

    def __init__(self, loop: Loop, limit: int, runners: Mapping[int, Any], execute: Execute) -> None:
        self._loop = loop
        self._watch = Watch(loop)
        self._limit = limit
        self._runners = runners
        self._execute = execute
        self._condition = [runners[id(instruction)] for instruction in loop.condition]
        self._body = [runners[id(instruction)] for instruction in loop.body]
        self._read = tuple(sorted(loop.reads - set(loop.sources) | set(loop.carried)))
        self._outer = tuple(slot for slot in sorted(loop.reads) if slot in _read_inside(loop))
        self._open = open_rows(loop)
        self._kept: dict[Any, Optional[Generated]] = {}

    def run(self, environment: Environment) -> int:
        """Run the loop, whose carried slots are set: ``ENDED``, or how many passes were made before giving up."""
        shapes = self._entry(environment)
        key = tuple(sorted(shapes.items()))
        passes = 0
        if key not in self._kept:
            before = self._watch.look(environment)
            if not self._pass(environment):
                return ENDED
            self._watch.check(before, environment)
            passes = 1
            self._keep(key, self._generate(environment, shapes))
        generated = self._kept.get(key)
        if generated is None or not generated.admits(environment, self._limit):
            return passes
        self._call(generated, environment, passes)
        return ENDED

    def _entry(self, environment: Environment) -> Shapes:
        return {
            slot: signature(environment[slot], open_rows=slot in self._open)
            for slot in (*self._loop.carried, *self._outer)
        }

    def _keep(self, key: Any, generated: Optional[Generated]) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept = {}
        self._kept[key] = generated

    def _pass(self, environment: Environment) -> bool:
        """One pass as the file has it; whether there was one."""
        loop = self._loop
        if loop.condition_slot is not None:
            self._execute(self._condition, environment)
            if not truth(environment[loop.condition_slot]):
                return False
        if self._limit == 0:
            return False
        self._execute(self._body, environment)
        results = [environment[slot] for slot in loop.produced]
        for slot, value in zip(loop.carried, results):
            environment[slot] = value
        return True

    def _generate(self, environment: Environment, entry: Shapes) -> Optional[Generated]:
        """The function for these shapes, None where the loop changes them or cannot be counted on to keep them."""
        if any(signature(environment[s], open_rows=s in self._open) != entry[s] for s in self._loop.carried):
            return None
        inside = {slot for code in (self._loop.condition, self._loop.body) for one in code for slot in one.writes}
        shapes = {slot: signature(environment[slot], open_rows=False) for slot in inside}
        return generate(self._loop, self._limit, entry, shapes, self._runners)

    def _call(self, generated: Generated, environment: Environment, passes: int) -> None:
        try:
            with one_thread.when(generated.small_products):
                generated.function(environment, passes)
        except RuntimeModelError:
            raise
        except Exception as error:
            instruction, values = _where(error.__traceback__, generated)
            if instruction is None:
                raise
            for slot in instruction.reads:
                if environment[slot] is None:
                    environment[slot] = values.get(generated.names.get(slot, ""))
            raise ExecutionError(failure(instruction, environment, error)) from error


def _read_inside(loop: Loop) -> set[int]:
    inside = set(loop.produced)
    for instruction in (*loop.condition, *loop.body):
        inside |= instruction.reads
    return inside


def _where(traceback: Optional[TracebackType], generated: Generated) -> tuple[Optional[Instruction], Mapping[str, Any]]:
    """The operation whose line failed, and the values that stood there."""
    while traceback is not None:
        code: CodeType = traceback.tb_frame.f_code
        if code.co_filename == FILE:
            return generated.lines.get(traceback.tb_lineno), dict(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next
    return None, {}
