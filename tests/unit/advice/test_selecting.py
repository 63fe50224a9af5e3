"""What coremltools' selector is asked, what comes of its answers, and that the simulation foresees it, bit for bit."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_dscoreml.advice.checking import faults
from pytest_dscoreml.advice.measuring import are_same
from pytest_dscoreml.advice.names import constant_makers, identified
from pytest_dscoreml.advice.ranking import candidates
from pytest_dscoreml.advice.text import snippet
from pytest_dscoreml.conversion.describe import Selectable, selectable_from_json
from pytest_dscoreml.errors import ConversionError
from pytest_dscoreml.runtime.mixed import can_be_half

VARIANTS = ("static", "dynamic", "pinned")
CELL = "cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell/"
#: By the converter's names: a product with weights, two of the loop, and two that the file calls otherwise.
KEPT = ("BiasAdd", "add_2", "mul_4", "transpose", f"{CELL}GatherNd")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_operation_in_float32_is_known_by_its_name_in_the_converter(make, variant):
    program = make(variant, "float32")[0].model.program
    known = identified(program, make(variant, kept=())[1])
    assert [step.name for step in program.operations() if can_be_half(step) and step.outputs[0].name not in known] == []
    assert known["new_state_c"].name == f"{CELL}GatherNd"
    assert known["transpose"].name == "transpose"
    assert len({one.name for one in known.values()}) == len(known)


def test_the_loop_of_each_operation(make):
    program = make("dynamic", "float32")[0].model.program
    known = identified(program, make("dynamic", kept=())[1])
    inside = {step.name: loop for step, loop in candidates(program, known)}
    assert inside["add_2"] == inside["scatter_2"] == "while_loop_0"
    assert inside["BiasAdd"] == inside["logits"] == ""
    assert "add_3" not in inside  # it counts, in integers


@pytest.mark.parametrize("variant", VARIANTS)
def test_float16_throughout_is_foreseen(make, simulate, variant):
    simulation = simulate(variant)
    half, selectable = make(variant, kept=())
    known = identified(simulation.engine.model.program, selectable)
    assert are_same(simulation.obtained(set(known)), simulation.run(half))


def test_a_selector_that_keeps_nothing_is_the_usual_float16(make):
    usual, asked = make("dynamic")
    chosen, _ = make("dynamic", kept=())
    assert asked == ()
    assert usual.model.program.op_counts() == chosen.model.program.op_counts()
    names = [[step.name for step in engine.model.program.operations()] for engine in (usual, chosen)]
    assert names[0] == names[1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_kept_operations_are_float32_and_foreseen(make, simulate, variant):
    simulation = simulate(variant)
    single = simulation.engine.model.program
    known = identified(single, make(variant, kept=())[1])
    makers = constant_makers(single, make(variant, kept=())[1])
    results = {result for result, one in known.items() if one.name in KEPT}
    assert len(results) == len(KEPT)
    names = {*KEPT, *(name for result in results for name in makers.get(result, ()))}
    assert names - set(KEPT) == {"transpose_0"}
    mixed, selectable = make(variant, kept=names)
    assert faults(mixed.model.program, single, selectable, KEPT) == []
    assert are_same(simulation.obtained(set(known) - results), simulation.run(mixed))


def test_weights_that_were_rounded_before_are_told(make):
    """Kept alone, a product reads float32 weights that a transpose in float16 has rounded."""
    single = make("dynamic", "float32")[0].model.program
    mixed, selectable = make("dynamic", kept=["BiasAdd"])
    assert faults(mixed.model.program, single, selectable, ["BiasAdd"]) == [
        "BiasAdd is float32 in the file, but its constants are not those of the float32 file"
    ]


def test_what_is_not_as_asked_for_is_told(make):
    single = make("dynamic", "float32")[0].model.program
    half, selectable = make("dynamic", kept=())
    assert faults(half.model.program, single, selectable, ["add_2", "nowhere"]) == [
        "add_2 is float16 in the file, expected float32",
        "nowhere is not in the file under any name known",
    ]
    mixed, selectable = make("dynamic", kept=["BiasAdd"])
    assert faults(mixed.model.program, single, selectable, []) == ["BiasAdd is float32 in the file, expected float16"]


def test_two_that_read_the_same_are_not_taken_for_each_other(make):
    program = make("dynamic", "float32")[0].model.program
    (one,) = [one for one in make("dynamic", kept=())[1] if one.name == "transpose"]
    known = dataclasses.replace(one, name="a", outputs=("a",))
    assert identified(program, [known])["transpose"] is known
    assert identified(program, [known, dataclasses.replace(known, name="b", outputs=("b",))]) == {}


def test_the_snippet_converts_so(make, critical_graphs, tmp_path):
    """What is printed, run as it stands, with the converter itself."""
    import coremltools as ct
    import tensorflow as tf

    from pytest_dscoreml.runtime import ReferenceModel

    single = make("static", "float32")[0].model.program
    selectable = make("static", kept=())[1]
    names = {}
    exec(snippet([*KEPT, "transpose_0"]), names)
    graph = tf.compat.v1.GraphDef.FromString(critical_graphs["static"].read_bytes())
    model = ct.convert(
        graph,
        source="tensorflow",
        convert_to="mlprogram",
        outputs=["logits", "new_state_c", "new_state_h"],
        compute_precision=names["compute_precision"],
    )
    model.save(str(tmp_path / "mixed.mlpackage"))
    written = ReferenceModel(tmp_path / "mixed.mlpackage").program
    assert faults(written, single, selectable, KEPT) == []
    names = {}
    exec(snippet([]), names)
    assert names["keep"] == set()


def test_operations_are_stored_and_read_back():
    stored = (Selectable("a/b", "mul", ("x", "y"), ("a/b",)), Selectable("c", "fill", (), ("c",)))
    assert selectable_from_json([one.to_json() for one in stored]) == stored


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (7, "selectable operations are a list of objects, not 7"),
        ([1], r"selectable operations are a list of objects, not \[1\]"),
        ([{"name": 1}], "the name of a selectable operation is text, not 1"),
        (
            [{"name": "a", "type": "mul", "inputs": "x"}],
            "the inputs of a selectable operation are a list of texts, not 'x'",
        ),
    ],
)
def test_nonsense_for_operations(data, message):
    with pytest.raises(ConversionError, match=f"^{message}$"):
        selectable_from_json(data)
