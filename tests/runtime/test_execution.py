"""ML Programs in the run: float16 rounding, double, branches, opsets, inner values, failures."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import ExecutionError, InputError
from pytest_dscoreml.runtime import ReferenceModel


def exactly(message: str) -> str:
    """The pattern that matches ``message`` and nothing else."""
    return f"^{re.escape(message)}$"


def half_program(build: Any) -> Any:
    """y = tanh(x weight^T + bias) in float16."""
    program = build.program([("x", "float16", (1, 64))], [("y", "float16", ())])
    random = np.random.default_rng(3)
    program.const("w", random.normal(size=(8, 64)).astype(np.float16))
    program.const("b", random.normal(size=8).astype(np.float16))
    program.op("linear", ("z", "float16", (1, 8)), x="x", weight="w", bias="b")
    program.op("tanh", ("y", "float16", (1, 8)), x="z")
    return program.model


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_float16_rounds_each_result_and_sums_in_float32(build: Any, seed: int) -> None:
    model = ReferenceModel(half_program(build))
    x = np.random.default_rng(seed).normal(size=(1, 64)).astype(np.float16)
    weight, bias = (model.program.main.steps[index].parameters["val"].value for index in (0, 1))  # type: ignore[union-attr]
    z = (x.astype(np.float32) @ weight.astype(np.float32).T + bias.astype(np.float32)).astype(np.float16)
    outputs = model.predict({"x": x}, intermediates=["z"])
    assert outputs["z"].dtype == outputs["y"].dtype == np.float16
    np.testing.assert_array_equal(outputs["z"], z)
    np.testing.assert_array_equal(outputs["y"], np.tanh(z.astype(np.float32)).astype(np.float16))
    np.testing.assert_array_equal(outputs["y"], model.predict({"x": x})["y"])


def test_float16_overflow_is_infinite(build: Any) -> None:
    program = build.program([("x", "float16", (1,))], [("y", "float16", ())])
    program.op("square", ("y", "float16", (1,)), x="x")
    assert ReferenceModel(program.model).predict({"x": 300})["y"].tolist() == [float("inf")]


def test_double_computes_everything_in_double(build: Any) -> None:
    model = ReferenceModel(half_program(build), compute_precision="float64")
    x = np.random.default_rng(0).normal(size=(1, 64)).astype(np.float16)
    weight, bias = (model.program.main.steps[index].parameters["val"].value for index in (0, 1))  # type: ignore[union-attr]
    y = model.predict({"x": x})["y"]
    assert y.dtype == np.float64
    wanted = np.tanh(x.astype(np.float64) @ weight.astype(np.float64).T + bias.astype(np.float64))
    np.testing.assert_allclose(y, wanted, rtol=1e-14)


@pytest.mark.parametrize("passes", [None, ()])
def test_double_does_not_stop_at_casts(history: Any, passes: Any) -> None:
    model = ReferenceModel(history(dtype="float16").model, compute_precision="float64", passes=passes)
    x, state = np.full((3, 1, 2), 0.3), np.full((1, 1, 2), 0.1)
    # The inputs are declared float16, and that is what the model is given; from there on all is double.
    rows = [state.astype(np.float16).astype(np.float64)[0]]
    for row in x.astype(np.float16).astype(np.float64):
        rows.append(np.tanh(row + rows[-1]))
    np.testing.assert_allclose(model.predict({"x": x, "c0": state})["out"], np.stack(rows), rtol=1e-14)


def test_double_of_a_network(build: Any) -> None:
    network = build.network([("x", "float32", (1,))], [("y", "float32", ())])
    network.layer("activation.sigmoid", "s", ["x"], ["y"])
    y = ReferenceModel(network.model, compute_precision="float64").predict({"x": 0.5})["y"]
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-0.5)), rtol=1e-15)


def test_other_precisions_are_refused(build: Any) -> None:
    with pytest.raises(ValueError, match=exactly("compute_precision is None or 'float64', given 'float16'")):
        ReferenceModel(half_program(build), compute_precision="float16")  # type: ignore[arg-type]


@pytest.mark.parametrize("passes", [None, ()])
@pytest.mark.parametrize(("x", "wanted"), [(2.0, 4.0), (-2.0, 2.0)])
def test_cond(build: Any, x: float, wanted: float, passes: Any) -> None:
    program = build.program([("x", "float32", (1,))], [("y", "float32", ())])
    program.op("greater", ("p", "bool", (1,)), x="x", y=np.float32(0))
    branch = program.op("cond", ("y", "float32", (1,)), pred="p")
    first, second = program.nested(branch), program.nested(branch)
    first.op("mul", ("twice", "float32", (1,)), x="x", y=np.float32(2))
    first.block.outputs.append("twice")
    second.op("abs", ("size", "float32", (1,)), x="x")
    second.block.outputs.append("size")
    assert ReferenceModel(program.model, passes=passes).predict({"x": x})["y"].tolist() == [wanted]


@pytest.mark.parametrize(
    ("opset", "works"), [("CoreML5", True), ("CoreML6", True), ("CoreML7", False), ("CoreML8", False)]
)
def test_negative_indices_by_opset(build: Any, opset: str, works: bool) -> None:
    program = build.program([("x", "float32", (3,)), ("i", "int32", (1,))], [("y", "float32", ())], opset)
    program.op("gather", ("y", "float32", (1,)), x="x", indices="i", axis=np.int32(0))
    model = ReferenceModel(program.model)
    if works:
        assert model.predict({"x": [1, 2, 3], "i": -1})["y"].tolist() == [3]
        return
    with pytest.raises(ExecutionError) as caught:
        model.predict({"x": [1, 2, 3], "i": -1})
    assert str(caught.value) == (
        "model: operation 'y': gather failed: index -1 is out of range, the axis admits 0 to 2 (with x float32(3,), indices "
        f"int32(1,), axis 0) [main, {opset}]"
    )


def test_parameters_of_later_opsets_are_refused_before(build: Any) -> None:
    program = build.program([("x", "float32", (3,)), ("i", "int32", (1,))], [("y", "float32", ())], "CoreML6")
    program.op("gather", ("y", "float32", (1,)), x="x", indices="i", axis=np.int32(0), validate_indices=False)
    with pytest.raises(Exception, match="gather sets validate_indices, which the kernel does not take") as caught:
        ReferenceModel(program.model)
    assert "(it takes x, indices, axis, batch_dims) [main, CoreML6]" in str(caught.value)


def test_a_result_of_another_kind_than_declared_is_an_error(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "int32", ())])
    program.op("relu", ("y", "int32", (2,)), x="x")
    with pytest.raises(ExecutionError) as caught:
        ReferenceModel(program.model).predict({"x": [1, 2]})
    assert str(caught.value) == (
        "model: operation 'y': relu failed: the result is float32, the file declares int32 (with x float32(2,)) [main, CoreML5]"
    )


def test_failures_inside_loops_say_where(history: Any) -> None:
    program = history()
    loop = next(operation for operation in program.block.operations if operation.type == "while_loop")
    gather = next(operation for operation in loop.blocks[1].operations if operation.outputs[0].name == "x_t")
    gather.inputs["indices"].arguments[0].name = "steps"
    with pytest.raises(ExecutionError) as caught:
        ReferenceModel(program.model).predict({"x": np.zeros((2, 1, 2)), "c0": np.zeros((1, 1, 2))})
    assert str(caught.value) == (
        "model: operation 'x_t': gather failed: index 2 is out of range, the axis admits -2 to 1 (with x float32(2, 1, 2), "
        "indices int32(1,), axis 0) [main/t_end[1], CoreML5]"
    )


def test_intermediates(history: Any) -> None:
    model = ReferenceModel(history().model)
    fed = {"x": np.arange(6.0).reshape(3, 1, 2), "c0": np.zeros((1, 1, 2))}
    plain = model.predict(fed)
    assert set(plain) == {"out"}
    chosen = model.predict(fed, intermediates=["start", "y_t", "h_next"])
    assert set(chosen) == {"out", "start", "y_t", "h_next"}
    np.testing.assert_array_equal(chosen["out"], plain["out"])
    assert chosen["start"].shape == (4, 1, 2)
    assert not chosen["start"].any()
    # A value inside the loop is stacked over its passes; the history is given as it is in the end.
    np.testing.assert_array_equal(chosen["y_t"][:, 0], plain["out"][1:])
    np.testing.assert_array_equal(chosen["h_next"], plain["out"])
    everything = model.predict(fed, intermediates="all")
    assert {"size", "steps", "zeros", "start", "x_t", "c_t", "s_t", "y_t", "next", "go", "h_next", "out"} <= set(
        everything
    )
    assert not [name for name in everything if name.endswith("_0")]
    assert everything["go"].tolist() == [[True], [True], [True], [False]]
    assert everything["next"].tolist() == [[1], [2], [3]]


def test_intermediates_that_are_constants_are_given_by_name(history: Any) -> None:
    fed = {"x": np.zeros((2, 1, 2)), "c0": np.zeros((1, 1, 2))}
    assert ReferenceModel(history().model).predict(fed, intermediates=["t0"])["t0"].tolist() == [0]


def test_unknown_intermediates(history: Any) -> None:
    with pytest.raises(InputError) as caught:
        ReferenceModel(history().model).predict(
            {"x": np.zeros((2, 1, 2)), "c0": np.zeros((1, 1, 2))}, intermediates=["q", "y_t"]
        )
    assert str(caught.value) == "model: there is no inner value 'q'"


def test_threads_may_share_a_model(history: Any) -> None:
    model = ReferenceModel(history().model)
    fed = [{"x": np.random.default_rng(seed).normal(size=(40, 1, 2)), "c0": np.zeros((1, 1, 2))} for seed in range(8)]
    alone = [model.predict(item)["out"] for item in fed]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda item: model.predict(item)["out"], fed))
    for one, other in zip(alone, together):
        np.testing.assert_array_equal(one, other)


def test_repr_names_the_model(history: Any) -> None:
    assert repr(ReferenceModel(history().model)) == "ReferenceModel('model', mlprogram, CoreML5)"
