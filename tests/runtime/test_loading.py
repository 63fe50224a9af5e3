"""Damaged, truncated and unsupported models are one clear error that names every fault."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import LoadError, RuntimeModelError
from pytest_dscoreml.runtime import ReferenceModel

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
_METADATA = 64


def weight_file(
    array: Any = WEIGHT, *, sentinel: int = 0xDEADBEEF, kind: int = 2, version: int = 2, **changed: int
) -> bytes:
    size, offset = changed.get("size", array.nbytes), changed.get("offset", 128)
    header = struct.pack("<II", 1, version).ljust(64, b"\0")
    metadata = struct.pack("<IIQQ", sentinel, kind, size, offset).ljust(64, b"\0")
    return header + metadata + array.tobytes()


def write_package(directory: Path, model: Any, weights: bytes) -> Path:
    package = directory / "m.mlpackage"
    inner = package / "Data" / "com.apple.CoreML"
    (inner / "weights").mkdir(parents=True)
    (inner / "model.mlmodel").write_bytes(model.SerializeToString())
    (inner / "weights" / "weight.bin").write_bytes(weights)
    manifest = {"itemInfoEntries": {"A": {"path": "com.apple.CoreML/model.mlmodel"}}, "rootModelIdentifier": "A"}
    (package / "Manifest.json").write_text(json.dumps(manifest))
    return package


@pytest.fixture
def program(build: Any) -> Any:
    """y = x weight^T, the weight in a file."""
    made = build.program([("x", "float32", (1, 3))], [("y", "float32", ())])
    made.blob("w", "float32", (2, 3), _METADATA)
    made.op("linear", ("y", "float32", (1, 2)), x="x", weight="w")
    return made


def problem(source: Any, **options: Any) -> str:
    with pytest.raises(LoadError) as caught:
        ReferenceModel(source, **options)
    return str(caught.value)


def test_package(tmp_path: Path, program: Any) -> None:
    package = write_package(tmp_path, program.model, weight_file())
    assert ReferenceModel(package).predict({"x": [[1, 1, 1]]})["y"].tolist() == [[3, 12]]
    weights = package / "Data" / "com.apple.CoreML" / "weights"
    assert ReferenceModel(program.model, weights_dir=weights).predict({"x": [[1, 0, 0]]})["y"].tolist() == [[0, 3]]


def test_weights_stay_in_the_file(tmp_path: Path, program: Any) -> None:
    model = ReferenceModel(write_package(tmp_path, program.model, weight_file()))
    (call,) = model._plan.calls()
    weight = call.fixed["weight"]
    assert not weight.flags.owndata
    assert not weight.flags.writeable


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (weight_file()[:40], "weight file {path} is truncated: 40 bytes, a header takes 64"),
        (weight_file(version=1), "weight file {path} has format version 1, expected 2"),
        (weight_file()[:100], "weight file weight.bin, offset 64: not a multiple of 64 inside the file's 100 bytes"),
        (
            weight_file(sentinel=1),
            "weight file weight.bin, offset 64: metadata begins with 0x00000001, expected 0xDEADBEEF",
        ),
        (weight_file(kind=1), "weight file weight.bin, offset 64: holds float16, the program declares float32"),
        (weight_file(kind=99), "weight file weight.bin, offset 64: data type number 99 is not supported"),
        (weight_file(size=20), "weight file weight.bin, offset 64: holds 20 bytes, float32(2, 3) takes 24"),
        (
            weight_file(offset=160),
            "weight file weight.bin, offset 64: data at 160 to 184 lies outside the file's 152 bytes",
        ),
        (
            weight_file(offset=2**63),
            "weight file weight.bin, offset 64: data at 9223372036854775808 to 9223372036854775832 lies outside the "
            "file's 152 bytes",
        ),
        (weight_file(offset=126), "weight file weight.bin, offset 64: data offset 126 is not a multiple of 4"),
    ],
)
def test_damaged_weights(tmp_path: Path, program: Any, weights: bytes, text: str) -> None:
    package = write_package(tmp_path, program.model, weights)
    path = package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    expected = f"m.mlpackage: operation 'w': const has an unreadable val: {text.format(path=path)} [main, CoreML5]"
    assert problem(package) == expected


@pytest.mark.parametrize("name", ["../../etc/passwd", "sub/../../weight.bin"])
def test_weights_outside_the_package_are_refused(build: Any, tmp_path: Path, name: str) -> None:
    program = build.program([("x", "float32", (1, 3))], [("y", "float32", ())])
    program.blob("w", "float32", (2, 3), 64, file=name)
    program.op("linear", ("y", "float32", (1, 2)), x="x", weight="w")
    assert "does not begin with '@model_path/weights/'" in problem(program.model, weights_dir=tmp_path)


def test_weights_without_a_directory(program: Any) -> None:
    assert problem(program.model) == (
        "model: operation 'w': const has an unreadable val: weights are in '@model_path/weights/weight.bin', and no "
        "weights_dir was given [main, CoreML5]"
    )


def test_missing_weight_file(tmp_path: Path, program: Any) -> None:
    assert problem(program.model, weights_dir=tmp_path) == (
        f"model: operation 'w': const has an unreadable val: weight file {tmp_path / 'weight.bin'} does not exist "
        "[main, CoreML5]"
    )


def test_paths(tmp_path: Path, program: Any) -> None:
    missing = tmp_path / "none.mlmodel"
    assert problem(missing) == f"{missing} does not exist"
    missing.write_bytes(b"")
    assert problem(missing) == f"{missing} is empty: not a Core ML model"
    missing.write_bytes(b"\xff" * 20)
    assert problem(missing).startswith(f"{missing}: not a Core ML model, or truncated (")
    assert problem(tmp_path) == f"{tmp_path}: no Manifest.json, so this directory is not a Core ML package"
    assert problem(3) == "expected a path, an MLModel or a Model message, given int"


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ("{", "damaged, it does not name the package's model file"),
        ("[]", "damaged, it does not name the package's model file"),
        ('{"rootModelIdentifier": "A", "itemInfoEntries": {}}', "damaged, it does not name the package's model file"),
        (
            '{"rootModelIdentifier": "A", "itemInfoEntries": {"A": {"path": "../../x"}}}',
            "the model file's path '../../x' leaves the package",
        ),
    ],
)
def test_damaged_manifests(tmp_path: Path, program: Any, manifest: str, text: str) -> None:
    package = write_package(tmp_path, program.model, weight_file())
    (package / "Manifest.json").write_text(manifest)
    assert problem(package) == f"{package / 'Manifest.json'}: {text}"


def test_package_without_its_model(tmp_path: Path, program: Any) -> None:
    package = write_package(tmp_path, program.model, weight_file())
    shutil.rmtree(package / "Data")
    assert problem(package) == (
        f"{package}: the manifest names 'com.apple.CoreML/model.mlmodel', which the package does not hold"
    )


def test_other_models(build: Any) -> None:
    program = build.program()
    program.model.ClearField("mlProgram")
    assert problem(program.model) == "model: the file holds no model"
    program.model.treeEnsembleRegressor.SetInParent()
    assert problem(program.model) == (
        "model: models of type treeEnsembleRegressor are not supported (expected mlProgram or "
        "neuralNetwork, neuralNetworkClassifier, neuralNetworkRegressor)"
    )


def test_all_problems_come_in_one_error(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", ()), ("q", "float32", ())])
    program.op("frobnicate", ("a", "float32", (2,)), x="x")
    program.op("relu", ("b", "float32", (2,)), x="later", alpha=np.float32(1))
    program.op("relu", ("later", "float32", (2,)), x="b")
    program.op("softmax", ("b", "float32", (2,)), x="x", axis=np.array([0, 1], np.int32))
    program.op("transpose", ("y", "float32", (2,)), x="x")
    assert problem(program.model).split("\n") == [
        "model: 7 problems:",
        "  - operation 'a': frobnicate is not supported by the runtime [main, CoreML5]",
        "  - operation 'b': relu reads 'later', which is not defined before it [main, CoreML5]",
        "  - operation 'b': relu sets alpha, which the kernel does not take (it takes x) [main, CoreML5]",
        "  - operation 'b': softmax sets axis to int32(2,), expected an integer [main, CoreML5]",
        "  - operation 'b': softmax defines 'b', which is defined already [main, CoreML5]",
        "  - operation 'y': transpose does not set perm, which it must [main, CoreML5]",
        "  - the model's output 'q' is not defined by the program",
    ]


def test_layers_that_set_what_no_kernel_takes(build: Any) -> None:
    network = build.network([("x", "float32", (1, 1, 1, 1, 1))], [("y", "float32", ())])
    layer = network.layer("simpleRecurrent", "rnn", ["x"], ["y"], inputVectorSize=1, outputVectorSize=1)
    layer.simpleRecurrent.weightMatrix.floatValue.append(1)
    layer.simpleRecurrent.recursionMatrix.floatValue.append(1)
    layer.simpleRecurrent.activation.ELU.alpha = 1
    assert problem(network.model) == (
        "model: layer 'rnn': simpleRecurrent sets activation to a message with ELU, which the kernel does not take (it "
        "takes linear, ReLU, tanh, scaledTanh, sigmoid, sigmoidHard) [main, specification 4]"
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda d: d.input[0].type.multiArrayType.ClearField("dataType"),
            "input 'x' declares no valid data type (number 0)",
        ),
        (
            lambda d: setattr(d.input[0].type.multiArrayType, "dataType", 131104),
            "input 'x' is described as int32, the program takes float32(1, 3)",
        ),
        (
            lambda d: setattr(d.input[0], "name", "z"),
            "2 problems:\n  - the program takes 'x', which the model's description does not declare as an input\n"
            "  - the model's description declares the input 'z', which the program does not take",
        ),
        (lambda d: d.ClearField("output"), "the model declares no outputs: the file is damaged or truncated"),
        (
            lambda d: setattr(d.output[0], "name", "q"),
            "2 problems:\n  - the model's output 'q' is not an output of the program\n"
            "  - the program yields 'y', which the model's description does not declare as an output",
        ),
        (
            lambda d: d.input[0].type.imageType.SetInParent(),
            "input 'x' declares no valid color space (number 0)",
        ),
        (
            lambda d: d.input[0].type.sequenceType.SetInParent(),
            "input 'x' is of type sequenceType, which is not supported (expected multiArrayType or imageType)",
        ),
    ],
)
def test_descriptions_that_disagree(tmp_path: Path, program: Any, change: Any, text: str) -> None:
    (tmp_path / "weight.bin").write_bytes(weight_file())
    change(program.model.description)
    assert problem(program.model, weights_dir=tmp_path) == f"model: {text}"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda v: v.immediateValue.tensor.floats.values.append(1),
            "has an unreadable val: holds 3 values, float32(2,) takes 2",
        ),
        (
            lambda v: v.immediateValue.tensor.ints.values.extend([1, 2]),
            "has an unreadable val: a float32 value is stored as ints",
        ),
        (
            lambda v: setattr(v.type.tensorType.dimensions[0].constant, "size", 1 << 60),
            "has an unreadable val: holds 2 values, float32(1152921504606846976,) takes 1152921504606846976",
        ),
        (lambda v: v.ClearField("immediateValue"), "has an unreadable val: only tensors are supported as constants"),
        (lambda v: v.ClearField("type"), "has an unreadable val: a constant must be a tensor of known shape"),
    ],
)
def test_damaged_constants(build: Any, change: Any, text: str) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", ())])
    program.const("c", np.ones(2, np.float32))
    program.op("add", ("y", "float32", (2,)), x="x", y="c")
    change(program.block.operations[0].attributes["val"])
    assert problem(program.model) == f"model: operation 'c': const {text} [main, CoreML5]"


def test_a_constant_of_another_type_than_its_output(build: Any) -> None:
    program = build.program([("x", "float32", (2,))], [("y", "float32", ())])
    program.const("c", np.ones(2, np.float32))
    program.op("add", ("y", "float32", (2,)), x="x", y="c")
    program.block.operations[0].outputs[0].type.tensorType.dataType = 23
    assert problem(program.model) == (
        "model: operation 'c': const holds float32(2), its output is declared int32(2) [main, CoreML5]"
    )


def test_layer_weights_of_another_size(build: Any) -> None:
    network = build.network([("x", "float32", (2,))], [("y", "float32", ())])
    network.layer("innerProduct", "ip", ["x"], ["y"], inputChannels=2, outputChannels=3, weights=np.ones(5, np.float32))
    assert problem(network.model) == (
        "model: layer 'ip': innerProduct has an unreadable weights: holds 5 values, its shape (3, 2) takes 6 "
        "[main, specification 4]"
    )


def test_rank_five_mapping_takes_one_axis_or_three(build: Any) -> None:
    network = build.network([("x", "float32", (2, 3))], [("y", "float32", ())])
    network.layer("activation.ReLU", "r", ["x"], ["y"])
    network.network.arrayInputShapeMapping = 0
    assert problem(network.model) == (
        "model: input 'x' is declared (2, 3): RANK5_ARRAY_MAPPING takes one axis or three"
    )


def test_loops_whose_counts_disagree(history: Any) -> None:
    program = history()
    loop = next(operation for operation in program.block.operations if operation.type == "while_loop")
    loop.blocks[1].outputs.pop()
    assert problem(program.model) == (
        "model: operation 't_end': while_loop carries 2 values, its condition takes 2, its body takes 2 and yields 1, "
        "and it defines 2 [main, CoreML5]"
    )


def test_truncation_anywhere(tmp_path: Path, history: Any) -> None:
    """Whatever is cut off, the model is refused, or it was only what nobody reads."""
    data = history().model.SerializeToString()
    path = tmp_path / "cut.mlmodel"
    whole = len(data)
    for length in range(1, whole, max(1, whole // 150)):
        path.write_bytes(data[:length])
        with pytest.raises(LoadError) as caught:
            ReferenceModel(path)
        assert "cut.mlmodel" in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flipped_bits_never_crash(data: Any, build_history: bytes, tmp_path_factory: Any) -> None:
    changed = bytearray(build_history)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(changed) - 1))
        changed[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / "flipped.mlmodel"
    path.write_bytes(bytes(changed))
    refusal = "ran"
    try:
        model = ReferenceModel(path)
        model.predict({"x": np.ones((3, 1, 2)), "c0": np.zeros((1, 1, 2))})
    except RuntimeModelError as error:
        refusal = str(error)
    assert refusal


@pytest.fixture(scope="session")
def build_history(history: Any) -> bytes:
    return bytes(history().model.SerializeToString())


def test_reading_needs_neither_coremltools_nor_tensorflow(tmp_path: Path, history: Any) -> None:
    path = tmp_path / "m.mlmodel"
    path.write_bytes(history().model.SerializeToString())
    code = (
        "import sys\n"
        "from pytest_dscoreml.runtime import ReferenceModel\n"
        f"ReferenceModel({str(path)!r})\n"
        "assert not {'coremltools', 'tensorflow', 'torch'} & set(sys.modules), sorted(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
