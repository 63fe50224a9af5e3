"""Frees each value after its last use, so that memory holds what is still needed and no more."""

from __future__ import annotations

import dataclasses

from pytest_dscoreml.runtime.plan import Branch, Call, Code, Instruction, Loop, Plan


def free_early(plan: Plan) -> Plan:
    """``plan`` with the slots that each instruction is the last to read in its ``frees``."""
    return dataclasses.replace(
        plan, code=_freed(plan.code, keep=set(plan.outputs.values()), owned=set(plan.inputs.values()))
    )


def _freed(code: Code, *, keep: set[int], owned: set[int]) -> Code:
    """``owned`` are slots that are not written here and may be freed here all the same."""
    last: dict[int, int] = {}
    for index, instruction in enumerate(code):
        owned = owned | set(instruction.writes)
        for slot in (*instruction.reads, *instruction.writes):
            last[slot] = index
    frees: dict[int, list[int]] = {}
    for slot, index in last.items():
        if slot in owned and slot not in keep:
            frees.setdefault(index, []).append(slot)
    return tuple(
        dataclasses.replace(_inside(instruction), frees=tuple(sorted(frees.get(index, ()))))
        for index, instruction in enumerate(code)
    )


def _inside(instruction: Instruction) -> Instruction:
    if isinstance(instruction, Call):
        return instruction
    if isinstance(instruction, Branch):
        first, second = (
            _freed(code, keep=set(results), owned=set())
            for code, results in zip(instruction.blocks, instruction.results)
        )
        return dataclasses.replace(instruction, blocks=(first, second))
    keep = {*instruction.produced, *instruction.carried}
    if instruction.condition_slot is not None:
        keep.add(instruction.condition_slot)
    both = _freed((*instruction.condition, *instruction.body), keep=keep, owned=set())
    cut = len(instruction.condition)
    return _loop_with(instruction, both[:cut], both[cut:])


def _loop_with(loop: Loop, condition: Code, body: Code) -> Loop:
    return dataclasses.replace(loop, condition=condition, body=body)
