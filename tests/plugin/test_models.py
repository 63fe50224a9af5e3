"""`--dscoreml-model`: what it opens and what it exports itself; and what it refuses, in one line."""

from __future__ import annotations

import re

import pytest

STATES = ("-k", "test_states_agree or test_variants_agree")
BOTH = ("--dscoreml-variant=static,dynamic",)


def model_line(result):
    (line,) = [line for line in result.outlines if line.startswith("dscoreml model: ")]
    return line


@pytest.mark.parametrize(
    ("files", "name", "exported"),
    [
        (("static.pb",), "static.pb", " (dynamic graph exported from its weights)"),
        (("dynamic.pb",), "dynamic.pb", " (static graph exported from its weights)"),
        (("static.pb", "dynamic.pb"), "static.pb + dynamic.pb", ""),
        (("dynamic.pb", "static.pb"), "static.pb + dynamic.pb", ""),
    ],
)
def test_frozen_graphs(header, demo, files, name, exported):
    _, _, line = header(model=[demo / file for file in files])
    assert re.fullmatch(
        rf"dscoreml model: {re.escape(name)}, n_hidden 64, 29 classes, windows 19 x 26, static graph of 16 steps, "
        rf"sha256 [0-9a-f]{{12}}{re.escape(exported)}",
        line,
    )


def test_what_is_exported_is_the_demo_again(gate, demo, summary):
    """From the static graph alone: both variants agree with the TensorFlow of the exported graph."""
    result = gate(*STATES, *BOTH, model=(demo / "static.pb",))
    result.assert_outcomes(passed=3)
    assert {row["verdict"] for row in summary(result).values()} == {"passed"}


@pytest.mark.parametrize("named", ["prefix", "directory"])
def test_a_checkpoint(gate, checkpoint, pytester, summary, named):
    pytester.makefile(".txt", alphabet="a\nb\nc\nd\n")
    source = checkpoint if named == "prefix" else checkpoint.parent
    result = gate("-k", "test_states_agree", "--dscoreml-alphabet=alphabet.txt", model=(source,))
    result.assert_outcomes(passed=1)
    line = model_line(result)
    assert line.startswith(f"dscoreml model: {source.name}, n_hidden 8, 5 classes, windows 19 x 26, ")
    assert line.endswith(" (static and dynamic graph exported from its weights)")


def test_missing(refusal):
    assert refusal(model=("none.pb",)) == (
        "model none.pb: no such file; give a frozen .pb graph, a TensorFlow checkpoint (prefix or directory), or demo"
    )


def test_a_directory_without_a_checkpoint(refusal, pytester):
    (pytester.path / "empty").mkdir()
    assert refusal(model=("empty",)) == (
        "model empty: a directory without a TensorFlow checkpoint; give a checkpoint or a frozen .pb graph"
    )


def no_graph(name, size):
    """The message for a file that does not parse."""
    return (
        f"model {name}: not a frozen TensorFlow graph, or cut short ({size} bytes do not parse as a GraphDef); export it "
        "again, or give a checkpoint"
    )


def test_a_text_file(refusal, pytester):
    pytester.makefile(".pb", text="this is no graph")
    assert refusal(model=("text.pb",)) == no_graph("text.pb", 16)


def test_an_empty_file(refusal, pytester):
    (pytester.path / "empty.pb").write_bytes(b"")
    assert refusal(model=("empty.pb",)) == "model empty.pb: the file is empty; give a frozen .pb graph"


@pytest.mark.parametrize("part", [0.001, 0.5, 0.999])
def test_truncated(refusal, pytester, demo, part):
    content = (demo / "static.pb").read_bytes()
    size = int(part * len(content))
    (pytester.path / "cut.pb").write_bytes(content[:size])
    assert refusal(model=("cut.pb",)) == no_graph("cut.pb", size)


def test_a_graph_of_something_else(refusal, pytester):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name="one")
    (pytester.path / "other.pb").write_bytes(graph.as_graph_def().SerializeToString())
    missing = (
        "input_node, input_lengths, previous_state_c, previous_state_h, logits, new_state_c, new_state_h, raw_logits"
    )
    assert refusal(model=("other.pb",)) == (
        f"model other.pb: not a DeepSpeech inference graph, it has no {missing} among its 1 nodes; export it with "
        "DeepSpeech's --export_dir, or with `python -m pytest_dscoreml export`"
    )


def test_two_of_a_kind(refusal, demo):
    static = demo / "static.pb"
    assert refusal(model=(static, static)) == (
        f"--dscoreml-model: {static} and {static} are both static graphs; give one of them, or a static and a dynamic one"
    )


def test_the_demo_stands_alone(refusal, demo):
    assert refusal(model=("demo", demo / "static.pb")) == (
        "--dscoreml-model=demo stands alone; leave the other --dscoreml-model out"
    )


def test_two_models(refusal, demo, checkpoint):
    assert refusal(model=(demo / "static.pb", checkpoint)) == (
        f"--dscoreml-model: {checkpoint} is a checkpoint, which both graphs are built from; leave the other one out"
    )


@pytest.mark.parametrize("suffix", [".pbmm", ".tflite", ".mlmodel", ".scorer"])
def test_other_files(refusal, pytester, suffix):
    pytester.makefile(suffix, model="")
    assert refusal(model=(f"model{suffix}",)) == (
        f"model model{suffix}: a {suffix} file, which a converter cannot start from; give the frozen .pb graph or the "
        "checkpoint it was made from"
    )
