"""What `--dscoreml-model` may name: the demo, one graph, two graphs, a checkpoint; and what is refused, in which words."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import ModelError, UsageError
from pytest_dscoreml.model import demo
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.model.frozen import read_geometry, read_graph, read_metadata, read_weights
from pytest_dscoreml.model.loading import load_model, serialized_graph
from pytest_dscoreml.model.metadata import Metadata

NOT_ONE_MODEL = "are not of one model (geometry, metadata or weights differ); export both from the same checkpoint"


@pytest.fixture
def load(tmp_path):
    """Load sources, with exports into an empty directory."""

    def call(*sources, metadata=None):
        return load_model([str(source) for source in sources], exports=tmp_path / "exports", metadata=metadata)

    return call


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """One directory for the many examples of Hypothesis."""
    return tmp_path_factory.mktemp("kept")


def same_weights(one, other):
    return all(np.array_equal(array, other.arrays[name]) for name, array in one.arrays.items())


@pytest.mark.parametrize("order", [("static", "dynamic"), ("dynamic", "static")])
def test_a_pair_is_taken_as_it_is(load, tiny_files, tiny_weights, tiny_metadata, tmp_path, order):
    model = load(*(tiny_files[kind] for kind in order))

    assert (model.name, model.n_steps) == ("static.pb + dynamic.pb", 16)
    assert (model.geometry, model.metadata) == (tiny_weights.geometry, tiny_metadata)
    assert model.paths == tiny_files
    assert not any(graph.exported for graph in model.graphs.values())
    assert not (tmp_path / "exports").exists()


@pytest.mark.parametrize(("given_kind", "built_kind"), [("static", "dynamic"), ("dynamic", "static")])
def test_of_one_graph_the_other_is_built(load, tiny_files, tiny_weights, tmp_path, given_kind, built_kind):
    model = load(tiny_files[given_kind])

    given_graph, built = model.graphs[given_kind], model.graphs[built_kind]
    assert (model.name, model.n_steps) == (f"{given_kind}.pb", 16)
    assert (given_graph.path, given_graph.exported, built.exported) == (tiny_files[given_kind], False, True)
    assert built.path.read_bytes() == tiny_files[built_kind].read_bytes()
    assert built.path == tmp_path / "exports" / f"{built.sha256}.pb"
    assert hashlib.sha256(built.path.read_bytes()).hexdigest() == built.sha256
    assert [entry.name for entry in (tmp_path / "exports").iterdir()] == [built.path.name]
    assert same_weights(read_weights(read_graph(built.path)), tiny_weights)


def test_a_static_graph_of_other_steps_keeps_them(load, tiny_weights, tiny_metadata, tmp_path):
    path = tmp_path / "five.pb"
    path.write_bytes(serialized_graph(tiny_weights, tiny_metadata, n_steps=5))

    model = load(path)

    assert model.n_steps == 5
    assert read_graph(model.graphs["dynamic"].path).is_dynamic


@pytest.mark.parametrize("form", ["prefix", "index", "directory"])
def test_of_a_checkpoint_both_are_built(load, tiny_checkpoint, tiny_files, tiny_metadata, form):
    path = {
        "prefix": tiny_checkpoint,
        "index": tiny_checkpoint.with_name(f"{tiny_checkpoint.name}.index"),
        "directory": tiny_checkpoint.parent,
    }[form]

    model = load(path, metadata=tiny_metadata)

    assert (model.name, model.n_steps) == (path.name, 16)
    assert all(graph.exported for graph in model.graphs.values())
    for kind, graph in model.graphs.items():
        assert graph.path.read_bytes() == tiny_files[kind].read_bytes()


def test_a_checkpoint_is_english_where_nothing_else_is_said(load, random_weights, write_checkpoint, tmp_path):
    write_checkpoint(tmp_path / "english", random_weights(3, classes=29).arrays)

    assert load(tmp_path / "english").metadata == Metadata()


def test_a_built_graph_that_is_there_is_not_written_again(load, tiny_files):
    built = load(tiny_files["static"]).graphs["dynamic"].path
    before = built.stat()

    assert load(tiny_files["static"]).graphs["dynamic"].path == built
    assert (built.stat().st_ino, built.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_built_graph_that_was_damaged_is_written_again(load, tiny_files):
    built = load(tiny_files["static"]).graphs["dynamic"].path
    built.write_bytes(b"damaged")

    load(tiny_files["static"])

    assert built.read_bytes() == tiny_files["dynamic"].read_bytes()


def test_the_hash_tells_models_apart(load, tiny_files, random_weights, tiny_metadata, tmp_path):
    other = tmp_path / "other.pb"
    other.write_bytes(serialized_graph(random_weights(2), tiny_metadata, n_steps=16))

    assert load(tiny_files["static"]).hash == load(tiny_files["dynamic"]).hash
    assert load(tiny_files["static"]).hash != load(other).hash


def test_the_demo(load, tmp_path):
    model = load("demo")

    static, dynamic = demo.demo_graphs()
    assert (model.name, model.n_steps, model.paths) == ("demo", 16, {"static": static, "dynamic": dynamic})
    assert same_weights(read_weights(read_graph(static)), read_weights(read_graph(dynamic)))
    assert not (tmp_path / "exports").exists()


def test_the_demo_brings_speech():
    speech = demo.demo_speech()

    assert len(speech) >= 2
    for utterance in speech:
        assert utterance.path.is_file()
        assert utterance.name == utterance.path.name
        assert utterance.transcript


def test_an_utterance_may_have_a_label_of_its_own(tmp_path):
    path = tmp_path / "a.wav"

    assert demo.Utterance(path, None).name == "a.wav"
    assert demo.Utterance(path, None, label="b/a.wav").name == "b/a.wav"


def test_a_demo_that_is_not_there_is_told(monkeypatch, tmp_path, refusal):
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "pytest_dscoreml" / "model" / "demo.py"))

    assert refusal(ModelError, demo.demo_directory) == (
        "the demo model is not installed; install pytest-dscoreml again, or run fixtures/make_demo.py"
    )


def test_the_demo_stands_alone(load, tiny_files, refusal):
    assert refusal(ModelError, load, "demo", tiny_files["static"]) == (
        "--dscoreml-model=demo stands alone; leave the other --dscoreml-model out"
    )


# -- pairs that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_two_of_a_kind_are_refused(load, tiny_files, tmp_path, refusal, kind):
    copy = tmp_path / "copy.pb"
    copy.write_bytes(tiny_files[kind].read_bytes())

    assert refusal(ModelError, load, tiny_files[kind], copy) == (
        f"--dscoreml-model: {tiny_files[kind]} and {copy} are both {kind} graphs; give one of them, or a static and a "
        "dynamic one"
    )


def test_other_weights_are_refused(load, tiny_files, random_weights, tiny_metadata, tmp_path, refusal):
    other = tmp_path / "other.pb"
    other.write_bytes(serialized_graph(random_weights(2), tiny_metadata, n_steps=-1))

    assert refusal(ModelError, load, tiny_files["static"], other) == (
        f"model {tiny_files['static']} and model {other} {NOT_ONE_MODEL}"
    )


def test_one_other_weight_is_enough(load, tiny_files, edited, refusal):
    from pytest_dscoreml.heavy import import_tensorflow

    def change(nodes, _):
        tensor = nodes["layer_5/bias"].attr["value"].tensor
        values = import_tensorflow().make_ndarray(tensor).copy()
        values[3] += 1e-6
        tensor.tensor_content = values.tobytes()

    other = edited(tiny_files["dynamic"], change)

    assert refusal(ModelError, load, tiny_files["static"], other) == (
        f"model {tiny_files['static']} and model {other} {NOT_ONE_MODEL}"
    )


def test_another_alphabet_is_refused(load, tiny_files, tiny_weights, tmp_path, refusal):
    other = tmp_path / "other.pb"
    other.write_bytes(serialized_graph(tiny_weights, Metadata(alphabet=Alphabet(("a", "b", "c", "d"))), n_steps=16))

    assert refusal(ModelError, load, tiny_files["dynamic"], other) == (
        f"model {other} and model {tiny_files['dynamic']} {NOT_ONE_MODEL}"
    )


def test_a_checkpoint_beside_a_graph_is_refused(load, tiny_files, tiny_checkpoint, refusal):
    assert refusal(ModelError, load, tiny_files["static"], tiny_checkpoint) == (
        f"--dscoreml-model: {tiny_checkpoint} is a checkpoint, which both graphs are built from; leave the other one out"
    )


# -- files that are no model -------------------------------------------------------------------------------------------


def test_a_missing_file(load, tmp_path, refusal):
    path = tmp_path / "nothing.pb"

    assert refusal(ModelError, load, path) == (
        f"model {path}: no such file; give a frozen .pb graph, a TensorFlow checkpoint (prefix or directory), or demo"
    )


def test_a_directory_without_a_checkpoint(load, tmp_path, refusal):
    assert refusal(ModelError, load, tmp_path) == (
        f"model {tmp_path}: a directory without a TensorFlow checkpoint; give a checkpoint or a frozen .pb graph"
    )


def test_an_empty_file(load, tmp_path, refusal):
    path = tmp_path / "empty.pb"
    path.touch()

    assert refusal(ModelError, load, path) == f"model {path}: the file is empty; give a frozen .pb graph"


def test_a_text_file(load, tmp_path, refusal):
    path = tmp_path / "text.pb"
    path.write_text("this is no graph")

    assert refusal(ModelError, load, path) == (
        f"model {path}: not a frozen TensorFlow graph, or cut short (16 bytes do not parse as a GraphDef); "
        "export it again, or give a checkpoint"
    )


@pytest.mark.parametrize("suffix", [".pbmm", ".tflite", ".mlmodel", ".scorer"])
def test_files_made_from_a_graph(load, tmp_path, refusal, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"x")

    assert refusal(ModelError, load, path) == (
        f"model {path}: a {suffix} file, which a converter cannot start from; give the frozen .pb graph or the "
        "checkpoint it was made from"
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_graph_cut_anywhere_is_refused(tiny_files, kept, refusal, data):
    """But for the last bytes, which hold TensorFlow's version and no node: a real DeepSpeech export has none of them."""
    whole = tiny_files["static"].read_bytes()
    nodes_end = whole.rindex(b"metadata_alphabet")
    cut = data.draw(st.one_of(st.integers(0, nodes_end), st.integers(nodes_end - 600, nodes_end)))
    path = kept / "cut.pb"
    path.write_bytes(whole[:cut])

    message = refusal(ModelError, load_model, [str(path)], exports=kept / "exports")

    ways = (
        "the file is empty; give a frozen .pb graph",
        rf"not a frozen TensorFlow graph, or cut short \({cut} bytes do not parse as a GraphDef\); export it again, or "
        "give a checkpoint",
        r"not a DeepSpeech inference graph, it has no [a-z_, ]+ among its \d+ nodes; export it with DeepSpeech's "
        r"--export_dir, or with `python -m pytest_dscoreml export`",
        r"no metadata_[a-z_, ]+; DeepSpeech exports these since 0.6 \(graph version 5\), export it again",
    )
    assert re.fullmatch(f"model {re.escape(str(path))}: (?:{'|'.join(ways)})", message)
    assert not (kept / "exports").exists()


