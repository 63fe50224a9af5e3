"""Loops as generated code, with products hoisted: the same numbers as the file's own operations, in all their forms."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import ExecutionError
from pytest_dscoreml.runtime import PASSES, ReferenceModel
from pytest_dscoreml.runtime.row_products import BLOCK_ROWS, TAKE

WIDTH, HIDDEN = 24, 16
SEED = np.random.default_rng(3)
WEIGHT = (SEED.normal(size=(4 * HIDDEN, WIDTH + HIDDEN)) * 0.3).astype(np.float32)
BIAS = SEED.normal(size=4 * HIDDEN).astype(np.float32)


def lstm(build: Any, dtype: str, *, first: bool = True, mode: str = "add", step: int = 1, reader: Any = None) -> Any:
    """An LSTM over x [T, 1, WIDTH] as coremltools writes it; ``first`` puts x before h in the product's input."""
    kind = np.dtype(dtype).type
    program = build.program(
        [("x", dtype, ((1, 900), 1, WIDTH)), ("h0", dtype, (1, 1, HIDDEN)), ("n", "int32", (1,))],
        [("h", "float32", ()), ("c", "float32", ())],
    )
    program.op("shape", ("size", "int32", (3,)), x="x")
    bounds = {"begin": np.array([0], np.int32), "end": np.array([1], np.int32)}
    program.op("slice_by_index", ("steps", "int32", (1,)), x="size", **bounds)
    tail = np.array([1, HIDDEN], np.int32)
    program.const("tail", tail)
    program.op("concat", ("shape", "int32", (3,)), values=["steps", "tail"], axis=np.int32(0), interleave=False)
    many, row = (None, 1, HIDDEN), (1, 1, HIDDEN)
    program.op("fill", ("zeros", dtype, many), shape="shape", value=np.zeros((), dtype))
    program.op("concat", ("start", dtype, many), values=["h0", "zeros"], axis=np.int32(0), interleave=False)
    program.const("t0", np.array([0], np.int32))
    carried = [("t", "int32", (1,)), ("hs", dtype, many), ("cs", dtype, many)]
    ends = [(f"{name}_end", kind_, shape) for name, kind_, shape in carried]
    loop = program.op("while_loop", ends, loop_vars=["t0", "start", "start"])
    condition = program.nested(loop, carried)
    condition.op("less", ("go", "bool", (1,)), x="t", y="n")
    condition.block.outputs.append("go")
    body = program.nested(loop, carried)
    body.op("gather", ("x_t", dtype, (1, 1, WIDTH)), x="x", indices="t", axis=np.int32(0))
    body.op("gather", ("h_t", dtype, row), x="hs", indices="t", axis=np.int32(0))
    body.op("gather", ("c_t", dtype, row), x="cs", indices="t", axis=np.int32(0))
    parts = ["x_t", "h_t"] if first else ["h_t", "x_t"]
    body.op("concat", ("xh", dtype, (1, 1, WIDTH + HIDDEN)), values=parts, axis=np.int32(-1), interleave=False)
    weight, bias = WEIGHT.astype(dtype), BIAS.astype(dtype)
    body.op("linear", ("z", dtype, (1, 1, 4 * HIDDEN)), x="xh", weight=weight, bias=bias)
    gates = [(name, dtype, row) for name in ("i", "g", "f", "o")]
    body.op("split", gates, x="z", axis=np.int32(-1), num_splits=np.int32(4))
    for name, function in (("i", "sigmoid"), ("g", "tanh"), ("f", "sigmoid"), ("o", "sigmoid")):
        body.op(function, (f"{name}_a", dtype, row), x=name)
    body.op("mul", ("new", dtype, row), x="i_a", y="g_a")
    body.op("mul", ("kept", dtype, row), x="c_t", y="f_a")
    body.op("add", ("c_new", dtype, row), x="new", y="kept")
    body.op("tanh", ("c_a", dtype, row), x="c_new")
    body.op("mul", ("h_new", dtype, row), x="c_a", y="o_a")
    body.op("add", ("next", "int32", (1,)), x="t", y=np.array([step], np.int32))
    for name in ("c", "h"):
        scattered = {"data": f"{name}s", "indices": "next", "updates": f"{name}_new", "mode": f"'{mode}'"}
        body.op("scatter", (f"{name}s_new", dtype, many), axis=np.int32(0), **scattered)
    if reader is not None:
        reader(body, kind)
    body.block.outputs.extend(["next", "hs_new", "cs_new"])
    for name in ("h", "c"):
        program.op("cast", (name, "float32", many), x=f"{name}s_end", dtype="'fp32'")
    return program.model


