"""Carries a loop's float16 history as float16.

coremltools casts what an ML Program's loop carries to float32 at the end of each pass and back to float16 at the start
of the next: the whole history, T times over. Where a carried value only ever goes through that pair of casts, which
loses nothing, this pass carries the float16 value itself and casts once, after the loop.
"""

from __future__ import annotations

import dataclasses
from typing import Optional

from pytest_dscoreml.runtime.program import Block, Constant, Operand, Program, Ref, Step, TensorType, Value

_HALF, _SINGLE = "float16", "float32"


def carry_half(program: Program) -> Program:
    """``program`` with float16 in place of float32 where loops carry float16 values through float32."""
    return dataclasses.replace(
        program, main=_block(program.main, {value.name: value for value in program.main.inputs}, {})
    )


def _block(block: Block, values: dict[str, Value], widened: dict[str, Ref]) -> Block:
    """``values`` are the definitions in sight; ``widened`` leads from a float32 name to the float16 name it was cast from."""
    values, widened = dict(values), dict(widened)
    values.update({value.name: value for value in block.inputs})
    steps: list[Step] = []
    for step in block.steps:
        step = dataclasses.replace(step, blocks=tuple(_block(nested, values, widened) for nested in step.blocks))
        rewritten = _loop(step, widened) if step.op == "while_loop" else (step,)
        for part in rewritten:
            values.update({value.name: value for value in part.outputs})
            source = _cast(part, to="fp32")
            if source is not None and _is(values.get(source.name), _HALF):
                widened[part.outputs[0].name] = source
        steps += rewritten
    return dataclasses.replace(block, steps=tuple(steps))


def _loop(step: Step, widened: dict[str, Ref]) -> tuple[Step, ...]:
    """The loop, followed by the casts that give its results their declared type."""
    if len(step.blocks) != 2 or not _regular(step):
        return (step,)
    condition, body = step.blocks
    casts: list[Step] = []
    operands: list[Operand] = list(step.operands)
    inputs, tested, yielded, outputs = list(body.inputs), list(condition.inputs), list(body.outputs), list(step.outputs)
    narrowed: set[str] = set()
    for index, value in enumerate(step.outputs):
        source = operands[index]
        initial = widened.get(source.name) if isinstance(source, Ref) else None
        inner = _narrow_result(body, yielded[index])
        read = _read_as_half(body, inputs[index].name) and not _reads(condition, tested[index].name)
        if initial is None or inner is None or not read or not _is(value, _SINGLE):
            continue
        operands[index] = initial
        yielded[index] = inner.name
        inputs[index], tested[index] = _half(inputs[index]), _half(tested[index])
        outputs[index] = Value(f"{value.name} as float16", _half(value).type)
        narrowed.add(inputs[index].name)
        parameters: dict[str, Operand] = {"x": Ref(outputs[index].name), "dtype": Constant("fp32")}
        casts.append(Step("cast", value.name, step.location, parameters=parameters, outputs=(value,)))
    if not casts:
        return (step,)
    needed = set(yielded) | {reference.name for inside in body.operations() for reference in inside.references()}
    needed |= {name for inside in body.operations() for block in inside.blocks for name in block.outputs}
    kept = (
        _without_cast(inside, narrowed)
        for inside in body.steps
        if inside.op != "cast" or inside.outputs[0].name in needed
    )
    body = dataclasses.replace(body, inputs=tuple(inputs), steps=tuple(kept), outputs=tuple(yielded))
    condition = dataclasses.replace(condition, inputs=tuple(tested))
    loop = dataclasses.replace(step, operands=tuple(operands), outputs=tuple(outputs), blocks=(condition, body))
    return (loop, *casts)


def _regular(step: Step) -> bool:
    """Whether the loop's counts agree; the compiler tells where they do not."""
    condition, body = step.blocks
    lengths = {len(step.operands), len(step.outputs), len(condition.inputs), len(body.inputs), len(body.outputs)}
    return len(lengths) == 1


def _narrow_result(body: Block, name: str) -> Optional[Ref]:
    """The float16 value that the body casts to float32 to yield it as ``name``."""
    for step in body.steps:
        source = _cast(step, to="fp32")
        if source is not None and step.outputs[0].name == name:
            halves = {value.name for inside in body.steps for value in inside.outputs if _is(value, _HALF)}
            return source if source.name in halves else None
    return None


def _read_as_half(body: Block, name: str) -> bool:
    """Whether all that the body does with ``name`` is to cast it to float16."""
    nested = (step for step in body.operations() if step not in body.steps)
    if name in body.outputs or any(reference.name == name for step in nested for reference in step.references()):
        return False
    readers = [step for step in body.steps if any(reference.name == name for reference in step.references())]
    return all(_cast(step, to="fp16") is not None for step in readers)


def _reads(block: Block, name: str) -> bool:
    return name in block.outputs or any(
        reference.name == name for step in block.operations() for reference in step.references()
    )


def _without_cast(step: Step, narrowed: set[str]) -> Step:
    """A cast to float16 of a value that is now float16 is the value itself."""
    source = _cast(step, to="fp16")
    if source is None or source.name not in narrowed:
        return step
    return dataclasses.replace(step, op="identity", parameters={"x": source})


def _cast(step: Step, *, to: str) -> Optional[Ref]:
    """What ``step`` casts to the type ``to``, if that is what it does."""
    target, source = step.parameters.get("dtype"), step.parameters.get("x")
    if step.op != "cast" or len(step.outputs) != 1 or not isinstance(target, Constant) or target.value != to:
        return None
    return source if isinstance(source, Ref) else None


def _is(value: Optional[Value], dtype: str) -> bool:
    return value is not None and value.type is not None and value.type.dtype == dtype


def _half(value: Value) -> Value:
    return Value(value.name, TensorType(_HALF, value.type.shape if value.type else None))