# -- graphs that are no DeepSpeech -------------------------------------------------------------------------------------


def rename(name):
    def change(nodes, _):
        nodes[name].name = "another"

    return change


def remove(*names):
    def change(_, graph_def):
        kept_nodes = [node for node in graph_def.node if node.name not in names]
        del graph_def.node[:]
        graph_def.node.extend(kept_nodes)

    return change


def set_attribute(name, attribute, value):
    from pytest_dscoreml.heavy import import_tensorflow

    def change(nodes, _):
        tensor = import_tensorflow().make_tensor_proto(value)
        nodes[name].attr[attribute].tensor.CopyFrom(tensor)
        nodes[name].attr["dtype"].type = tensor.dtype

    return change


def set_size(axis, size):
    def change(nodes, _):
        nodes["input_node"].attr["shape"].shape.dim[axis].size = size

    return change


def set_op(name, op):
    def change(nodes, _):
        nodes[name].op = op

    return change


def no_rank(nodes, _):
    node = nodes["logits"]
    node.op = "Placeholder"
    del node.input[:]
    node.attr.clear()
    node.attr["dtype"].type = 1


def no_output(nodes, _):
    node = nodes["logits"]
    node.op = "NoOp"
    del node.input[:]
    node.attr.clear()


def cut_content(nodes, _):
    nodes["layer_2/weights"].attr["value"].tensor.tensor_content = b"123"


