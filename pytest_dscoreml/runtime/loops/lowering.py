"""How each operation of a loop is written: the NumPy calls of its kernel on arrays that are there already.

Imports the writer and the forms.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.loops import forms
from pytest_dscoreml.runtime.loops.writer import FLOATS, WIDE, Lowered, Writer
from pytest_dscoreml.runtime.plan import Call, Instruction
from pytest_dscoreml.runtime.row_products import TAKE, usual_row


class Lowering(Writer):
    """Decides of each operation whether it can be written, and how."""

    def lower(self, index: int, instruction: Instruction) -> Optional[Lowered]:
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

    def _counting(self, index: int, call: Call) -> Optional[Lowered]:
        """A whole number's sum, or its name: Python's integers stand for it."""
        slot = call.writes[0]
        if len(call.writes) != 1 or slot not in self._whole or self._inner[slot] != self._entry[self._whole[slot][0]]:
            return None
        return Lowered(lambda: None)

    def _alias(self, index: int, call: Call) -> Optional[Lowered]:
        source = forms.alias(call)
        if source is None or source not in self._known or source in self._whole:
            return None
        if self._array(source) is not None and self._known[source][1] != call.dtypes[0]:
            return None
        return Lowered(lambda: self._names.__setitem__(call.writes[0], self._name(source)), views=source)

    def _gather(self, index: int, call: Call) -> Optional[Lowered]:
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

        return Lowered(write)

    def _scatter(self, index: int, call: Call) -> Optional[Lowered]:
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

        return Lowered(write, views=rows.data)

    def _hoisted(self, index: int, call: Call) -> Optional[Lowered]:
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
        if not WIDE[result[0]] == WIDE[other[0]] == held[3]:
            return None

        self._products.append(other[1][-1] * result[1][-1])

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

        return Lowered(write)

    def _product(self, index: int, call: Call) -> Optional[Lowered]:
        """One vector times constant weights."""
        product, result = forms.product(call), self._result(call)
        x = self._array(product.x) if product is not None else None
        if product is None or x is None or result is None or any(size != 1 for size in x[1][:-1]):
            return None
        dtype = WIDE[x[0]]
        if not 1 <= len(x[1]) <= 3 or product.weight.shape[1] != x[1][-1] or product.weight.dtype != dtype:
            return None
        if result[0] != x[0] or (product.bias is not None and product.bias.dtype != dtype):
            return None

        self._products.append(product.weight.size)

        def write() -> None:
            row = self._operand(product.x)
            name = self._compute(call, result)
            weight = self._global(np.ascontiguousarray(product.weight.T))
            self._line(f"{self._global(np.dot)}({row}.reshape(-1), {weight}, {name}_flat)")
            if product.bias is not None:
                bias = self._global(product.bias.reshape(result[1]))
                self._line(f"{self._global(np.add)}({name}, {bias}, {name})")
            self._finish(call, result, name)

        return Lowered(write)

    def _split(self, index: int, call: Call) -> Optional[Lowered]:
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

        return Lowered(write, views=source)

    def _merge(self, split: Call, source: int, x: tuple[str, tuple[int, ...]], ends: list[int]) -> bool:
        """Compute the activations of all parts at once, with sigmoid(x) = tanh(x / 2) / 2 + 1 / 2 as the kernel has it.

        tanh(x) itself is 1 tanh(1 x) + -0.0 in the same form, each step of which is exact.
        """
        if x[0] not in FLOATS or self._pinned & set(split.writes):
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

    def _activation(self, index: int, call: Call) -> Optional[Lowered]:
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

        return Lowered(write)

    def _binary(self, index: int, call: Call) -> Optional[Lowered]:
        found, result = forms.binary(call), self._result(call)
        if found is None or result is None:
            return None
        function, *operands = found
        for operand in operands:
            if isinstance(operand, (float, np.ndarray)):
                right = isinstance(operand, float) or operand.dtype == WIDE[result[0]]
            else:
                known = self._array(operand)
                right = known is not None and known[0] == result[0] and -1 not in known[1]
            if not right:
                return None

        def write() -> None:
            texts = [
                self._operand(operand)
                if isinstance(operand, int)
                else self._constant(operand, (WIDE[result[0]], result[1]))
                for operand in operands
            ]
            name = self._compute(call, result)
            self._line(f"{self._global(function)}({texts[0]}, {texts[1]}, {name})")
            self._finish(call, result, name)

        return Lowered(write)
