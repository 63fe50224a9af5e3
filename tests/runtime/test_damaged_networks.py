"""Neural networks whose fields contradict each other: each was once run, and answered, as if nothing were wrong."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.errors import ExecutionError, LoadError
from pytest_dscoreml.runtime import ReferenceModel, large_floats


def problem(source: Any) -> str:
    with pytest.raises(LoadError) as caught:
        ReferenceModel(source)
    return str(caught.value)


def failure(source: Any, inputs: Any) -> str:
    model = ReferenceModel(source)
    with pytest.raises(ExecutionError) as caught:
        model.predict(inputs)
    return str(caught.value)


@pytest.mark.parametrize(("flag", "bias"), [(True, 0), (False, 2)])
def test_a_bias_and_its_flag(build: Any, flag: bool, bias: int) -> None:
    network = build.network([("x", "float32", (2,))], [("y", "float32", ())])
    layer = network.layer(
        "innerProduct", "ip", ["x"], ["y"], inputChannels=2, outputChannels=2, weights=np.ones(4, "f")
    )
    layer.innerProduct.hasBias = flag
    if bias:
        layer.innerProduct.bias.floatValue.extend([1.0] * bias)
    text = "holds no bias, and hasBias is set" if flag else "holds bias, and hasBias is not set"
    assert problem(network.model) == f"model: layer 'ip': innerProduct {text} [main, specification 4]"


def test_the_vectors_of_a_recurrent_layer_and_their_flags(build: Any) -> None:
    network = build.network([("x", "float32", (1, 1, 1, 1, 1))], [("y", "float32", ())])
    layer = network.layer("uniDirectionalLSTM", "rnn", ["x"], ["y"], inputVectorSize=1, outputVectorSize=1)
    lstm = layer.uniDirectionalLSTM
    for gate in ("inputGate", "forgetGate", "blockInput", "outputGate"):
        getattr(lstm.weightParams, f"{gate}WeightMatrix").floatValue.append(1)
        getattr(lstm.weightParams, f"{gate}RecursionMatrix").floatValue.append(1)
        getattr(lstm.weightParams, f"{gate}BiasVector").floatValue.append(1)
    lstm.params.hasPeepholeVectors = True
    text = problem(network.model)
    assert "holds forgetGateBiasVector, and hasBiasVectors is not set" in text
    assert "holds no outputGatePeepholeVector, and hasPeepholeVectors is set" in text
    assert (text.count("hasBiasVectors is not set"), text.count("hasPeepholeVectors is set")) == (4, 3)


def test_preprocessing_inside_a_loop(build: Any) -> None:
    network = build.network([("x", "float32", (2,))], [("y", "float32", ())])
    network.layer("copy", "first", ["x"], ["y"])
    loop = network.layer("loop", "times", [], [], maxLoopIterations=2).loop
    network.layer("copy", "again", ["x"], ["y"], network=loop.bodyNetwork)
    loop.bodyNetwork.preprocessing.add().scaler.channelScale = 2
    assert problem(network.model) == (
        "model: layer 'times': loop holds a network with preprocessing, which only a model's inputs may have "
        "[main, specification 4]"
    )


@pytest.mark.parametrize(("height", "text"), [(3, "the image is (2, 2) (height, width), declared is (3, 2)"), (2, "")])
def test_an_image_of_another_size_than_declared(build: Any, height: int, text: str) -> None:
    network = build.network([("x", "float32", (3, 2, 2))], [])
    network.layer("activation.ReLU", "r", ["x"], ["y"])
    output = network.model.description.output.add(name="y").type.imageType
    output.colorSpace, output.height, output.width = 20, height, 2
    if text:
        assert failure(network.model, {"x": np.ones((3, 2, 2))}) == f"model: output 'y': {text}"
    else:
        assert ReferenceModel(network.model).predict({"x": np.ones((3, 2, 2))})["y"].shape == (2, 2, 3)


@pytest.mark.parametrize("sizes", [(-1, 2), (2, -5)])
def test_an_image_of_negative_size(build: Any, sizes: tuple[int, int]) -> None:
    network = build.network([], [("y", "float32", ())])
    network.layer("activation.ReLU", "r", ["x"], ["y"])
    image = network.model.description.input.add(name="x").type.imageType
    image.colorSpace, image.height, image.width = 20, *sizes
    assert "input 'x' declares a negative size" in problem(network.model)


def test_an_image_without_any_of_the_sizes_it_enumerates(build: Any) -> None:
    network = build.network([], [("y", "float32", ())])
    network.layer("activation.ReLU", "r", ["x"], ["y"])
    image = network.model.description.input.add(name="x").type.imageType
    image.colorSpace, image.height, image.width = 20, 2, 2
    image.enumeratedSizes.SetInParent()
    assert "input 'x' enumerates its sizes, and there are none" in problem(network.model)


@pytest.mark.parametrize("parts", [1 << 26, 1 << 40])
def test_a_split_into_more_parts_than_memory_holds(build: Any, parts: int) -> None:
    network = build.network([("x", "float32", (4,))], [("y", "float32", ())])
    network.layer("splitND", "s", ["x"], ["y", "z"], axis=0, numSplits=parts)
    start = time.perf_counter()
    assert f"layer 's': splitND failed: {parts} parts, at most 65536 are supported" in failure(
        network.model, {"x": [1, 2, 3, 4]}
    )
    assert time.perf_counter() - start < 2


def test_quantized_weights_that_overflow_print_nothing(build: Any) -> None:
    network = build.network([("x", "float32", (1,))], [("y", "float32", ())])
    layer = network.layer("innerProduct", "ip", ["x"], ["y"], inputChannels=1, outputChannels=1)
    weights = layer.innerProduct.weights
    weights.rawValue, weights.quantization.numberOfBits = b"\xff", 8
    weights.quantization.linearQuantization.scale.append(3e38)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ReferenceModel(network.model).predict({"x": [1]})["y"].tolist() == [float("inf")]


def test_records_are_named_and_not_addressed(build: Any) -> None:
    network = build.network([("x", "float32", (2, 1))], [("y", "float32", ())])
    layer = network.layer("gru", "rnn", ["x"], ["y"], inputVectorSize=1, outputVectorSize=1)
    for gate in ("updateGate", "resetGate", "outputGate"):
        getattr(layer.gru, f"{gate}WeightMatrix").floatValue.append(1)
        getattr(layer.gru, f"{gate}RecursionMatrix").floatValue.append(1)
    for name in ("sigmoid", "tanh"):
        getattr(layer.gru.activations.add(), name).SetInParent()
    text = failure(network.model, {"x": np.ones((2, 1))})
    assert "activations (ActivationParams, ActivationParams)" in text
    assert " at 0x" not in text


def test_a_loop_that_counts_in_steps_of_nothing(build: Any) -> None:
    network = build.network([("n", "float32", (1,))], [("i", "float32", ())])
    network.layer("loadConstantND", "zero", [], ["i"], shape=[1], data=np.zeros(1, np.float32))
    loop = network.layer("loop", "times", [], [], conditionVar="go").loop
    network.layer("lessThan", "test", ["i", "n"], ["go"], network=loop.conditionNetwork)
    network.layer("multiply", "count", ["i"], ["next"], network=loop.bodyNetwork, alpha=1.0)
    network.layer("copy", "carry", ["next"], ["i"], network=loop.bodyNetwork)
    start = time.perf_counter()
    assert failure(network.model, {"n": 5}) == (
        "model: layer 'times': loop failed: it never ends: a pass changes nothing that its condition depends on "
        "[main, specification 4]"
    )
    assert time.perf_counter() - start < 1


def test_a_long_file_of_short_fields(tmp_path: Path) -> None:
    """The search for large weights gives up, and protobuf tells what is wrong."""
    path = tmp_path / "m.mlmodel"
    path.write_bytes(b"\x08\x04" * (4 * large_floats._MOST_FIELDS))
    start = time.perf_counter()
    assert problem(path) == "m.mlmodel: the file holds no model"
    path.write_bytes(bytes(8 << 20))
    assert "not a Core ML model, or truncated" in problem(path)
    assert time.perf_counter() - start < 20