def cycle(nodes, _):
    nodes["logits"].input[0] = "logits"


def layer_norm(_, graph_def):
    node = graph_def.node.add()
    node.name, node.op = "layer_1/LayerNorm/beta", "NoOp"


NO_TENSOR = "export it with DeepSpeech's --export_dir, or with `python -m pytest_dscoreml export`"
BAD_INPUT = "expected a Placeholder of [1, steps or -1, 19, 26]; the gate needs DeepSpeech's own export"
SHAPES = "{'input_node': [1, 16, 19, 26], 'previous_state_c': [1, 8], 'logits': []}"


@pytest.mark.parametrize(
    ("change", "words"),
    [  # in a graph of 119 nodes
        (
            rename("input_lengths"),
            f"not a DeepSpeech inference graph, it has no input_lengths among its 119 nodes; {NO_TENSOR}",
        ),
        (
            remove("logits", "new_state_c"),
            f"not a DeepSpeech inference graph, it has no logits, new_state_c among its 117 nodes; {NO_TENSOR}",
        ),
        (remove("layer_6/bias/read"), "nodes read layer_6/bias/read, which the graph does not have; export it again"),
        (set_size(1, 0), f"input_node is a Placeholder of shape [1, 0, 19, 26], {BAD_INPUT}"),
        (set_size(1, -7), f"input_node is a Placeholder of shape [1, -7, 19, 26], {BAD_INPUT}"),
        (set_size(3, -1), f"input_node is a Placeholder of shape [1, 16, 19, -1], {BAD_INPUT}"),
        (set_size(0, 2), f"input_node is a Placeholder of shape [2, 16, 19, 26], {BAD_INPUT}"),
        (set_op("input_node", "VariableV2"), f"input_node is a VariableV2 of shape [1, 16, 19, 26], {BAD_INPUT}"),
        (
            remove("metadata_sample_rate", "metadata_alphabet"),
            "no metadata_sample_rate, metadata_alphabet; DeepSpeech exports these since 0.6 (graph version 5), export it again",
        ),
        (
            set_attribute("metadata_version", "value", [b"six"]),
            "metadata_version does not hold one whole number; export it again",
        ),
        (
            set_attribute("metadata_beam_width", "value", np.zeros(0, np.int32)),
            "metadata_beam_width does not hold one whole number; export it again",
        ),
        (set_attribute("metadata_alphabet", "value", [7]), "metadata_alphabet does not hold one text; export it again"),
        (set_attribute("metadata_alphabet", "value", [b"\1"]), "metadata_alphabet: cut short; export the graph again"),
        (
            set_attribute("metadata_alphabet", "value", [Alphabet(("a", "b")).serialize()]),
            "alphabet and model disagree: the alphabet has 2 labels, which with the blank makes 3 classes; the output layer "
            "has 5. Give the alphabet the model was trained with",
        ),
        (
            set_op("layer_3/bias", "NoOp"),
            "variables missing: layer_3/bias; a DeepSpeech acoustic model has all of these",
        ),
        (
            set_attribute("layer_5/bias", "value", np.zeros(7, np.float32)),
            "variables do not fit together: layer_5/weights has shape [8, 8], expected [8, 7]; "
            "layer_6/weights has shape [8, 5], expected [7, 5]",
        ),
        (cut_content, "constant layer_2/weights: its value does not fit its type and shape; export it again"),
        (
            layer_norm,
            "has layer normalisation (layer_1/LayerNorm/beta), which the graph builder does not write; give both graphs, "
            "static and dynamic, with --dscoreml-model twice",
        ),
        (no_rank, f"shapes {SHAPES} are not those of a DeepSpeech graph; export it again"),
        (
            no_output,
            "TensorFlow refuses the graph (The name 'logits:0' refers to a Tensor which does not exist. The operation, "
            "'logits', exists but only has 0 outputs.); export it again",
        ),
        (cycle, "TensorFlow refuses the graph (1 nodes in a cycle); export it again"),
    ],
)
def test_graphs_that_are_no_deepspeech(load, edited, tiny_files, tmp_path, refusal, change, words):
    path = edited(tiny_files["static"], change)

    assert refusal(ModelError, load, path) == f"model {path}: {words}"
    assert not (tmp_path / "exports").exists()


