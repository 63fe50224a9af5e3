"""Random loops over a few arrays: whatever is viewed, carried, swapped or scattered, optimised runs equal plain ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import PASSES, ReferenceModel

ROWS, COLUMNS, CARRIED = 3, 2, 3
SHAPE = (ROWS, COLUMNS)
VIEWS = ("identity", "reshape", "reverse", "slice", "transpose")


def add_operation(body: Any, kind: str, name: str, sources: list[str], row: int, later_row: int) -> None:
    """One operation from [ROWS, COLUMNS] to the same shape; most return views of their argument."""
    output = (name, "float32", SHAPE)
    first = sources[0]
    if kind == "identity":
        body.op("identity", output, x=first)
    elif kind == "reshape":
        body.op("reshape", output, x=first, shape=np.array(SHAPE, np.int32))
    elif kind == "reverse":
        body.op("reverse", output, x=first, axes=np.array([0], np.int32))
    elif kind == "slice":
        zeros = np.zeros(2, np.int32)
        body.op("slice_by_index", output, x=first, begin=zeros, end=zeros, end_mask=np.ones(2, bool))
    elif kind == "transpose":
        perm = np.array([1, 0], np.int32)
        body.op("transpose", (f"{name}_t", "float32", SHAPE[::-1]), x=first, perm=perm)
        body.op("transpose", output, x=f"{name}_t", perm=perm)
    elif kind == "add":
        body.op("add", output, x=first, y=sources[1])
    else:
        begin = np.array([row, 0], np.int32)
        end = np.array([row + 1, COLUMNS], np.int32)
        body.op("slice_by_index", (f"{name}_row", "float32", (1, COLUMNS)), x=sources[1], begin=begin, end=end)
        body.op(
            "scatter",
            output,
            data=first,
            indices=np.array([later_row], np.int32),
            updates=f"{name}_row",
            axis=np.int32(0),
            mode="'add'",
        )


@st.composite
def loops(draw: Any) -> list[tuple[str, list[int], int, int]]:
    """Operations as (kind, indices into the names defined so far, two rows)."""
    kinds = st.sampled_from([*VIEWS, "add", "scatter", "scatter", "scatter"])
    made = []
    for position in range(draw(st.integers(1, 7))):
        # Names in sight: the carried values, two outer ones, and what was made so far.
        source = st.integers(0, CARRIED + 2 + position - 1)
        row = st.integers(0, ROWS - 1)
        made.append((draw(kinds), [draw(source), draw(source)], draw(row), draw(row)))
    return made


@settings(max_examples=150, deadline=None)
@given(operations=loops(), data=st.data())
def test_random_loops(build: Any, operations: list[tuple[str, list[int], int, int]], data: Any) -> None:
    outer = [("x", "float32", SHAPE), ("z", "float32", SHAPE)]
    carried = [(f"c{index}", "float32", SHAPE) for index in range(CARRIED)]
    outputs = [(f"out{index}", "float32", SHAPE) for index in range(CARRIED)]
    program = build.program([*outer, ("n", "int32", (1,))], [*outputs, ("x_after", "float32", SHAPE)])
    program.op("relu", ("made", "float32", SHAPE), x="z")
    program.const("zero", np.array([0], np.int32))
    sources = [data.draw(st.sampled_from(["x", "z", "made"])) for _ in range(CARRIED)]
    counter = ("i", "int32", (1,))
    loop = program.op("while_loop", [("i_end", "int32", (1,)), *outputs], loop_vars=["zero", *sources])
    condition = program.nested(loop, [counter, *carried])
    condition.op("less", ("go", "bool", (1,)), x="i", y="n")
    condition.block.outputs.append("go")
    body = program.nested(loop, [counter, *carried])
    names = ["x", "made", *(name for name, _, _ in carried)]
    for position, (kind, chosen, row, later_row) in enumerate(operations):
        add_operation(body, kind, f"v{position}", [names[index] for index in chosen], row, later_row)
        names.append(f"v{position}")
    body.op("add", ("i_next", "int32", (1,)), x="i", y=np.array([1], np.int32))
    results = [data.draw(st.sampled_from(names)) for _ in range(CARRIED)]
    body.block.outputs.extend(["i_next", *results])
    program.op("add", ("x_after", "float32", SHAPE), x="x", y="made")
    fed = {
        "x": np.arange(6.0).reshape(SHAPE),
        "z": 10 - np.arange(6.0).reshape(SHAPE),
        "n": data.draw(st.integers(0, 4)),
    }
    plain = ReferenceModel(program.model, passes=()).predict(fed)
    for passes in (PASSES, ("update_in_place",), ("fold_constants", "free_early")):
        obtained = ReferenceModel(program.model, passes=passes).predict(fed)
        for name, expected in plain.items():
            np.testing.assert_array_equal(obtained[name], expected, err_msg=f"{name}, passes {passes}")


def test_the_random_loops_do_exercise_updates_in_place(build: Any) -> None:
    """Of the loops above, one that only scatters into what it carries is updated in place."""
    program = build.program([("x", "float32", SHAPE), ("n", "int32", (1,))], [("out", "float32", SHAPE)])
    program.const("zero", np.array([0], np.int32))
    carried = [("i", "int32", (1,)), ("c0", "float32", SHAPE)]
    loop = program.op("while_loop", [("i_end", "int32", (1,)), ("out", "float32", SHAPE)], loop_vars=["zero", "x"])
    condition = program.nested(loop, carried)
    condition.op("less", ("go", "bool", (1,)), x="i", y="n")
    condition.block.outputs.append("go")
    body = program.nested(loop, carried)
    add_operation(body, "scatter", "v0", ["c0", "x"], 1, 2)
    body.op("add", ("i_next", "int32", (1,)), x="i", y=np.array([1], np.int32))
    body.block.outputs.extend(["i_next", "v0"])
    model = ReferenceModel(program.model)
    assert [call.copies for call in model._plan.calls() if call.kernel.overwrites] == [False]
    x = np.ones(SHAPE, np.float32)
    assert model.predict({"x": x, "n": 3})["out"].tolist() == [[1, 1], [1, 1], [4, 4]]
    assert x.tolist() == [[1, 1]] * ROWS
