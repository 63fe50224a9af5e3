"""Computes what depends on constants only, once, when the model is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.bind import bind, ios_version, place_of, registry_of
from pytest_dscoreml.runtime.problems import Problems
from pytest_dscoreml.runtime.program import (
    BRANCHES,
    CONSTANTS,
    LOOPS,
    NEURALNETWORK,
    NO_NUMBERS,
    Block,
    Constant,
    Operand,
    Program,
    Ref,
    Step,
    TensorType,
    Value,
    is_numeric,
)

# Folding must not turn a small file into a large memory: larger results are left to be computed in the run.
LARGEST_FOLDED_BYTES = 64 << 20
# Neural networks declare no shapes, so a bound on the arguments bounds the result, be it their outer product.
_LARGEST_UNDECLARED_ARGUMENTS = 2048

Known = Mapping[str, Constant]


def fold_constants(program: Program) -> Program:
    """``program`` with constants in place of the names of values that are known when it is loaded."""
    return dataclasses.replace(program, main=_Folder(program).block(program.main, {}, set(program.outputs.values()))[0])


class _Folder:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._registry = registry_of(program.format)
        self._ios = ios_version(program)

    def block(self, block: Block, outer: Known, needed: set[str]) -> tuple[Block, dict[str, Constant]]:
        """The folded block and what is known at its end; ``needed`` names keep their steps."""
        known = dict(outer)
        steps: list[Step] = []
        # A nested block may yield what this one defines: that name is kept too, though none of its steps reads it.
        needed = needed | set(block.outputs) | _yielded(block)
        for step in block.steps:
            replaced = self._replace(step, known)
            values = self._evaluate(replaced)
            if values is not None:
                known.update({output.name: Constant(value) for output, value in zip(step.outputs, values)})
            if values is None or any(output.name in needed for output in step.outputs):
                steps.append(replaced)
        return dataclasses.replace(block, steps=tuple(steps)), known

    def _replace(self, step: Step, known: Known) -> Step:
        blocks: list[Block] = []
        inherited: Known = known
        for block in step.blocks:
            # Names that a neural network's body reads from the condition block must keep their steps there.
            kept = {name for other in step.blocks for name in _names_read(other)}
            folded, at_end = self.block(block, inherited, kept if self._shares_names(step) else set())
            blocks.append(folded)
            if self._shares_names(step):
                inherited = at_end
        return dataclasses.replace(
            step,
            operands=tuple(_known(operand, known) for operand in step.operands),
            parameters={name: _known(operand, known) for name, operand in step.parameters.items()},
            blocks=tuple(blocks),
        )

    def _shares_names(self, step: Step) -> bool:
        return self._program.format == NEURALNETWORK and step.op in LOOPS

    def _evaluate(self, step: Step) -> Optional[list[Any]]:
        """The step's results if all its operands are constants and the results are small; ``None`` otherwise."""
        if step.blocks or step.op in LOOPS | BRANCHES or any(True for _ in step.references()) or not step.outputs:
            return None
        problems = Problems("")
        binding = bind(step, place_of(step, self._program), self._registry, self._ios, problems)
        if binding is None or not binding.kernel.pure or (binding.dynamic and not binding.kernel.variadic):
            return None
        # Compressed weights are meant to be decompressed once, whatever their size.
        at_any_size = step.op in CONSTANTS or step.op.startswith("constexpr_")
        if not at_any_size and not self._is_small(step, grows=binding.kernel.grows):
            return None
        arguments = dict(binding.fixed)
        if binding.kernel.overwrites in arguments:
            arguments[binding.kernel.overwrites] = np.array(arguments[binding.kernel.overwrites])
        positional = [operand.value for _, operand in binding.dynamic if isinstance(operand, Constant)]
        try:
            with np.errstate(all="ignore"):
                result = binding.kernel.function(*positional, **arguments)
            results = result if isinstance(result, (list, tuple)) and len(step.outputs) > 1 else [result]
            if len(results) != len(step.outputs):
                return None
            return [self._fitted(value, output) for value, output in zip(results, step.outputs)]
        except Exception:
            # Whatever is wrong with it is told when it runs, by the operation's name.
            return None

    def _is_small(self, step: Step, *, grows: bool) -> bool:
        if self._program.format == NEURALNETWORK:
            return not grows and sum(_size(operand) for operand in (*step.operands, *step.parameters.values())) <= (
                _LARGEST_UNDECLARED_ARGUMENTS
            )
        return all(_bytes(output.type) <= LARGEST_FOLDED_BYTES for output in step.outputs)

    def _fitted(self, value: Any, output: Value) -> Any:
        if isinstance(value, (str, tuple)):
            if output.type is None or output.type.dtype not in NO_NUMBERS:
                raise TypeError("no tensor, which is declared")
            return value
        array = np.asarray(value)
        if output.type is None or not is_numeric(output.type.stored):
            raise TypeError("no tensor of numbers")
        dtype = np.dtype(output.type.stored)
        layer = self._program.format == NEURALNETWORK
        if array.dtype.kind != dtype.kind and not layer:
            raise TypeError("another kind of number than declared")
        if not output.type.admits(array.shape):
            raise TypeError("another shape than declared")
        array = array.astype(dtype, copy=False)
        return array.reshape(1) if layer and array.ndim == 0 else array


def _known(operand: Operand, known: Known) -> Operand:
    if isinstance(operand, tuple):
        return tuple(known.get(item.name, item) if isinstance(item, Ref) else item for item in operand)
    return known.get(operand.name, operand) if isinstance(operand, Ref) else operand


def _yielded(block: Block) -> set[str]:
    """The names that the blocks inside ``block`` yield."""
    return {name for step in block.operations() for nested in step.blocks for name in nested.outputs}


def _names_read(block: Block) -> set[str]:
    return set(block.outputs) | {reference.name for step in block.operations() for reference in step.references()}


def _size(operand: Operand) -> int:
    items = operand if isinstance(operand, tuple) else (operand,)
    return sum(item.value.size for item in items if isinstance(item, Constant) and isinstance(item.value, np.ndarray))


def _bytes(declared: Optional[TensorType]) -> float:
    """The size of a declared type, infinite where it is not fully known."""
    if declared is None or declared.shape is None or None in declared.shape or not is_numeric(declared.stored):
        return float("inf")
    return float(np.prod(np.array(declared.shape, dtype=object), initial=1)) * np.dtype(declared.stored).itemsize
