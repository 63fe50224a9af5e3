"""ML Programs whose parts contradict each other: each was once run, and answered, as if nothing were wrong."""

from __future__ import annotations

import time
from typing import Any, Callable

import numpy as np
import pytest

from pytest_dscoreml.errors import ExecutionError, LoadError
from pytest_dscoreml.runtime import ReferenceModel

FED = {"x": np.ones((3, 1, 2)), "c0": np.zeros((1, 1, 2))}


def problem(source: Any, **options: Any) -> str:
    with pytest.raises(LoadError) as caught:
        ReferenceModel(source, **options)
    return str(caught.value)


def failure(source: Any, inputs: Any) -> str:
    model = ReferenceModel(source)
    with pytest.raises(ExecutionError) as caught:
        model.predict(inputs)
    return str(caught.value)


def loop_of(program: Any) -> Any:
    return next(operation for operation in program.block.operations if operation.type == "while_loop")


@pytest.fixture
def sums(build: Any) -> Any:
    """y = x + x, by way of an inner value s."""
    program = build.program([("x", "float32", (2,))], [("y", "float32", (2,))])
    program.op("add", ("s", "float32", (2,)), x="x", y="x")
    program.op("relu", ("y", "float32", (2,)), x="s")
    return program


def test_an_inner_shape_that_the_operation_does_not_yield(sums: Any) -> None:
    sums.block.operations[0].outputs[0].type.tensorType.dimensions[0].constant.size = 3
    assert failure(sums.model, {"x": [1, 2]}) == (
        "model: operation 's': add failed: the result has shape (2,), the file declares float32(3) (with x float32(2,), y "
        "float32(2,)) [main, CoreML5]"
    )


def test_a_folded_constant_of_another_shape(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", (2,))])
    program.const("a", np.ones(2, np.float32))
    program.op("exp", ("b", "float32", (5,)), x="a")
    program.op("add", ("y", "float32", (2,)), x="x", y="b")
    assert "operation 'b': exp failed: the result has shape (2,), the file declares float32(5)" in failure(
        program.model, {"x": [1, 2]}
    )


def test_one_of_several_results_of_another_shape(build: Any) -> None:
    program = build.program([("x", "float32", (4,))], [("y", "float32", (2,))])
    parts = [("y", "float32", (2,)), ("rest", "float32", (3,))]
    program.op("split", parts, x="x", num_splits=np.int32(2), axis=np.int32(0))
    assert "split failed: the result has shape (2,), the file declares float32(3)" in failure(
        program.model, {"x": [1, 2, 3, 4]}
    )


@pytest.mark.parametrize("kind", ["listType", "stateType", "dictionaryType"])
def test_a_tensor_declared_as_something_else(sums: Any, kind: str) -> None:
    declared = sums.block.operations[0].outputs[0].type
    getattr(declared, kind).SetInParent()
    name = kind[: -len("Type")]
    assert f"operation 's': add failed: the result is no {name}, which the file declares" in failure(
        sums.model, {"x": [1, 2]}
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (10, "defines 's' as float16(2), expected float32"),
        (22, "defines 's' as int16(2), expected float32"),
        (12, "defines 's' as float64(2), expected float32"),
        (0, "defines 's' of type unused_type, which is not supported"),
    ],
)
def test_an_inner_type_that_nothing_gives(sums: Any, number: int, text: str) -> None:
    sums.block.operations[0].outputs[0].type.tensorType.dataType = number
    assert f"operation 's': add {text} [main, CoreML5]" in problem(sums.model)


