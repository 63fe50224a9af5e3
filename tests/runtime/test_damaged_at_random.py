"""Models damaged at random, always in the same way: refused in a short message that names the file, or run.

Bytes are flipped and cut off; and fields of the message are changed, so that the file is still one that can be parsed.
"""

from __future__ import annotations

import copy
import random
import warnings
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from pytest_dscoreml.errors import RuntimeModelError
from pytest_dscoreml.runtime import ReferenceModel, large_floats

NUMBERS = (0, 1, -1, 2, 3, 5, 33, 255, 1000, 65536, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 31))
FLOATS = (0.0, -1.0, float("nan"), float("inf"), 1e38, 1e-42)
WORDS = ("", "x", "y", "h", "t", "zzz", "n" * 5000, "\0", "CoreML9")
# By the type of a field in Python, as protobuf numbers them.
_LIMITS = {1: (-(1 << 31), 1 << 31), 2: (-(1 << 63), 1 << 63), 3: (0, 1 << 32), 4: (0, 1 << 64), 8: (-1, 200)}


def other(field: Any, value: Any, drawn: random.Random) -> Any:
    """Another value for a scalar field."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        low, high = _LIMITS[field.cpp_type]
        return drawn.choice([item for item in (*NUMBERS, value + 1, value - 1) if low <= item < high])
    if isinstance(value, float):
        return drawn.choice(FLOATS)
    return value[:-1] if isinstance(value, bytes) else drawn.choice(WORDS)


def change_at_random(message: Any, drawn: random.Random) -> None:
    """Change one field of ``message``, or of a message in it at any depth."""
    present = message.ListFields()
    if not present:
        return
    field, value = drawn.choice(present)
    nested = field.message_type is not None
    if nested and field.message_type.GetOptions().map_entry:
        key = drawn.choice(sorted(value))
        if drawn.random() < 0.1:
            del value[key]
        elif hasattr(value[key], "ListFields"):
            change_at_random(value[key], drawn)
    elif not isinstance(value, (bool, int, float, str, bytes)) and not hasattr(value, "ListFields"):
        # Repeated; how a field says so itself differs from protobuf to protobuf.
        items = [copy.deepcopy(item) for item in value]
        at = drawn.randrange(len(items))
        if nested and drawn.random() < 0.85:
            change_at_random(value[at], drawn)
            return
        action = drawn.choice(["delete", "again", "move", "change"])
        if action == "change" and not nested:
            items[at] = other(field, items[at], drawn)
        else:
            taken = items.pop(at)
            places = {"delete": 0, "again": 2, "move": 1, "change": 1}[action]
            for _ in range(places):
                items.insert(drawn.randint(0, len(items)), taken)
        message.ClearField(field.name)
        getattr(message, field.name).extend(items)
    elif nested and drawn.random() < 0.9:
        change_at_random(value, drawn)
    elif nested or drawn.random() < 0.1:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, other(field, value, drawn))


def flip(data: bytearray, drawn: random.Random) -> None:
    for _ in range(drawn.randint(1, 3)):
        data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)


def cut(data: bytearray, drawn: random.Random) -> None:
    del data[drawn.randrange(1, len(data)) :]


def outcome(path: Path, inputs: Any) -> str:
    """What became of a damaged file; whatever it is, nothing is printed and no other exception is raised."""
    refusal = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            ReferenceModel(path).predict(inputs)
        except RuntimeModelError as error:
            refusal = str(error)
    assert not refusal or path.name in refusal
    assert len(refusal) < 9000
    return "refused" if refusal else "ran"


def network(build: Any) -> Any:
    """A counted loop, quantized weights, a branch, and an image's worth of layers behind each other."""
    made = build.network([("x", "float32", (2, 4)), ("n", "float32", (1,))], [("y", "float32", ())])
    layer = made.layer("innerProduct", "ip", ["x"], ["h"], inputChannels=4, outputChannels=3, hasBias=True)
    layer.innerProduct.weights.rawValue = bytes(range(12))
    layer.innerProduct.weights.quantization.numberOfBits = 8
    layer.innerProduct.weights.quantization.linearQuantization.scale.append(0.1)
    layer.innerProduct.weights.quantization.linearQuantization.bias.append(-0.5)
    layer.innerProduct.bias.floatValue.extend([1, 2, 3])
    made.layer("copy", "start", ["h"], ["state"])
    loop = made.layer("loop", "times", [], [], maxLoopIterations=4).loop
    made.layer("activation.tanh", "tanh", ["state"], ["squashed"], network=loop.bodyNetwork)
    made.layer("copy", "keep", ["squashed"], ["state"], network=loop.bodyNetwork)
    branch = made.layer("branch", "which", ["n"], []).branch
    made.layer("softmaxND", "soft", ["state"], ["z"], network=branch.ifBranch, axis=-1)
    made.layer("copy", "same", ["state"], ["z"], network=branch.elseBranch)
    made.layer("reduceSum", "sum", ["z"], ["y"], axes=[1], keepDims=True)
    return made


