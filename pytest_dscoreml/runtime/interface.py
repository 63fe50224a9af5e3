"""A model's declared inputs and outputs, and the rules by which values are admitted, cast and handed back.

``MLModel.predict`` is the model: unknown, missing and misshapen inputs are errors, numbers are cast to the declared
type, scalar outputs come back with shape (1,). Imports only NumPy, the errors and the protobuf's enumerations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import ExecutionError, InputError
from pytest_dscoreml.runtime import proto
from pytest_dscoreml.runtime.problems import Problems

Range = tuple[int, Optional[int]]


@dataclass(frozen=True)
class Feature:
    """One declared input or output.

    ``shape`` holds a (lower, upper) range per axis, both inclusive, ``upper`` ``None`` where unbounded; it is ``None``
    where the file declares no shape. ``enumerated`` lists the admitted shapes where the file enumerates them.
    """

    name: str
    dtype: str
    shape: Optional[tuple[Range, ...]] = None
    enumerated: tuple[tuple[int, ...], ...] = ()
    optional: bool = False
    default: Optional[Union[int, float]] = None
    default_shape: Optional[tuple[int, ...]] = None

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether the declaration admits an array of ``shape``."""
        if self.enumerated:
            return tuple(shape) in self.enumerated
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            lower <= size and (upper is None or size <= upper) for size, (lower, upper) in zip(shape, self.shape)
        )

    @property
    def flexible(self) -> bool:
        """Whether more than one shape is admitted."""
        if self.enumerated:
            return len(self.enumerated) > 1
        return self.shape is None or any(lower != upper for lower, upper in self.shape)

    def describe_shape(self) -> str:
        """The admitted shapes in words: ``(1, 1..2000, 19, 26)``."""
        if self.enumerated:
            return "one of " + ", ".join(str(shape) for shape in self.enumerated)
        if self.shape is None:
            return "any shape"
        sizes = [
            str(lower) if lower == upper else f"{lower}..{'' if upper is None else upper}"
            for lower, upper in self.shape
        ]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives."""

    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]

    def input(self, name: str) -> Feature:
        """The input of that name; InputError when there is none."""
        return _named(self.inputs, name, "input")

    def output(self, name: str) -> Feature:
        """The output of that name; InputError when there is none."""
        return _named(self.outputs, name, "output")

    def admits(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether inputs of these names and shapes would be admitted, optional ones left out or not."""
        names = {feature.name for feature in self.inputs}
        return set(shapes) <= names and all(
            feature.admits(tuple(shapes[feature.name])) if feature.name in shapes else feature.optional
            for feature in self.inputs
        )

    def prepare(self, given: Mapping[str, Any], source: str) -> dict[str, NDArray[Any]]:
        """The inputs as arrays of their declared types; one InputError names everything that is wrong."""
        faults: list[str] = []
        arrays: dict[str, NDArray[Any]] = {}
        names = ", ".join(feature.name for feature in self.inputs)
        for name in given:
            if all(feature.name != name for feature in self.inputs):
                faults.append(f"there is no input {name!r} (the model takes {names})")
        for feature in self.inputs:
            if feature.name in given:
                try:
                    arrays[feature.name] = _admit(feature, given[feature.name])
                except InputError as error:
                    faults.append(str(error))
            elif feature.optional:
                arrays[feature.name] = np.full(feature.default_shape or (1,), feature.default or 0, feature.dtype)
            else:
                faults.append(f"input {feature.name!r} is missing ({feature.dtype}, {feature.describe_shape()})")
        if faults:
            raise InputError(f"{source}: " + "; ".join(faults))
        return arrays

    def deliver(self, values: Mapping[str, NDArray[Any]], source: str, *, keep_double: bool) -> dict[str, NDArray[Any]]:
        """The outputs in their declared types, scalars with shape (1,); ExecutionError when one departs from its shape."""
        delivered: dict[str, NDArray[Any]] = {}
        for feature in self.outputs:
            value = values[feature.name]
            if value.ndim == 0:
                value = value.reshape(1)
            if not feature.admits(value.shape):
                raise ExecutionError(
                    f"{source}: output {feature.name!r} has shape {value.shape}, declared is {feature.describe_shape()}"
                )
            double = keep_double and np.dtype(feature.dtype).kind == "f"
            # Always a copy: the caller may write into it, and what it was cut from is not kept alive.
            delivered[feature.name] = value.astype(np.float64 if double else feature.dtype)
        return delivered


