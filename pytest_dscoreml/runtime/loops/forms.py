"""What passes know of particular kernels: the few operations that recurrent loops are made of, the same for both formats.

A form says which slot an argument of a call stands in, whether the file gives it by name (ML Program) or by position
(neural network), and refuses what it does not know in full. Imports only NumPy, the plan and the program's forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.plan import Call, Loop
from pytest_dscoreml.runtime.registry import mil, nn

_BINARY: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "sub": np.subtract,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "addBroadcastable": np.add,
    "multiplyBroadcastable": np.multiply,
    "subtractBroadcastable": np.subtract,
    "max": np.maximum,
    "maxBroadcastable": np.maximum,
    "min": np.minimum,
    "minBroadcastable": np.minimum,
}
_UNARY = {"sigmoid": "sigmoid", "tanh": "tanh", "activation.sigmoid": "sigmoid", "activation.tanh": "tanh"}
_SCALED = {"add": np.add, "multiply": np.multiply}
_COMPARISON = {
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "lessThan": "<",
    "lessEqual": "<=",
    "greaterThan": ">",
    "greaterEqual": ">=",
}
#: Modules of kernels whose results have shapes that follow from their arguments' shapes and constants.
_STEADY = ("elementwise", "linear", "shapes")
_NEURALNETWORK_UPDATE, _NEURALNETWORK_ADD = 0, 1


@dataclass(frozen=True)
class Rows:
    """A gather or scatter of rows (axis 0): of the array in ``data``, at the indices in ``indices``."""

    data: int
    indices: int
    updates: Optional[int] = None
    adds: bool = False


@dataclass(frozen=True)
class Product:
    """``x`` weight^T + bias over the last axis, ``weight`` [outputs, inputs]."""

    x: int
    weight: NDArray[Any]
    bias: Optional[NDArray[Any]]


def is_layer(call: Call) -> bool:
    """Whether the call is a neural network's."""
    return call.place.kind == "layer"


def registered(call: Call) -> bool:
    """Whether the kernel is one of the registry's, and not one that a pass put in its place."""
    return (nn if is_layer(call) else mil).find(call.step.op, call.kernel.since) is call.kernel


def is_steady(call: Call) -> bool:
    """Whether the shapes of the results depend on nothing but those of the arguments."""
    kernel = call.kernel
    if not registered(call) or not kernel.pure or kernel.grows:
        return False
    # A size, an axis or a bound that is read from a slot comes with an adapter other than the one for float16.
    if any(argument.adapt not in (None, widen) for argument in call.arguments):
        return False
    return kernel.function.__module__.rpartition(".")[2] in _STEADY


def slots(call: Call, *names: str) -> Optional[list[int]]:
    """The slots of the arguments of these names, if those are all arguments read from slots, each in one."""
    given = {argument.name: argument for argument in call.arguments}
    if set(given) != set(names) or len(call.arguments) != len(names):
        return None
    if any(argument.sequence or len(argument.slots) != 1 for argument in call.arguments):
        return None
    return [given[name].slots[0] for name in names]


def gather(call: Call) -> Optional[Rows]:
    """The call as a gather of rows."""
    if not registered(call) or call.step.op != "gather" or call.fixed.get("axis", 0) != 0:
        return None
    found = slots(call, "x", "indices")
    if found is None or call.fixed.get("batch_dims", 0) != 0:
        return None
    return Rows(found[0], found[1])


def scatter(call: Call) -> Optional[Rows]:
    """The call as a scatter of rows that writes into its argument itself."""
    if not registered(call) or call.step.op != "scatter" or call.fixed.get("axis", 0) != 0 or call.copies:
        return None
    found = slots(call, "data", "indices", "updates")
    mode = call.fixed.get("mode", 0 if is_layer(call) else "add")
    known = (_NEURALNETWORK_UPDATE, _NEURALNETWORK_ADD) if is_layer(call) else ("update", "add")
    if found is None or mode not in known:
        return None
    return Rows(found[0], found[1], found[2], adds=mode == known[1])


def concat_last(call: Call) -> Optional[tuple[int, ...]]:
    """The slots that the call joins along the last axis."""
    if not registered(call) or call.step.op not in ("concat", "concatND") or call.fixed.get("interleave", False):
        return None
    if is_layer(call) and call.step.op != "concatND":
        return None
    if call.fixed.get("axis", 0) != -1:
        return None
    return tuple(slot for argument in call.arguments for slot in argument.slots)


