"""Walks a converted model in its order beside TensorFlow's values, and finds the first operation that departs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_dscoreml.agreement.tolerances import Tolerance
from pytest_dscoreml.divergence.expected import Expected
from pytest_dscoreml.divergence.matching import Match, Matcher
from pytest_dscoreml.divergence.quantities import Array
from pytest_dscoreml.runtime.program import CONSTANTS, LOOPS, Block, Constant, Program, Ref, Step


@dataclass(frozen=True)
class Departure:
    """The first operation whose result departs although what it is given agrees.

    Attributes:
        step: the operation or layer.
        result: the name of the result.
        match: that result beside TensorFlow's.
        inputs: what it is given, by name, beside TensorFlow's.
        loop: the loop it stands in; empty outside.
        between: operations in front of it, back to what agrees, that have no counterpart in TensorFlow.
        agreeing: how many results before it agree.
        constants: those of the program, by name.
    """

    step: Step
    result: str
    match: Match
    inputs: Mapping[str, Match]
    loop: str
    between: tuple[str, ...]
    agreeing: int
    constants: Mapping[str, Any]

    @property
    def attributes(self) -> dict[str, Any]:
        """What the file says of the operation: its constant parameters, large ones by type and shape."""
        positional = ((operand.name, operand) for operand in self.step.operands if isinstance(operand, Ref))
        found = {}
        for name, value in (*positional, *self.step.parameters.items()):
            if isinstance(value, Constant):
                found[name] = _plain(value)
            elif isinstance(value, Ref) and value.name in self.constants:
                found[name] = self.constants[value.name]
        return found


def first_departure(
    program: Program, obtained: Mapping[str, Array], expected: Expected, tolerance: Tolerance
) -> Departure | None:
    """The first departure of a call, or None where no result departs.

    Args:
        program: the file's, as it stands there.
        obtained: the call's inner values by name, those in loops stacked over the passes.
        expected: the same call in TensorFlow.
        tolerance: how far a value may be off, as a part of the largest of them.
    """
    walk = _walked(program, obtained, expected, tolerance)
    found = [(place, departure) for place, departure in walk.departures if walk.is_first(departure)]
    return min(found, key=lambda one: one[0])[1] if found else None


def counterparts(
    program: Program, obtained: Mapping[str, Array], expected: Expected, tolerance: Tolerance
) -> Mapping[str, Match]:
    """Every result of a call by its name, beside TensorFlow's; the arguments are those of `first_departure`."""
    return _walked(program, obtained, expected, tolerance).matches


def _walked(program: Program, obtained: Mapping[str, Array], expected: Expected, tolerance: Tolerance) -> _Walk:
    walk = _Walk(Matcher(expected, tolerance), obtained)
    walk.block(program.main, loop=None)
    return walk


@dataclass
class _Walk:
    """What has been seen of a program: every result, beside TensorFlow's."""

    matcher: Matcher
    obtained: Mapping[str, Array]
    matches: dict[str, Match] = field(default_factory=dict)
    makers: dict[str, Step] = field(default_factory=dict)
    #: Where each departure stands: the operation outside of loops, the pass, the operation in it.
    departures: list[tuple[tuple[int, int, int], Departure]] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    readers: dict[str, list[Step]] = field(default_factory=dict)
    handed_out: set[str] = field(default_factory=set)
    _place: int = 0

    def block(self, block: Block, loop: Step | None) -> None:
        """All operations of a block, and of the blocks in them."""
        for number, step in enumerate(block.steps):
            if step.op in CONSTANTS:
                self.constants.update({value.name: _held(step) for value in step.outputs})
                continue
            if loop is None:
                self._place = number
            # The condition of a loop counts; what the body does is what is compared.
            for nested in step.blocks[1:] if step.op in LOOPS else step.blocks:
                self.block(nested, step if step.op in LOOPS else loop)
            self._consumers(step, block)
            for value in step.outputs:
                self.makers[value.name] = step
                if value.name in self.obtained:
                    self._result(step, value.name, self.obtained[value.name], loop, number)

    def _consumers(self, step: Step, block: Block) -> None:
        """Note who reads what; values that a block hands out are read by whoever reads on."""
        for ref in step.references():
            self.readers.setdefault(ref.name, []).append(step)
        self.handed_out.update(block.outputs)

    def _result(self, step: Step, name: str, obtained: Array, loop: Step | None, number: int) -> None:
        match = self._match(name, obtained, loop, step)
        self.matches[name] = match
        if match.departs is None or not match.is_known:
            return
        inputs = {ref.name: self.matches[ref.name] for ref in step.references() if ref.name in self.matches}
        place = (self._place, match.departs, number) if loop is not None else (self._place, -1, 0)
        between = self._between(step)
        agreeing = sum(one.agrees for one in self.matches.values())
        departure = Departure(
            step, name, match, inputs, "" if loop is None else loop.name, between, agreeing, self.constants
        )
        self.departures.append((place, departure))

    def _match(self, name: str, obtained: Array, loop: Step | None, step: Step) -> Match:
        if loop is None:
            match = self.matcher.named(name, obtained)
            return self.matcher.valued(obtained) if match is None else match
        rewritten = step.op.startswith("scatter")
        if rewritten:
            return self.matcher.valued(obtained)
        claimed = [self.matcher.quantity(one) for one in self.matches.values() if one.agrees]
        given = [self.matches[ref.name] for ref in step.references() if ref.name in self.matches]
        sources = [self.matcher.quantity(one) for one in given if one.is_known and one.departs != 0]
        return self.matcher.stepwise(obtained, sources, claimed)

    def is_first(self, departure: Departure) -> bool:
        """Whether everything it is given agrees, at the step at which it departs, and the difference goes on from it."""
        given = all(self._agrees_before(name, departure.match.departs or 0, set()) for name in departure.inputs)
        return given and self._goes_on(departure.result, set())

    def _goes_on(self, name: str, seen: set[str]) -> bool:
        """Whether something that is made of a result departs, or it leaves the loop or the model as it is."""
        if name in self.handed_out:
            return True
        seen.add(name)
        for reader in self.readers.get(name, []):
            for value in reader.outputs:
                match = self.matches.get(value.name)
                if match is None or (match.is_known and not match.agrees):
                    return True
                if not match.is_known and value.name not in seen and self._goes_on(value.name, seen):
                    return True
        return False

    def _agrees_before(self, name: str, step: int, seen: set[str]) -> bool:
        match = self.matches.get(name)
        if match is None or match.agrees or name in seen:
            return True
        if match.is_known:
            return (match.departs or 0) > step
        seen.add(name)
        return all(self._agrees_before(ref.name, step, seen) for ref in self.makers[name].references())

    def _between(self, step: Step) -> tuple[str, ...]:
        """The results without a counterpart from which an operation is made."""
        found: dict[str, None] = {}
        waiting = [ref.name for ref in step.references()]
        while waiting:
            name = waiting.pop()
            match = self.matches.get(name)
            if match is not None and not match.is_known and name not in found:
                found[name] = None
                waiting += [ref.name for ref in self.makers[name].references()]
        return tuple(reversed(found))


def _held(step: Step) -> Any:
    """The value of a constant: `val` of an ML Program's operation, `data` of a neural network's layer."""
    value = step.parameters.get("val", step.parameters.get("data"))
    return _plain(value) if isinstance(value, Constant) else None


def _plain(value: Constant) -> Any:
    held = value.value
    if isinstance(held, np.ndarray):
        return held.tolist() if held.size <= 8 else f"{held.dtype}{list(held.shape)}"
    return held
