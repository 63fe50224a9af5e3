"""Reads a model's declared inputs and outputs from its ``ModelDescription``.

Imports only NumPy, the interface's forms, the protobuf's enumerations and images.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import numpy as np

from pytest_dscoreml.runtime import proto
from pytest_dscoreml.runtime.images import COLOR_SPACES, GRAY, Image
from pytest_dscoreml.runtime.interface import ARRAY, DICTIONARY, IMAGE, LABEL, Feature, Interface, Range
from pytest_dscoreml.runtime.problems import Problems

# NumPy's own limit, in its versions before 2.
MOST_AXES = 32
# In elements: a damaged file may declare any size.
LARGEST_DEFAULT = 1 << 26


def read_interface(description: Any, function: str, problems: Problems) -> Interface:
    """The interface in a ``ModelDescription``, for the function ``function`` of a multi-function model."""
    holder = described_function(description, function)
    label = holder.predictedFeatureName or description.predictedFeatureName
    return Interface(
        tuple(_feature(item, "input", problems, label) for item in holder.input),
        tuple(_feature(item, "output", problems, label) for item in holder.output),
    )


def described_function(description: Any, function: str) -> Any:
    """The part of a ``ModelDescription`` that speaks of ``function``; the whole where there are no such parts."""
    return next((item for item in description.functions if item.name == function), description)


def map_to_rank5(interface: Interface, problems: Problems) -> Interface:
    """``interface`` as a neural network with RANK5_ARRAY_MAPPING has it."""
    for feature in interface.inputs:
        shapes = feature.enumerated or ((feature.shape,) if feature.shape is not None else ())
        if feature.kind == ARRAY and any(len(shape) not in (1, 3) for shape in shapes):
            problems.add(
                f"input {feature.name!r} is declared {feature.describe_shape()}: RANK5_ARRAY_MAPPING takes one axis or three"
            )
    inputs, outputs = (
        tuple(replace(item, rank5=True) if item.kind == ARRAY else item for item in features)
        for features in (interface.inputs, interface.outputs)
    )
    return replace(interface, inputs=inputs, outputs=outputs)


def _feature(message: Any, kind: str, problems: Problems, label: str) -> Feature:
    place = f"{kind} {message.name!r}"
    optional = bool(message.type.isOptional)
    which = message.type.WhichOneof("Type")
    if kind == "output" and which == "dictionaryType":
        return Feature(message.name, "float64", kind=DICTIONARY)
    if kind == "output" and message.name == label and which in ("stringType", "int64Type"):
        return Feature(message.name, "int64" if which == "int64Type" else "string", kind=LABEL)
    if which == "imageType":
        return _image_feature(message, place, problems, optional=optional)
    if which == "doubleType":
        return Feature(message.name, "float64", ((1, 1),), optional=optional)
    if which == "int64Type":
        return Feature(message.name, "int64", ((1, 1),), optional=optional)
    if which != "multiArrayType":
        problems.add(f"{place} is of type {which}, which is not supported (expected multiArrayType or imageType)")
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
        if not enumerated:
            problems.add(f"{place} enumerates its shapes, and there are none")
    if any(size < 0 for size in array.shape):
        problems.add(f"{place} declares a negative size: {tuple(array.shape)}")
    ranks = {len(item) for item in (shape or (), array.shape, *enumerated)}
    if max(ranks) > MOST_AXES:
        problems.add(f"{place} is declared with {max(ranks)} axes, at most {MOST_AXES} are supported")
    which_default = array.WhichOneof("defaultOptionalValue")
    if optional and int(np.prod(array.shape, dtype=object)) > LARGEST_DEFAULT:
        problems.add(f"{place} has a default of shape {tuple(array.shape)}, more than {LARGEST_DEFAULT} values")
    if which_default and dtype == "int32" and not _fits(getattr(array, which_default), dtype):
        problems.add(f"{place} has the default {getattr(array, which_default)}, which is no {dtype}")
    return Feature(
        message.name,
        dtype,
        shape,
        enumerated,
        optional,
        getattr(array, which_default) if which_default else None,
        tuple(array.shape) or None,
    )


def _fits(value: float, dtype: str) -> bool:
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max


def _image_feature(message: Any, place: str, problems: Problems, *, optional: bool) -> Feature:
    image = message.type.imageType
    color = COLOR_SPACES.get(image.colorSpace)
    if color is None:
        problems.add(f"{place} declares no valid color space (number {image.colorSpace})")
        color = GRAY
    if optional:
        problems.add(f"{place} is an optional image, which is not supported")
    shape: tuple[Range, ...] = ((image.height, image.height), (image.width, image.width))
    enumerated: tuple[tuple[int, ...], ...] = ()
    flexibility = image.WhichOneof("SizeFlexibility")
    if flexibility == "imageSizeRange":
        ranges = (image.imageSizeRange.heightRange, image.imageSizeRange.widthRange)
        shape = tuple((item.lowerBound, None if item.upperBound < 0 else item.upperBound) for item in ranges)
        if any(upper is not None and upper < lower for lower, upper in shape):
            problems.add(f"{place} declares a range that nothing fits: {shape}")
    elif flexibility == "enumeratedSizes":
        enumerated = tuple((item.height, item.width) for item in image.enumeratedSizes.sizes)
        if not enumerated:
            problems.add(f"{place} enumerates its sizes, and there are none")
    if any(lower < 0 for lower, _ in shape) or any(size < 0 for sizes in enumerated for size in sizes):
        problems.add(f"{place} declares a negative size: {enumerated or shape}")
    return Feature(message.name, "float32", shape, enumerated, kind=IMAGE, image=Image(color))