def product(call: Call) -> Optional[Product]:
    """The call as a product with constant weights. A layer's folds axes from rank 4 on: the reader must look."""
    if not registered(call) or call.step.op not in ("linear", "innerProduct"):
        return None
    layer = is_layer(call)
    weight = call.fixed.get("weights" if layer else "weight")
    bias = call.fixed.get("bias")
    known = {"weights", "bias", "hasBias", "inputChannels", "outputChannels"} if layer else {"weight", "bias"}
    found = slots(call, "x")
    if found is None or not isinstance(weight, np.ndarray) or weight.ndim != 2 or set(call.fixed) - known:
        return None
    if layer and not call.fixed.get("hasBias", False):
        bias = None
    return Product(found[0], weight, bias)


def binary(call: Call) -> Optional[tuple[Any, Any, Any]]:
    """(ufunc, operand, operand), each operand a slot or a constant array."""
    if not registered(call):
        return None
    function = _BINARY.get(call.step.op)
    if is_layer(call):
        operands = [slot for argument in call.arguments for slot in argument.slots]
        if len(operands) == 1 and call.step.op in _SCALED and set(call.fixed) <= {"alpha"}:
            return _SCALED[call.step.op], operands[0], float(call.fixed.get("alpha", 0.0))
        if function is None or len(operands) != 2 or call.fixed:
            return None
        return function, operands[0], operands[1]
    if function is None or set(call.fixed) | {argument.name for argument in call.arguments} != {"x", "y"}:
        return None
    given = {argument.name: argument.slots[0] for argument in call.arguments}
    return function, given.get("x", call.fixed.get("x")), given.get("y", call.fixed.get("y"))


def comparison(call: Call) -> Optional[tuple[Any, str, Any]]:
    """(operand, Python's operator, operand), each operand a slot, a constant array or a number."""
    sign = _COMPARISON.get(call.step.op)
    if sign is None or not registered(call):
        return None
    given: dict[str, Any] = {str(argument.name): argument.slots[0] for argument in call.arguments}
    given.update(call.fixed)
    if is_layer(call):
        alpha = given.pop("alpha", 0.0)
        given.setdefault("y", float(alpha))
    return (given["x"], sign, given["y"]) if set(given) == {"x", "y"} else None


def activation(call: Call) -> Optional[tuple[str, int]]:
    """(``"sigmoid"`` or ``"tanh"``, slot)."""
    found = slots(call, "x")
    if not registered(call) or call.step.op not in _UNARY or found is None or call.fixed:
        return None
    return _UNARY[call.step.op], found[0]


def alias(call: Call) -> Optional[int]:
    """The slot whose value the call hands on as it is."""
    found = slots(call, "x")
    if not registered(call) or call.step.op not in ("identity", "copy") or found is None:
        return None
    return found[0] if call.step.op == ("copy" if is_layer(call) else "identity") else None


def split_last(call: Call) -> Optional[int]:
    """The slot that the call cuts along the last axis (by declaration; the reader checks the axis's number)."""
    found = slots(call, "x")
    if not registered(call) or call.step.op not in ("split", "splitND") or found is None:
        return None
    if is_layer(call) and call.step.op != "splitND":
        return None
    return found[0]


def counters(loop: Loop) -> dict[int, int]:
    """The carried slots that grow by a constant whole number on each pass, with that number."""
    found: dict[int, int] = {}
    known = offsets(loop, set(loop.carried))
    for slot, produced in zip(loop.carried, loop.produced):
        base, step = known.get(produced, (-1, 0))
        if base == slot and step:
            found[slot] = step
    return found


def offsets(loop: Loop, bases: set[int]) -> dict[int, tuple[int, int]]:
    """The slots that are one of ``bases`` plus a constant whole number: slot -> (base, number)."""
    known = {slot: (slot, 0) for slot in bases}
    for instruction in (*loop.condition, *loop.body):
        if not isinstance(instruction, Call):
            continue
        same = alias(instruction)
        if same is not None and same in known:
            known[instruction.writes[0]] = known[same]
        moved = binary(instruction)
        if moved is not None and moved[0] is np.add:
            for operand, other in ((moved[1], moved[2]), (moved[2], moved[1])):
                number = _whole(other)
                if isinstance(operand, int) and operand in known and number is not None:
                    base, step = known[operand]
                    known[instruction.writes[0]] = (base, step + number)
    return known


def _whole(value: Any) -> Optional[int]:
    """The whole number that a constant is, if it is one; slots are plain ints and are none."""
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iuf":
        value = float(value.reshape(()))
    elif not isinstance(value, float):
        return None
    return int(value) if value == value and abs(value) < 2**20 and value == int(value) else None