def read_interface(description: Any, function: str, problems: Problems) -> Interface:
    """The interface in a ``ModelDescription``, for the function ``function`` of a multi-function model."""
    holder = description
    for candidate in description.functions:
        if candidate.name == function:
            holder = candidate
    return Interface(
        tuple(_feature(item, "input", problems) for item in holder.input),
        tuple(_feature(item, "output", problems) for item in holder.output),
    )


def _named(features: tuple[Feature, ...], name: str, kind: str) -> Feature:
    for feature in features:
        if feature.name == name:
            return feature
    raise InputError(f"there is no {kind} {name!r} (the model has {', '.join(item.name for item in features)})")


def _feature(message: Any, kind: str, problems: Problems) -> Feature:
    place = f"{kind} {message.name!r}"
    optional = bool(message.type.isOptional)
    which = message.type.WhichOneof("Type")
    if which == "doubleType":
        return Feature(message.name, "float64", ((1, 1),), optional=optional)
    if which == "int64Type":
        return Feature(message.name, "int64", ((1, 1),), optional=optional)
    if which != "multiArrayType":
        problems.add(f"{place} is of type {which}, which is not supported (expected multiArrayType)")
        return Feature(message.name, "float32")
    array = message.type.multiArrayType
    dtype = proto.array_data_types().get(array.dataType, "invalid_array_data_type")
    if dtype == "invalid_array_data_type":
        problems.add(f"{place} declares no valid data type (number {array.dataType})")
        dtype = "float32"
    shape: Optional[tuple[Range, ...]] = tuple((size, size) for size in array.shape) or None
    enumerated: tuple[tuple[int, ...], ...] = ()
    flexibility = array.WhichOneof("ShapeFlexibility")
    if flexibility == "shapeRange" and array.shapeRange.sizeRanges:
        shape = tuple(
            (item.lowerBound, None if item.upperBound < 0 else item.upperBound) for item in array.shapeRange.sizeRanges
        )
        if any(upper is not None and upper < lower for lower, upper in shape):
            problems.add(f"{place} declares a range that nothing fits: {shape}")
    elif flexibility == "enumeratedShapes":
        enumerated = tuple(tuple(item.shape) for item in array.enumeratedShapes.shapes)
    if any(size < 0 for size in array.shape):
        problems.add(f"{place} declares a negative size: {tuple(array.shape)}")
    which_default = array.WhichOneof("defaultOptionalValue")
    return Feature(
        message.name,
        dtype,
        shape,
        enumerated,
        optional,
        getattr(array, which_default) if which_default else None,
        tuple(array.shape) or None,
    )


def _admit(feature: Feature, given: Any) -> NDArray[Any]:
    """``given`` as an array of the declared type and an admitted shape."""
    try:
        array = np.asarray(given)
    except (ValueError, TypeError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "fiub":
        what = type(given).__name__ if array.dtype.kind == "O" else f"{array.dtype} values"
        raise InputError(f"input {feature.name!r}: expected numbers ({feature.dtype}), given {what}")
    if array.ndim == 0 and not feature.admits(()):
        array = array.reshape(1)
    if not feature.admits(array.shape):
        raise InputError(
            f"input {feature.name!r}: shape {array.shape} is not admitted, declared is {feature.describe_shape()}"
        )
    if np.dtype(feature.dtype).kind == "i" and array.dtype != feature.dtype and array.size:
        limits = np.iinfo(feature.dtype)
        lowest, highest = array.min(), array.max()
        # The negated form is true for NaN as well.
        if not (lowest >= limits.min and highest <= limits.max):
            raise InputError(
                f"input {feature.name!r}: values from {lowest} to {highest} do not fit the declared {feature.dtype}"
            )
    with np.errstate(over="ignore"):
        return array.astype(feature.dtype, copy=False)
