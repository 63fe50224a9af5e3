"""Large weights of a neural network's file are read one by one, and give what protobuf would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime import ReferenceModel, large_floats, proto

WIDTH = 200


def network(build: Any, weights: Any) -> Any:
    """x -> innerProduct inside a branch and outside one, so that a nested network holds weights too."""
    made = build.network([("x", "float32", (1, WIDTH))], [("y", "float32", ())])
    made.layer(
        "innerProduct",
        "first",
        ["x"],
        ["h"],
        inputChannels=WIDTH,
        outputChannels=WIDTH,
        hasBias=True,
        weights=weights,
        bias=np.full(WIDTH, 0.5, np.float32),
    )
    made.layer("reduceMax", "top", ["h"], ["top"], reduceAll=True)
    made.layer("greaterThan", "positive", ["top"], ["is"], alpha=0.0)
    branch = made.layer("branch", "choice", ["is"], [])
    for side, factor in ((branch.branch.ifBranch, 1), (branch.branch.elseBranch, -1)):
        made.layer(
            "innerProduct",
            "second",
            ["h"],
            ["y"],
            network=side,
            inputChannels=WIDTH,
            outputChannels=WIDTH,
            weights=weights.T * np.float32(factor),
        )
    return made.model


@pytest.fixture
def saved(build: Any, tmp_path: Path) -> tuple[Any, Path]:
    weights = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    model = network(build, weights)
    path = tmp_path / "model.mlmodel"
    path.write_bytes(model.SerializeToString())
    return model, path


def test_a_file_gives_what_its_message_gives(saved: Any) -> None:
    message, path = saved
    stripped = large_floats.without_large_floats(path, proto.model_descriptor())
    assert stripped is not None
    assert len(stripped[1]) == 3
    assert len(stripped[0]) < path.stat().st_size // 100
    x = np.random.default_rng(1).normal(size=(1, WIDTH))
    for sign in (1, -1):
        obtained = ReferenceModel(path).predict({"x": x * sign})["y"]
        np.testing.assert_array_equal(obtained, ReferenceModel(message).predict({"x": x * sign})["y"])


def test_weights_are_aligned(saved: Any) -> None:
    """A product with unaligned weights copies them each time."""
    for source in saved:
        fixed = [
            value
            for call in ReferenceModel(source)._plan.calls()
            for value in call.fixed.values()
            if isinstance(value, np.ndarray)
        ]
        assert len(fixed) >= 3
        assert all(value.flags.aligned for value in fixed)


def test_small_weights_stay_in_the_message(build: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.mlmodel"
    made = build.network([("x", "float32", (1, 2))], [("y", "float32", ())])
    made.layer("innerProduct", "p", ["x"], ["y"], inputChannels=2, outputChannels=2, weights=np.eye(2, dtype="f"))
    path.write_bytes(made.model.SerializeToString())
    assert large_floats.without_large_floats(path, proto.model_descriptor()) is None
    assert ReferenceModel(path).predict({"x": [[1, 2]]})["y"].tolist() == [[1, 2]]


def test_four_weights_are_not_taken_for_a_mark(saved: Any, build: Any) -> None:
    """A bias of four values, in a file that has marks."""
    message, path = saved
    layers = message.neuralNetwork.layers
    layers[0].innerProduct.bias.floatValue[:] = [1.5] * WIDTH
    path.write_bytes(message.SerializeToString())
    floats = large_floats.LargeFloats(path)
    mark = np.frombuffer(floats.add(0, 8), "<f4").tolist()
    assert len(mark) == 4
    assert floats.find(mark) is not None
    assert floats.find([1.5] * 4) is None
    assert large_floats.LargeFloats(path).find(mark) is None
    assert large_floats.find(mark) is None


def test_a_truncated_file_is_protobufs_to_refuse(saved: Any) -> None:
    _, path = saved
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 70_000):
        path.write_bytes(whole[:size])
        with pytest.raises(LoadError, match=r"model\.mlmodel: not a Core ML model, or truncated"):
            ReferenceModel(path)


def test_flipped_bits_are_an_error_or_other_numbers(saved: Any) -> None:
    _, path = saved
    whole = path.read_bytes()
    random = np.random.default_rng(2)
    outcomes = {"refused": 0, "loaded": 0}
    for at in [*range(60), *random.integers(0, len(whole), 20).tolist()]:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            ReferenceModel(path)
            outcomes["loaded"] += 1
        except LoadError:
            outcomes["refused"] += 1
    assert outcomes["loaded"] >= 10
    assert outcomes["refused"] >= 10
