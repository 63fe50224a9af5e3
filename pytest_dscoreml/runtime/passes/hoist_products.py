"""Takes out of a loop the part of a product that does not depend on what the loop carries.

A recurrent loop computes ``linear(concat(x[t], h))``, which reads the weights of x and those of h on each pass. With
x the same on all passes and t the loop's counter, ``x[t] W_x + b`` is row t of one product of matrices; inside remains
``h W_h``. The rows are computed in blocks when they are asked for (``row_products``), so that neither a long sequence
nor a loop that stops early pays for it. Sums are associated differently, and nothing else changes: a float16 program's
product is still summed in float32 and rounded once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.execute import computation
from pytest_dscoreml.runtime.loops import forms
from pytest_dscoreml.runtime.plan import Argument, Call, Code, Instruction, Loop, Plan
from pytest_dscoreml.runtime.registry import Kernel
from pytest_dscoreml.runtime.row_products import TAKE, SplitWeight, hoisted_linear, row_products

#: As ``TAKE``, of the call that goes before the loop.
PREPARE = "row_products"
#: Smaller products are as fast where they stand.
_SMALLEST_WEIGHT = 1024


def hoist_products(plan: Plan) -> Plan:
    """``plan`` with the invariant parts of products taken out of the outermost loops they are in."""
    hoister = _Hoister(plan)
    code = hoister.code(plan.code)
    return dataclasses.replace(plan, code=code, slots=hoister.slots, names=hoister.names)


class _Hoister:
    def __init__(self, plan: Plan) -> None:
        self.slots = plan.slots
        self.names = dict(plan.names)

    def code(self, code: Code) -> Code:
        rewritten: list[Instruction] = []
        for instruction in code:
            if isinstance(instruction, Loop):
                before, loop = self._loop(instruction)
                rewritten += [*before, loop]
            else:
                rewritten.append(instruction)
        return tuple(rewritten)

    def _loop(self, loop: Loop) -> tuple[list[Call], Loop]:
        counters = {slot for slot, step in forms.counters(loop).items() if step == 1}
        inside = set(loop.carried).union(*(instruction.writes for instruction in (*loop.condition, *loop.body)))
        made = {call.writes[0]: call for call in loop.body if isinstance(call, Call) and len(call.writes) == 1}
        before: list[Call] = []
        body: list[Instruction] = []
        for instruction in loop.body:
            found = self._hoisted(instruction, made, counters, inside) if isinstance(instruction, Call) else None
            if found is not None:
                before.append(found[0])
            body.append(instruction if found is None else found[1])
        if not before:
            return [], loop
        return before, _without_unread(dataclasses.replace(loop, body=tuple(body)))

    def _hoisted(
        self, call: Call, made: Mapping[int, Call], counters: set[int], inside: set[int]
    ) -> Optional[tuple[Call, Call]]:
        """The call that goes before the loop and the one that stays, if the product has an invariant part."""
        product = forms.product(call)
        if product is None or product.weight.size < _SMALLEST_WEIGHT or product.x not in made:
            return None
        joined = made[product.x]
        parts = forms.concat_last(joined) or (product.x,)
        for position, part in enumerate(parts):
            gather = made.get(part)
            rows = forms.gather(gather) if gather is not None else None
            if gather is None or rows is None or rows.data in inside or rows.indices not in counters:
                continue
            others = parts[:position] + parts[position + 1 :]
            if part in others:
                continue
            read = (rows.data, rows.indices, *others)
            chain = [gather, call] if parts == (product.x,) else [gather, joined, call]
            kernel = hoisted_linear(_original(chain), read)
            held = self._slot(f"{self.names.get(call.writes[0], call.step.name)} rows")
            split = SplitWeight(product.weight, product.bias, position, len(parts))
            arguments = [_argument("rows", held), _argument("indices", rows.indices)]
            if others:
                arguments.append(Argument("others", others, True, None))
            prepare = _call(call, PREPARE, row_products, {"split": split}, (_argument("x", rows.data),))
            take = _call(call, TAKE, kernel, {}, tuple(arguments))
            return (
                dataclasses.replace(prepare, writes=(held,), dtypes=(None,)),
                dataclasses.replace(take, writes=call.writes, dtypes=call.dtypes),
            )
        return None

    def _slot(self, name: str) -> int:
        self.names[self.slots] = name
        self.slots += 1
        return self.slots - 1


def _argument(name: str, slot: int) -> Argument:
    return Argument(name, (slot,), False, None)


def _call(
    call: Call, op: str, function: Callable[..., Any], fixed: Mapping[str, Any], arguments: tuple[Argument, ...]
) -> Call:
    """A call of a pass's own kernel, told of in messages as the file's ``call``."""
    kernel = Kernel(
        op, 0, function, (), False, {}, wide=False, fresh=op == TAKE, overwrites=None, grows=False, pure=True
    )
    return Call(call.step, call.place, kernel, fixed, arguments, (), ())


def _original(chain: list[Call]) -> Callable[[Mapping[int, Any]], Any]:
    """What the calls compute one after the other, from values by slot."""
    runs = [(computation(call), call.writes[0], call.dtypes[0]) for call in chain]

    def compute(values: Mapping[int, Any]) -> Any:
        held = dict(values)
        for run, slot, dtype in runs:
            held[slot] = np.asarray(run(held)).astype(dtype, copy=False)
        return held[slot]

    return compute


def _without_unread(loop: Loop) -> Loop:
    """The loop without the gathers and joins of rows that nobody reads any more."""
    body = list(loop.body)
    while True:
        read = set(loop.produced).union(*(instruction.reads for instruction in (*loop.condition, *body)))
        kept = [
            instruction
            for instruction in body
            if not isinstance(instruction, Call)
            or any(slot in read for slot in instruction.writes)
            or (forms.gather(instruction) is None and forms.concat_last(instruction) is None)
        ]
        if len(kept) == len(body):
            return dataclasses.replace(loop, body=tuple(body))
        body = kept
