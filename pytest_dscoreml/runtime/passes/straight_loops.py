"""Marks the loops that are to be run as generated straight-line code: see ``pytest_dscoreml.runtime.loops.straight``.

The outermost loops are, and loops inside branches; what is nested in such a loop is called from it as it is.
"""

from __future__ import annotations

import dataclasses

from pytest_dscoreml.runtime.plan import Branch, Code, Instruction, Loop, Plan


def straight_loops(plan: Plan) -> Plan:
    """``plan`` with its outermost loops marked."""
    return dataclasses.replace(plan, code=_marked(plan.code))


def _marked(code: Code) -> Code:
    rewritten: list[Instruction] = []
    for instruction in code:
        if isinstance(instruction, Loop):
            instruction = dataclasses.replace(instruction, straight=True)
        elif isinstance(instruction, Branch):
            first, second = (_marked(block) for block in instruction.blocks)
            instruction = dataclasses.replace(instruction, blocks=(first, second))
        rewritten.append(instruction)
    return tuple(rewritten)
