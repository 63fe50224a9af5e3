"""Each optimisation keeps every result, does what it is for, and keeps its hands off where it would be seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import PASSES, ReferenceModel
from pytest_dscoreml.runtime.passes.fold_constants import LARGEST_FOLDED_BYTES


def inputs(steps: int, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {"x": random.normal(size=(steps, 1, 2)), "c0": random.normal(size=(1, 1, 2))}


def expected(given_inputs: dict[str, Any], dtype: type = np.float32) -> Any:
    """The history, row by row."""
    rows = [given_inputs["c0"][0].astype(dtype)]
    for x in given_inputs["x"].astype(dtype):
        total = (x + rows[-1]).astype(dtype)
        rows.append(np.tanh(total.astype(np.float32)).astype(dtype))
    return np.stack(rows).astype(np.float32)


def copies(model: ReferenceModel) -> list[bool]:
    return [call.copies for call in model._plan.calls() if call.kernel.overwrites]


@pytest.mark.parametrize("name", [*PASSES, "all", "none"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@settings(max_examples=10, deadline=None)
@given(steps=st.integers(1, 12), seed=st.integers(0, 100))
def test_results_are_the_same_with_and_without(history: Any, name: str, dtype: str, steps: int, seed: int) -> None:
    chosen = {"all": PASSES, "none": ()}.get(name, (name,))
    program = history(dtype=dtype).model
    fed = inputs(steps, seed)
    obtained = ReferenceModel(program, passes=chosen).predict(fed)["out"]
    np.testing.assert_array_equal(obtained, ReferenceModel(program, passes=()).predict(fed)["out"])
    np.testing.assert_allclose(obtained, expected(fed, np.dtype(dtype).type), rtol=1e-6, atol=1e-6)


def test_unknown_passes_are_refused(history: Any) -> None:
    with pytest.raises(ValueError, match="unknown passes fast") as caught:
        ReferenceModel(history().model, passes=["fast"])
    assert str(caught.value) == (
        "unknown passes fast (known are fold_constants, carry_half, hoist_products, update_in_place, straight_loops, "
        "free_early)"
    )


def test_the_history_is_updated_in_place(history: Any) -> None:
    model = ReferenceModel(history().model)
    assert copies(model) == [False]
    assert copies(ReferenceModel(history().model, passes=["fold_constants"])) == [True]


def _reads_old_history_afterwards(body: Any) -> None:
    """Adds last pass's history to the new row, after the scatter: in place, it would see the new one."""
    body.op("reduce_sum", ("before", "float32", (1, 1, 2)), x="h", axes=np.array([0], np.int32), keep_dims=True)


def _carry(model: Any, name: str, initial: str, produced: str, shape: Any = (None, 1, 2)) -> None:
    """Make the loop carry one value more."""
    loop = next(operation for operation in model.block.operations if operation.type == "while_loop")
    loop.inputs["loop_vars"].arguments.add(name=initial)
    for block in loop.blocks:
        added = block.inputs.add(name=name)
        added.type.CopyFrom(block.inputs[1].type)
    loop.blocks[1].outputs.append(produced)
    added = loop.outputs.add(name=f"{name}_end")
    added.type.CopyFrom(loop.outputs[1].type)


def test_a_history_that_is_read_afterwards_is_copied(history: Any) -> None:
    def build(read: bool) -> Any:
        def reader(body: Any) -> None:
            if read:
                body.op(
                    "reduce_sum", ("sum", "float32", (1, 1, 2)), x="h", axes=np.array([0], np.int32), keep_dims=True
                )
            else:
                body.op("gather", ("sum", "float32", (1, 1, 2)), x="h_next", indices="next", axis=np.int32(0))

        program = history(reader=reader, extra=[("last", "float32", ())])
        _carry(program, "s", "c0", "sum")
        program.op("cast", ("last", "float32", (1, 1, 2)), x="s_end", dtype="'fp32'")
        return program.model

    fed = inputs(5)
    rows = expected(fed)
    model = ReferenceModel(build(True))
    assert copies(model) == [True]
    np.testing.assert_allclose(model.predict(fed)["last"][0], rows[:5].sum(0), rtol=1e-6)
    # What reads only the result of the scatter may, and sees the new row.
    model = ReferenceModel(build(False))
    assert copies(model) == [False]
    np.testing.assert_allclose(model.predict(fed)["last"][0], rows[5], rtol=1e-6)


