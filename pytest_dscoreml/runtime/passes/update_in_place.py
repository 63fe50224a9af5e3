"""Lets scatter write into a loop's history itself where nobody can tell, instead of into a copy of it.

A recurrent loop scatters one row per pass into a [T + 1, 1, H] history. Copying the history each time costs O(T²);
writing in place costs O(T). A kernel that overwrites an argument gets it uncopied when

* the array is the block's own: made by a kernel that returns fresh memory, or carried by the loop and nothing else
  (a carried array is copied once on entry, so that the first pass does not change its source);
* nothing that may share its memory is read afterwards, yielded, or another argument of the same call.

What may share memory is followed by origin: the result of a kernel that is not ``fresh`` has the origins of all its
arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pytest_dscoreml.runtime.plan import Branch, Call, Code, Instruction, Loop, Plan

Origins = dict[int, frozenset[int]]


def update_in_place(plan: Plan) -> Plan:
    """``plan`` with ``copies`` cleared where overwriting cannot be seen."""
    code, _ = _rewrite(plan.code, owned=frozenset(), yields=tuple(plan.outputs.values()))
    return dataclasses.replace(plan, code=code)


def _rewrite(code: Code, *, owned: frozenset[int], yields: Sequence[int]) -> tuple[Code, Origins]:
    """The rewritten code and the origins at its end; ``owned`` slots hold arrays that nobody else holds."""
    rewritten: list[Instruction] = []
    origins: Origins = {}
    for index, instruction in enumerate(code):
        if isinstance(instruction, Call):
            instruction = _decide(instruction, code[index + 1 :], origins, owned, yields)
            owned = _record(instruction, origins, owned)
        else:
            instruction = _loop(instruction) if isinstance(instruction, Loop) else _branch(instruction)
            # What a nested block makes is never owned: its results may share memory with one another.
            shared = frozenset(instruction.writes[:1]).union(*(_of(slot, origins) for slot in instruction.reads))
            for slot in instruction.writes:
                origins[slot] = shared
        rewritten.append(instruction)
    return tuple(rewritten), origins


def _of(slot: int, origins: Origins) -> frozenset[int]:
    return origins.get(slot, frozenset({slot}))


def _decide(call: Call, rest: Code, origins: Origins, owned: frozenset[int], yields: Sequence[int]) -> Call:
    """``call`` without its copy if the array it overwrites is owned and out of everybody's sight from here on."""
    target = call.overwritten
    if target is None:
        return call
    memory = _of(target, origins)
    if not memory <= owned:
        return call
    others = {slot for argument in call.arguments for slot in argument.slots if argument.name != call.kernel.overwrites}
    later = set(yields).union(others, *(instruction.reads for instruction in rest)) - set(call.writes)
    if any(_of(slot, origins) & memory for slot in later):
        return call
    return dataclasses.replace(call, copies=False)


def _record(call: Call, origins: Origins, owned: frozenset[int]) -> frozenset[int]:
    """Note where the results of ``call`` live; returns the slots that are owned after it."""
    if call.overwritten is not None and not call.copies:
        for slot in call.writes:
            origins[slot] = _of(call.overwritten, origins)
        return owned
    # The first slot stands for the memory that the call may make: its results may be parts of one array.
    made = frozenset(call.writes[:1])
    # A kernel that overwrites returns its copy, and that is fresh memory.
    fresh = call.kernel.fresh or call.kernel.overwrites is not None
    shared = frozenset() if fresh else frozenset().union(*(_of(slot, origins) for slot in call.reads))
    for slot in call.writes:
        origins[slot] = shared | made
    return owned | made


def _branch(branch: Branch) -> Branch:
    first, second = (
        _rewrite(code, owned=frozenset(), yields=results)[0] for code, results in zip(branch.blocks, branch.results)
    )
    return dataclasses.replace(branch, blocks=(first, second))


def _loop(loop: Loop) -> Loop:
    """Assume every carried array owned, and drop those that the body does not hand on as such, until it holds."""
    cut = len(loop.condition)
    owned = frozenset(loop.carried)
    while True:
        code, origins = _rewrite((*loop.condition, *loop.body), owned=owned, yields=loop.produced)
        kept = frozenset(
            slot
            for slot, produced in zip(loop.carried, loop.produced)
            if slot in owned and _handed_on(produced, loop, origins, owned, code)
        )
        if kept == owned:
            break
        owned = kept
    return dataclasses.replace(loop, condition=code[:cut], body=code[cut:], private=_private(loop, code, origins))


def _handed_on(produced: int, loop: Loop, origins: Origins, owned: frozenset[int], code: Code) -> bool:
    """Whether the next pass alone will hold the array in ``produced``."""
    memory = _of(produced, origins)
    made_here = {slot for instruction in code if isinstance(instruction, Call) for slot in instruction.writes[:1]}
    if not memory <= owned | made_here:
        return False
    return sum(1 for other in loop.produced if _of(other, origins) & memory) == 1


def _private(loop: Loop, code: Code, origins: Origins) -> frozenset[int]:
    """Which carried values are written into on some pass, and so must be copied on entry."""
    overwritten: set[int] = set()
    for instruction in code:
        if isinstance(instruction, Call) and instruction.overwritten is not None and not instruction.copies:
            overwritten |= _of(instruction.overwritten, origins)
    # A value that is handed on to a place where it is written into counts as well.
    while True:
        wider = set(overwritten)
        for slot, produced in zip(loop.carried, loop.produced):
            if slot in overwritten:
                wider |= _of(produced, origins) & set(loop.carried)
        if wider == overwritten:
            break
        overwritten = wider
    return frozenset(index for index, slot in enumerate(loop.carried) if slot in overwritten)