def fed(steps: int, seed: int = 0, count: Any = None) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    x, h0 = random.normal(size=(steps, 1, WIDTH)), random.normal(size=(1, 1, HIDDEN))
    return {"x": x, "h0": h0, "n": [steps if count is None else count]}


def agree(model: Any, given_inputs: dict[str, Any], *, bound: float, passes: Any = PASSES) -> ReferenceModel:
    fast, plain = ReferenceModel(model, passes=passes), ReferenceModel(model, passes=())
    wanted = plain.predict(given_inputs)
    # The first run has a pass without generated code, the second has none.
    for _ in range(2):
        obtained = fast.predict(given_inputs)
        for name, value in wanted.items():
            np.testing.assert_allclose(obtained[name], value, rtol=bound, atol=bound)
    return fast


def generated(model: ReferenceModel) -> list[str]:
    """The source of what was generated for the model's first loop."""
    loops = [run.__closure__ for run in model._executable._code]
    cells = [cell.cell_contents for closure in loops if closure for cell in closure]
    for cell in list(cells):
        cells += [inner.cell_contents for inner in getattr(cell, "__closure__", None) or ()]
    straight = next(cell for cell in cells if type(cell).__name__ == "StraightLoop")
    return ["" if kept is None else kept.source for kept in straight._kept.values()]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("passes", ["hoist_products", "straight_loops", "both", "all"])
@settings(max_examples=8, deadline=None)
@given(steps=st.integers(1, 30), seed=st.integers(0, 50), less=st.integers(0, 30))
def test_results_are_the_same(
    build: Any, dtype: str, first: bool, passes: str, steps: int, seed: int, less: int
) -> None:
    chosen = {"all": PASSES, "both": ("hoist_products", "straight_loops", "update_in_place")}.get(passes, (passes,))
    bound = 1e-5 if dtype == "float32" else 6e-3
    model = lstm(build, dtype, first=first)
    agree(model, fed(steps, seed, max(0, steps - less)), bound=bound, passes=chosen)


@pytest.mark.parametrize("mode", ["add", "update"])
def test_the_product_is_hoisted_and_the_loop_is_generated(build: Any, mode: str) -> None:
    model = agree(lstm(build, "float32", mode=mode), fed(10), bound=1e-5)
    inside = [call.kernel.op for call in model._plan.calls()]
    assert inside.count(TAKE) == 1
    assert "linear" not in inside
    assert inside.count("gather") == 2
    (source,) = generated(model)
    assert ".copy()" not in source
    # One code for all lengths.
    agree_again = model.predict(fed(20))
    assert len(generated(model)) == 1
    assert agree_again["h"].shape == (21, 1, HIDDEN)


def test_sequences_longer_than_a_block(build: Any) -> None:
    steps = 2 * BLOCK_ROWS + 3
    agree(lstm(build, "float32"), fed(steps), bound=1e-4)


def test_float64_is_computed_in_float64(build: Any) -> None:
    model = lstm(build, "float32")
    fast = ReferenceModel(model, compute_precision="float64")
    plain = ReferenceModel(model, compute_precision="float64", passes=())
    for _ in range(2):
        np.testing.assert_allclose(fast.predict(fed(9))["h"], plain.predict(fed(9))["h"], rtol=1e-12, atol=1e-13)


