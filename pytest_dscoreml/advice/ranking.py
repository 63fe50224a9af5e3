"""Each operation alone in float16, all others in float32: which loses most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_dscoreml.advice.measuring import Errors
from pytest_dscoreml.advice.simulation import Simulation
from pytest_dscoreml.conversion.describe import Selectable
from pytest_dscoreml.runtime.mixed import can_be_half
from pytest_dscoreml.runtime.program import LOOPS, Block, Program, Step


@dataclass(frozen=True)
class OperationLoss:
    """An operation of the float32 file, and what float16 in it alone costs.

    Attributes:
        name: in the file.
        result: its first result in the file.
        selector: the name by which the converter asks for its precision, `op.name` of an `op_selector`.
        makers: such names of operations that make its constants: float16 in these would round them before it reads them.
        op: its type.
        loop: the loop it stands in; empty outside.
        node: TensorFlow's node, and inside of the loop the quantity, that it computes; empty where none is known.
        errors: beside the run that is float32 throughout.
        share: its loss as a part of the loss of float16 throughout; None where that is no number.
    """

    name: str
    result: str
    selector: str
    makers: tuple[str, ...]
    op: str
    loop: str
    node: str
    errors: Errors
    share: float | None


def candidates(program: Program, known: Mapping[str, Selectable]) -> list[tuple[Step, str]]:
    """The operations whose precision the converter lets be chosen, each with the loop it stands in, in program order."""
    return [
        (step, loop)
        for step, loop in _operations(program.main, "")
        if can_be_half(step) and step.outputs[0].name in known
    ]


def _operations(block: Block, loop: str) -> Iterator[tuple[Step, str]]:
    for step in block.steps:
        yield step, loop
        for nested in step.blocks:
            yield from _operations(nested, step.name if step.op in LOOPS else loop)


def ranked(
    simulation: Simulation,
    known: Mapping[str, Selectable],
    makers: Mapping[str, tuple[str, ...]],
    nodes: Mapping[str, str],
    total: Errors,
) -> Sequence[OperationLoss]:
    """A row for each candidate, the one that loses most first; equals in program order.

    Args:
        known: by first result, what the converter calls an operation.
        makers: by first result, the converter's names of what makes its constants.
        nodes: by result, TensorFlow's node or quantity.
        total: the errors of float16 throughout.
    """
    steps = candidates(simulation.engine.model.program, known)
    rows = []
    with simulation.progress.task("one operation at a time in float16", total=len(steps)) as task:
        for number, (step, loop) in enumerate(steps, start=1):
            task.at(number, doing=step.name)
            result = step.outputs[0].name
            errors = simulation.errors({result})
            share = errors.loss / total.loss if math.isfinite(total.loss) and total.loss else None
            rows.append(
                OperationLoss(
                    name=step.name,
                    result=result,
                    selector=known[result].name,
                    makers=makers.get(result, ()),
                    op=step.op,
                    loop=loop,
                    node=nodes.get(result, ""),
                    errors=errors,
                    share=share,
                )
            )
    return sorted(rows, key=lambda row: -row.errors.loss)
