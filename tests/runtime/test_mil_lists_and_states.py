"""Lists of tensors, states and functions: the values themselves, and models that coremltools' builder makes with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.errors import InputError, LoadError
from pytest_dscoreml.runtime import ReferenceModel
from pytest_dscoreml.runtime.passes import PASSES
from pytest_dscoreml.runtime.values import State, TensorList


def array(*values: float) -> Any:
    return np.array(values, np.float32)


def a_list(length: int = 2, *, dynamic: bool = True, shape: Any = (2,)) -> TensorList:
    return TensorList.empty(length, "float32", shape, dynamic=dynamic)


def test_writing_leaves_the_list_as_it_was() -> None:
    first = a_list().written({0: array(1, 2)})
    second = first.written({0: array(3, 4)})
    assert first.read(0).tolist() == [1, 2]
    assert second.read(0).tolist() == [3, 4]


def test_a_dynamic_list_grows_and_unwritten_elements_are_zeros() -> None:
    written = a_list(1).written({3: array(1, 2)})
    assert len(written) == 4
    assert written.gather([3, 0]).tolist() == [[1, 2], [0, 0]]
    assert written.gather([]).shape == (0, 2)


def test_an_unknown_element_shape_is_that_of_the_others() -> None:
    unknown = a_list(2, shape=(None,))
    assert unknown.written({1: array(1, 2, 3)}).read(0).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"^element 0 was never written, and its shape \(None,\) is not known$"):
        unknown.read(0)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: a_list(dynamic=False).written({2: array(1, 2)}), r"^index 2 of a list of length 2$"),
        (lambda: a_list().written({-1: array(1, 2)}), r"^index -1 of a list of length 2$"),
        (lambda: a_list().written({2**40: array(1, 2)}), r"^index 1099511627776 of a list of length 2$"),
        (lambda: a_list().read(2), r"^index 2 of a list of length 2$"),
        (lambda: a_list().written({0: array(1)}), r"^the element written has shape \(1,\), the list holds \(2,\)$"),
        (lambda: a_list(2**40), r"^a list of length 1099511627776$"),
        (lambda: State((2,), "float16").write(array(1)), r"cannot take float32 values of shape \(1,\)$"),
        (lambda: State((1,), "float16").write(["a"]), r"cannot take str32 values of shape \(1,\)$"),
    ],
)
def test_what_does_not_fit_is_refused(act: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


def test_a_state_keeps_copies_in_its_own_type() -> None:
    state = State((2,), "float16")
    given = np.array([0.1, 1e6])
    state.write(given)
    given[0] = 5
    read = state.read()
    assert read.dtype == np.float16
    assert read.tolist() == [np.float16(0.1), np.inf]
    read[0] = 7
    assert state.read()[0] == np.float16(0.1)


@pytest.fixture(scope="module")
def coremltools() -> Any:
    import coremltools

    return coremltools


def converted(coremltools: Any, program: Any, target: Any) -> Any:
    return coremltools.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=coremltools.precision.FLOAT32,
        skip_model_load=True,
    )


@pytest.fixture(scope="module")
def list_model(coremltools: Any) -> Any:
    """Row i of x times i + 1 into a list, while i is under ``count``; then read, gathered and scattered."""
    mb = coremltools.converters.mil.Builder

    @mb.program(
        input_specs=[mb.TensorSpec((3, 4)), mb.TensorSpec((1,), dtype=coremltools.converters.mil.mil.types.int32)],
        opset_version=coremltools.target.iOS15,
    )
    def program(x: Any, count: Any) -> Any:
        rows = mb.make_list(init_length=1, elem_shape=(4,), dynamic_length=True)

        def condition(i: Any, held: Any) -> Any:
            return mb.less(x=i, y=mb.squeeze(x=count))

        def body(i: Any, held: Any) -> Any:
            row = mb.mul(x=mb.gather(x=x, indices=i), y=mb.cast(x=mb.add(x=i, y=1), dtype="fp32"))
            return mb.add(x=i, y=1), mb.list_write(ls=held, index=i, value=row)

        _, held = mb.while_loop(_cond=condition, _body=body, loop_vars=(0, rows))
        scattered = mb.list_scatter(ls=held, indices=[0, 4], value=mb.slice_by_size(x=x, begin=[1, 0], size=[2, 4]))
        return (
            mb.list_read(ls=held, index=0, name="first"),
            mb.list_gather(ls=held, indices=[1, 0], name="gathered"),
            mb.list_length(ls=held, name="length"),
            mb.list_gather(ls=scattered, indices=[0, 1, 3, 4], name="scattered"),
        )

    return converted(coremltools, program, coremltools.target.iOS15)


@pytest.mark.parametrize("passes", [PASSES, ()], ids=["all passes", "no passes"])
def test_a_list_carried_by_a_loop(list_model: Any, passes: Any) -> None:
    model = ReferenceModel(list_model, passes=passes)
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    for count in (3, 2):
        obtained = model.predict({"x": x, "count": np.array([count])})
        np.testing.assert_array_equal(obtained["first"], x[0])
        np.testing.assert_array_equal(obtained["gathered"], [2 * x[1], x[0]])
        assert obtained["length"].tolist() == [count]
        np.testing.assert_array_equal(obtained["scattered"], [x[1], 2 * x[1], np.zeros(4), x[2]])
    everything = model.predict({"x": x, "count": np.array([2])}, intermediates="all")
    assert {"first", "gathered"} <= set(everything)


@pytest.fixture(scope="module")
def state_model(coremltools: Any) -> Any:
    """total += x, and twice the total comes out."""
    mb = coremltools.converters.mil.Builder
    from coremltools.converters.mil.mil import types

    @mb.program(
        input_specs=[mb.TensorSpec((2,), dtype=types.fp16), mb.StateTensorSpec((2,), dtype=types.fp16)],
        opset_version=coremltools.target.iOS18,
    )
    def program(x: Any, total: Any) -> Any:
        held = mb.coreml_update_state(state=total, value=mb.add(x=mb.read_state(input=total), y=x))
        return mb.mul(x=held, y=np.float16(2), name="doubled")

    return coremltools.convert(program, minimum_deployment_target=coremltools.target.iOS18, skip_model_load=True)


@pytest.mark.parametrize("passes", [PASSES, ()], ids=["all passes", "no passes"])
def test_a_state_is_carried_from_prediction_to_prediction(state_model: Any, passes: Any) -> None:
    model = ReferenceModel(state_model, passes=passes)
    state, other = model.make_state(), model.make_state()
    for turn in (1, 2, 3):
        obtained = model.predict({"x": [1, 2]}, state=state)["doubled"]
        assert obtained.tolist() == [2 * turn, 4 * turn]
    assert state.read_state("total").tolist() == [3, 6]
    assert other.read_state("total").tolist() == [0, 0]
    state.write_state("total", [10, 0.1])
    assert model.predict({"x": [0, 0]}, state=state, intermediates="all")["doubled"].tolist() == [
        20,
        2 * np.float16(0.1),
    ]


def test_states_in_double_are_not_rounded(state_model: Any) -> None:
    model = ReferenceModel(state_model, compute_precision="float64")
    state = model.make_state()
    state.write_state("total", [0.1, 0.2])
    assert model.predict({"x": [0, 0]}, state=state)["doubled"].tolist() == [0.2, 0.4]


def test_a_missing_or_foreign_state_is_refused(state_model: Any, list_model: Any) -> None:
    stateful, stateless = ReferenceModel(state_model), ReferenceModel(list_model)
    state = stateful.make_state()
    with pytest.raises(
        InputError, match=r"^model: the model has states \(total\): predict needs state=model.make_state"
    ):
        stateful.predict({"x": [1, 2]})
    with pytest.raises(
        InputError, match=r"^model: the state given is another model's \(it has total; the model has none"
    ):
        stateless.predict({"x": np.zeros((3, 4)), "count": [1]}, state=state)
    with pytest.raises(InputError, match=r"^model: the model has no states$"):
        stateless.make_state()
    with pytest.raises(InputError, match=r"^model: there is no state 'sum' \(the model has total\)$"):
        state.read_state("sum")
    with pytest.raises(InputError, match=r"^model: state 'total': a state of shape \(2,\) cannot take"):
        state.write_state("total", [1, 2, 3])


@pytest.fixture(scope="module")
def two_functions(coremltools: Any) -> Any:
    """``main`` adds 1, ``twice`` multiplies by 2."""
    mb = coremltools.converters.mil.Builder
    from coremltools.converters.mil import mil

    @mb.function(input_specs=[mb.TensorSpec((2,))], opset_version=coremltools.target.iOS18)
    def plus(x: Any) -> Any:
        return mb.add(x=x, y=np.float32(1), name="more")

    @mb.function(input_specs=[mb.TensorSpec((3,))], opset_version=coremltools.target.iOS18)
    def times(z: Any) -> Any:
        return mb.mul(x=z, y=np.float32(2), name="twofold")

    program = mil.Program()
    program.add_function("main", plus)
    program.add_function("twice", times)
    program.default_function_name = "main"
    program.export_as_multifunction = True
    program.skip_all_passes = True
    return coremltools.convert(program, minimum_deployment_target=coremltools.target.iOS18, skip_model_load=True)


def test_a_function_is_chosen_by_name(two_functions: Any) -> None:
    main, twice = ReferenceModel(two_functions), ReferenceModel(two_functions, function_name="twice")
    assert main.predict({"x": [1, 2]})["more"].tolist() == [2, 3]
    assert [feature.name for feature in twice.interface.inputs] == ["z"]
    assert twice.predict({"z": [1, 2, 3]})["twofold"].tolist() == [2, 4, 6]
    with pytest.raises(LoadError, match=r"the ML Program has no function 'thrice' \(it has main, twice\)"):
        ReferenceModel(two_functions, function_name="thrice")
