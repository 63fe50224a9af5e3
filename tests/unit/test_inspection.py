"""What a graph gives, what a converted file takes, and which nodes are the features sub-graph's alone."""

from __future__ import annotations

import pytest

from pytest_dscoreml.errors import LoadError, ModelError
from pytest_dscoreml.inspection import (
    Placeholder,
    describe,
    features_only,
    file_interface,
    graph_inputs,
    inspect_inputs,
    inspect_tf_outputs,
)
from pytest_dscoreml.model.frozen import read_graph

OUTPUTS = ["mfccs", "logits", "new_state_c", "new_state_h"]
FEATURES = {"input_samples", "ExpandDims", "AudioSpectrogram", "Mfcc", "Reshape", "mfccs"}
DYNAMIC, STATIC = "dynamic-mlprogram-float32", "static-neuralnetwork-float32"


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_the_outputs_of_a_graph(tiny_files, kind):
    assert inspect_tf_outputs(tiny_files[kind]) == OUTPUTS
    assert inspect_tf_outputs(str(tiny_files[kind])) == OUTPUTS


def test_the_outputs_of_mozillas_exports(real_export):
    for name in ("static.pb", "dynamic.pb"):
        assert inspect_tf_outputs(real_export / name) == OUTPUTS
        assert features_only(read_graph(real_export / name)) == FEATURES


def test_a_node_that_nobody_reads_is_an_output(tiny_files, edited):
    def change(nodes, graph_def):
        node = graph_def.node.add()
        node.name, node.op = "dangling", "Identity"
        node.input.append("logits:0")
        node.attr["T"].type = 1
        nothing = graph_def.node.add()
        nothing.name, nothing.op = "init", "NoOp"
        nothing.input.append("^new_state_c")

    assert inspect_tf_outputs(edited(tiny_files["static"], change)) == ["mfccs", "new_state_h", "dangling"]


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_the_nodes_of_the_features_alone(tiny_files, kind):
    assert features_only(read_graph(tiny_files[kind])) == FEATURES


def test_the_placeholders_of_a_graph(tiny_files):
    assert graph_inputs(read_graph(tiny_files["dynamic"])) == [
        Placeholder("input_samples", "float32", (512,)),
        Placeholder("input_node", "float32", (1, None, 19, 26)),
        Placeholder("input_lengths", "int32", (1,)),
        Placeholder("previous_state_c", "float32", (1, 8)),
        Placeholder("previous_state_h", "float32", (1, 8)),
    ]


def test_the_inputs_of_a_dynamic_program(tiny_conversions, tiny_files):
    assert list(map(str, inspect_inputs(tiny_conversions[DYNAMIC], tiny_files["dynamic"]))) == [
        "input_node float32 (1, 1..2000, 19, 26)   TensorFlow: input_node float32 (1, ?, 19, 26)",
        "input_lengths int32 (1,)   TensorFlow: input_lengths int32 (1,)",
        "previous_state_c float32 (1, 8)   TensorFlow: previous_state_c float32 (1, 8)",
        "previous_state_h float32 (1, 8)   TensorFlow: previous_state_h float32 (1, 8)",
    ]


def test_the_inputs_of_a_static_network(tiny_conversions, tiny_files):
    assert list(map(str, inspect_inputs(tiny_conversions[STATIC], tiny_files["static"]))) == [
        "input_lengths float32 (1,)   TensorFlow: input_lengths int32 (1,)",
        "input_node float32 (1, 16, 19, 26)   TensorFlow: input_node float32 (1, 16, 19, 26)",
        "previous_state_c float32 (1, 8)   TensorFlow: previous_state_c float32 (1, 8)",
        "previous_state_h float32 (1, 8)   TensorFlow: previous_state_h float32 (1, 8)",
    ]


def test_an_input_without_a_placeholder(tiny_conversions, tiny_files, tmp_path):
    from coremltools.proto import Model_pb2

    model = Model_pb2.Model()
    model.ParseFromString(tiny_conversions[STATIC].read_bytes())
    model.description.input[0].name = "lengths"
    (tmp_path / "renamed.mlmodel").write_bytes(model.SerializeToString())

    inspected = inspect_inputs(tmp_path / "renamed.mlmodel", tiny_files["static"])

    assert inspected[0].placeholder is None
    assert str(inspected[0]) == "lengths float32 (1,)   TensorFlow: no such placeholder"


def test_what_a_file_declares(tiny_conversions):
    interface = file_interface(tiny_conversions[DYNAMIC])

    assert {feature.name for feature in interface.outputs} == {"logits", "new_state_c", "new_state_h"}
    assert interface.input("input_node").admits((1, 2000, 19, 26))
    assert not interface.input("input_node").admits((1, 2001, 19, 26))


def test_describing_a_graph(tiny_files):
    assert describe(tiny_files["static"]) == [
        "input   input_samples float32 (512,)",
        "input   input_node float32 (1, 16, 19, 26)",
        "input   input_lengths int32 (1,)",
        "input   previous_state_c float32 (1, 8)",
        "input   previous_state_h float32 (1, 8)",
        "output  mfccs",
        "output  logits",
        "output  new_state_c",
        "output  new_state_h",
    ]


def test_describing_a_converted_model(tiny_conversions):
    lines = describe(tiny_conversions[DYNAMIC])

    assert lines[:4] == [
        "input   input_node        float32  (1, 1..2000, 19, 26)",
        "input   input_lengths     int32    (1,)",
        "input   previous_state_c  float32  (1, 8)",
        "input   previous_state_h  float32  (1, 8)",
    ]
    assert sorted(line.split()[1] for line in lines[4:]) == ["logits", "new_state_c", "new_state_h"]
    assert all(line.startswith("output  ") for line in lines[4:])


def test_a_file_that_is_not_there(tmp_path, refusal):
    path = tmp_path / "nothing"

    assert refusal(ModelError, describe, path) == (
        f"{path}: no such file; give a frozen .pb graph, a .mlmodel or a .mlpackage"
    )


def test_a_damaged_converted_model(tmp_path, refusal):
    path = tmp_path / "empty.mlmodel"
    path.touch()

    assert refusal(LoadError, describe, path) == f"{path} is empty: not a Core ML model"


def test_a_graph_that_is_none(tmp_path, refusal):
    path = tmp_path / "empty.pb"
    path.touch()

    for function in (describe, inspect_tf_outputs):
        assert refusal(ModelError, function, path) == f"model {path}: the file is empty; give a frozen .pb graph"
