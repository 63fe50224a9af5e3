"""Promise: the conversion declares the interface that its users were promised: names, types, and every length admitted."""

from __future__ import annotations

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.describe import DeclaredTensor
from pytest_dscoreml.inspection import file_interface
from pytest_dscoreml.runtime.interface import Feature
from pytest_dscoreml.suite.test_interface import (
    test_every_length_is_admitted,
    test_names,
    test_no_dynamic_operation_in_static_shapes,
    test_state_shapes,
    test_types,
)

__all__ = [
    "test_every_length_is_admitted",
    "test_interface_is_the_recorded_one",
    "test_names",
    "test_no_dynamic_operation_in_static_shapes",
    "test_state_shapes",
    "test_types",
]


def test_interface_is_the_recorded_one(dscoreml_conversion: Conversion) -> None:
    """The file declares what the converter said that it declares."""
    recorded, interface = dscoreml_conversion.interface, file_interface(dscoreml_conversion.path)
    for kind, expected, obtained in (
        ("inputs", list(map(_recorded, recorded.inputs)), list(map(_declared, interface.inputs))),
        ("outputs", list(map(_recorded, recorded.outputs)), list(map(_declared, interface.outputs))),
    ):
        if sorted(expected) != sorted(obtained):
            changed = sorted(set(expected) ^ set(obtained))
            raise Disagreement(
                f"{kind} [{dscoreml_conversion.spec}]: expected {'; '.join(sorted(expected))}, obtained "
                f"{'; '.join(sorted(obtained))}; what differs: {'; '.join(changed)}"
            )


def _recorded(tensor: DeclaredTensor) -> str:
    """A declared tensor in words that both readers have."""
    ranges = tensor.ranges or tuple((size, size) for size in tensor.shape)
    return _words(tensor.name, tensor.dtype, ranges or None, tensor.enumerated, tensor.optional)


def _declared(feature: Feature) -> str:
    """The same of what the runtime's reader found."""
    return _words(feature.name, feature.dtype, feature.shape, feature.enumerated, feature.optional)


def _words(
    name: str,
    dtype: str,
    ranges: tuple[tuple[int, int | None], ...] | None,
    enumerated: tuple[tuple[int, ...], ...],
    optional: bool,
) -> str:
    sizes = [
        str(lower) if lower == upper else f"{lower}..{'' if upper is None else upper}" for lower, upper in ranges or ()
    ]
    shape = "of no declared shape" if ranges is None else f"[{', '.join(sizes)}]"
    if enumerated:
        shape = " or ".join(str(list(one)) for one in enumerated)
    return f"{name} {dtype} {shape}{' optional' if optional else ''}"
