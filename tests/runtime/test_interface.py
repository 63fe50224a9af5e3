"""The declared interface is enforced, and its messages say what was expected and what was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.errors import ExecutionError, InputError, LoadError
from pytest_dscoreml.runtime import ReferenceModel


@pytest.fixture
def model(build: Any) -> ReferenceModel:
    """y = x + length, with a range on x's first axis."""
    program = build.program(
        [("x", "float32", ((1, 20), 2)), ("length", "int32", (1,))], [("y", "float32", ((1, -1), 2))]
    )
    program.op("cast", ("length_f", "float32", (1,)), x="length", dtype="'fp32'")
    program.op("add", ("y", "float32", (None, 2)), x="x", y="length_f")
    return ReferenceModel(program.model)


def test_description(model: ReferenceModel) -> None:
    x, length = model.interface.inputs
    assert (x.name, x.dtype, x.shape, x.enumerated, x.optional) == ("x", "float32", ((1, 20), (2, 2)), (), False)
    assert (length.dtype, length.shape) == ("int32", ((1, 1),))
    assert model.interface.output("y").shape == ((1, None), (2, 2))
    assert [feature.describe_shape() for feature in (x, length)] == ["(1..20, 2)", "(1,)"]
    assert model.interface.output("y").describe_shape() == "(1.., 2)"
    assert (x.flexible, length.flexible) == (True, False)


def test_admits(model: ReferenceModel) -> None:
    x = model.interface.input("x")
    assert x.admits((1, 2))
    assert x.admits((20, 2))
    assert not x.admits((0, 2))
    assert not x.admits((21, 2))
    assert not x.admits((2,))
    assert model.interface.admits({"x": (3, 2), "length": (1,)})
    assert not model.interface.admits({"x": (3, 2)})
    assert not model.interface.admits({"x": (3, 2), "length": (1,), "z": (1,)})


