"""Real conversions of a tiny DeepSpeech by the coremltools that is installed here."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys

import pytest

from pytest_dscoreml.conversion.convert import Converter, convert
from pytest_dscoreml.conversion.describe import DeclaredTensor
from pytest_dscoreml.conversion.variants import default_specs

NAMES = [spec.name for spec in default_specs()]
PROGRAMS = [name for name in NAMES if "mlprogram" in name]
NETWORKS = [name for name in NAMES if "neuralnetwork" in name]
FEATURES_OPS = {"AudioSpectrogram", "Mfcc", "audio_spectrogram", "mfcc", "custom"}


def test_all_nine_are_made(real):
    assert list(real) == NAMES
    for name, conversion in real.items():
        assert conversion.spec.name == name
        assert not conversion.cached
        assert conversion.path.name == f"model{conversion.spec.suffix}"
        assert conversion.path.is_dir() == (conversion.spec.target == "mlprogram")
        assert 0 < conversion.seconds < 300


def test_versions(real):
    for conversion in real.values():
        assert conversion.versions["coremltools"] == importlib.metadata.version("coremltools")
        assert conversion.versions["numpy"] == importlib.metadata.version("numpy")
        assert conversion.versions["python"] == platform.python_version()
        assert conversion.versions["tensorflow"].startswith("2.")


def test_the_files_are_core_ml_models_and_as_large_as_told(real):
    from coremltools.proto import Model_pb2

    for conversion in real.values():
        path = conversion.path
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        assert conversion.size == sum(file.stat().st_size for file in files)
        program = path if path.is_file() else path / "Data" / "com.apple.CoreML" / "model.mlmodel"
        spec = Model_pb2.Model.FromString(program.read_bytes())
        assert [tensor.name for tensor in conversion.interface.inputs] == [i.name for i in spec.description.input]
        assert spec.specificationVersion == conversion.interface.specification_version


def test_names_of_inputs_and_outputs(real):
    for conversion in real.values():
        interface = conversion.interface
        assert sorted(tensor.name for tensor in interface.inputs) == [
            "input_lengths",
            "input_node",
            "previous_state_c",
            "previous_state_h",
        ]
        assert sorted(tensor.name for tensor in interface.outputs) == ["logits", "new_state_c", "new_state_h"]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("dynamic")])
def test_static_and_pinned_take_16_steps(real, name):
    assert real[name].interface.input("input_node") == DeclaredTensor("input_node", "float32", (1, 16, 19, 26))


@pytest.mark.parametrize("name", ["dynamic-mlprogram-float32", "dynamic-mlprogram-float16"])
def test_a_dynamic_program_takes_the_longest_sequence_rounded_up(real, name):
    node = real[name].interface.input("input_node")

    assert node.ranges == ((1, 1), (1, 4000), (19, 19), (26, 26))


def test_a_dynamic_network_takes_any_length(real):
    node = real["dynamic-neuralnetwork-float32"].interface.input("input_node")

    assert node.ranges == ((1, 1), (1, None), (19, 19), (26, 26))


@pytest.mark.parametrize("name", PROGRAMS)
def test_ops_of_a_program(real, name):
    counts = real[name].op_counts

    assert (counts["while_loop"], counts["scatter"], counts["softmax"], counts["linear"]) == (1, 2, 1, 6)
    assert not FEATURES_OPS & set(counts)
    assert ("range_1d" in counts) == name.startswith("dynamic")


@pytest.mark.parametrize("name", NETWORKS)
def test_ops_of_a_network(real, name):
    counts = real[name].op_counts

    assert (counts["loop"], counts["scatter"], counts["softmaxND"], counts["innerProduct"]) == (1, 2, 1, 6)
    assert not FEATURES_OPS & set(counts)
    assert ("rangeDynamic" in counts) == name.startswith("dynamic")


def test_float16_halves_the_weights(real):
    def weights(name):
        return (real[name].path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").stat().st_size

    for variant in ("static", "dynamic", "pinned"):
        assert weights(f"{variant}-mlprogram-float16") < 0.6 * weights(f"{variant}-mlprogram-float32")


def test_progress(real, real_progress):
    assert real_progress == [
        f"starting the converter (coremltools {importlib.metadata.version('coremltools')}, {sys.executable})",
        "the converter imports TensorFlow and coremltools",
        *(
            f"converting {name} ({number} of 9): {phase}"
            for number, name in enumerate(NAMES, 1)
            for phase in ("load", "convert", "save", "describe")
        ),
    ]


def test_the_record_beside_the_model(real):
    conversion = real["pinned-mlprogram-float16"]
    record = json.loads((conversion.path.parent / "conversion.json").read_text())

    assert sorted(record) == [
        "files",
        "fingerprint",
        "format",
        "graph",
        "interface",
        "key",
        "made",
        "op_counts",
        "phases",
        "request",
        "route",
        "seal",
        "seconds",
        "size",
        "spec",
        "variant",
        "versions",
        "warnings",
        "worker",
    ]
    assert record["route"] == "GraphDef, quiet"
    assert record["request"] == {
        "convert_to": "mlprogram",
        "precision": "float16",
        "outputs": ["logits", "new_state_c", "new_state_h"],
        "inputs": [{"name": "input_node", "shape": [1, 16, 19, 26]}],
    }
    assert record["spec"] == {"variant": "pinned", "target": "mlprogram", "precision": "float16"}


def test_again_without_a_worker(real, real_cache, tiny_graphs, told):
    lines = []
    options = {"converter": Converter(), "cache": real_cache, "n_steps": 16, "longest": 3001}
    options["progress"] = told(lines)

    again = convert(tiny_graphs, default_specs(), **options)

    assert lines == []
    assert {spec.name: conversion.key for spec, conversion in again.items()} == {
        name: conversion.key for name, conversion in real.items()
    }
    assert all(conversion.cached for conversion in again.values())
