"""Compressing: by the coremltools that is installed here, on a tiny DeepSpeech; and what makes two of them the same."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from pytest_dscoreml.conversion import worker
from pytest_dscoreml.conversion.convert import Converter, convert
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.errors import ConversionError
from pytest_dscoreml.runtime import ReferenceModel

NETWORK = ConversionSpec("dynamic", "neuralnetwork", "float32")
PROGRAM = ConversionSpec("dynamic", "mlprogram", "float16")
#: Of the tiny model's matrices only the first layer's has more values than the threshold.
OPERATIONS = {
    "linear8": "constexpr_affine_dequantize",
    "linear4": "constexpr_blockwise_shift_scale",
    "uniform4": "constexpr_lut_to_dense",
    "sparse50": "constexpr_sparse_to_dense",
}
SPECS = [
    *(dataclasses.replace(PROGRAM, compression=name) for name in OPERATIONS),
    *(dataclasses.replace(NETWORK, compression=name) for name in ("linear8", "linear4", "uniform4")),
]
NAMES = [spec.name for spec in SPECS]


# -- for real ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def compressed(real, real_cache, tiny_graphs):
    """The compressed conversions by name; what they are made of is in the cache."""
    made = convert(tiny_graphs, SPECS, converter=Converter(), cache=real_cache, n_steps=16, longest=3500)
    return {spec.name: outcome for spec, outcome in made.items()}


def plain(real, name):
    return real["-".join(name.split("-")[:3])]


def record(conversion):
    return json.loads((conversion.path.parent / "conversion.json").read_text())


def weights(path):
    """Bytes of the file that holds them: of so small a model, what is around them in a later system's file outweighs them."""
    return (path if path.is_file() else path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").stat().st_size


def outputs(path):
    """What a model makes of three steps of noise."""
    rng = np.random.default_rng(5)
    state = np.zeros((1, 8), np.float32)
    fed = {
        "input_node": rng.normal(size=(1, 3, 19, 26)).astype(np.float32),
        "input_lengths": np.array([3], np.int32),
        "previous_state_c": state,
        "previous_state_h": state,
    }
    return ReferenceModel(path).predict(fed)


def test_those_that_were_asked_for_are_made(compressed):
    assert list(compressed) == NAMES
    assert [conversion.spec.name for conversion in compressed.values()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_smaller_with_the_same_interface_and_about_the_same_numbers(real, compressed, name):
    before, made = plain(real, name), compressed[name]

    assert weights(made.path) < weights(before.path)
    # By name: to be told of some inputs brings those to the front.
    assert sorted(map(str, made.interface.inputs)) == sorted(map(str, before.interface.inputs))
    assert made.interface.outputs == before.interface.outputs
    expected, obtained = outputs(before.path), outputs(made.path)
    errors = [float(np.abs(obtained[each] - expected[each]).max()) for each in sorted(expected)]
    # Noise drives a random model far: c is 5 at most. What is not dequantized as it was quantized is off by as much.
    assert 0 < max(errors) < (0.05 if name.endswith("8") else 0.8)


@pytest.mark.parametrize(("name", "operation"), OPERATIONS.items())
def test_one_matrix_of_a_program_is_compressed_and_the_rest_left_alone(real, compressed, name, operation):
    counts = compressed[f"{PROGRAM}-{name}"].op_counts

    assert {op: count for op, count in counts.items() if op.startswith("constexpr")} == {operation: 1}
    assert counts["while_loop"] == 1


@pytest.mark.parametrize("name", ["linear8", "linear4", "uniform4"])
def test_one_matrix_of_a_network_is_compressed_and_shapes_are_left_alone(compressed, name):
    from coremltools.proto import Model_pb2

    model = Model_pb2.Model.FromString(compressed[f"{NETWORK}-{name}"].path.read_bytes())
    found = []

    def look(layers):
        for layer in layers:
            kind = layer.WhichOneof("layer")
            if kind == "loop":
                look(layer.loop.bodyNetwork.layers)
                look(layer.loop.conditionNetwork.layers)
            elif kind == "innerProduct":
                found.extend((kind, size.quantization.numberOfBits) for size in (layer.innerProduct.weights,))
                assert not layer.innerProduct.bias.HasField("quantization")
            elif kind == "loadConstantND":
                assert not layer.loadConstantND.data.HasField("quantization")

    look(model.neuralNetwork.layers)
    bits = int(name[-1])
    assert sorted(found) == [("innerProduct", 0)] * 5 + [("innerProduct", bits)]


def test_what_was_converted_is_not_converted_again(real, compressed):
    for name, conversion in compressed.items():
        about = record(conversion)
        if name == f"{PROGRAM}-linear4":  # for a later system, so from the graph
            assert list(about["phases"]) == ["compress", "convert", "describe", "load", "save"]
            assert about["request"]["deployment_target"] == "iOS18"
            assert "uncompressed" not in about
        else:
            assert list(about["phases"]) == ["compress", "describe", "load", "save"]
            assert about["route"] == "the converted file"
            assert about["uncompressed"] == plain(real, name).key
        assert about["spec"]["compression"] == conversion.spec.compression


def test_again_without_a_worker(compressed, real_cache, tiny_graphs):
    options = {"converter": Converter(), "cache": real_cache, "n_steps": 16, "longest": 3500}

    again = convert(tiny_graphs, SPECS, **options)

    assert all(made.cached for made in again.values())
    assert {spec.name: made.key for spec, made in again.items()} == {
        name: made.key for name, made in compressed.items()
    }
    assert len({made.key for made in again.values()}) == len(SPECS)


@pytest.mark.parametrize("spec", [NETWORK, PROGRAM], ids=str)
def test_nothing_to_compress(real, spec):
    import coremltools

    model = worker.load_model(coremltools, str(real[spec.name].path))

    with pytest.raises(ValueError, match=r"^nothing was compressed: no matrix of it has more than 4000 values$"):
        worker.compress(coremltools, model, "linear", 8, 4000)


def test_k_means(real):
    pytest.importorskip("sklearn", reason="k-means needs scikit-learn, which is not installed here")
    import coremltools

    model = worker.load_model(coremltools, str(real[PROGRAM.name].path))
    made = worker.compress(coremltools, model, "palettize", 4, 2048)

    assert worker.describe(made.get_spec())[1]["constexpr_lut_to_dense"] == 1


def test_k_means_of_a_network_loses_its_table(real):
    """When this fails, coremltools does not any more: narrow the versions in conversion/compression.py."""
    pytest.importorskip("sklearn", reason="k-means needs scikit-learn, which is not installed here")
    import coremltools

    model = worker.load_model(coremltools, str(real[NETWORK.name].path))
    made = worker.spec_of(worker.compress(coremltools, model, "palettize", 4, 2048))
    products = [layer.innerProduct.weights for layer in made.neuralNetwork.layers if layer.HasField("innerProduct")]
    tables = [one.quantization.lookupTableQuantization for one in products if one.HasField("quantization")]

    assert [len(table.floatValue) for table in tables] == [0]


# -- what makes two of them the same -----------------------------------------------------------------------------------

FINISH = """
for job in request["jobs"]:
    begin(job)
    finish(job)
say(event="finished")
"""
LINEAR = dataclasses.replace(PROGRAM, compression="linear8")
KMEANS = dataclasses.replace(PROGRAM, compression="palettize4")


def test_keys(fake, run):
    """The compression is in the key, the scikit-learn where it clusters, and all that the uncompressed one's key is of."""
    first = run(fake(FINISH, **{"scikit-learn": "1.0"}), specs=[PROGRAM, LINEAR, KMEANS])
    other = run(fake(FINISH, **{"scikit-learn": "1.1"}), specs=[PROGRAM, LINEAR, KMEANS])
    longer = run(fake(FINISH, **{"scikit-learn": "1.1"}), specs=[PROGRAM, LINEAR, KMEANS], longest=9999)

    assert len({made.key for made in first.values()}) == 3
    same = [name for name in first if first[name].key == other[name].key]
    assert same == [PROGRAM.name, LINEAR.name]
    assert [other[name].cached for name in first] == [True, True, False]
    assert [name for name in other if other[name].key == longer[name].key] == []


def test_the_uncompressed_is_made_first_and_not_given_unasked(fake, run, lines):
    asked = FINISH.replace(
        "    begin(job)\n", "    begin(job)\n    assert bool(job['model']) == ('compression' in job)\n"
    )
    made = run(fake(asked), specs=[LINEAR])

    assert list(made) == [LINEAR.name]
    assert not made[LINEAR.name].cached
    converting = [line for line in lines if line.startswith("converting ")]
    assert converting == [f"converting {PROGRAM} (1 of 1): convert", f"converting {LINEAR} (1 of 1): convert"]


def test_what_failed_is_not_compressed(fake, run):
    body = """
    for job in request["jobs"]:
        begin(job)
        say(event="failed", job=job["id"], error="ValueError", message="no", traceback="")
    say(event="finished")
    """
    made = run(fake(body), specs=[LINEAR, PROGRAM])

    assert isinstance(made[LINEAR.name], ConversionError)
    assert str(made[LINEAR.name]) == f"{LINEAR}: there is nothing to compress: {made[PROGRAM.name]}"


def test_a_compression_that_fails_leaves_the_uncompressed(fake, run):
    body = """
    for job in request["jobs"]:
        begin(job)
        if "compression" in job:
            say(event="failed", job=job["id"], error="ValueError", message="no", traceback="")
        else:
            finish(job)
    say(event="finished")
    """
    made = run(fake(body), specs=[PROGRAM, LINEAR])

    assert made[PROGRAM.name].size > 0
    assert str(made[LINEAR.name]).startswith(f"{LINEAR}: the converter (coremltools 1.2, ")
    assert str(made[LINEAR.name]).endswith(" refused it (convert): ValueError: no")
