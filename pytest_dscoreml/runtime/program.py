"""The one form both readers produce: blocks of named steps over typed values, with constants and an interface.

It knows neither protobuf nor NumPy kernels. Imports only NumPy.

Rules of the form
    * Every name is defined once among the names that are visible where it is defined (static single assignment).
    * A step's ``operands`` are positional (neural network layers take their inputs by position), its ``parameters``
      are named (all of an ML Program's arguments, the fields of a neural network layer).
    * A loop is a step with two blocks, condition then body, and its carried values as operands. Both blocks name the
      carried values as their inputs; the body's outputs are the carried values of the next iteration. The condition
      block has one output, or none when the loop is only counted. Names that a neural network's condition block
      defines are visible in the body.
    * A branch is a step with two blocks, true then false, each with one output per output of the step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import numpy as np

MLPROGRAM = "mlprogram"
NEURALNETWORK = "neuralnetwork"

# The iOS version of each opset of ML Programs.
OPSETS = {"CoreML5": 15, "CoreML6": 16, "CoreML7": 17, "CoreML8": 18, "CoreML9": 26}

LOOPS = frozenset({"while_loop", "loop"})
BRANCHES = frozenset({"cond", "branch"})
CONSTANTS = frozenset({"const", "loadConstantND"})
# The types of values that are no tensors of numbers.
NO_NUMBERS = frozenset({"string", "list", "state", "dictionary"})
# Core ML packs integers of these types in fewer bits than a byte; in memory they take one.
SUB_BYTE = {
    "int4": "int8",
    "uint1": "uint8",
    "uint2": "uint8",
    "uint3": "uint8",
    "uint4": "uint8",
    "uint6": "uint8",
}


def is_numeric(dtype: str) -> bool:
    """Whether ``dtype`` is the NumPy name of a type of numbers, as far as Core ML has them."""
    try:
        return np.dtype(dtype).kind in "fiub"
    except TypeError:
        return False


@dataclass(frozen=True)
class TensorType:
    """A tensor's element type (a NumPy name or one of ``SUB_BYTE``) and shape: ``None`` for an unknown size or rank.

    ``dtype`` may be one of ``NO_NUMBERS`` as well; a list or state has its element's type in ``element``.
    """

    dtype: str
    shape: Optional[tuple[Optional[int], ...]] = None
    element: Optional[TensorType] = None

    @property
    def stored(self) -> str:
        """The NumPy name of the type that its elements take in memory."""
        return SUB_BYTE.get(self.dtype, self.dtype)

    def __str__(self) -> str:
        if self.element is not None:
            return f"{self.dtype}<{self.element}>"
        if self.shape is None:
            return self.dtype
        return f"{self.dtype}({', '.join('?' if size is None else str(size) for size in self.shape)})"

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of ``shape`` is of this type, unknown sizes matching any."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            want is None or want == have for want, have in zip(self.shape, shape)
        )


@dataclass(frozen=True)
class Value:
    """The definition of a name; ``type`` is ``None`` where the file declares none."""

    name: str
    type: Optional[TensorType] = None


@dataclass(frozen=True)
class Ref:
    """A use of a name."""

    name: str


# What a reader puts where a value could not be read; it has told why. Known by its identity: a file may use any name.
UNREADABLE = Ref("unreadable value")


@dataclass(frozen=True, eq=False)
class Constant:
    """A value known when the model is loaded: an array (0-d for scalars), a string, or a tuple of strings or integers.

    A nested message of a neural network layer is a dictionary of such values by field name, or a tuple of those.
    """

    value: Any


Operand = Union[Ref, Constant, tuple[Union[Ref, Constant], ...]]


@dataclass(frozen=True)
class Step:
    """One operation (ML Program) or layer (neural network)."""

    op: str
    name: str
    location: str
    operands: tuple[Operand, ...] = ()
    parameters: Mapping[str, Operand] = field(default_factory=dict)
    outputs: tuple[Value, ...] = ()
    blocks: tuple[Block, ...] = ()

    def references(self) -> Iterator[Ref]:
        """All names this step itself reads; what its blocks read is not among them."""
        for operand in (*self.operands, *self.parameters.values()):
            for item in operand if isinstance(operand, tuple) else (operand,):
                if isinstance(item, Ref):
                    yield item


@dataclass(frozen=True)
class Block:
    """A sequence of steps; ``outputs`` are names visible at its end."""

    inputs: tuple[Value, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]

    def operations(self) -> Iterator[Step]:
        """The steps in order, each followed by those of its nested blocks."""
        for step in self.steps:
            yield step
            for block in step.blocks:
                yield from block.operations()


@dataclass(frozen=True)
class Program:
    """A model's computation.

    ``format`` is ``"mlprogram"`` or ``"neuralnetwork"``; ``opset`` the ML Program's opset (``"CoreML5"`` is iOS 15) or
    the neural network's specification version (``"specification 5"``). ``main`` takes the model's inputs by name, and
    ``outputs`` maps each model output to the name of the value that is returned for it.
    """

    format: str
    opset: str
    main: Block
    outputs: Mapping[str, str]

    def operations(self, *, constants: bool = False) -> Iterator[Step]:
        """All steps of the file in program order, nested blocks included; constants only when asked for."""
        for step in self.main.operations():
            if constants or step.op not in CONSTANTS:
                yield step

    def op_counts(self) -> Counter[str]:
        """How often each operation type occurs, constants left out."""
        return Counter(step.op for step in self.operations())


def constant(value: Any, dtype: Any = None) -> Constant:
    """A constant holding ``value`` as an array."""
    return Constant(np.asarray(value, dtype=dtype))