def test_layer_norm_in_a_pair_is_no_obstacle(load, edited, tiny_files):
    """Only the builder cannot write it; two graphs that are there need no builder."""
    static = edited(tiny_files["static"], layer_norm, "static.pb")
    dynamic = edited(tiny_files["dynamic"], layer_norm, "dynamic.pb")

    assert load(static, dynamic).paths == {"static": static, "dynamic": dynamic}


def test_an_operation_that_tensorflow_does_not_know(load, edited, tiny_files, refusal):
    path = edited(tiny_files["static"], set_op("logits", "Frobnicate"))

    message = refusal(ModelError, load, path)

    opening = f"model {path}: TensorFlow refuses the graph (Op type not registered 'Frobnicate' in binary running on "
    assert message.startswith(opening)
    assert message.endswith("); export it again")
    assert "\n" not in message


def test_what_the_graph_says_of_itself(tiny_files, tiny_weights, tiny_metadata, tmp_path):
    spoken = Metadata(beam_width=77, alphabet=tiny_metadata.alphabet, language="en-Latn-GB")
    path = tmp_path / "spoken.pb"
    path.write_bytes(serialized_graph(tiny_weights, spoken, n_steps=16))

    assert read_metadata(read_graph(path)) == spoken
    assert read_metadata(read_graph(tiny_files["dynamic"])) == tiny_metadata
    assert read_geometry(read_graph(path)) == tiny_weights.geometry


# -- exports that cannot be written ------------------------------------------------------------------------------------


def test_an_export_directory_that_cannot_be_made(tiny_files, tmp_path, refusal):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("in the way")
    exports = in_the_way / "graphs"

    assert refusal(UsageError, load_model, [str(tiny_files["static"])], exports=exports) == (
        f"cannot write to the cache directory {exports}: Not a directory; choose another with --dscoreml-cache-dir=DIR"
    )
    assert in_the_way.read_text() == "in the way"
