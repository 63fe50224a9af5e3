"""Some operations of a program in float16: what they read, yield and round, in loops too, and what stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.runtime import ReferenceModel
from pytest_dscoreml.runtime.mixed import can_be_half, half, with_half_operations

X = np.array([0.1, 1.37, -2.6, 3.9], np.float32)
BIG = np.float32(4096)


@pytest.fixture
def model(build: Any) -> ReferenceModel:
    """y = softmax((x + 4096) - 4096): a sum that float16 cannot hold, between operations that it does no harm."""
    program = build.program([("x", "float32", (4,))], [("y", "float32", ())])
    program.const("big", BIG)
    program.op("add", ("sum", "float32", (4,)), x="x", y="big")
    program.op("sub", ("back", "float32", (4,)), x="sum", y="big")
    program.op("concat", ("both", "float32", (8,)), values=["back", "x"], axis=np.int32(0), interleave=False)
    program.op("softmax", ("y", "float32", (8,)), x="both", axis=np.int32(-1))
    return ReferenceModel(program.model)


def run(model: ReferenceModel, *names: str) -> Any:
    return model.with_program(with_half_operations(model.program, names)).predict({"x": X})["y"]


def softmax(values: Any) -> Any:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def rounded(values: Any) -> Any:
    return np.asarray(values).astype(np.float16).astype(np.float32)


def test_an_operation_reads_and_yields_float16(model: ReferenceModel) -> None:
    summed = rounded(rounded(X) + BIG)
    np.testing.assert_array_equal(run(model, "sum"), softmax(np.concatenate([summed - BIG, X])))
    back = rounded(rounded(X + BIG) - BIG)
    np.testing.assert_array_equal(run(model, "back"), softmax(np.concatenate([back, X])))
    np.testing.assert_array_equal(run(model, "both"), softmax(rounded(np.concatenate([(X + BIG) - BIG, X]))))


def test_the_sum_loses_most(model: ReferenceModel) -> None:
    exact = model.predict({"x": X})["y"]
    lost = {name: np.abs(run(model, name) - exact).max() for name in ("sum", "back", "both", "y")}
    assert lost["sum"] > 0.01
    assert max(lost["both"], lost["y"]) < 1e-3


def test_none_and_unknown_names_change_nothing(model: ReferenceModel) -> None:
    exact = model.predict({"x": X})["y"]
    np.testing.assert_array_equal(run(model), exact)
    np.testing.assert_array_equal(run(model, "x", "nowhere"), exact)
    assert with_half_operations(model.program, ()) == model.program


def test_no_value_is_rounded_twice(model: ReferenceModel) -> None:
    """What float16 operations hand each other goes as it is, and only what others read is widened."""
    program = with_half_operations(model.program, ("sum", "back", "both", "y"))
    casts = [step.outputs[0].name for step in program.operations() if step.op == "cast"]
    assert casts == ["x rounded", "y"]


def test_the_model_itself_is_not_changed(model: ReferenceModel) -> None:
    before = model.predict({"x": X})["y"]
    changed = run(model, "sum")
    assert not np.array_equal(before, changed)
    np.testing.assert_array_equal(model.predict({"x": X})["y"], before)


@pytest.mark.parametrize("passes", [(), None])
def test_in_a_loop(history: Any, passes: Any) -> None:
    """c[t + 1] = tanh(x[t] + c[t]), with the sum in float16, and with all that is in the loop."""
    model = ReferenceModel(history().model, passes=passes)
    random = np.random.default_rng(5)
    inputs = {
        "x": random.normal(size=(9, 1, 2)).astype(np.float32),
        "c0": random.normal(size=(1, 1, 2)).astype(np.float32),
    }

    def wanted(around: Any, other: Any) -> Any:
        rows = [other(inputs["c0"][0])]
        for x in inputs["x"]:
            rows.append(other(np.tanh(around(around(x) + around(rows[-1])))))
        return np.stack(rows)

    def obtained(*names: str) -> Any:
        return model.with_program(with_half_operations(model.program, names)).predict(inputs)["out"]

    np.testing.assert_array_equal(obtained("s_t"), wanted(rounded, lambda values: values))
    inside = ("x_t", "c_t", "s_t", "y_t", "h_next")
    np.testing.assert_array_equal(obtained(*inside), wanted(rounded, rounded))


def test_which_operations_can_be_chosen(history: Any) -> None:
    program = ReferenceModel(history().model).program
    chosen = [step.outputs[0].name for step in program.operations(constants=True) if can_be_half(step)]
    assert chosen == ["zeros", "start", "x_t", "c_t", "s_t", "y_t", "h_next"]


def test_small_constants_stay_off_zero() -> None:
    values = np.array([1e-12, -1e-12, 0.0, 1.0], np.float32)
    tiny = np.float16(6e-8)
    np.testing.assert_array_equal(half(values), np.array([tiny, -tiny, 0, 1], np.float16))
    # A weight that is next to nothing may vanish among so many.
    assert half(np.full(400, 1e-12, np.float32)).tolist() == [0.0] * 400
