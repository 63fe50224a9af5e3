"""A bundle of a tiny model that nobody converted: its model files are a few bytes that only their hashes matter of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pytest_dscoreml.agreement.tolerances import BY_PRECISION
from pytest_dscoreml.bundle.cases import Kind, RecordedCase
from pytest_dscoreml.bundle.manifest import digest_of, model_to_json, spec_to_json
from pytest_dscoreml.bundle.recorder import Staging
from pytest_dscoreml.bundle.writing import make_staging, write_bundle
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.describe import DeclaredTensor, Interface
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.engines.protocol import Outputs, State
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.model.loading import GraphFile, Model
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import Geometry

ALPHABET = Alphabet(("a", "b", " ", "ü"))
GEOMETRY = Geometry(n_hidden=8, n_classes=5)
NETWORK = ConversionSpec("static", "neuralnetwork", "float32")
PROGRAM = ConversionSpec("dynamic", "mlprogram", "float16", converter="ct9.0")
VERSIONS = {"python": "3.9", "coremltools": "9.0", "tensorflow": "2.12.1", "numpy": "1.24.3"}


@pytest.fixture
def model():
    graphs = {
        kind: GraphFile(Path(f"{kind}.pb"), kind[0] * 64, exported=kind == "static") for kind in ("static", "dynamic")
    }
    return Model("tiny", GEOMETRY, Metadata(alphabet=ALPHABET, language="de"), 16, graphs)


@pytest.fixture
def outputs():
    """Outputs of so many steps, the same for the same seed."""

    def make(steps, seed=0):
        random = np.random.default_rng(seed)
        raw = random.normal(0, 3, (steps, GEOMETRY.n_classes)).astype(np.float32)
        odds = np.exp(raw)
        state = State(*random.normal(0, 1, (2, 1, GEOMETRY.n_hidden)).astype(np.float32))
        return Outputs((odds / odds.sum(-1, keepdims=True)).astype(np.float32), state, raw)

    return make


@pytest.fixture
def windows():
    """Windows of so many steps, the same for the same seed."""
    return lambda steps, seed=0: np.random.default_rng(seed).normal(0, 2, (steps, 19, 26)).astype(np.float32)


@pytest.fixture
def state():
    return State(np.full((1, 8), 0.5, np.float32), np.full((1, 8), -0.5, np.float32))


@pytest.fixture
def case(windows, state, outputs):
    """A case of a kind; what is not given is as a sequence of three steps has it."""

    def make(kind=Kind.SEQUENCE, steps=3, seed=0, **changes):
        given = {
            "label": f"{kind} of {steps}",
            "windows": windows(steps, seed),
            "length": steps,
            "state": state,
            "expected": outputs(steps, seed),
            **changes,
        }
        return RecordedCase(kind, **given)

    return make


@pytest.fixture
def conversions(tmp_path):
    """A network in a file, a program in a package."""
    network, program = tmp_path / "cache" / "model.mlmodel", tmp_path / "cache" / "model.mlpackage"
    for path in (network, program / "Manifest.json", program / "Data" / "weights" / "weight.bin"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"content of {path.name}".encode())
    window = DeclaredTensor("input_node", "float32", (1, 16, 19, 26), ((1, 1), (1, None), (19, 19), (26, 26)))
    interface = Interface((window,), (DeclaredTensor("logits", "float32", ()),), 7)
    return [
        Conversion(spec, path, VERSIONS, 4.5, interface, {"linear": 5}, ("a warning",), 1234, True, "k")
        for spec, path in ((NETWORK, network), (PROGRAM, program))
    ]


@pytest.fixture
def facts(model):
    """What a manifest says of the run."""
    gone = ConversionSpec("pinned", "mlprogram", "float32")
    return {
        "version": "0.1.0",
        "made": "2024-05-06T07:08:09+00:00",
        "model": model_to_json(model),
        "settings": {
            "engine": "reference",
            "front_end": "graph",
            "max_steps": 64,
            "max_examples": 3,
            "seed": None,
            "longest": 100,
            "beam_width": 500,
        },
        "converters": {"": VERSIONS, "ct9.0": VERSIONS},
        "here": {"python": "3.9", "tensorflow": "2.12.1", "numpy": "1.24.3", "hypothesis": "6.100"},
        "tolerances": {precision: dataclasses.asdict(values) for precision, values in BY_PRECISION.items()},
        "missing": {gone.name: {**spec_to_json(gone), "reason": "it failed when recorded: a crash"}},
    }


@pytest.fixture
def record(tmp_path, facts, conversions, windows, state, outputs):
    """Record a bundle with a case of each kind into a directory; gives what was written."""

    def make(directory, cases=True):
        staging = make_staging(directory)
        recorder = Staging(staging / "cases", ALPHABET)
        if cases:
            recorder.sequence(windows(5), state, expected=outputs(5), case="Case(length=5)")
            recorder.sequence(windows(2), state, expected=outputs(2), case="Case(length=2)")
            recorder.padded(windows(16), 0, state, expected=outputs(16), case="none of 16 real")
            recorder.cut(windows(4), state, (1, 3), expected=lambda: outputs(4), case="cut at [1, 3]")
            said = {"transcript": "ab", "texts": {"ds": "a b"}}
            recorder.recording("speech.wav", windows(7), expected=outputs(7), **said)
        return write_bundle(directory, staging, facts, conversions)

    return make


@pytest.fixture
def bundle(tmp_path, record):
    """The directory of a recorded bundle."""
    record(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def edit(bundle):
    """Change the manifest of the bundle; with `hashes`, so that all hashes are right again."""

    def change(how, *, hashes=True):
        path = bundle / "bundle.json"
        manifest = json.loads(path.read_text())
        how(manifest)
        if hashes:
            for name in manifest.get("files", ()):
                if (bundle / name).is_file():
                    manifest["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
            manifest["digest"] = digest_of(manifest)
        path.write_text(json.dumps(manifest))

    return change