@pytest.mark.parametrize("view", ["identity", "slice", "transpose", "reshape"])
def test_a_view_of_the_history_that_outlives_the_scatter_is_safe(history: Any, view: str) -> None:
    """The view is taken before the scatter and carried to the next pass: writing in place would change it."""

    def reader(body: Any) -> None:
        scatter = body.block.operations.pop()
        shape = (None, 1, 2)
        if view == "identity":
            body.op("identity", ("old", "float32", shape), x="h")
        elif view == "slice":
            zeros = np.zeros(3, np.int32)
            body.op(
                "slice_by_index", ("old", "float32", shape), x="h", begin=zeros, end=zeros, end_mask=np.ones(3, bool)
            )
        elif view == "transpose":
            body.op("transpose", ("old", "float32", shape), x="h", perm=np.arange(3, dtype=np.int32))
        else:
            body.op("reshape", ("old", "float32", shape), x="h", shape=np.array([-1, 1, 2], np.int32))
        body.block.operations.append(scatter)

    program = history(reader=reader, extra=[("previous", "float32", ())])
    _carry(program, "p", "start", "old")
    program.op("cast", ("previous", "float32", (None, 1, 2)), x="p_end", dtype="'fp32'")
    fed = inputs(4)
    wanted = expected(fed)
    wanted[4] = 0
    obtained = ReferenceModel(program.model).predict(fed)
    np.testing.assert_allclose(obtained["previous"], wanted, rtol=1e-6)
    np.testing.assert_allclose(obtained["out"], expected(fed), rtol=1e-6)


def test_the_source_of_the_history_is_not_changed(history: Any) -> None:
    """What the loop starts from is read again after the loop, and inside it by its outer name."""

    def reader(body: Any) -> None:
        body.op("gather", ("first", "float32", (1, 1, 2)), x="start", indices="next", axis=np.int32(0))

    program = history(reader=reader, extra=[("again", "float32", ())])
    program.op("cast", ("again", "float32", (None, 1, 2)), x="start", dtype="'fp32'")
    fed = inputs(4)
    model = ReferenceModel(program.model)
    assert copies(model) == [False]
    again = model.predict(fed)["again"]
    np.testing.assert_allclose(again[0], fed["c0"][0], rtol=1e-6)
    assert not again[1:].any()
    np.testing.assert_array_equal(model.predict(fed)["again"], again)


def test_two_carried_values_that_change_places(history: Any) -> None:
    """The history goes to the other place on each pass; both must be private, and neither the source."""
    program = history(extra=[("other", "float32", ()), ("again", "float32", ())])
    _carry(program, "g", "start", "h_next")
    loop = next(operation for operation in program.block.operations if operation.type == "while_loop")
    loop.blocks[1].outputs[1] = "g"
    program.op("cast", ("other", "float32", (None, 1, 2)), x="g_end", dtype="'fp32'")
    program.op("cast", ("again", "float32", (None, 1, 2)), x="start", dtype="'fp32'")
    fed = inputs(5)
    plain = ReferenceModel(program.model, passes=()).predict(fed)
    fast = ReferenceModel(program.model).predict(fed)
    for name in ("out", "other", "again"):
        np.testing.assert_array_equal(fast[name], plain[name])


def test_a_model_input_is_not_overwritten(build: Any) -> None:
    program = build.program([("x", "float32", (3,))], [("y", "float32", ())])
    program.op(
        "scatter",
        ("y", "float32", (3,)),
        data="x",
        indices=np.array([1], np.int32),
        updates=np.array([5], np.float32),
        axis=np.int32(0),
        mode="'update'",
    )
    x = np.ones(3, np.float32)
    assert ReferenceModel(program.model).predict({"x": x})["y"].tolist() == [1, 5, 1]
    assert x.tolist() == [1, 1, 1]


def test_a_constant_is_not_overwritten(build: Any) -> None:
    program = build.program([("x", "float32", (1,))], [("y", "float32", ())])
    program.const("c", np.ones(3, np.float32))
    program.op(
        "scatter",
        ("y", "float32", (3,)),
        data="c",
        indices=np.array([1], np.int32),
        updates="x",
        axis=np.int32(0),
        mode="'add'",
    )
    model = ReferenceModel(program.model)
    for _ in range(2):
        assert model.predict({"x": [5]})["y"].tolist() == [1, 6, 1]


