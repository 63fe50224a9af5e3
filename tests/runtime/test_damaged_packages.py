"""Damaged packages: manifests that name no file, weight files whose metadata lies. Each was found by changing bytes."""

from __future__ import annotations

import json
import random
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.errors import LoadError, RuntimeModelError
from pytest_dscoreml.runtime import ReferenceModel
from pytest_dscoreml.runtime.source import LARGEST_MESSAGE

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
INNER = Path("Data") / "com.apple.CoreML"
MANIFEST = {"itemInfoEntries": {"A": {"path": "com.apple.CoreML/model.mlmodel"}}, "rootModelIdentifier": "A"}


def weights(data: bytes, kind: int, padding: int = 0) -> bytes:
    metadata = struct.pack("<IIQQQ", 0xDEADBEEF, kind, len(data), 128, padding).ljust(64, b"\0")
    return struct.pack("<II", 1, 2).ljust(64, b"\0") + metadata + data


@pytest.fixture
def package(build: Any, tmp_path: Path) -> Path:
    """y = x weight^T, the weight in a file."""
    program = build.program([("x", "float32", (1, 3))], [("y", "float32", (1, 2))])
    program.blob("w", "float32", (2, 3), 64)
    program.op("linear", ("y", "float32", (1, 2)), x="x", weight="w")
    made = tmp_path / "m.mlpackage"
    (made / INNER / "weights").mkdir(parents=True)
    (made / INNER / "model.mlmodel").write_bytes(program.model.SerializeToString())
    (made / INNER / "weights" / "weight.bin").write_bytes(weights(WEIGHT.tobytes(), 2))
    (made / "Manifest.json").write_text(json.dumps(MANIFEST))
    return made


def problem(source: Path) -> str:
    with pytest.raises(LoadError) as caught:
        ReferenceModel(source)
    return str(caught.value)


def outcome(package: Path) -> str:
    """What became of a damaged package: a result, or an error of the project's that is short and names the package."""
    refusal = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            ReferenceModel(package).predict({"x": [[1, 1, 1]]})
        except RuntimeModelError as error:
            refusal = str(error)
    assert not refusal or "m.mlpackage" in refusal
    assert len(refusal) < 9000
    return "refused" if refusal else "ran"


@pytest.mark.parametrize("name", ["a" * 5000, "\ud800", "\0", "com.apple.CoreML", ""])
def test_a_manifest_that_names_what_can_be_no_file(package: Path, name: str) -> None:
    (package / "Manifest.json").write_text(
        json.dumps({"itemInfoEntries": {"A": {"path": name}}, "rootModelIdentifier": "A"})
    )
    text = problem(package)
    assert text.startswith(f"{package}: the manifest names ")
    assert text.endswith(", which the package does not hold")
    assert len(text) < 3000


@pytest.mark.parametrize("entries", [None, 0, [], "A", {"A": None}, {"A": {"path": 3}}, {"A": {"path": {}}}])
def test_a_manifest_of_other_values(package: Path, entries: Any) -> None:
    (package / "Manifest.json").write_text(json.dumps({"itemInfoEntries": entries, "rootModelIdentifier": "A"}))
    assert problem(package) == f"{package / 'Manifest.json'}: damaged, it does not name the package's model file"


def test_a_manifest_nested_deeply(package: Path) -> None:
    (package / "Manifest.json").write_text("[" * 100_000)
    assert problem(package) == f"{package / 'Manifest.json'}: damaged, it does not name the package's model file"


def test_a_path_that_can_be_none(tmp_path: Path) -> None:
    text = problem(tmp_path / ("a" * 5000))
    assert text.endswith("a does not exist")
    assert len(text) < 3000


def test_a_path_that_is_neither_a_file_nor_a_package() -> None:
    assert problem(Path("/dev/zero")) == "/dev/zero is neither a file nor a package"


def test_a_file_larger_than_any_message(tmp_path: Path) -> None:
    path = tmp_path / "m.mlmodel"
    with path.open("wb") as file:
        file.truncate(LARGEST_MESSAGE + 1)
    assert problem(path) == (f"{path} has 2147483648 bytes, a Core ML model at most 2147483647: the file is damaged")


@pytest.mark.parametrize(
    ("dtype", "number", "kind", "data", "left"), [("uint4", 35, 11, b"\1\1\1", 4), ("uint1", 37, 9, b"\1", 3)]
)
def test_padding_that_the_number_of_elements_does_not_leave(
    build: Any, tmp_path: Path, dtype: str, number: int, kind: int, data: bytes, left: int
) -> None:
    program = build.program([("x", "float32", (5,))], [("y", "float32", (5,))], "CoreML8")
    program.blob("w", "float32", (5,), 64)
    program.op("add", ("y", "float32", (5,)), x="x", y="w")
    program.block.operations[0].attributes["val"].type.tensorType.dataType = number
    (tmp_path / "weight.bin").write_bytes(weights(data, kind, padding=left + 1))
    with pytest.raises(LoadError) as caught:
        ReferenceModel(program.model, weights_dir=tmp_path)
    assert f"declares {left + 1} bits of padding, {dtype}(5,) leaves {left}" in str(caught.value)


def test_padding_of_whole_bytes_says_nothing(build: Any, tmp_path: Path) -> None:
    """coremltools up to 7.2 writes there what memory held before."""
    program = build.program([("x", "float32", (2,))], [("y", "float32", (2,))])
    program.blob("w", "float32", (2,), 64)
    program.op("add", ("y", "float32", (2,)), x="x", y="w")
    held = weights(np.array([3, 4], np.float32).tobytes(), 2, padding=10183113700010841600)
    (tmp_path / "weight.bin").write_bytes(held)
    assert ReferenceModel(program.model, weights_dir=tmp_path).predict({"x": [1, 2]})["y"].tolist() == [4, 6]


@pytest.mark.parametrize("seed", range(4))
def test_damaged_weight_files_never_crash(package: Path, seed: int) -> None:
    """Flipped bits, missing ends and other metadata: refused, or a weight of another value."""
    drawn = random.Random(seed)
    path = package / INNER / "weights" / "weight.bin"
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(150):
        data = bytearray(whole)
        if drawn.random() < 0.2:
            del data[drawn.randrange(len(data)) :]
        elif drawn.random() < 0.5:
            struct.pack_into(
                "<Q", data, 64 + 8 * drawn.randrange(4), drawn.choice([0, 1, 24, 128, 1 << 40, (1 << 64) - 1])
            )
        else:
            data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)
        path.write_bytes(data)
        outcomes.add(outcome(package))
    assert outcomes == {"ran", "refused"}


@pytest.mark.parametrize("seed", range(2))
def test_damaged_manifests_never_crash(package: Path, seed: int) -> None:
    drawn = random.Random(seed)
    whole = json.dumps(MANIFEST).encode()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(drawn.randint(1, 3)):
            data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)
        if drawn.random() < 0.2:
            del data[drawn.randrange(len(data)) :]
        (package / "Manifest.json").write_bytes(data)
        assert outcome(package) in ("ran", "refused")
