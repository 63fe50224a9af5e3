"""The worker itself: what it may import, how it hands over a graph, what it reads from the model it wrote."""

from __future__ import annotations

import ast
import gc
import json
import os
import subprocess
import sys
import textwrap
import types

import pytest

from pytest_dscoreml.conversion import worker
from pytest_dscoreml.conversion.process import WORKER


def run_worker(*arguments, env=None):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=True, stdin=subprocess.DEVNULL)


def test_written_for_python_3_7():
    tree = ast.parse(WORKER.read_text(encoding="utf-8"), feature_version=(3, 7))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }

    assert imported - {"tensorflow", "coremltools"} == {
        "__future__",
        "collections",
        "gc",
        "hashlib",
        "importlib",
        "json",
        "logging",
        "os",
        "shutil",
        "sys",
        "tempfile",
        "threading",
        "time",
        "traceback",
        "typing",
        "warnings",
    }


# --- versions ---------------------------------------------------------------------------------------------------------


def test_versions_without_importing_what_is_heavy():
    done = run_worker("-X", "importtime", str(WORKER), "--versions")
    installed = json.loads(done.stdout)

    assert sorted(installed) == [
        "coremltools",
        "executable",
        "fingerprint",
        "numpy",
        "protobuf",
        "python",
        "scikit-learn",
        "tensorflow",
    ]
    assert installed["python"] == ".".join(map(str, sys.version_info[:3]))
    assert installed["executable"] == sys.executable
    assert int(installed["coremltools"].split(".")[0]) >= 9
    assert len(installed["fingerprint"]) == 64
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & {"tensorflow", "coremltools", "numpy"}


def test_the_fingerprint_follows_the_files_of_coremltools(stubs):
    folder = stubs() / "coremltools"
    os.utime(folder / "__init__.py", ns=(0, 5))

    def fingerprint():
        return json.loads(run_worker(str(WORKER), "--versions", env=dict(os.environ)).stdout)["fingerprint"]

    seen = [fingerprint(), fingerprint()]
    os.utime(folder / "__init__.py", ns=(0, 6))
    seen.append(fingerprint())
    (folder / "sub").mkdir()
    (folder / "sub" / "lib.so").write_text("binary")
    seen.append(fingerprint())
    (folder / "sub" / "notes.txt").write_text("of no consequence")
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__" / "left.py").write_text("")
    seen.append(fingerprint())

    assert seen[0] == seen[1]
    assert seen[3] == seen[4]
    assert len({seen[0], seen[2], seen[3]}) == 3


def test_the_workers_neighbours_do_not_pass_for_top_level_modules(stubs, tmp_path):
    """A `convert.py` or `cache.py` beside the script would be found by coremltools' dependencies otherwise."""
    stubs(tensorflow="import convert")
    (tmp_path / "request.json").write_text(json.dumps({"answers": str(tmp_path / "answers"), "jobs": []}))

    run_worker(str(WORKER), str(tmp_path / "request.json"), env=dict(os.environ))

    answers = [json.loads(line) for line in (tmp_path / "answers").read_text().splitlines()]
    assert [answer["event"] for answer in answers] == ["started", "failed"]
    assert (answers[1]["job"], answers[1]["error"]) == (None, "ModuleNotFoundError")
    assert answers[1]["message"] == "No module named 'convert'"


@pytest.mark.parametrize(
    ("text", "number"), [("9.0", 9), ("10.1b2", 10), ("4", 4), ("candidate", sys.maxsize), ("", sys.maxsize)]
)
def test_major_version(text, number):
    assert worker.major_version(text) == number


# --- handing over the graph -------------------------------------------------------------------------------------------


class Graph:
    """Stands for a GraphDef whose text form costs minutes."""

    node = ("a", "b")

    def __str__(self):
        raise AssertionError("printed")

    __repr__ = __str__


def test_a_quiet_graph_is_the_graph_except_in_print():
    quiet = worker.QuietGraphDef(Graph())

    assert isinstance(quiet, Graph)
    assert quiet.node is Graph.node
    assert f"{quiet} {quiet!r} {quiet!s}" == " ".join(["<GraphDef of 2 nodes>"] * 3)
    assert f"{quiet:>5}" == "<GraphDef of 2 nodes>"
    assert not hasattr(quiet, "library")


def libraries(tensorflow, coremltools):
    return types.SimpleNamespace(__version__=tensorflow), types.SimpleNamespace(__version__=coremltools)


def test_a_graph_goes_quietly_first_and_plainly_when_that_failed():
    graph = Graph()

    (first, quiet), (second, plain) = worker.graph_routes(*libraries("2.12.1", "9.0"), graph, ["logits"])

    assert (first, second) == ("GraphDef, quiet", "GraphDef")
    assert type(quiet) is worker.QuietGraphDef
    assert plain is graph


