"""A gate that was never opened: what the reports read of one, filled in by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.specifiers import SpecifierSet

from pytest_dscoreml.agreement.measurements import Measurements, Transcript
from pytest_dscoreml.agreement.tolerances import BY_PRECISION
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.defects import KnownDefect
from pytest_dscoreml.conversion.describe import DeclaredTensor, Interface
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.model.loading import GraphFile, Model
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import Geometry
from pytest_dscoreml.report.results import ConversionResult, Results

MODEL = Model(
    name="static.pb",
    geometry=Geometry(n_hidden=8, n_classes=29),
    metadata=Metadata(),
    n_steps=16,
    graphs={
        "static": GraphFile(Path("static.pb"), "5" * 64, exported=False),
        "dynamic": GraphFile(Path("d.pb"), "d" * 64, exported=True),
    },
)


@pytest.fixture
def gate():
    spec = ConversionSpec("dynamic", "mlprogram", "float32")
    window = DeclaredTensor("input_node", "float32", (1, 16, 19, 26), ((1, 1), (1, None), (19, 19), (26, 26)))
    made = Conversion(
        spec=spec,
        path=Path("model.mlpackage"),
        versions={"coremltools": "9.0", "tensorflow": "2.12.1"},
        seconds=4.5,
        interface=Interface((window,), (DeclaredTensor("logits", "float32", ()),), 7),
        op_counts={"linear": 5, "while_loop": 1},
        warnings=("a warning",),
        size=1234,
        cached=True,
        key="k",
    )
    return SimpleNamespace(
        model=MODEL,
        versions={"": {"coremltools": "9.0", "tensorflow": "2.12.1", "numpy": "1.24.3", "python": "3.9.18"}},
        engine_name="reference",
        replayed=None,
        decoders=(SimpleNamespace(name="ds"), SimpleNamespace(name="ds + scorer")),
        settings=SimpleNamespace(front_end="numpy"),
        conversions={spec.name: made},
        failures={"pinned-mlprogram-float16": "the converter ended with signal 11"},
        defects=(KnownDefect("one", SpecifierSet(">=7"), "recipe", ("*",), "two steps", None, Path("k.toml")),),
        specs=(
            spec,
            ConversionSpec("static", "neuralnetwork", "float32"),
            ConversionSpec("pinned", "mlprogram", "float16"),
        ),
        tolerances=lambda spec: BY_PRECISION[spec.precision.value],
        compressed=(),
        conditions={"model": MODEL.hash, "max steps": 64},
        unavailable={ConversionSpec("static", "mlprogram", "float16"): "coremltools 4.0 writes no ML Programs"},
    )


@pytest.fixture
def results():
    found = Results()
    found.failed = {"test_a": "broken promise: so it is\nlogits differ: 5 values", "test_b": "again", "test_c": "alone"}
    found.conversions = {
        "dynamic-mlprogram-float32": ConversionResult(
            12,
            [],
            ["test_x"],
            Measurements(34, 64, 1.3e-6, 3e-5, 0, [Transcript("a.wav", "ds", "she had", "she had")]),
            {"test_y": "one"},
        ),
        "static-neuralnetwork-float32": ConversionResult(
            3,
            ["test_a", "test_b"],
            [],
            Measurements(7, 17, float("inf"), None, 5, [Transcript("a.wav", "ds", "she had", "he had")] * 2),
        ),
        "pinned-mlprogram-float16": ConversionResult(),
    }
    return found