def test_inner_values_are_those_of_the_file(build: Any) -> None:
    """They come from the program as it is: the hoisted product has no value of that name."""
    model = ReferenceModel(lstm(build, "float32"))
    inner = model.predict(fed(5), intermediates=["z", "xh", "h_new"])
    assert inner["z"].shape == (5, 1, 1, 4 * HIDDEN)
    z = inner["xh"].astype(np.float64) @ WEIGHT.T.astype(np.float64) + BIAS
    np.testing.assert_allclose(inner["z"], z, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(inner["h_new"][:, 0], model.predict(fed(5))["h"][1:], rtol=1e-4, atol=1e-6)


def test_a_counter_in_strides_is_not_hoisted(build: Any) -> None:
    """Blocks of rows are for those who take row after row."""
    model = ReferenceModel(lstm(build, "float32", step=2))
    assert TAKE not in [call.kernel.op for call in model._plan.calls()]
    agree(lstm(build, "float32", step=2), fed(9, count=7), bound=1e-5)


def test_a_row_that_is_read_after_it_was_written_is_copied(build: Any) -> None:
    """A second history row is gathered at the place the scatter writes to, before it does, and read after it did."""

    def reader(body: Any, kind: Any) -> None:
        operations = body.block.operations
        moved = [operations.pop() for _ in range(2)]
        body.op("gather", ("late", kind.__name__, (1, 1, HIDDEN)), x="hs", indices="next", axis=np.int32(0))
        operations.extend(reversed(moved))
        body.op("mul", ("twice", kind.__name__, (1, 1, HIDDEN)), x="late", y=np.full(1, 2, kind))
        body.op("add", ("h_more", kind.__name__, (1, 1, HIDDEN)), x="twice", y="h_new")
        body.op(
            "scatter",
            ("hs_more", kind.__name__, (None, 1, HIDDEN)),
            data="hs_new",
            indices="next",
            updates="h_more",
            axis=np.int32(0),
            mode="'add'",
        )

    made = lstm(build, "float32", reader=reader)
    loop = next(
        operation
        for operation in made.mlProgram.functions["main"].block_specializations["CoreML5"].operations
        if operation.type == "while_loop"
    )
    loop.blocks[1].outputs[1] = "hs_more"
    model = agree(made, fed(8), bound=1e-5)
    (source,) = generated(model)
    assert source.count(".copy()") == 1


@pytest.mark.parametrize("count", [7, 40])
def test_an_index_out_of_range_names_the_operation(build: Any, count: int) -> None:
    model = ReferenceModel(lstm(build, "float32"))
    with pytest.raises(ExecutionError, match="is out of range, the axis admits"):
        model.predict(fed(6, count=count))
    # What failed has left nothing behind.
    np.testing.assert_array_equal(
        model.predict(fed(6))["h"], ReferenceModel(lstm(build, "float32")).predict(fed(6))["h"]
    )


def test_operations_the_generator_does_not_know_are_called(build: Any) -> None:
    """``exp`` is one; what it reads gets an array of its own on each pass."""

    def reader(body: Any, kind: Any) -> None:
        body.op("exp", ("e", kind.__name__, (1, 1, HIDDEN)), x="h_new")
        body.op("sub", ("h_less", kind.__name__, (1, 1, HIDDEN)), x="e", y="h_new")
        body.op(
            "scatter",
            ("hs_more", kind.__name__, (None, 1, HIDDEN)),
            data="hs_new",
            indices="next",
            updates="h_less",
            axis=np.int32(0),
            mode="'add'",
        )

    made = lstm(build, "float32", reader=reader)
    main = made.mlProgram.functions["main"].block_specializations["CoreML5"]
    next(operation for operation in main.operations if operation.type == "while_loop").blocks[1].outputs[1] = "hs_more"
    model = agree(made, fed(8), bound=1e-4)
    assert all("(e)" in source for source in generated(model))


def test_threads_share_a_model(build: Any) -> None:
    model = ReferenceModel(lstm(build, "float32"))
    inputs = [fed(40, seed) for seed in range(4)]
    wanted = [ReferenceModel(lstm(build, "float32")).predict(one)["h"] for one in inputs]
    obtained: dict[int, Any] = {}

    def work(index: int) -> None:
        for _ in range(5):
            obtained[index] = model.predict(inputs[index])["h"]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, value in enumerate(wanted):
        np.testing.assert_allclose(obtained[index], value, rtol=1e-5, atol=1e-6)


def test_shapes_that_grow_are_left_to_the_file(build: Any) -> None:
    """A loop that carries a value which gets longer on each pass has no one shape to generate code for."""
    program = build.program([("n", "int32", (1,)), ("x", "float32", (1, 2))], [("y", "float32", ())])
    program.const("t0", np.array([0], np.int32))
    carried = [("t", "int32", (1,)), ("rows", "float32", (None, 2))]
    ends = [("t_end", "int32", (1,)), ("y", "float32", (None, 2))]
    loop = program.op("while_loop", ends, loop_vars=["t0", "x"])
    condition = program.nested(loop, carried)
    condition.op("less", ("go", "bool", (1,)), x="t", y="n")
    condition.block.outputs.append("go")
    body = program.nested(loop, carried)
    body.op("concat", ("more", "float32", (None, 2)), values=["rows", "x"], axis=np.int32(0), interleave=False)
    body.op("add", ("next", "int32", (1,)), x="t", y=np.array([1], np.int32))
    body.block.outputs.extend(["next", "more"])
    model = ReferenceModel(program.model)
    for count in (0, 1, 5, 5):
        assert model.predict({"n": [count], "x": [[1, 2]]})["y"].tolist() == [[1, 2]] * (count + 1)