def test_coremltools_5_gets_a_concrete_function(monkeypatch):
    monkeypatch.setattr(worker, "concrete_function", lambda tf, graph, outputs: (graph, outputs))
    graph = Graph()

    assert list(worker.graph_routes(*libraries("2.6.2", "5.2.0"), graph, ["logits"])) == [
        ("concrete function", [(graph, ["logits"])])
    ]


def test_a_concrete_function_computes_what_the_graph_does(tiny_graphs):
    import numpy as np
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(tiny_graphs["dynamic"].read_bytes())
    random = np.random.default_rng(0)
    feeds = {
        "input_node": random.normal(size=(1, 5, 19, 26)).astype(np.float32),
        "input_lengths": np.array([5], np.int32),
        "previous_state_c": random.normal(size=(1, 8)).astype(np.float32),
        "previous_state_h": random.normal(size=(1, 8)).astype(np.float32),
    }
    outputs = ["logits", "new_state_c"]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        expected = session.run([f"{name}:0" for name in outputs], {f"{name}:0": feeds[name] for name in feeds})

    function = worker.concrete_function(tf, graph_def, outputs)
    names = [tensor.name.split(":")[0] for tensor in function.inputs]
    obtained = function(*(tf.constant(feeds[name]) for name in names))

    assert sorted(names) == sorted(feeds)
    for one, other in zip(obtained, expected):
        np.testing.assert_array_equal(one.numpy(), other)


def spec_of(path):
    from coremltools.proto import Model_pb2

    program = path / "Data" / "com.apple.CoreML" / "model.mlmodel" if path.is_dir() else path
    spec = Model_pb2.Model.FromString(program.read_bytes())
    spec.description.metadata.Clear()  # holds the day of the conversion
    return spec


def test_in_this_process_plainly(real, tiny_graphs, tmp_path, monkeypatch):
    """The quiet graph changes nothing in what is written, and a graph that is cut off fails alone."""
    monkeypatch.setattr(worker, "graph_routes", lambda tf, ct, graph, outputs: [("GraphDef", graph)])
    (tmp_path / "cut.pb").write_bytes(tiny_graphs["dynamic"].read_bytes()[:1000])
    names = ["dynamic-neuralnetwork-float32", "dynamic-mlprogram-float32", "dynamic-mlprogram-float16"]
    jobs = []
    for name, graph in [("broken", tmp_path / "cut.pb"), *((name, tiny_graphs["dynamic"]) for name in names)]:
        conversion = real[names[0] if name == "broken" else name]
        request = json.loads((conversion.path.parent / "conversion.json").read_text())["request"]
        file = tmp_path / f"{name}{conversion.spec.suffix}"
        jobs.append({**request, "id": name, "graph": str(graph), "file": str(file)})
    answers = []

    try:
        worker.run({"jobs": jobs}, answers.append)
    finally:
        gc.unfreeze()

    by_job = {answer["job"]: answer for answer in answers if answer["event"] in ("done", "failed")}
    assert by_job["broken"]["error"] == "DecodeError"
    # Newer protobufs add the message's type.
    assert by_job["broken"]["message"].startswith("Error parsing message")
    assert by_job["broken"]["traceback"].splitlines()[-1].endswith(by_job["broken"]["message"])
    for name in names:
        conversion = real[name]
        assert by_job[name]["route"] == "GraphDef"
        assert by_job[name]["op_counts"] == conversion.op_counts
        plain = tmp_path / f"{name}{conversion.spec.suffix}"
        assert spec_of(plain) == spec_of(conversion.path)
        if plain.is_dir():
            weights = "Data/com.apple.CoreML/weights/weight.bin"
            assert (plain / weights).read_bytes() == (conversion.path / weights).read_bytes()


STUB_TENSORFLOW = """
    __version__ = "2.0"
    class GraphDef:
        def ParseFromString(self, data):
            self.node = [data]
    class compat:
        class v1:
            GraphDef = GraphDef
"""
STUB_COREMLTOOLS = """
    import logging, os, tempfile, warnings
    __version__ = "9.0"
    class TensorType:
        def __init__(self, name, shape):
            self.name, self.shape = name, shape
    class RangeDim:
        def __init__(self, lower, upper):
            self.bounds = (lower, upper)
    class precision:
        FLOAT16 = "half"
    class Thing:
        def __init__(self, **parts):
            self.__dict__.update(parts)
    class Model:
        def save(self, path):
            with open(path, "w") as file:
                file.write("written")
        def get_spec(self):
            program = Thing(functions={})
            description = Thing(input=[], output=[])
            return Thing(WhichOneof=lambda field: "mlProgram", mlProgram=program, description=description,
                         specificationVersion=6)
"""


