"""Operations with effects stay where they are: random numbers and states inside loops and branches, in every mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.runtime import PASSES, ReferenceModel

ROW = (1, 40)


@pytest.fixture(scope="module")
def drawing(build: Any) -> Any:
    """h[t] = x[t] + a number drawn in pass t, without a seed; scattered into a history."""
    shape = (None, 40)
    program = build.program([("x", "float32", ((1, 50), 40))], [("out", "float32", ((1, 50), 40))])
    program.op("shape", ("size", "int32", (2,)), x="x")
    program.op(
        "slice_by_index", ("steps", "int32", (1,)), x="size", begin=np.array([0], np.int32), end=np.array([1], np.int32)
    )
    program.op("mul", ("zeros", "float32", shape), x="x", y=np.float32(0))
    program.const("t0", np.array([0], np.int32))
    carried = [("t", "int32", (1,)), ("h", "float32", shape)]
    loop = program.op("while_loop", [("t_end", "int32", (1,)), ("out", "float32", shape)], loop_vars=["t0", "zeros"])
    condition = program.nested(loop, carried)
    condition.op("less", ("go", "bool", (1,)), x="t", y="steps")
    condition.block.outputs.append("go")
    body = program.nested(loop, carried)
    body.op("gather", ("x_t", "float32", ROW), x="x", indices="t", axis=np.int32(0))
    body.op(
        "random_uniform",
        ("drawn", "float32", ROW),
        shape=np.array(ROW, np.int32),
        low=np.float32(0),
        high=np.float32(1),
    )
    body.op("add", ("y_t", "float32", ROW), x="x_t", y="drawn")
    body.op("add", ("next", "int32", (1,)), x="t", y=np.array([1], np.int32))
    body.op(
        "scatter", ("h_next", "float32", shape), data="h", indices="t", updates="y_t", axis=np.int32(0), mode="'update'"
    )
    body.block.outputs.extend(["next", "h_next"])
    return program.model


@pytest.mark.parametrize("passes", [PASSES, ()], ids=["all passes", "no passes"])
def test_each_pass_of_a_loop_draws_numbers_of_its_own(drawing: Any, passes: Any) -> None:
    model = ReferenceModel(drawing, passes=passes)
    for _ in range(2):
        drawn = model.predict({"x": np.zeros((6, 40), np.float32)})["out"]
        assert len(np.unique(drawn)) > 200
        assert drawn.min() >= 0
        assert drawn.max() < 1


@pytest.mark.parametrize("passes", [PASSES, ()], ids=["all passes", "no passes"])
def test_a_loop_changes_a_state_in_each_pass_and_a_branch_only_when_taken(passes: Any) -> None:
    import coremltools

    mb, types = coremltools.converters.mil.Builder, coremltools.converters.mil.mil.types

    @mb.program(
        input_specs=[
            mb.TensorSpec((1,), dtype=types.int32),
            mb.StateTensorSpec((2,), dtype=types.fp16),
            mb.StateTensorSpec((2,), dtype=types.fp16),
        ],
        opset_version=coremltools.target.iOS18,
    )
    def program(count: Any, total: Any, seen: Any) -> Any:
        def body(i: Any) -> Any:
            more = mb.add(x=mb.read_state(input=total), y=mb.cast(x=mb.add(x=i, y=1), dtype="fp16"))
            mb.coreml_update_state(state=total, value=more)
            return mb.add(x=i, y=1)

        last = mb.while_loop(
            _cond=lambda i: mb.less(x=i, y=mb.squeeze(x=count)), _body=body, loop_vars=(0,), name="passes"
        )
        # What nobody reads would be dropped by coremltools, so it is an output.
        kept = mb.cond(
            pred=mb.greater(x=last if not isinstance(last, (list, tuple)) else last[0], y=2),
            _true_fn=lambda: mb.coreml_update_state(state=seen, value=mb.read_state(input=total)),
            _false_fn=lambda: mb.read_state(input=seen),
        )
        return mb.read_state(input=total, name="now"), kept

    converted = coremltools.convert(program, minimum_deployment_target=coremltools.target.iOS18, skip_model_load=True)
    model = ReferenceModel(converted, passes=passes)
    state = model.make_state()
    assert model.predict({"count": [2]}, state=state)["now"].tolist() == [3, 3]
    assert state.read_state("seen").tolist() == [0, 0]
    assert model.predict({"count": [3]}, state=state)["now"].tolist() == [9, 9]
    assert state.read_state("seen").tolist() == [9, 9]
