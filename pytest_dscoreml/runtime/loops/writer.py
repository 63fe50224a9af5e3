"""Lines of the generated function: its variables, its arrays, and the values that stay from pass to pass.

Imports the forms and the signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime.loops import forms
from pytest_dscoreml.runtime.loops.signatures import Shapes, handed_on, is_number, root
from pytest_dscoreml.runtime.plan import EXECUTOR_SLOT, Call, Instruction, Loop
from pytest_dscoreml.runtime.row_products import TAKE
from pytest_dscoreml.runtime.running import truth

FLOATS = ("float32", "float64")
WIDE = {"float16": "float32", "float32": "float32", "float64": "float64"}
#: Constants are as large as what they are combined with up to here: it saves NumPy the broadcasting.
_LARGEST_CONSTANT = 1 << 16


@dataclass
class Lowered:
    """How one operation is written: ``write`` emits it; ``views`` says that its results are parts of its argument."""

    write: Callable[[], None]
    views: Optional[int] = None


@dataclass
class Source:
    """The parts of the function: before the loop, names of each pass's indices, the loop's lines with their operations."""

    prologue: list[str] = field(default_factory=list)
    head: dict[str, str] = field(default_factory=dict)
    body: list[tuple[str, Optional[Instruction]]] = field(default_factory=list)


class Writer:
    """Notes what is known of values, and collects lines."""

    def __init__(self, loop: Loop, limit: int, entry: Shapes, inner: Shapes, runners: Mapping[int, Any]) -> None:
        self._loop = loop
        self._limit = limit
        self._code: tuple[Instruction, ...] = (*loop.condition, *loop.body)
        self._known: Shapes = {slot: found for slot, found in entry.items() if found[0] != "other"}
        self._entry = entry
        self._inner = inner
        self._runners = runners
        self._counters = {
            slot: step for slot, step in forms.counters(loop).items() if slot in entry and is_number(entry[slot])
        }
        self._whole = forms.offsets(loop, set(self._counters))
        self._same = {call.writes[0]: s for call in self._code if isinstance(call, Call) for s in handed_on(call)}
        self._names: dict[int, str] = {}
        self._wide: dict[int, str] = {}
        self._merged: dict[int, tuple[str, int, int]] = {}
        self._pinned: set[int] = set()
        #: How many weights each product has.
        self._products: list[int] = []
        self._source = Source()
        self._globals: dict[str, Any] = {"truth": truth, "array": np.array, "empty": np.empty, "copyto": np.copyto}
        self._globals.update({"dot": np.dot, "full": np.full, "float32": np.float32})
        self._now: Optional[Instruction] = None
        self._lowered: Sequence[Optional[Lowered]] = ()
        self._inside = {slot for instruction in self._code for slot in instruction.writes}

    def _array(self, slot: Any, kinds: Sequence[str] = (*FLOATS, "float16")) -> Optional[tuple[str, tuple[int, ...]]]:
        """(dtype, shape) of a slot whose shape is known and stays."""
        found = self._known.get(slot) if isinstance(slot, int) else None
        if found is None or found[0] != "array" or found[1] not in kinds:
            return None
        return found[1], found[2]

    def _result(self, call: Call) -> Optional[tuple[str, tuple[int, ...]]]:
        found = self._inner.get(call.writes[0])
        if found is None or found[0] != "array" or found[1] != call.dtypes[0] or found[1] not in WIDE or not found[2]:
            return None
        return found[1], found[2]

    def _line(self, text: str) -> None:
        self._source.body.append((text, self._now))

    def _prologue(self, text: str) -> None:
        if text not in self._source.prologue:
            self._source.prologue.append(text)

    def _global(self, value: Any) -> str:
        name = getattr(value, "__name__", None) if callable(value) else None
        if name is None:
            name = f"k{len(self._globals)}"
        self._globals[name] = value
        return name

    def _constant(self, value: Any, like: tuple[str, tuple[int, ...]]) -> str:
        dtype = WIDE[like[0]]
        array = np.asarray(value, dtype)
        small = int(np.prod(like[1])) <= _LARGEST_CONSTANT
        return self._global(np.ascontiguousarray(np.broadcast_to(array, like[1])) if small else array)

    def _buffer(self, name: str, kind: tuple[str, tuple[int, ...]]) -> str:
        self._prologue(f"{name} = empty({kind[1]}, {kind[0]!r})")
        return name

    def _name(self, slot: int) -> str:
        """The variable that holds a slot's array."""
        if slot in self._whole:
            base = self._entry[self._whole[slot][0]]
            return f"full({base[2]}, {self._index(slot, 0)}, {base[1]!r})"
        if slot not in self._names:
            # Not made inside: an array of the enclosing block, or a carried one.
            self._names[slot] = f"v{slot}"
            self._prologue(f"v{slot} = e[{slot}]")
        return self._names[slot]

    def _operand(self, slot: int) -> str:
        """The variable that holds a slot's array in the type that is computed in."""
        known = self._known[slot]
        if known[1] != "float16":
            return self._name(slot)
        if slot not in self._wide:
            name = self._buffer(f"b{slot}_wide", ("float32", known[2]))
            self._line(f"copyto({name}, {self._name(slot)})")
            self._wide[slot] = name
        return self._wide[slot]

    def _compute(self, call: Call, result: tuple[str, tuple[int, ...]]) -> str:
        """The variable to compute the result in: kept from pass to pass, unless the value is needed longer."""
        slot, kind = call.writes[0], (WIDE[result[0]], result[1])
        flat = forms.product(call) is not None or call.kernel.op == TAKE
        if result[0] == "float16" or slot not in self._pinned:
            name = self._buffer(f"b{slot}" if kind[0] == result[0] else f"b{slot}_sum", kind)
            if flat:
                self._prologue(f"{name}_flat = {name}.reshape(-1)")
            return name
        name = f"v{slot}"
        self._line(f"{name} = empty({kind[1]}, {kind[0]!r})")
        if flat:
            self._line(f"{name}_flat = {name}.reshape(-1)")
        return name

    def _finish(self, call: Call, result: tuple[str, tuple[int, ...]], name: str) -> None:
        """Round the result in ``name`` to its type, where that is narrower."""
        slot = call.writes[0]
        if result[0] != "float16":
            self._names[slot] = name
        elif slot in self._pinned:
            self._line(f"v{slot} = {name}.astype('float16')")
            self._names[slot] = f"v{slot}"
        else:
            self._names[slot] = self._buffer(f"b{slot}", result)
            self._line(f"copyto(b{slot}, {name}, 'same_kind')")

    def _number_shape(self, slot: int) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._entry[self._whole[slot][0]][2]
        return shape

    def _index(self, slot: int, more: int) -> str:
        """The whole number in ``slot``, plus ``more``."""
        base, offset = self._whole[slot]
        total = offset + more
        if not total:
            return f"t{base}"
        name = f"t{base}{'p' if total > 0 else 'm'}{abs(total)}"
        self._source.head[name] = f"t{base} + {total}"
        return name

    def _may_be_slice(self, index: int, slot: int, rows: forms.Rows) -> bool:
        """Whether a gathered row may share memory with the array it is taken from: nobody may write into it in sight."""
        held = root(rows.data, self._same)
        if slot in self._pinned or held not in self._entry:
            return False
        last = self._last_use(slot)
        for position in range(index + 1, len(self._code)):
            call = self._code[position]
            if not isinstance(call, Call):
                return False
            if call.overwritten is None or call.copies or position >= last:
                continue
            if root(call.overwritten, self._same) != held:
                continue
            written = forms.scatter(call)
            if written is None or self._lowered[position] is None:
                return False
            (base, offset), (other, distance) = self._whole[rows.indices], self._whole[written.indices]
            if base != other or offset == distance:
                return False
        return True

    def _last_use(self, slot: int) -> int:
        last = -1
        for position, instruction in enumerate(self._code):
            if slot in instruction.reads:
                last = max(last, position)
                known = self._lowered[position]
                if known is not None and known.views == slot:
                    last = max([last, *(self._last_use(out) for out in instruction.writes)])
        return last

    def _called(self, instruction: Instruction, indent: str = "") -> None:
        """Call the operation as it is, through the environment."""
        for slot in sorted(instruction.reads - {EXECUTOR_SLOT}):
            if slot in self._inside or slot in self._loop.carried:
                self._line(f"{indent}e[{slot}] = {self._name(slot)}")
        runner = f"run{self._code.index(instruction)}"
        self._globals[runner] = self._runners[id(instruction)]
        self._line(f"{indent}{runner}(e)")
        for slot in instruction.writes:
            self._line(f"{indent}v{slot} = e[{slot}]")