def test_a_cast_to_another_type_than_its_result_is_declared(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", (2,))])
    program.op("cast", ("y", "float32", (2,)), x="x", dtype="'fp16'")
    assert problem(program.model) == (
        "model: operation 'y': cast defines 'y' as float32(2), expected float16 [main, CoreML5]"
    )


def test_a_dimension_that_is_neither_known_nor_unknown(sums: Any) -> None:
    sums.block.operations[0].outputs[0].type.tensorType.dimensions[0].ClearField("constant")
    assert problem(sums.model) == (
        "model: operation 's': add declares a dimension that is neither known nor unknown [main, CoreML5]"
    )


@pytest.mark.parametrize("rank", [-1, -5, 3, 1 << 40])
def test_a_rank_that_the_dimensions_do_not_have(sums: Any, rank: int) -> None:
    sums.block.operations[0].outputs[0].type.tensorType.rank = rank
    assert problem(sums.model) == (f"model: operation 's': add declares rank {rank} with 1 dimensions [main, CoreML5]")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda p: p.block.outputs.append("s"),
            "the program yields 's', which the model's description does not declare as",
        ),
        (lambda p: p.block.outputs.append("y"), "the program yields 'y' 2 times, the model's description declares 1"),
        (
            lambda p: setattr(p.model.mlProgram, "version", 9),
            "the ML Program is of version 9, which is not known (known is 1)",
        ),
        (
            lambda p: setattr(p.model, "specificationVersion", 4),
            "specification version 4, which is not known (known are 6 to",
        ),
        (
            lambda p: setattr(p.model.description, "predictedFeatureName", "q"),
            "the model's predictedFeatureName is 'q', which is no output",
        ),
        (
            lambda p: setattr(p.model.description.state.add(), "name", "k"),
            "the model's description declares the state 'k', which the program does not take",
        ),
        (
            lambda p: p.model.description.input[0].type.multiArrayType.enumeratedShapes.SetInParent(),
            "input 'x' enumerates its shapes, and there are none",
        ),
    ],
)
def test_what_nothing_reads_is_checked(sums: Any, change: Callable[[Any], Any], text: str) -> None:
    change(sums)
    assert text in problem(sums.model)


@pytest.mark.parametrize("again", ["const", "exp", "relu"])
def test_a_constant_that_is_defined_twice(build: Any, again: str) -> None:
    program = build.program([("x", "float32", (1,))], [("y", "float32", (1,))])
    program.const("a", np.ones(1, np.float32))
    program.const("c", np.ones(1, np.float32))
    if again == "const":
        program.const("c", np.zeros(1, np.float32))
    else:
        program.op(again, ("c", "float32", (1,)), x="a" if again == "exp" else "x")
    program.op("add", ("y", "float32", (1,)), x="x", y="c")
    assert problem(program.model) == (
        f"model: operation 'c': {again} defines 'c', which is defined already [main, CoreML5]"
    )


def test_a_constant_that_its_type_cannot_hold(build: Any) -> None:
    program = build.program([("x", "int32", (1,))], [("y", "int32", (1,))])
    program.const("c", np.array([70_000], np.int32))
    program.op("add", ("y", "int32", (1,)), x="x", y="c")
    program.block.operations[0].attributes["val"].type.tensorType.dataType = 32
    assert "const has an unreadable val: holds values outside the range of uint16" in problem(program.model)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda loop: loop.blocks[0].inputs[0].ClearField("type"),
            "carries or defines 't' of a kind that is not supported",
        ),
        (
            lambda loop: setattr(loop.blocks[1].inputs[0].type.tensorType, "dataType", 11),
            "carries 't' as float32(1) and gives it int32(1)",
        ),
        (
            lambda loop: setattr(loop.outputs[1].type.tensorType.dimensions[2].constant, "size", 7),
            "carries 'h' as float32(?, 1, 2) and ends with it as float32(?, 1, 7)",
        ),
        (lambda loop: loop.blocks[0].ClearField("outputs"), "has a condition that yields 0 values, expected one"),
        (lambda loop: loop.blocks[0].outputs.__setitem__(0, "t"), "tests 't', which is int32(1), expected bool"),
    ],
)
def test_a_loop_whose_types_disagree(history: Any, change: Callable[[Any], Any], text: str) -> None:
    program = history()
    change(loop_of(program))
    assert f"operation 't_end': while_loop {text}" in problem(program.model)


def test_a_loop_that_counts_in_steps_of_nothing(history: Any) -> None:
    program = history()
    step = next(item for item in loop_of(program).blocks[1].operations if item.outputs[0].name == "next_y_0")
    step.attributes["val"].immediateValue.tensor.ints.values[0] = 0
    start = time.perf_counter()
    for passes in (None, ()):
        with pytest.raises(ExecutionError) as caught:
            ReferenceModel(program.model, passes=passes).predict(FED)
        assert str(caught.value) == (
            "model: operation 't_end': while_loop failed: it never ends: a pass changes nothing that its condition depends "
            "on [main, CoreML5]"
        )
    assert time.perf_counter() - start < 2


def test_many_long_problems_make_a_short_message(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", (2,))])
    for index in range(100):
        program.op("relu", (f"{'n' * 5000}{index}", "float32", (2,)), x="nowhere")
    text = problem(program.model)
    assert len(text) < 9000
    assert text.endswith("more")