def answers_of(tmp_path, job):
    (tmp_path / "graph.pb").write_text("the graph")
    full = {
        "id": "one",
        "graph": str(tmp_path / "graph.pb"),
        "file": str(tmp_path / "model.mlpackage"),
        "convert_to": "mlprogram",
        "precision": "float16",
        "outputs": ["logits"],
        "inputs": None,
        **job,
    }
    (tmp_path / "request.json").write_text(json.dumps({"answers": str(tmp_path / "answers"), "jobs": [full]}))
    run_worker(str(WORKER), str(tmp_path / "request.json"), env=dict(os.environ))
    return [json.loads(line) for line in (tmp_path / "answers").read_text().splitlines()]


def test_what_a_conversion_is_asked_for(stubs, tmp_path):
    stubs(
        tensorflow=STUB_TENSORFLOW,
        coremltools=textwrap.dedent(STUB_COREMLTOOLS)
        + textwrap.dedent(
            """
            def convert(model, source, inputs, outputs, convert_to, compute_precision, skip_model_load):
                raise ValueError(repr((str(model), source, inputs[0].name, inputs[0].shape[0], inputs[0].shape[1].bounds,
                                       outputs, convert_to, compute_precision, skip_model_load)))
            """
        ),
    )

    answers = answers_of(tmp_path, {"inputs": [{"name": "x", "shape": [1, [1, 2000]]}]})

    assert [answer["event"] for answer in answers] == [
        "started",
        "versions",
        *["phase"] * 3,
        "failed",
        "finished",
    ]
    assert [answer["phase"] for answer in answers if answer["event"] == "phase"] == ["load", "convert", "convert"]
    failure = answers[-2]
    assert (failure["job"], failure["error"]) == ("one", "ValueError")
    # The plain graph has the last word.
    assert failure["message"].startswith("('<tensorflow.GraphDef object at ")
    assert failure["message"].endswith(">', 'tensorflow', 'x', 1, (1, 2000), ['logits'], 'mlprogram', 'half', True)")
    assert failure["traceback"].splitlines()[-1] == f"ValueError: {failure['message']}"


def test_what_fails_for_our_wrapper_is_converted_plainly(stubs, tmp_path):
    stubs(
        tensorflow=STUB_TENSORFLOW,
        coremltools=textwrap.dedent(STUB_COREMLTOOLS)
        + textwrap.dedent(
            """
            def convert(model, **options):
                if str(model).startswith("<GraphDef"):
                    raise TypeError("not for me")
                return Model()
            """
        ),
    )

    answer = answers_of(tmp_path, {})[-2]

    assert (answer["event"], answer["route"]) == ("done", "GraphDef")
    assert (tmp_path / "model.mlpackage").read_text() == "written"


def test_warnings_are_collected_once_and_deprecations_left_out(stubs, tmp_path):
    stubs(
        tensorflow=STUB_TENSORFLOW,
        coremltools=textwrap.dedent(STUB_COREMLTOOLS)
        + textwrap.dedent(
            """
            def convert(model, **options):
                for _ in range(2):
                    warnings.warn("precision is\\n  lost")
                    warnings.warn("will go", DeprecationWarning)
                    logging.getLogger("coremltools").warning("%d ops dropped", 3)
                    logging.getLogger("coremltools").info("hello")
                with open(os.path.join(tempfile.mkdtemp(), "left behind"), "w"):
                    pass
                print("noise on stdout")
                return Model()
            """
        ),
    )

    answer = answers_of(tmp_path, {})[-2]

    assert answer["warnings"] == ["UserWarning: precision is lost", "coremltools: 3 ops dropped"]
    assert answer["route"] == "GraphDef, quiet"
    assert sorted(answer["seconds"]) == ["convert", "describe", "load", "save"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "answers",
        "graph.pb",
        "model.mlpackage",
        "request.json",
        "stubs",
    ]


def test_a_coremltools_without_ml_programs(stubs, tmp_path):
    stubs(
        tensorflow=STUB_TENSORFLOW,
        coremltools=textwrap.dedent(STUB_COREMLTOOLS).replace("9.0", "4.1")
        + "\ndef convert(model, source, outputs): pass\n",
    )

    answer = answers_of(tmp_path, {})[-2]

    assert (answer["error"], answer["message"]) == ("NotImplementedError", "coremltools 4.1 does not write ML Programs")


def test_a_graph_that_cannot_be_read(stubs, tmp_path):
    stubs(tensorflow=STUB_TENSORFLOW, coremltools=STUB_COREMLTOOLS)

    answer = answers_of(tmp_path, {"graph": str(tmp_path / "none.pb")})[-2]

    assert answer["error"] == "FileNotFoundError"
    assert answer["message"] == f"[Errno 2] No such file or directory: '{tmp_path / 'none.pb'}'"


# --- reading what was written -----------------------------------------------------------------------------------------


