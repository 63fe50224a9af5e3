"""Generates the function that ``straight`` runs in place of a loop.

Each operation of the loop becomes the NumPy calls that its kernel makes, on the same values, with results written into
arrays that are allocated once a run; float16 values are computed in float32 and rounded at each operation, as the
kernels do. A value that outlives its pass, or that an operation reads which is not known here, gets a new array on each
pass. A row that is gathered is a slice where nobody writes into that row while it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.loops import forms
from pytest_dscoreml.runtime.loops.lowering import Lowering
from pytest_dscoreml.runtime.loops.signatures import FILE, Generated, Shapes, is_number
from pytest_dscoreml.runtime.loops.writer import Lowered
from pytest_dscoreml.runtime.plan import Call, Instruction, Loop
from pytest_dscoreml.runtime.threads import SMALL_PRODUCT


def generate(loop: Loop, limit: int, entry: Shapes, inner: Shapes, runners: Mapping[int, Any]) -> Optional[Generated]:
    """The function for a loop whose values have these shapes; None if its carried values may change theirs."""
    # What draws numbers or changes a state runs as it stands in the file.
    if any(isinstance(one, Call) and not one.kernel.pure for one in (*loop.condition, *loop.body)):
        return None
    return _Generator(loop, limit, entry, inner, runners).generate()


class _Generator(Lowering):
    def generate(self) -> Optional[Generated]:
        lowered = [self.lower(index, instruction) for index, instruction in enumerate(self._code)]
        for carried, produced in zip(self._loop.carried, self._loop.produced):
            if produced not in self._known or not self._stays(carried, produced):
                return None
        self._pin(lowered)
        self._lowered = lowered
        return self._write(lowered)

    def _stays(self, carried: int, produced: int) -> bool:
        if carried in self._counters:
            return self._whole.get(produced, (-1, 0))[0] == carried
        return self._known[carried] == self._known[produced]

    def _pin(self, lowered: Sequence[Optional[Lowered]]) -> None:
        """Values that are needed beyond their pass, or that an unknown operation might keep, get arrays of their own."""
        self._pinned = set(self._loop.produced)
        for instruction, known in zip(self._code, lowered):
            if known is None:
                self._pinned |= instruction.reads
        for instruction, known in zip(reversed(self._code), reversed(lowered)):
            if known is not None and known.views is not None and self._pinned & set(instruction.writes):
                self._pinned.add(known.views)

    def _write(self, lowered: Sequence[Optional[Lowered]]) -> Generated:
        loop = self._loop
        for slot in loop.carried:
            if slot not in self._counters:
                self._name(slot)
        for position, (instruction, known) in enumerate(zip(self._code, lowered)):
            self._now = instruction
            if position == len(loop.condition):
                self._test()
                self._now = instruction
            if self._is_test(instruction):
                continue
            if known is not None:
                known.write()
            else:
                self._called(instruction)
                self._names.update({slot: f"v{slot}" for slot in instruction.writes})
        self._now = None
        if not loop.body:
            self._test()
        return self._assemble()

    def _is_test(self, instruction: Instruction) -> bool:
        """Whether it is the comparison of a counter that ends the loop, and nothing else reads it."""
        slot = self._loop.condition_slot
        if slot is None or instruction not in self._loop.condition or slot not in instruction.writes:
            return False
        return isinstance(instruction, Call) and self._comparison(instruction) is not None

    def _comparison(self, call: Call) -> Optional[str]:
        found = forms.comparison(call)
        slot = self._loop.condition_slot
        if found is None or slot in self._loop.produced or any(slot in one.reads for one in self._code):
            return None
        texts: list[str] = []
        for operand in (found[0], found[2]):
            if isinstance(operand, int) and operand in self._whole:
                texts.append(self._index(operand, 0))
            elif isinstance(operand, int) and operand in self._entry and operand not in self._loop.carried:
                if not is_number(self._entry[operand]):
                    return None
                texts.append(f"limit{operand}")
                self._prologue(f"limit{operand} = e[{operand}].item()")
            elif isinstance(operand, np.ndarray) and operand.size == 1:
                texts.append(repr(operand.item()))
            elif isinstance(operand, float):
                texts.append(repr(operand))
            else:
                return None
        return f"{texts[0]} {found[1]} {texts[1]}"

    def _test(self) -> None:
        """End the loop when its condition says so, or when it has made as many passes as it may."""
        loop = self._loop
        # What goes wrong here is the loop's own fault, not an operation's.
        self._now = None
        if loop.condition_slot is not None:
            test = None
            for instruction in loop.condition:
                if self._is_test(instruction) and isinstance(instruction, Call):
                    test = self._comparison(instruction)
            self._line(f"if not ({test or f'truth({self._name(loop.condition_slot)})'}): break")
        self._line(f"if done == {self._limit}:")
        if loop.limit is None:
            self._line(f"    raise ValueError('it has not ended after {self._limit} passes')")
        else:
            self._line("    break")

    def _assemble(self) -> Generated:
        loop, source = self._loop, self._source
        pairs = [
            (f"v{slot}", self._name(produced))
            for slot, produced in zip(loop.carried, loop.produced)
            if slot not in self._counters
        ]
        pairs = [(name, value) for name, value in pairs if name != value]
        lines: list[tuple[str, Optional[Instruction]]] = [("def loop(e, done):", None)]
        lines += [(f"    t{slot} = int(e[{slot}].reshape(()))", None) for slot in self._counters]
        lines += [(f"    {line}", None) for line in source.prologue]
        lines.append(("    while True:", None))
        lines += [(f"        {name} = {value}", None) for name, value in source.head.items()]
        lines += [(f"        {line}", owner) for line, owner in source.body]
        if pairs:
            targets, values = (", ".join(part) for part in zip(*pairs))
            lines.append((f"        {targets} = {values}", None))
        lines += [(f"        t{slot} += {step}", None) for slot, step in self._counters.items()]
        lines.append(("        done += 1", None))
        for slot in loop.carried:
            lines.append((f"    e[{slot}] = {self._name(slot) if slot in self._counters else f'v{slot}'}", None))
        text = "\n".join(line for line, _ in lines) + "\n"
        names = {**self._globals}
        exec(compile(text, FILE, "exec"), names)
        owners = {number: owner for number, (_, owner) in enumerate(lines, start=1) if owner is not None}
        return Generated(names["loop"], owners, self._names, self._counters, text, self._has_small_products())

    def _has_small_products(self) -> bool:
        # What is called as it is may multiply by anything.
        called = any(known is None and not self._is_test(one) for one, known in zip(self._code, self._lowered))
        return not called and 0 < max(self._products, default=0) <= SMALL_PRODUCT
