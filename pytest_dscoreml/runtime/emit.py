"""Generates the function that ``straight`` runs in place of a loop.

Each operation of the loop becomes the NumPy calls that its kernel makes, on the same values, with results written into
arrays that are allocated once a run; float16 values are computed in float32 and rounded at each operation, as the
kernels do. A value that outlives its pass, or that an operation reads which is not known here, gets a new array on each
pass. A row that is gathered is a slice where nobody writes into that row while it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime import forms
from pytest_dscoreml.runtime.plan import EXECUTOR_SLOT, Call, Instruction, Loop
from pytest_dscoreml.runtime.row_products import TAKE, RowProducts, usual_row
from pytest_dscoreml.runtime.running import Environment, truth

FILE = "<generated loop>"
_FLOATS = ("float32", "float64")
_WIDE = {"float16": "float32", "float32": "float32", "float64": "float64"}
#: Constants are as large as what they are combined with up to here: it saves NumPy the broadcasting.
_LARGEST_CONSTANT = 1 << 16

#: (kind, type, shape): ``array`` with a dtype and a shape whose first size may be open; ``rows``; else ``other``.
Signature = tuple[Any, ...]
Shapes = dict[int, Signature]


def signature(value: Any, *, open_rows: bool) -> Signature:
    """What the generator may know of a value."""
    if isinstance(value, np.ndarray):
        shape = (-1, *value.shape[1:]) if open_rows and value.ndim else value.shape
        return ("array", value.dtype.name, shape)
    if isinstance(value, RowProducts):
        return ("rows", value.x.dtype.name, value.x.shape[1:], value.split.dtype)
    return ("other", type(value).__name__, ())


@dataclass(frozen=True)
class Generated:
    """``function(environment, passes made)``; ``lines`` says which operation a line of it belongs to."""

    function: Callable[[Environment, int], None]
    lines: Mapping[int, Instruction]
    names: Mapping[int, str]
    counters: Mapping[int, int]
    source: str

    def admits(self, environment: Environment, limit: int) -> bool:
        """Whether the counters hold whole numbers that their types can count with until the loop must end."""
        for slot, step in self.counters.items():
            value = environment[slot]
            number = float(value.reshape(()))
            bits = 31 if value.dtype.kind in "iu" else np.finfo(value.dtype).nmant
            if number != int(number) or abs(number) + abs(step) * (limit + 2) >= 2.0**bits:
                return False
        return True


def open_rows(loop: Loop) -> frozenset[int]:
    """The arrays of which the loop only reads or writes rows: how many they have makes no difference to its code."""
    code = (*loop.condition, *loop.body)
    candidates = set(loop.carried) | {slot for one in code for slot in one.reads}
    readers: dict[int, list[Instruction]] = {}
    for instruction in code:
        for slot in instruction.reads:
            readers.setdefault(slot, []).append(instruction)
    same = {call.writes[0]: source for call in code if isinstance(call, Call) for source in _handed_on(call)}

    def by_rows(slot: int, instruction: Instruction) -> bool:
        if not isinstance(instruction, Call):
            return False
        rows = forms.gather(instruction) or forms.scatter(instruction)
        if rows is not None:
            return rows.data == slot and slot not in (rows.indices, rows.updates)
        return forms.alias(instruction) == slot

    while True:
        wrong = {
            slot
            for slot in candidates
            if not all(by_rows(slot, reader) for reader in readers.get(slot, ()))
            or any(same[out] == slot and out not in candidates for out in same if out in readers)
            or (slot in loop.carried and _root(loop.produced[loop.carried.index(slot)], same) not in candidates)
        }
        if not wrong:
            return frozenset(slot for slot in candidates)
        candidates -= wrong


def _handed_on(call: Call) -> list[int]:
    """The slot whose array the call returns, if it does."""
    rows = forms.scatter(call)
    same = forms.alias(call) if rows is None else rows.data
    return [] if same is None else [same]


def _root(slot: int, same: Mapping[int, int]) -> int:
    while slot in same:
        slot = same[slot]
    return slot


def generate(loop: Loop, limit: int, entry: Shapes, inner: Shapes, runners: Mapping[int, Any]) -> Optional[Generated]:
    """The function for a loop whose values have these shapes; None if its carried values may change theirs."""
    # What draws numbers or changes a state runs as it stands in the file.
    if any(isinstance(one, Call) and not one.kernel.pure for one in (*loop.condition, *loop.body)):
        return None
    return _Generator(loop, limit, entry, inner, runners).generate()


@dataclass
class _Lowered:
    """How one operation is written: ``write`` emits it; ``views`` says that its results are parts of its argument."""

    write: Callable[[], None]
    views: Optional[int] = None


@dataclass
class _Source:
    prologue: list[str] = field(default_factory=list)
    head: dict[str, str] = field(default_factory=dict)
    body: list[tuple[str, Optional[Instruction]]] = field(default_factory=list)


class _Generator:
    def __init__(self, loop: Loop, limit: int, entry: Shapes, inner: Shapes, runners: Mapping[int, Any]) -> None:
        self._loop = loop
        self._limit = limit
        self._code: tuple[Instruction, ...] = (*loop.condition, *loop.body)
        self._known: Shapes = {slot: found for slot, found in entry.items() if found[0] != "other"}
        self._entry = entry
        self._inner = inner
        self._runners = runners
        self._counters = {
            slot: step for slot, step in forms.counters(loop).items() if _is_number(entry[slot]) and slot in entry
        }
        self._whole = forms.offsets(loop, set(self._counters))
        self._same = {call.writes[0]: s for call in self._code if isinstance(call, Call) for s in _handed_on(call)}
        self._names: dict[int, str] = {}
        self._wide: dict[int, str] = {}
        self._merged: dict[int, tuple[str, int, int]] = {}
        self._pinned: set[int] = set()
        self._source = _Source()
        self._globals: dict[str, Any] = {"truth": truth, "array": np.array, "empty": np.empty, "copyto": np.copyto}
        self._globals.update({"dot": np.dot, "full": np.full, "float32": np.float32})
        self._now: Optional[Instruction] = None

    # -- deciding -----------------------------------------------------------------------------------------------------

    def generate(self) -> Optional[Generated]:
        lowered = [self._lower(index, instruction) for index, instruction in enumerate(self._code)]
        for carried, produced in zip(self._loop.carried, self._loop.produced):
            if produced not in self._known or not self._stays(carried, produced):
                return None
        self._pin(lowered)
        self._lowered = lowered
        return self._write(lowered)

    def _stays(self, carried: int, produced: int) -> bool:
        if carried in self._counters:
            return self._whole.get(produced, (-1, 0))[0] == carried
        return self._known[carried] == self._known[produced]

    def _pin(self, lowered: Sequence[Optional[_Lowered]]) -> None:
        """Values that are needed beyond their pass, or that an unknown operation might keep, get arrays of their own."""
        self._pinned = set(self._loop.produced)
        for instruction, known in zip(self._code, lowered):
            if known is None:
                self._pinned |= instruction.reads
        for instruction, known in zip(reversed(self._code), reversed(lowered)):
            if known is not None and known.views is not None and self._pinned & set(instruction.writes):
                self._pinned.add(known.views)

    def _lower(self, index: int, instruction: Instruction) -> Optional[_Lowered]:
        """How to write ``instruction``, None if it is called as it is; notes the shapes of its results."""
        if not isinstance(instruction, Call):
            return None
        for attempt in (
            self._counting,
            self._alias,
            self._gather,
            self._scatter,
            self._hoisted,
            self._product,
            self._split,
            self._activation,
            self._binary,
        ):
            found = attempt(index, instruction)
            if found is not None:
                for slot in instruction.writes:
                    # What is handed on may have an open number of rows, which its own array does not show.
                    source = self._same.get(slot)
                    self._known[slot] = self._inner[slot] if source is None else self._known[source]
                return found
        if forms.is_steady(instruction) and instruction.reads <= self._known.keys():
            self._known.update({slot: self._inner[slot] for slot in instruction.writes})
        return None

    def _array(self, slot: Any, kinds: Sequence[str] = (*_FLOATS, "float16")) -> Optional[tuple[str, tuple[int, ...]]]:
        """(dtype, shape) of a slot whose shape is known and stays."""
        found = self._known.get(slot) if isinstance(slot, int) else None
        if found is None or found[0] != "array" or found[1] not in kinds:
            return None
        return found[1], found[2]

    def _result(self, call: Call) -> Optional[tuple[str, tuple[int, ...]]]:
        found = self._inner.get(call.writes[0])
        if found is None or found[0] != "array" or found[1] != call.dtypes[0] or found[1] not in _WIDE or not found[2]:
            return None
        return found[1], found[2]

    # -- the operations -----------------------------------------------------------------------------------------------

    def _counting(self, index: int, call: Call) -> Optional[_Lowered]:
        """A whole number's sum, or its name: Python's integers stand for it."""
        slot = call.writes[0]
        if len(call.writes) != 1 or slot not in self._whole or self._inner[slot] != self._entry[self._whole[slot][0]]:
            return None
        return _Lowered(lambda: None)

    def _alias(self, index: int, call: Call) -> Optional[_Lowered]:
        source = forms.alias(call)
        if source is None or source not in self._known or source in self._whole:
            return None
        if self._array(source) is not None and self._known[source][1] != call.dtypes[0]:
            return None
        return _Lowered(lambda: self._names.__setitem__(call.writes[0], self._name(source)), views=source)

    def _gather(self, index: int, call: Call) -> Optional[_Lowered]:
        rows = forms.gather(call)
        data = self._array(rows.data) if rows is not None else None
        if rows is None or data is None or rows.indices not in self._whole or data[0] != call.dtypes[0]:
            return None
        single = self._number_shape(rows.indices) == (1,)
        if len(data[1]) < 2 and not single:
            return None

        def write() -> None:
            at, after = self._index(rows.indices, 0), self._index(rows.indices, 1)
            source, name = self._name(rows.data), f"v{call.writes[0]}"
            copied = "" if self._may_be_slice(index, call.writes[0], rows) else ".copy()"
            self._line(f"if 0 <= {at} < len({source}):")
            self._line(f"    {name} = {source}[{f'{at}:{after}' if single else at}]{copied}")
            self._line("else:")
            self._called(call, indent="    ")
            self._names[call.writes[0]] = name

        return _Lowered(write)

    def _scatter(self, index: int, call: Call) -> Optional[_Lowered]:
        rows = forms.scatter(call)
        if rows is None or rows.updates is None or rows.indices not in self._whole:
            return None
        new = rows.updates
        data, updates = self._array(rows.data), self._array(new)
        expected = None if data is None else (*self._number_shape(rows.indices), *data[1][1:])
        if data is None or updates is None or data[0] != updates[0] or updates[1] != expected:
            return None
        if call.dtypes[0] != data[0]:
            return None

        def write() -> None:
            at, after = self._index(rows.indices, 0), self._index(rows.indices, 1)
            history, row = self._name(rows.data), self._name(new)
            self._line(f"if 0 <= {at} < len({history}):")
            if rows.adds:
                self._line(f"    r = {history}[{at}:{after}]")
                self._line(f"    {self._global(np.add)}(r, {row}, r)")
            else:
                self._line(f"    {history}[{at}:{after}] = {row}")
            self._line("else:")
            self._called(call, indent="    ")
            self._names[call.writes[0]] = history

        return _Lowered(write, views=rows.data)

    def _hoisted(self, index: int, call: Call) -> Optional[_Lowered]:
        """A row of products computed before, and the product with one vector that is carried."""
        result = self._result(call)
        if call.kernel.op != TAKE or result is None:
            return None
        arguments = {argument.name: argument.slots for argument in call.arguments}
        (rows,), (indices,), others = arguments["rows"], arguments["indices"], arguments.get("others", ())
        held = self._known.get(rows)
        other = self._array(others[0]) if len(others) == 1 else None
        if held is None or held[0] != "rows" or other is None or indices not in self._whole:
            return None
        if self._number_shape(indices) != (1,) or not usual_row(held[2], held[1], other[1], other[0]):
            return None
        if not _WIDE[result[0]] == _WIDE[other[0]] == held[3]:
            return None

        def write() -> None:
            at = self._index(indices, 0)
            source = self._name(rows)
            turned, start, count, block = (f"{prefix}{rows}" for prefix in ("w", "s", "n", "p"))
            self._prologue(f"{turned} = {source}.prepare([{other[1][-1]}])")
            self._prologue(f"if {turned} is None: raise ValueError('the widths do not fit the weights')")
            self._prologue(f"{start} = {count} = 0")
            row = self._operand(others[0])
            name = self._compute(call, result)
            self._line(f"if 0 <= {at} < len({source}.x):")
            self._line(f"    if not {start} <= {at} < {count}:")
            self._line(f"        {start}, {block} = {source}.block({at})")
            self._line(f"        {count} = {start} + len({block})")
            self._line(f"    {self._global(np.dot)}({row}.reshape(-1), {turned}, {name}_flat)")
            self._line(f"    {self._global(np.add)}({name}, {block}[{at} - {start}:{at} - {start} + 1], {name})")
            self._line("else:")
            self._called(call, indent="    ")
            self._line(f"    copyto({name}, v{call.writes[0]})")
            self._finish(call, result, name)

        return _Lowered(write)

    def _product(self, index: int, call: Call) -> Optional[_Lowered]:
        """One vector times constant weights."""
        product, result = forms.product(call), self._result(call)
        x = self._array(product.x) if product is not None else None
        if product is None or x is None or result is None or any(size != 1 for size in x[1][:-1]):
            return None
        dtype = _WIDE[x[0]]
        if not 1 <= len(x[1]) <= 3 or product.weight.shape[1] != x[1][-1] or product.weight.dtype != dtype:
            return None
        if result[0] != x[0] or (product.bias is not None and product.bias.dtype != dtype):
            return None

        def write() -> None:
            row = self._operand(product.x)
            name = self._compute(call, result)
            weight = self._global(np.ascontiguousarray(product.weight.T))
            self._line(f"{self._global(np.dot)}({row}.reshape(-1), {weight}, {name}_flat)")
            if product.bias is not None:
                bias = self._global(product.bias.reshape(result[1]))
                self._line(f"{self._global(np.add)}({name}, {bias}, {name})")
            self._finish(call, result, name)

        return _Lowered(write)

    def _split(self, index: int, call: Call) -> Optional[_Lowered]:
        source = forms.split_last(call)
        x = self._array(source)
        if source is None or x is None or call.fixed.get("axis", 0) not in (-1, len(x[1]) - 1):
            return None
        parts = [self._inner[slot] for slot in call.writes]
        if any(part[:2] != ("array", x[0]) or part[2][:-1] != x[1][:-1] for part in parts):
            return None
        if any(dtype != x[0] for dtype in call.dtypes) or sum(part[2][-1] for part in parts) != x[1][-1]:
            return None
        ends = np.cumsum([part[2][-1] for part in parts]).tolist()

        def write() -> None:
            if self._merge(call, source, x, ends):
                return
            held = self._name(source)
            for slot, end, part in zip(call.writes, ends, parts):
                name = f"v{slot}"
                line = f"{name} = {held}[..., {end - part[2][-1]}:{end}]"
                # A part of an array that stays is the same part on all passes.
                if held.startswith("b"):
                    self._prologue(line)
                else:
                    self._line(line)
                self._names[slot] = name

        return _Lowered(write, views=source)

    def _merge(self, split: Call, source: int, x: tuple[str, tuple[int, ...]], ends: list[int]) -> bool:
        """Compute the activations of all parts at once, with sigmoid(x) = tanh(x / 2) / 2 + 1 / 2 as the kernel has it.

        tanh(x) itself is 1 tanh(1 x) + -0.0 in the same form, each step of which is exact.
        """
        if x[0] not in _FLOATS or self._pinned & set(split.writes):
            return False
        readers = [(one, known) for one, known in zip(self._code, self._lowered) if one.reads & set(split.writes)]
        found: dict[int, tuple[str, Call]] = {}
        for instruction, known in readers:
            activation = forms.activation(instruction) if isinstance(instruction, Call) and known is not None else None
            if activation is None or not isinstance(instruction, Call) or activation[1] in found:
                return False
            found[activation[1]] = (activation[0], instruction)
        if set(found) != set(split.writes) or any(call.writes[0] in self._pinned for _, call in found.values()):
            return False
        scale, shift = np.ones(x[1], x[0]), np.full(x[1], -0.0, x[0])
        start = 0
        name = self._buffer(f"b{source}_gates", x)
        for slot, end in zip(split.writes, ends):
            if found[slot][0] == "sigmoid":
                scale[..., start:end] = shift[..., start:end] = 0.5
            result = found[slot][1].writes[0]
            self._prologue(f"b{result} = {name}[..., {start}:{end}]")
            self._merged[result] = (name, start, end)
            start = end
        scaled, shifted = self._global(scale), self._global(shift)
        self._line(f"{self._global(np.multiply)}({self._name(source)}, {scaled}, {name})")
        self._line(f"{self._global(np.tanh)}({name}, {name})")
        self._line(f"{self._global(np.multiply)}({name}, {scaled}, {name})")
        self._line(f"{self._global(np.add)}({name}, {shifted}, {name})")
        return True

    def _activation(self, index: int, call: Call) -> Optional[_Lowered]:
        activation, result = forms.activation(call), self._result(call)
        x = self._array(activation[1]) if activation is not None else None
        if activation is None or x is None or result is None or result != x:
            return None
        kind, source = activation

        def write() -> None:
            if call.writes[0] in self._merged:
                self._names[call.writes[0]] = f"b{call.writes[0]}"
                return
            operand = self._operand(source)
            name = self._compute(call, result)
            if kind == "tanh":
                self._line(f"{self._global(np.tanh)}({operand}, {name})")
            else:
                half = self._constant(0.5, result)
                multiply = self._global(np.multiply)
                self._line(f"{multiply}({operand}, {half}, {name})")
                self._line(f"{self._global(np.tanh)}({name}, {name})")
                self._line(f"{multiply}({name}, {half}, {name})")
                self._line(f"{self._global(np.add)}({name}, {half}, {name})")
            self._finish(call, result, name)

        return _Lowered(write)

    def _binary(self, index: int, call: Call) -> Optional[_Lowered]:
        found, result = forms.binary(call), self._result(call)
        if found is None or result is None:
            return None
        function, *operands = found
        for operand in operands:
            if isinstance(operand, (float, np.ndarray)):
                right = isinstance(operand, float) or operand.dtype == _WIDE[result[0]]
            else:
                known = self._array(operand)
                right = known is not None and known[0] == result[0] and -1 not in known[1]
            if not right:
                return None

        def write() -> None:
            texts = [
                self._operand(operand)
                if isinstance(operand, int)
                else self._constant(operand, (_WIDE[result[0]], result[1]))
                for operand in operands
            ]
            name = self._compute(call, result)
            self._line(f"{self._global(function)}({texts[0]}, {texts[1]}, {name})")
            self._finish(call, result, name)

        return _Lowered(write)

    # -- names and arrays ---------------------------------------------------------------------------------------------

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
        dtype = _WIDE[like[0]]
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
        slot, kind = call.writes[0], (_WIDE[result[0]], result[1])
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
        root = _root(rows.data, self._same)
        if slot in self._pinned or root not in self._entry:
            return False
        last = self._last_use(slot)
        for position in range(index + 1, len(self._code)):
            call = self._code[position]
            if not isinstance(call, Call):
                return False
            if call.overwritten is None or call.copies or position >= last:
                continue
            if _root(call.overwritten, self._same) != root:
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

    # -- the function -------------------------------------------------------------------------------------------------

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

    def _write(self, lowered: Sequence[Optional[_Lowered]]) -> Generated:
        loop = self._loop
        self._inside = {slot for instruction in self._code for slot in instruction.writes}
        for slot in loop.carried:
            if slot not in self._counters:
                self._name(slot)
        for position, (instruction, known) in enumerate(zip(self._code, lowered)):
            self._now = instruction
            if position == len(loop.condition):
                self._test()
                self._now = instruction
            if self._is_test(instruction):
                continue
            if known is not None:
                known.write()
            else:
                self._called(instruction)
                self._names.update({slot: f"v{slot}" for slot in instruction.writes})
        self._now = None
        if not loop.body:
            self._test()
        return self._assemble()

    def _is_test(self, instruction: Instruction) -> bool:
        """Whether it is the comparison of a counter that ends the loop, and nothing else reads it."""
        slot = self._loop.condition_slot
        if slot is None or instruction not in self._loop.condition or slot not in instruction.writes:
            return False
        return isinstance(instruction, Call) and self._comparison(instruction) is not None

    def _comparison(self, call: Call) -> Optional[str]:
        found = forms.comparison(call)
        slot = self._loop.condition_slot
        if found is None or slot in self._loop.produced or any(slot in one.reads for one in self._code):
            return None
        texts: list[str] = []
        for operand in (found[0], found[2]):
            if isinstance(operand, int) and operand in self._whole:
                texts.append(self._index(operand, 0))
            elif isinstance(operand, int) and operand in self._entry and operand not in self._loop.carried:
                if not _is_number(self._entry[operand]):
                    return None
                texts.append(f"limit{operand}")
                self._prologue(f"limit{operand} = e[{operand}].item()")
            elif isinstance(operand, np.ndarray) and operand.size == 1:
                texts.append(repr(operand.item()))
            elif isinstance(operand, float):
                texts.append(repr(operand))
            else:
                return None
        return f"{texts[0]} {found[1]} {texts[1]}"

    def _test(self) -> None:
        """End the loop when its condition says so, or when it has made as many passes as it may."""
        loop = self._loop
        # What goes wrong here is the loop's own fault, not an operation's.
        self._now = None
        if loop.condition_slot is not None:
            test = None
            for instruction in loop.condition:
                if self._is_test(instruction) and isinstance(instruction, Call):
                    test = self._comparison(instruction)
            self._line(f"if not ({test or f'truth({self._name(loop.condition_slot)})'}): break")
        self._line(f"if done == {self._limit}:")
        if loop.limit is None:
            self._line(f"    raise ValueError('it has not ended after {self._limit} passes')")
        else:
            self._line("    break")

    def _assemble(self) -> Generated:
        loop, source = self._loop, self._source
        pairs = [
            (f"v{slot}", self._name(produced))
            for slot, produced in zip(loop.carried, loop.produced)
            if slot not in self._counters
        ]
        pairs = [(name, value) for name, value in pairs if name != value]
        lines: list[tuple[str, Optional[Instruction]]] = [("def loop(e, done):", None)]
        lines += [(f"    t{slot} = int(e[{slot}].reshape(()))", None) for slot in self._counters]
        lines += [(f"    {line}", None) for line in source.prologue]
        lines.append(("    while True:", None))
        lines += [(f"        {name} = {value}", None) for name, value in source.head.items()]
        lines += [(f"        {line}", owner) for line, owner in source.body]
        if pairs:
            targets, values = (", ".join(part) for part in zip(*pairs))
            lines.append((f"        {targets} = {values}", None))
        lines += [(f"        t{slot} += {step}", None) for slot, step in self._counters.items()]
        lines.append(("        done += 1", None))
        for slot in loop.carried:
            lines.append((f"    e[{slot}] = {self._name(slot) if slot in self._counters else f'v{slot}'}", None))
        text = "\n".join(line for line, _ in lines) + "\n"
        names = {**self._globals}
        exec(compile(text, FILE, "exec"), names)
        owners = {number: owner for number, (_, owner) in enumerate(lines, start=1) if owner is not None}
        return Generated(names["loop"], owners, self._names, self._counters, text)


def _is_number(found: Signature) -> bool:
    """Whether it is an array that holds one number."""
    return found[0] == "array" and found[2] in ((), (1,)) and np.dtype(found[1]).kind in "iuf"