def test_describe_a_neural_network():
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model(specificationVersion=4)
    network = spec.neuralNetwork
    loop = network.layers.add().loop
    loop.conditionNetwork.layers.add().lessThan.SetInParent()
    loop.bodyNetwork.layers.add().add.SetInParent()
    branch = loop.bodyNetwork.layers.add().branch
    branch.ifBranch.layers.add().add.SetInParent()
    branch.elseBranch.layers.add().tanh.SetInParent()
    ranged = spec.description.input.add(name="x")
    ranged.type.multiArrayType.dataType = 65568
    ranged.type.multiArrayType.shape.extend([1, 16])
    for lower, upper in ((1, 1), (1, -1)):
        ranged.type.multiArrayType.shapeRange.sizeRanges.add(lowerBound=lower, upperBound=upper)
    listed = spec.description.input.add(name="n")
    listed.type.isOptional = True
    listed.type.multiArrayType.dataType = 131104
    listed.type.multiArrayType.shape.extend([1])
    for size in (1, 2):
        listed.type.multiArrayType.enumeratedShapes.shapes.add().shape.append(size)
    spec.description.output.add(name="y").type.stringType.SetInParent()

    interface, counts = worker.describe(spec)

    assert counts == {"loop": 1, "lessThan": 1, "add": 2, "branch": 1, "tanh": 1}
    assert interface == {
        "inputs": [
            {
                "name": "x",
                "dtype": "float32",
                "shape": [1, 16],
                "ranges": [[1, 1], [1, None]],
                "enumerated": [],
                "optional": False,
            },
            {
                "name": "n",
                "dtype": "int32",
                "shape": [1],
                "ranges": [],
                "enumerated": [[1], [2]],
                "optional": True,
            },
        ],
        "outputs": [
            {"name": "y", "dtype": "stringType", "shape": [], "ranges": [], "enumerated": [], "optional": False}
        ],
        "specification_version": 4,
    }


def test_describe_an_ml_program():
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model(specificationVersion=6)
    block = spec.mlProgram.functions["main"].block_specializations["CoreML5"]
    block.operations.add(type="const")
    loop = block.operations.add(type="while_loop")
    for _ in range(2):
        loop.blocks.add().operations.add(type="add")

    assert worker.describe(spec)[1] == {"const": 1, "while_loop": 1, "add": 2}


def test_another_type_of_model_is_refused():
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model()
    spec.identity.SetInParent()

    with pytest.raises(ValueError, match=r"^the converter wrote a model of type identity, not a neural network or ML"):
        worker.describe(spec)


CHOOSING = """
    class FP16ComputePrecision:
        def __init__(self, op_selector):
            self.op_selector = op_selector
    transform = Thing(FP16ComputePrecision=FP16ComputePrecision)
    x, y, a, b, c = [Thing(name=name) for name in ("x", "y", "a/b", "b", "c")]
    OPS = [
        Thing(name="y", op_type="const", inputs={"name": Thing(name="y")}, outputs=[y]),
        Thing(name="a/b", op_type="mul", inputs={"x": x, "y": y}, outputs=[a]),
        Thing(name="c", op_type="concat", inputs={"values": (x, a)}, outputs=[c]),
    ]
    def convert(model, compute_precision, **options):
        chosen = [op.name for op in OPS if compute_precision.op_selector(op)]
        warnings.warn("float16: " + ", ".join(chosen))
        return Model()
"""


@pytest.mark.parametrize(("kept", "half"), [([], "y, a/b, c"), (["a/b"], "y, c")])
def test_operations_that_stay_in_float32(stubs, tmp_path, kept, half):
    stubs(tensorflow=STUB_TENSORFLOW, coremltools=textwrap.dedent(STUB_COREMLTOOLS) + textwrap.dedent(CHOOSING))

    answer = answers_of(tmp_path, {"float32_operations": kept})[-2]

    assert answer["warnings"] == [f"UserWarning: float16: {half}"]
    assert answer["selectable"] == [
        {"name": "a/b", "type": "mul", "inputs": ["x", "y"], "outputs": ["a/b"]},
        {"name": "c", "type": "concat", "inputs": ["x", "a/b"], "outputs": ["c"]},
    ]


def test_an_operation_to_keep_that_the_converter_does_not_have(stubs, tmp_path):
    stubs(tensorflow=STUB_TENSORFLOW, coremltools=textwrap.dedent(STUB_COREMLTOOLS) + textwrap.dedent(CHOOSING))

    answer = answers_of(tmp_path, {"float32_operations": ["c", "nowhere"]})[-2]

    assert (answer["event"], answer["error"], answer["message"]) == (
        "failed",
        "LookupError",
        "the converter chose no precision for nowhere, which should stay float32; it did for a/b, c",
    )
    assert not (tmp_path / "model.mlpackage").exists()