@pytest.fixture(scope="module")
def models(build: Any, history: Any) -> dict[str, tuple[Any, Any]]:
    """A message of each format, and inputs for it."""
    return {
        "program": (history().model, {"x": np.ones((3, 1, 2)), "c0": np.zeros((1, 1, 2))}),
        "network": (network(build).model, {"x": np.ones((2, 4)), "n": 1}),
    }


@pytest.mark.parametrize("kind", ["program", "network"])
def test_undamaged(models: dict[str, tuple[Any, Any]], kind: str, tmp_path: Path) -> None:
    message, inputs = models[kind]
    path = tmp_path / "whole.mlmodel"
    path.write_bytes(message.SerializeToString())
    assert outcome(path, inputs) == "ran"


@pytest.mark.parametrize("kind", ["program", "network"])
@pytest.mark.parametrize("damage", [flip, cut])
def test_changed_bytes(
    models: dict[str, tuple[Any, Any]], kind: str, damage: Callable[[bytearray, random.Random], None], tmp_path: Path
) -> None:
    message, inputs = models[kind]
    drawn = random.Random(f"{kind} {damage.__name__}")
    path = tmp_path / "bytes.mlmodel"
    whole = message.SerializeToString()
    outcomes = set()
    for _ in range(300):
        data = bytearray(whole)
        damage(data, drawn)
        path.write_bytes(data)
        outcomes.add(outcome(path, inputs))
    assert "refused" in outcomes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["program", "network"])
def test_changed_fields(models: dict[str, tuple[Any, Any]], kind: str, seed: int, tmp_path: Path) -> None:
    message, inputs = models[kind]
    drawn = random.Random(seed)
    path = tmp_path / "fields.mlmodel"
    outcomes = set()
    for _ in range(250):
        damaged = copy.deepcopy(message)
        for _ in range(drawn.randint(1, 2)):
            change_at_random(damaged, drawn)
        path.write_bytes(damaged.SerializeToString())
        outcomes.add(outcome(path, inputs))
    assert outcomes == {"ran", "refused"}


def test_changed_bytes_of_large_weights(build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are left in the file: their place is found without protobuf, whatever the bytes around them say."""
    monkeypatch.setattr(large_floats, "SMALLEST_BYTES", 64)
    made = build.network([("x", "float32", (8,))], [("y", "float32", ())])
    weights = np.ones(64, np.float32)
    made.layer("innerProduct", "ip", ["x"], ["y"], inputChannels=8, outputChannels=8, weights=weights)
    whole = made.model.SerializeToString()
    drawn = random.Random(0)
    path = tmp_path / "large.mlmodel"
    outcomes = set()
    for round_ in range(400):
        data = bytearray(whole)
        (flip if round_ % 4 else cut)(data, drawn)
        path.write_bytes(data)
        outcomes.add(outcome(path, {"x": np.ones(8)}))
    assert outcomes == {"ran", "refused"}