def test_a_chain_of_scatters_is_in_place_but_for_the_first(build: Any) -> None:
    program = build.program([("x", "float32", (3,))], [("y", "float32", ())])
    source = "x"
    for target in ("a", "b", "y"):
        program.op(
            "scatter",
            (target, "float32", (3,)),
            data=source,
            indices=np.array([1], np.int32),
            updates=np.array([5], np.float32),
            axis=np.int32(0),
            mode="'add'",
        )
        source = target
    model = ReferenceModel(program.model)
    assert copies(model) == [True, False, False]
    assert model.predict({"x": [0, 0, 0]})["y"].tolist() == [0, 15, 0]


def test_float16_histories_are_carried_without_casts(history: Any) -> None:
    """As coremltools writes float16 programs: cast to float32 at the end of a pass, back at the start of the next."""
    program = _cast_loop(history)
    model = ReferenceModel(program.model)
    inside = [call.step.op for call in model._plan.calls() if "t_end" in call.step.location]
    assert "cast" not in inside
    assert copies(model) == [False]
    fed = inputs(6)
    np.testing.assert_array_equal(
        model.predict(fed)["out"], ReferenceModel(program.model, passes=["fold_constants"]).predict(fed)["out"]
    )


def _cast_loop(history: Any) -> Any:
    program = history(dtype="float16")
    operations = program.block.operations
    loop_index = next(index for index, operation in enumerate(operations) if operation.type == "while_loop")
    tail = [operations.pop(loop_index) for _ in range(len(operations) - loop_index)]
    program.op("cast", ("start32", "float32", (None, 1, 2)), x="start", dtype="'fp32'")
    loop = tail[0]
    loop.inputs["loop_vars"].arguments[1].name = "start32"
    for block in loop.blocks:
        block.inputs[1].type.tensorType.dataType = 11
        block.inputs[1].name = "h32"
    body = loop.blocks[1]
    operations.extend(tail)
    loop = next(operation for operation in operations if operation.type == "while_loop")
    loop.outputs[1].type.tensorType.dataType = 11
    body = loop.blocks[1]
    inner = program.nested(loop)
    inner.op("cast", ("h", "float16", (None, 1, 2)), x="h32", dtype="'fp16'")
    inner.block.operations.extend(body.operations)
    inner.op("cast", ("h_next32", "float32", (None, 1, 2)), x="h_next", dtype="'fp32'")
    inner.block.outputs.extend(["next", "h_next32"])
    for value in body.inputs:
        inner.block.inputs.add().CopyFrom(value)
    body.CopyFrom(inner.block)
    del loop.blocks[2]
    return program


def test_constants_are_folded_and_large_ones_left(build: Any) -> None:
    size = LARGEST_FOLDED_BYTES // 4
    program = build.program([("x", "float32", (1,))], [("y", "float32", ()), ("z", "float32", ())])
    for name, count in (("small", 4), ("large", size + 1)):
        program.op("fill", (name, "float32", (count,)), shape=np.array([count], np.int32), value=np.float32(2))
    program.op("add", ("sum", "float32", (4,)), x="small", y="small")
    program.op("add", ("y", "float32", (4,)), x="x", y="sum")
    program.op("reduce_max", ("m", "float32", (1,)), x="large", axes=np.array([0], np.int32), keep_dims=True)
    program.op("add", ("z", "float32", (1,)), x="x", y="m")
    model = ReferenceModel(program.model)
    assert [call.step.name for call in model._plan.calls()] == ["large", "y", "m", "z"]
    assert model.predict({"x": [1]})["y"].tolist() == [5, 5, 5, 5]
    assert ReferenceModel(program.model, passes=()).predict({"x": [1]})["z"].tolist() == [3]


def test_values_are_freed_after_their_last_use(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", ())])
    program.op("relu", ("a", "float32", (2,)), x="x")
    program.op("relu", ("unused", "float32", (2,)), x="a")
    program.op("tanh", ("b", "float32", (2,)), x="a")
    program.op("add", ("y", "float32", (2,)), x="b", y="a")
    plan = ReferenceModel(program.model)._plan
    freed = [sorted(plan.names[slot] for slot in instruction.frees) for instruction in plan.code]
    assert freed == [["x"], ["unused"], [], ["a", "b"]]


def test_time_grows_with_the_length_not_its_square(build: Any, history: Any) -> None:
    """Counted, not timed: bytes copied by the histories' scatters per pass must not grow with the history."""
    model = ReferenceModel(history().model)
    (call,) = [call for call in model._plan.calls() if call.kernel.overwrites]
    assert not call.copies
    long = model.predict(inputs(500))["out"]
    np.testing.assert_allclose(long, expected(inputs(500)), rtol=1e-4, atol=1e-5)
