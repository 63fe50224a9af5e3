"""A compiled program: instructions over numbered slots, ready to be optimised and then assembled.

Every value of the program has a slot of its own, nested blocks included, so that an environment is one flat list.
Slot 0 belongs to the executor. Imports only the runtime's forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Union

from pytest_dscoreml.runtime.problems import Place
from pytest_dscoreml.runtime.program import Step
from pytest_dscoreml.runtime.registry import Kernel

EXECUTOR_SLOT = 0


@dataclass(frozen=True)
class Argument:
    """A value that a kernel reads from slots: ``name`` ``None`` goes by position, ``sequence`` passes a list."""

    name: Optional[str]
    slots: tuple[int, ...]
    sequence: bool
    adapt: Optional[Callable[[Any], Any]]


@dataclass(frozen=True)
class Call:
    """One kernel call. ``dtypes`` holds the type each result is brought to, ``None`` for strings.

    ``copies`` says whether the argument that the kernel overwrites is copied first.
    """

    step: Step
    place: Place
    kernel: Kernel
    fixed: Mapping[str, Any]
    arguments: tuple[Argument, ...]
    writes: tuple[int, ...]
    dtypes: tuple[Optional[str], ...]
    copies: bool = True
    frees: tuple[int, ...] = ()

    @property
    def reads(self) -> frozenset[int]:
        """All slots it reads."""
        return frozenset(slot for argument in self.arguments for slot in argument.slots)

    @property
    def overwritten(self) -> Optional[int]:
        """The slot whose array the kernel writes into, if it does so and the array is not a constant."""
        for argument in self.arguments:
            if self.kernel.overwrites is not None and argument.name == self.kernel.overwrites:
                return argument.slots[0]
        return None


@dataclass(frozen=True)
class Loop:
    """Repeat ``body`` while ``condition`` yields true, at most ``limit`` times.

    ``carried`` slots take the values of ``sources`` at first and of ``produced`` after each pass, and end up in
    ``writes``. Carried values whose index is in ``private`` are copied on entry, because the body changes them in place.
    A ``straight`` loop is run as one generated function once the shapes in it are known (see ``straight``).
    """

    step: Step
    place: Place
    sources: tuple[int, ...]
    carried: tuple[int, ...]
    condition: tuple[Instruction, ...]
    condition_slot: Optional[int]
    body: tuple[Instruction, ...]
    produced: tuple[int, ...]
    writes: tuple[int, ...]
    limit: Optional[int]
    private: frozenset[int] = frozenset()
    straight: bool = False
    frees: tuple[int, ...] = ()

    @property
    def reads(self) -> frozenset[int]:
        """All slots of the enclosing blocks it reads."""
        inside = (*self.condition, *self.body)
        slots = set(self.sources) | set(self.produced)
        if self.condition_slot is not None:
            slots.add(self.condition_slot)
        return _free_slots(inside, slots, set(self.carried))


@dataclass(frozen=True)
class Branch:
    """Run the first block when the value in ``predicate`` is true, else the second; their results go to ``writes``."""

    step: Step
    place: Place
    predicate: int
    blocks: tuple[tuple[Instruction, ...], tuple[Instruction, ...]]
    results: tuple[tuple[int, ...], tuple[int, ...]]
    writes: tuple[int, ...]
    frees: tuple[int, ...] = ()

    @property
    def reads(self) -> frozenset[int]:
        """All slots of the enclosing blocks it reads."""
        inside = (*self.blocks[0], *self.blocks[1])
        return _free_slots(inside, {self.predicate, *self.results[0], *self.results[1]}, set())


Instruction = Union[Call, Loop, Branch]
Code = tuple[Instruction, ...]


@dataclass(frozen=True)
class Plan:
    """A program in instructions. ``constants`` fills slots before the run; ``names`` says what each slot holds."""

    code: Code
    slots: int
    constants: Mapping[int, Any]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    names: Mapping[int, str] = field(default_factory=dict)

    def calls(self) -> Iterator[Call]:
        """Every call, nested ones included."""
        yield from _calls(self.code)


def _calls(code: Code) -> Iterator[Call]:
    for instruction in code:
        if isinstance(instruction, Call):
            yield instruction
        elif isinstance(instruction, Loop):
            yield from _calls(instruction.condition)
            yield from _calls(instruction.body)
        else:
            yield from _calls(instruction.blocks[0])
            yield from _calls(instruction.blocks[1])


def _free_slots(inside: Code, used: set[int], defined: set[int]) -> frozenset[int]:
    for instruction in inside:
        used |= instruction.reads
        defined |= set(instruction.writes)
    return frozenset(used - defined)
