"""What a converted model declares of itself, as the worker read it from the file it had written.

Imports the standard library and `pytest_dscoreml.errors` only: the worker does the reading, this holds and shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from pytest_dscoreml.errors import ConversionError

#: Lower and upper end of one dimension, both admitted; an upper end of None is unbounded.
Range = tuple[int, Optional[int]]


@dataclass(frozen=True)
class DeclaredTensor:
    """One input or output as the model's description declares it.

    `dtype` is Core ML's name in lower case (float32, float16, int32, float64). `shape` is the default shape, `()` when
    the file declares none. `ranges` has one pair per dimension if the shape is flexible by range, `enumerated` the
    admitted shapes if it is flexible by enumeration; both are empty otherwise.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    ranges: tuple[Range, ...] = ()
    enumerated: tuple[tuple[int, ...], ...] = ()
    optional: bool = False

    def __str__(self) -> str:
        if self.ranges:
            dimensions = [_dimension(lower, upper) for lower, upper in self.ranges]
        else:
            dimensions = [str(size) for size in self.shape]
        text = f"{self.name} {self.dtype} " + (f"[{', '.join(dimensions)}]" if dimensions else "(no shape declared)")
        if self.enumerated:
            text += " or one of " + ", ".join(str(list(shape)) for shape in self.enumerated)
        return text + (" optional" if self.optional else "")


def _dimension(lower: int, upper: int | None) -> str:
    if upper is None:
        return f"{lower}.."
    return str(lower) if lower == upper else f"{lower}..{upper}"


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of a converted model, in the file's order."""

    inputs: tuple[DeclaredTensor, ...]
    outputs: tuple[DeclaredTensor, ...]
    specification_version: int

    def __str__(self) -> str:
        lines = [f"specification version {self.specification_version}"]
        lines += [f"input  {tensor}" for tensor in self.inputs]
        lines += [f"output {tensor}" for tensor in self.outputs]
        return "\n".join(lines)

    def input(self, name: str) -> DeclaredTensor | None:
        """The input of that name, or None."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    def output(self, name: str) -> DeclaredTensor | None:
        """The output of that name, or None."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The form in which the worker answers and the cache stores it; `from_json` reads it back."""
        return {
            "inputs": [_tensor_to_json(tensor) for tensor in self.inputs],
            "outputs": [_tensor_to_json(tensor) for tensor in self.outputs],
            "specification_version": self.specification_version,
        }

    @classmethod
    def from_json(cls, data: object) -> Interface:
        """Read what the worker answered or the cache stored.

        Raises:
            ConversionError: if it has another form.
        """
        if not isinstance(data, Mapping):
            raise ConversionError(f"an interface is an object, not {_shown(data)}")
        return cls(
            inputs=_tensors(data, "inputs"),
            outputs=_tensors(data, "outputs"),
            specification_version=_integer(data.get("specification_version"), "specification_version"),
        )


@dataclass(frozen=True)
class Selectable:
    """An operation whose precision the converter let be chosen, by its own names, which are not those of the file."""

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The form in which the worker answers and the cache stores it; `selectable_from_json` reads it back."""
        return {
            "name": self.name,
            "type": self.type,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
        }


def selectable_from_json(data: object) -> tuple[Selectable, ...]:
    """The operations that the converter let be chosen.

    Raises:
        ConversionError: if `data` has another form.
    """
    if not isinstance(data, list) or not all(isinstance(entry, Mapping) for entry in data):
        raise ConversionError(f"selectable operations are a list of objects, not {_shown(data)}")
    return tuple(
        Selectable(
            name=_string(entry, "name"),
            type=_string(entry, "type"),
            inputs=_strings(entry, "inputs"),
            outputs=_strings(entry, "outputs"),
        )
        for entry in data
    )


def _string(entry: Mapping[str, Any], field: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str):
        raise ConversionError(f"the {field} of a selectable operation is text, not {_shown(value)}")
    return value


def _strings(entry: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = entry.get(field)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConversionError(f"the {field} of a selectable operation are a list of texts, not {_shown(value)}")
    return tuple(value)


def op_counts_from_json(data: object) -> dict[str, int]:
    """Op type -> how often it occurs, nested blocks and networks included; ordered by name.

    Raises:
        ConversionError: if `data` has another form.
    """
    if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
        raise ConversionError(f"op counts are an object of numbers, not {_shown(data)}")
    return {name: _integer(data[name], f"the count of op {name!r}") for name in sorted(data)}


def _tensor_to_json(tensor: DeclaredTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "ranges": [list(pair) for pair in tensor.ranges],
        "enumerated": [list(shape) for shape in tensor.enumerated],
        "optional": tensor.optional,
    }


def _tensors(data: Mapping[str, Any], field: str) -> tuple[DeclaredTensor, ...]:
    entries = data.get(field)
    if not isinstance(entries, list):
        raise ConversionError(f"{field} is a list, not {_shown(entries)}")
    return tuple(_tensor(entry) for entry in entries)


def _tensor(entry: object) -> DeclaredTensor:
    if not isinstance(entry, Mapping):
        raise ConversionError(f"a declared tensor is an object, not {_shown(entry)}")
    for field in ("name", "dtype"):
        if not isinstance(entry.get(field), str):
            raise ConversionError(f"the {field} of a declared tensor is text, not {_shown(entry.get(field))}")
    ranges = entry.get("ranges")
    enumerated = entry.get("enumerated")
    if not isinstance(ranges, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in ranges):
        raise ConversionError(f"ranges are a list of pairs, not {_shown(ranges)}")
    if not isinstance(enumerated, list):
        raise ConversionError(f"enumerated shapes are a list, not {_shown(enumerated)}")
    return DeclaredTensor(
        name=entry["name"],
        dtype=entry["dtype"],
        shape=_shape(entry.get("shape")),
        ranges=tuple(
            (_integer(lower, "a lower bound"), None if upper is None else _integer(upper, "an upper bound"))
            for lower, upper in ranges
        ),
        enumerated=tuple(_shape(shape) for shape in enumerated),
        optional=entry.get("optional") is True,
    )


def _shape(sizes: object) -> tuple[int, ...]:
    if not isinstance(sizes, Sequence) or isinstance(sizes, str):
        raise ConversionError(f"a shape is a list of numbers, not {_shown(sizes)}")
    return tuple(_integer(size, "a dimension") for size in sizes)


def _integer(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConversionError(f"{what} is a whole number, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