@pytest.mark.parametrize(
    "x", [np.ones((1, 2), np.float64), np.ones((1, 2), np.int64), [[1, 1]], ((1.0, True),), np.ones((1, 2), ">f4")]
)
@pytest.mark.parametrize("length", [2, 2.0, [2], np.array([2.9], np.float32), np.int64(2), np.array(2)])
def test_values_are_cast(model: ReferenceModel, x: Any, length: Any) -> None:
    y = model.predict({"x": x, "length": length})["y"]
    assert y.dtype == np.float32
    assert y.tolist() == [[3.0, 3.0]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": [[1, 2]]}, "model: input 'length' is missing (int32, (1,))"),
        ({"x": [[1, 2]], "length": 1, "z": 0}, "model: there is no input 'z' (the model takes x, length)"),
        (
            {"x": np.zeros((21, 2)), "length": 1},
            "model: input 'x': shape (21, 2) is not admitted, declared is (1..20, 2). "
            "Size (21) of dimension (0) is not in allowed range (1..20)",
        ),
        ({"x": [1, 2], "length": 1}, "model: input 'x': shape (2,) is not admitted, declared is (1..20, 2)"),
        ({"x": 1, "length": 1}, "model: input 'x': shape (1,) is not admitted, declared is (1..20, 2)"),
        ({"x": "text", "length": 1}, "model: input 'x': expected numbers (float32), given <U4 values"),
        ({"x": None, "length": 1}, "model: input 'x': expected numbers (float32), given NoneType"),
        ({"x": [[1, 2], [3]], "length": 1}, "model: input 'x': expected numbers (float32), given list"),
        (
            {"x": [[1, 2]], "length": float("nan")},
            "model: input 'length': values from nan to nan do not fit the declared int32",
        ),
        (
            {"x": [[1, 2]], "length": 2**31},
            "model: input 'length': values from 2147483648 to 2147483648 do not fit the declared int32",
        ),
        (
            {"y": 1},
            "model: there is no input 'y' (the model takes x, length); input 'x' is missing (float32, (1..20, 2)); "
            "input 'length' is missing (int32, (1,))",
        ),
    ],
)
def test_bad_inputs(model: ReferenceModel, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        model.predict(inputs)
    assert str(caught.value) == message


def test_enumerated_shapes(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", ())])
    shapes = program.model.description.input[0].type.multiArrayType.enumeratedShapes.shapes
    for size in (2, 4):
        shapes.add().shape.append(size)
    program.function.inputs[0].type.tensorType.dimensions[0].unknown.variadic = False
    program.op("relu", ("y", "float32", (None,)), x="x")
    model = ReferenceModel(program.model)
    assert model.interface.input("x").enumerated == ((2,), (4,))
    assert model.predict({"x": [1, 2, 3, -4]})["y"].tolist() == [1, 2, 3, 0]
    with pytest.raises(InputError) as caught:
        model.predict({"x": [1, 2, 3]})
    assert str(caught.value) == (
        "model: input 'x': shape (3,) is not admitted, declared is one of (2,), (4,). MultiArray Shape (3) was not in enumerated "
        "set of allowed shapes"
    )


def test_optional_inputs_take_their_default(build: Any) -> None:
    network = build.network([("x", "float32", (2,)), ("s", "float32", (2,))], [("y", "float32", ())])
    network.layer("addBroadcastable", "sum", ["x", "s"], ["y"])
    optional = network.model.description.input[1].type
    optional.isOptional = True
    optional.multiArrayType.floatDefaultValue = 1.5
    model = ReferenceModel(network.model)
    assert model.interface.input("s").optional
    assert model.predict({"x": [1, 2]})["y"].tolist() == [2.5, 3.5]
    assert model.predict({"x": [1, 2], "s": [0, 1]})["y"].tolist() == [1, 3]


def test_scalar_outputs_have_one_axis(build: Any) -> None:
    program = build.program([("x", "float32", (3,))], [("y", "float32", ())])
    program.op("reduce_sum", ("y", "float32", ()), x="x", axes=np.array([0], np.int32), keep_dims=False)
    y = ReferenceModel(program.model).predict({"x": [1, 2, 3]})["y"]
    assert (y.shape, y.tolist()) == ((1,), [6.0])


def test_an_output_that_departs_from_its_description_is_an_error(build: Any) -> None:
    program = build.program([("x", "float32", (3,))], [("y", "float32", (4,))])
    program.op("relu", ("y", "float32", (None,)), x="x")
    with pytest.raises(ExecutionError) as caught:
        ReferenceModel(program.model).predict({"x": [1, 2, 3]})
    assert str(caught.value) == "model: output 'y' has shape (3,), declared is (4,)"


def test_an_output_that_departs_from_its_type_in_the_program_is_an_error(build: Any) -> None:
    program = build.program([("x", "float32", (3,))], [("y", "float32", ())])
    program.op("relu", ("y", "float32", (4,)), x="x")
    with pytest.raises(ExecutionError) as caught:
        ReferenceModel(program.model).predict({"x": [1, 2, 3]})
    assert str(caught.value) == (
        "model: operation 'y': relu failed: the result has shape (3,), the file declares float32(4) (with x float32(3,)) "
        "[main, CoreML5]"
    )


def test_outputs_are_the_callers_own(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", ()), ("z", "float32", ())])
    program.op("identity", ("y", "float32", (2,)), x="x")
    program.const("z", np.ones(2, np.float32))
    model = ReferenceModel(program.model)
    x = np.zeros(2, np.float32)
    for _ in range(2):
        outputs = model.predict({"x": x})
        assert outputs["z"].tolist() == [1, 1]
        outputs["y"] += 7
        outputs["z"] += 7
    assert x.tolist() == [0, 0]


def test_unknown_names_in_the_interface(model: ReferenceModel) -> None:
    with pytest.raises(InputError) as caught:
        model.interface.input("q")
    assert str(caught.value) == "there is no input 'q' (the model has x, length)"


def test_an_output_that_a_model_returns_twice(build: Any) -> None:
    """coremltools declares it twice, and Core ML takes it."""
    outputs = [("y", "float32", (2,))] * 2
    program = build.program([("x", "float32", (2,))], outputs)
    program.op("relu", ("y", "float32", (2,)), x="x")
    assert ReferenceModel(program.model).predict({"x": [1, -1]})["y"].tolist() == [1, 0]
    network = build.program([("x", "float32", (2,))], [outputs[0], ("y", "int32", (2,))])
    network.op("relu", ("y", "float32", (2,)), x="x")
    with pytest.raises(LoadError, match="two outputs have the same name: y, y"):
        ReferenceModel(network.model)
