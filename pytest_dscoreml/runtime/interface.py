"""A model's declared inputs and outputs, and the rules by which values are admitted, cast and handed back.

``MLModel.predict`` is the model: unknown, missing and misshapen inputs are errors, numbers are cast to the declared
type, scalar outputs come back with shape (1,). A neural network may see its inputs in another shape than the caller:
with ``RANK5`` mapping as [sequence, batch, channel, height, width], images with one or two axes in front. Imports only
NumPy, the errors and images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import ExecutionError, InputError
from pytest_dscoreml.runtime.images import Image

Range = tuple[int, Optional[int]]

# What a feature is.
ARRAY, IMAGE, LABEL, DICTIONARY = "array", "image", "label", "dictionary"
_RANK = 5


@dataclass(frozen=True)
class Feature:
    """One declared input or output.

    ``shape`` holds a (lower, upper) range per axis, both inclusive, ``upper`` ``None`` where unbounded; it is ``None``
    where the file declares no shape. ``enumerated`` lists the admitted shapes where the file enumerates them.

    ``kind`` says what it is: an array; an image, whose ``image`` has the color space, and whose shape is (height,
    width); a classifier's label; or its dictionary of probabilities. A ``rank5`` feature is a neural network's with
    ``RANK5`` mapping: it is declared with one axis (channel) or three (channel, height, width), and may be given with
    the sequence and the batch in front of these. ``leading`` counts the axes of size 1 in front of an image's tensor.
    """

    name: str
    dtype: str
    shape: Optional[tuple[Range, ...]] = None
    enumerated: tuple[tuple[int, ...], ...] = ()
    optional: bool = False
    default: Optional[Union[int, float]] = None
    default_shape: Optional[tuple[int, ...]] = None
    kind: str = ARRAY
    image: Optional[Image] = None
    rank5: bool = False
    leading: int = 1

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether the declaration admits an array of ``shape``."""
        if self.rank5 and len(shape) > self._declared_rank() > 0:
            shape = self._without_sequence(tuple(shape))
        if self.enumerated:
            return tuple(shape) in self.enumerated
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            lower <= size and (upper is None or size <= upper) for size, (lower, upper) in zip(shape, self.shape)
        )

    def meets(self, sizes: Optional[tuple[Optional[int], ...]]) -> bool:
        """Whether some admitted shape of an array has these sizes, ``None`` standing for unknown ones."""
        if self.kind != ARRAY or sizes is None:
            return True
        if self.enumerated:
            return any(_fit_together(tuple((size, size) for size in shape), sizes) for shape in self.enumerated)
        return self.shape is None or _fit_together(self.shape, sizes)

    @property
    def flexible(self) -> bool:
        """Whether more than one shape is admitted."""
        if self.enumerated:
            return len(self.enumerated) > 1
        return self.shape is None or any(lower != upper for lower, upper in self.shape)

    def _without_sequence(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The part of a shape with sequence and batch that is declared; the shape itself where it has none."""
        rank = self._declared_rank()
        if len(shape) == rank + 2:
            return shape[2:]
        return shape[2:3] if len(shape) == _RANK and rank == 1 and shape[3:] == (1, 1) else shape

    def _declared_rank(self) -> int:
        """How many axes it is declared with; -1 where that is not known."""
        if self.enumerated:
            return len(self.enumerated[0])
        return -1 if self.shape is None else len(self.shape)

    def inner(self, array: NDArray[Any]) -> NDArray[Any]:
        """An admitted array, or an image's pixels, in the shape that the program takes; InputError if it has none."""
        if self.image is not None:
            return self.image.tensor(array, self.leading)
        if not self.rank5:
            return array
        if array.ndim == 1:
            return array.reshape(1, 1, -1, 1, 1)
        if array.ndim == 3:
            with_sequence = self._declared_rank() == 1
            return array[:, :, :, None, None] if with_sequence else array[None, None]
        if array.ndim == _RANK:
            return array
        raise InputError(f"input {self.name!r}: rank {array.ndim}, a network with RANK5_ARRAY_MAPPING takes 1, 3 or 5")

    def outer(self, value: NDArray[Any]) -> NDArray[Any]:
        """A result in the shape that the caller sees; ``admits`` tells whether it is as declared."""
        if self.rank5 and value.ndim == _RANK:
            if value.shape[:2] != (1, 1):
                # With a sequence or a batch all axes are shown, unless the declaration says otherwise.
                same = self.shape is not None and not self.flexible and not self.admits(value.shape)
                return self._as_declared(value) if same else value
            rank = self._declared_rank()
            narrow = value.shape[3:] == (1, 1)
            value = value.reshape(value.shape[2:3] if narrow and rank in (-1, 1) else value.shape[2:])
        return self._as_declared(value) if self.rank5 and not self.admits(value.shape) else value

    def _as_declared(self, value: NDArray[Any]) -> NDArray[Any]:
        if self.shape is None or self.flexible:
            return value
        shape = tuple(lower for lower, _ in self.shape)
        return value.reshape(shape) if value.size == int(np.prod(shape, dtype=object)) else value

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
    labels: tuple[Any, ...] = ()

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
                    arrays[feature.name] = feature.inner(_admit(feature, given[feature.name]))
                except InputError as error:
                    faults.append(str(error))
            elif feature.optional:
                arrays[feature.name] = feature.inner(_default(feature))
            else:
                faults.append(f"input {feature.name!r} is missing ({feature.dtype}, {feature.describe_shape()})")
        if faults:
            raise InputError(f"{source}: " + "; ".join(faults))
        return arrays

    def deliver(self, values: Mapping[str, Any], source: str, *, keep_double: bool) -> dict[str, Any]:
        """The outputs in their declared types, scalars with shape (1,); ExecutionError when one departs from its shape.

        A classifier's label is a string or an integer, its probabilities are a dictionary by label.
        """
        delivered: dict[str, Any] = {}
        for feature in self.outputs:
            value = values[feature.name]
            try:
                if feature.kind == LABEL:
                    delivered[feature.name] = self._label(value)
                    continue
                if feature.kind == DICTIONARY:
                    delivered[feature.name] = self._probabilities(value)
                    continue
                if feature.image is not None:
                    delivered[feature.name] = _delivered_image(feature, feature.image, value)
                    continue
            except ValueError as error:
                raise ExecutionError(f"{source}: output {feature.name!r}: {error}") from None
            if not isinstance(value, np.ndarray):
                raise ExecutionError(f"{source}: output {feature.name!r} is no tensor, declared is {feature.dtype}")
            value = feature.outer(value)
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

    def _label(self, value: Any) -> Any:
        """The label in ``value``: the label itself, or the probabilities of all."""
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return self.labels[int(np.argmax(self._of_labels(value)))]
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if not isinstance(value, (int, str)):
            raise ValueError("it is no label")
        return value

    def _probabilities(self, value: Any) -> dict[Any, float]:
        if isinstance(value, Mapping):
            return dict(value)
        return dict(zip(self.labels, self._of_labels(value).tolist()))

    def _of_labels(self, value: NDArray[Any]) -> NDArray[Any]:
        if not isinstance(value, np.ndarray):
            raise ValueError("it is no tensor of probabilities")
        if value.size != len(self.labels) or not self.labels:
            raise ValueError(f"there are {value.size} probabilities for {len(self.labels)} labels")
        return value.reshape(-1)


def _fit_together(shape: tuple[Range, ...], sizes: tuple[Optional[int], ...]) -> bool:
    return len(shape) == len(sizes) and all(
        size is None or (lower <= size and (upper is None or size <= upper))
        for size, (lower, upper) in zip(sizes, shape)
    )


def _named(features: tuple[Feature, ...], name: str, kind: str) -> Feature:
    for feature in features:
        if feature.name == name:
            return feature
    raise InputError(f"there is no {kind} {name!r} (the model has {', '.join(item.name for item in features)})")


def _delivered_image(feature: Feature, image: Image, value: Any) -> NDArray[Any]:
    """The image in a result; ValueError when it is none, or not of the declared size."""
    pixels = image.image(value)
    if not feature.admits(pixels.shape[:2]):
        raise ValueError(f"the image is {pixels.shape[:2]} (height, width), declared is {feature.describe_shape()}")
    return pixels


def _default(feature: Feature) -> NDArray[Any]:
    return np.full(feature.default_shape or (1,), feature.default or 0, feature.dtype)


def _first_outside(feature: Feature, shape: tuple[int, ...]) -> str:
    """The first size outside its range, in Apple's words; empty where no single size is at fault."""
    if feature.enumerated:
        sizes = " x ".join(map(str, shape))
        return f". MultiArray Shape ({sizes}) was not in enumerated set of allowed shapes"
    if feature.shape is None or len(feature.shape) != len(shape):
        return ""
    for axis, (size, (lower, upper)) in enumerate(zip(shape, feature.shape)):
        if size < lower or (upper is not None and size > upper):
            return f". Size ({size}) of dimension ({axis}) is not in allowed range ({lower}..{'' if upper is None else upper})"
    return ""


def _admit(feature: Feature, given: Any) -> NDArray[Any]:
    """``given`` as an array of the declared type and an admitted shape, or as an image's pixels."""
    if feature.image is not None:
        pixels = feature.image.pixels(feature.name, given)
        if not feature.admits(pixels.shape[:2]):
            raise InputError(
                f"input {feature.name!r}: an image of {pixels.shape[:2]} (height, width) is not admitted, declared is "
                f"{feature.describe_shape()}"
            )
        return pixels
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
            + _first_outside(feature, array.shape)
        )
    if array.dtype == feature.dtype:
        return array
    if np.dtype(feature.dtype).kind == "i" and array.size:
        limits = np.iinfo(feature.dtype)
        lowest, highest = array.min(), array.max()
        # The negated form is true for NaN as well.
        if not (lowest >= limits.min and highest <= limits.max):
            raise InputError(
                f"input {feature.name!r}: values from {lowest} to {highest} do not fit the declared {feature.dtype}"
            )
    with np.errstate(over="ignore"):
        return array.astype(feature.dtype)
