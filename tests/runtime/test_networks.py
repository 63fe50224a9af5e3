"""Neural networks: names that are written again, loops, branches, and what the reader refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.errors import ExecutionError, LoadError
from pytest_dscoreml.runtime import ReferenceModel


def counting_loop(build: Any, *, limit: int = 0, condition: bool = True) -> Any:
    """y = x added up ``n`` times, as coremltools writes while loops."""
    network = build.network(
        [("x", "float32", (2,)), ("n", "float32", (1,))], [("y", "float32", ()), ("i", "float32", ())]
    )
    network.layer("loadConstantND", "zero", [], ["zero"], shape=[1], data=np.zeros(1, np.float32))
    network.layer("copy", "i_in", ["zero"], ["i"])
    network.layer("multiply", "none", ["x"], ["nothing"])
    network.layer("copy", "y_in", ["nothing"], ["y"])
    layer = network.layer("loop", "times", [], [])
    if limit:
        layer.loop.maxLoopIterations = limit
    if condition:
        layer.loop.conditionVar = "go"
        network.layer("lessThan", "test", ["i", "n"], ["go"], network=layer.loop.conditionNetwork)
    body = layer.loop.bodyNetwork
    network.layer("add", "sum", ["y", "x"], ["y_next"], network=body)
    network.layer("add", "step", ["i"], ["i_next"], network=body, alpha=1.0)
    network.layer("copy", "y_out", ["y_next"], ["y"], network=body)
    network.layer("copy", "i_out", ["i_next"], ["i"], network=body)
    return network


@pytest.mark.parametrize("passes", [None, ()])
@pytest.mark.parametrize(
    ("limit", "condition", "n", "times"),
    [(0, True, 3, 3), (0, True, 0, 0), (2, True, 3, 2), (4, True, 3, 3), (5, False, 0, 5)],
)
def test_loop(build: Any, limit: int, condition: bool, n: int, times: int, passes: Any) -> None:
    model = ReferenceModel(counting_loop(build, limit=limit, condition=condition).model, passes=passes)
    outputs = model.predict({"x": [1.5, -1], "n": n})
    assert outputs["y"].tolist() == [1.5 * times, -times]
    assert outputs["i"].tolist() == [times]


def test_operations_are_those_of_the_file(build: Any) -> None:
    program = ReferenceModel(counting_loop(build).model).program
    assert [step.op for step in program.operations()] == [
        "copy", "multiply", "copy", "loop", "lessThan", "add", "add", "copy", "copy",
    ]  # fmt: skip
    assert program.op_counts()["copy"] == 4
    assert next(step.op for step in program.operations(constants=True)) == "loadConstantND"


def test_a_loop_that_never_ends_is_an_error(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_dscoreml.runtime.execute.LOOP_LIMIT", 50)
    model = ReferenceModel(counting_loop(build).model)
    with pytest.raises(ExecutionError) as caught:
        model.predict({"x": [1, 1], "n": 1e9})
    assert (
        str(caught.value)
        == "model: layer 'times': loop failed: it has not ended after 50 passes [main, specification 4]"
    )


def test_the_body_sees_what_the_condition_defines(build: Any) -> None:
    network = counting_loop(build)
    loop = network.network.layers[-1].loop
    network.layer(
        "loadConstantND", "one", [], ["one"], network=loop.conditionNetwork, shape=[1], data=np.ones(1, np.float32)
    )
    loop.bodyNetwork.layers[1].input.append("one")
    for passes in (None, ()):
        assert ReferenceModel(network.model, passes=passes).predict({"x": [1, 2], "n": 2})["y"].tolist() == [2, 4]


def test_what_only_a_body_defines_is_not_seen_after_the_loop(build: Any) -> None:
    network = counting_loop(build)
    network.layer("copy", "late", ["y_next"], ["late"])
    with pytest.raises(LoadError) as caught:
        ReferenceModel(network.model)
    assert str(caught.value) == (
        "model: layer 'late': copy reads 'y_next', which is not defined before it [main, specification 4]"
    )


def test_only_copy_may_write_again(build: Any) -> None:
    network = build.network([("x", "float32", (2,))], [("y", "float32", ())])
    network.layer("activation.ReLU", "first", ["x"], ["y"])
    network.layer("activation.tanh", "second", ["x"], ["y"])
    with pytest.raises(LoadError) as caught:
        ReferenceModel(network.model)
    assert str(caught.value) == (
        "model: layer 'second': activation.tanh defines 'y', which is defined already: only copy may do so "
        "[main, specification 4]"
    )


@pytest.mark.parametrize(("flag", "wanted"), [(1, [3, 4]), (0, [-3, -4])])
@pytest.mark.parametrize("passes", [None, ()])
def test_branch(build: Any, flag: int, wanted: list[float], passes: Any) -> None:
    network = build.network([("x", "float32", (2,)), ("flag", "float32", (1,))], [("y", "float32", ())])
    layer = network.layer("branch", "which", ["flag"], [])
    network.layer("activation.linear", "plus", ["x"], ["y"], network=layer.branch.ifBranch, alpha=1.0)
    network.layer("activation.linear", "minus", ["x"], ["y"], network=layer.branch.elseBranch, alpha=-1.0)
    model = ReferenceModel(network.model, passes=passes)
    assert model.predict({"x": [3, 4], "flag": flag})["y"].tolist() == wanted


def test_everything_is_a_float_and_has_an_axis(build: Any) -> None:
    network = build.network([("x", "float32", (2, 3))], [("y", "float32", ()), ("shape", "float32", ())])
    network.layer("getShape", "s", ["x"], ["shape"])
    network.layer("reduceSum", "r", ["x"], ["total"], reduceAll=True)
    network.layer("greaterThan", "g", ["total"], ["y"], alpha=2.0)
    outputs = ReferenceModel(network.model).predict({"x": np.ones((2, 3))})
    assert {name: (value.dtype.name, value.tolist()) for name, value in outputs.items()} == {
        "y": ("float32", [1.0]),
        "shape": ("float32", [2.0, 3.0]),
    }


def test_float16_weights(build: Any) -> None:
    network = build.network([("x", "float32", (2,))], [("y", "float32", ())])
    layer = network.layer("innerProduct", "ip", ["x"], ["y"], inputChannels=2, outputChannels=1)
    layer.innerProduct.weights.float16Value = np.array([0.1, 2], np.float16).tobytes()
    obtained = ReferenceModel(network.model).predict({"x": [1, 1]})["y"]
    assert obtained.tolist() == [np.float32(np.float16(0.1)) + 2]


@pytest.mark.parametrize("count", [1, 31, 32, 4095, 4096, 70000])
def test_weights_are_read_whole(build: Any, count: int) -> None:
    data = np.arange(count, dtype=np.float32)
    network = build.network([("x", "float32", (1,))], [("y", "float32", ())])
    network.layer("loadConstantND", "c", [], ["c"], shape=[count], data=data)
    network.layer("addBroadcastable", "add", ["x", "c"], ["y"])
    np.testing.assert_array_equal(ReferenceModel(network.model).predict({"x": [0]})["y"], data)


def test_failures_name_the_layer(build: Any) -> None:
    network = build.network([("x", "float32", (3,)), ("i", "float32", (1,))], [("y", "float32", ())])
    network.layer("gather", "pick", ["x", "i"], ["y"])
    model = ReferenceModel(network.model)
    assert model.predict({"x": [5, 6, 7], "i": -1})["y"].tolist() == [7]
    with pytest.raises(ExecutionError) as caught:
        model.predict({"x": [5, 6, 7], "i": 3})
    assert str(caught.value) == (
        "model: layer 'pick': gather failed: index 3 is out of range, the axis admits -3 to 2 (with x float32(3,), indices "
        "float32(1,)) [main, specification 4]"
    )
