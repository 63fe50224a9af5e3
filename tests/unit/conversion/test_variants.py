"""What there is to convert, how it is chosen, and what the converter is asked for."""

from __future__ import annotations

import pytest

from pytest_dscoreml.conversion.variants import (
    ConversionSpec,
    Precision,
    Target,
    Variant,
    default_specs,
    range_upper_bound,
    select,
)
from pytest_dscoreml.errors import UsageError

NINE = [
    "static-neuralnetwork-float32",
    "static-mlprogram-float32",
    "static-mlprogram-float16",
    "dynamic-neuralnetwork-float32",
    "dynamic-mlprogram-float32",
    "dynamic-mlprogram-float16",
    "pinned-neuralnetwork-float32",
    "pinned-mlprogram-float32",
    "pinned-mlprogram-float16",
]


def test_the_default_is_every_combination_that_exists():
    assert [spec.name for spec in default_specs()] == NINE


def test_a_spec_made_of_strings_equals_one_made_of_members():
    spec = ConversionSpec("pinned", "mlprogram", "float16")

    assert spec == ConversionSpec(Variant.PINNED, Target.MLPROGRAM, Precision.FLOAT16)
    assert spec.variant is Variant.PINNED
    assert f"{spec} {spec.variant}" == "pinned-mlprogram-float16 pinned"


@pytest.mark.parametrize(
    ("name", "graph", "suffix"),
    [
        ("static-neuralnetwork-float32", "static", ".mlmodel"),
        ("dynamic-mlprogram-float16", "dynamic", ".mlpackage"),
        ("pinned-mlprogram-float32", "dynamic", ".mlpackage"),
    ],
)
def test_graph_and_file_name(name, graph, suffix):
    spec = ConversionSpec(*name.split("-"))

    assert (spec.graph, spec.suffix) == (graph, suffix)


def test_a_neuralnetwork_in_float16_does_not_exist():
    with pytest.raises(UsageError) as caught:
        ConversionSpec("static", "neuralnetwork", "float16")
    assert str(caught.value) == (
        "static-neuralnetwork-float16 does not exist: a neuralnetwork is always converted in float32"
    )


def test_select_keeps_the_order_of_a_full_run_and_drops_what_does_not_exist():
    chosen = select(["pinned", "static"], ["mlprogram", "neuralnetwork"], ["float16", "float32"])

    assert [spec.name for spec in chosen] == [name for name in NINE if not name.startswith("dynamic")]


def test_select_one():
    assert select(["dynamic"], ["mlprogram"], ["float16"]) == (ConversionSpec("dynamic", "mlprogram", "float16"),)


def test_select_nothing():
    with pytest.raises(UsageError) as caught:
        select(["static", "dynamic"], ["neuralnetwork"], ["float16"])
    assert str(caught.value) == (
        "nothing to convert: variants static, dynamic, targets neuralnetwork, precisions float16 leave no conversion "
        "(a neuralnetwork exists in float32 only)"
    )


def test_select_from_nothing():
    with pytest.raises(UsageError) as caught:
        select([], ["neuralnetwork"], ["float32"])
    assert str(caught.value) == (
        "nothing to convert: variants (none), targets neuralnetwork, precisions float32 leave no conversion "
        "(a neuralnetwork exists in float32 only)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["liquid"], ["mlprogram"], ["float32"]), "unknown variant 'liquid': choose from static, dynamic, pinned"),
        ((["static"], ["onnx"], ["float32"]), "unknown target 'onnx': choose from neuralnetwork, mlprogram"),
        ((["static"], ["mlprogram"], ["int8"]), "unknown precision 'int8': choose from float32, float16"),
    ],
)
def test_select_a_name_that_is_none(arguments, message):
    with pytest.raises(UsageError) as caught:
        select(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(("steps", "bound"), [(1, 2000), (2000, 2000), (2001, 3000), (3000, 3000), (12345, 13000)])
def test_range_upper_bound(steps, bound):
    assert range_upper_bound(steps) == bound
    assert range_upper_bound(bound) == bound


def test_range_upper_bound_of_no_steps():
    with pytest.raises(UsageError) as caught:
        range_upper_bound(0)
    assert str(caught.value) == "a sequence has at least 1 step, not 0"


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("static-mlprogram-float32", None),
        ("dynamic-neuralnetwork-float32", None),
        ("dynamic-mlprogram-float16", [{"name": "input_node", "shape": [1, [1, 3000], 5, 7]}]),
        ("pinned-neuralnetwork-float32", [{"name": "input_node", "shape": [1, 8, 5, 7]}]),
        ("pinned-mlprogram-float16", [{"name": "input_node", "shape": [1, 8, 5, 7]}]),
    ],
)
def test_inputs_asked_for(name, inputs):
    assert ConversionSpec(*name.split("-")).inputs(n_steps=8, longest=2500, window=(5, 7)) == inputs


# --- operations kept in float32 ---------------------------------------------------------------------------------------


def test_the_name_tells_how_many_operations_are_kept():
    spec = ConversionSpec("dynamic", "mlprogram", "float16", float32_operations=("a", "b"), converter="ct9.0")

    assert (spec.name, spec.kind) == ("dynamic-mlprogram-float16-mixed2-ct9.0", "dynamic-mlprogram-float16")
    assert (
        ConversionSpec("static", "mlprogram", "float16", float32_operations=()).name
        == "static-mlprogram-float16-mixed0"
    )


def test_a_conversion_in_float32_keeps_no_operations():
    with pytest.raises(UsageError) as caught:
        ConversionSpec("dynamic", "mlprogram", "float32", float32_operations=("a",))
    assert str(caught.value) == "dynamic-mlprogram-float32 keeps no operations in float32: all of it is"
