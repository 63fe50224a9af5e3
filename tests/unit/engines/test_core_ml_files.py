"""The engines that run a converted file: what crosses the boundary to Core ML or to the runtime, and every refusal."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pytest_dscoreml.engines import choosing
from pytest_dscoreml.engines.coreml import COMPUTE_UNITS, CoreMLEngine, require_macos
from pytest_dscoreml.engines.coreml_file import run_file
from pytest_dscoreml.engines.protocol import State
from pytest_dscoreml.engines.reference import ReferenceEngine
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.engines.tensorflow import TensorFlowEngine
from pytest_dscoreml.errors import EngineError, UsageError
from pytest_dscoreml.model.weights import Geometry
from pytest_dscoreml.options import COMPUTE_UNITS as COMPUTE_UNITS_OPTION
from pytest_dscoreml.options import ENGINE as ENGINE_OPTION
from pytest_dscoreml.runtime import ReferenceModel

GEOMETRY = Geometry(n_hidden=8, n_classes=5)
CONVERSIONS = {"dynamic-mlprogram-float32": None, "static-neuralnetwork-float32": 16}


class StandIn:
    """`coremltools.models.MLModel` as it is on macOS; its predictions are the runtime's, or a test's own."""

    made = None
    predictions = None

    def __init__(self, path, compute_units):
        type(self).made = (path, compute_units)
        self.calls = []
        self.runtime = ReferenceModel(path) if type(self).predictions is None else None

    def predict(self, given):
        self.calls.append(given)
        return self.runtime.predict(given) if self.runtime else type(self).predictions(given)


@pytest.fixture
def core_ml(monkeypatch):
    """Put the stand-in where MLModel is; gives it."""
    import coremltools

    stand_in = type("StandIn", (StandIn,), {})
    monkeypatch.setattr(coremltools.models, "MLModel", stand_in)
    return stand_in


@pytest.fixture(scope="module")
def reference(tiny_files):
    return TensorFlowEngine(tiny_files["dynamic"])


def noise(length):
    return np.random.default_rng(length).normal(0, 2, (length, 19, 26)).astype(np.float32)


def good(steps, **changes):
    """Predictions of the right shapes, with some of them changed; None takes one away."""
    outputs = {
        "logits": np.full((steps, 1, 5), 0.2, np.float16),
        "new_state_c": np.ones((1, 8)),
        "new_state_h": np.zeros((1, 8)),
        **changes,
    }
    return lambda given: {name: value for name, value in outputs.items() if value is not None}


# -- the reference engine ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONVERSIONS)
@pytest.mark.parametrize("length", [1, 16, 33])
def test_the_reference_engine_agrees_with_tensorflow(tiny_conversions, reference, name, length):
    engine = ReferenceEngine(tiny_conversions[name], GEOMETRY, CONVERSIONS[name])

    expected, obtained = (recognise(each, noise(length)) for each in (reference, engine))

    assert engine.name == f"reference (NumPy {np.__version__})"
    assert obtained.logits.shape == (length, 5)
    np.testing.assert_allclose(obtained.logits, expected.logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(obtained.state.c, expected.state.c, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(obtained.state.h, expected.state.h, rtol=1e-4, atol=1e-6)
    assert obtained.raw_logits is None


def test_the_reference_engine_refuses_a_file(tmp_path, refusal):
    path = tmp_path / "empty.mlmodel"
    path.touch()

    assert refusal(EngineError, ReferenceEngine, path, GEOMETRY, 16) == (
        f"reference (NumPy {np.__version__}) refuses {path}: {path} is empty: not a Core ML model"
    )


def test_the_reference_engine_refuses_a_length(tiny_conversions, refusal):
    engine = ReferenceEngine(tiny_conversions["static-neuralnetwork-float32"], GEOMETRY, 16)

    message = refusal(EngineError, engine.run, noise(3), 3, State.zeros(GEOMETRY))

    assert message.startswith(f"{engine.name}: ")
    assert "input 'input_node': shape (1, 3, 19, 26) is not admitted, declared is (1, 16, 19, 26)" in message


# -- Apple's engine, with a stand-in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONVERSIONS)
def test_the_coreml_engine_agrees_with_tensorflow(core_ml, tiny_conversions, reference, name):
    engine = CoreMLEngine(tiny_conversions[name], GEOMETRY, CONVERSIONS[name])

    expected, obtained = (recognise(each, noise(20)) for each in (reference, engine))

    np.testing.assert_allclose(obtained.logits, expected.logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(obtained.state.c, expected.state.c, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("units", COMPUTE_UNITS)
def test_the_compute_units_are_handed_on(core_ml, tmp_path, units):
    import coremltools

    core_ml.predictions = good(4)

    engine = CoreMLEngine(tmp_path / "m.mlpackage", GEOMETRY, None, compute_units=units)

    assert core_ml.made == (str(tmp_path / "m.mlpackage"), coremltools.ComputeUnit[units.upper()])
    assert (engine.name, engine.geometry, engine.n_steps) == (f"coreml ({units})", GEOMETRY, None)


def test_every_compute_unit_is_an_option():
    import coremltools

    assert {unit.name.lower() for unit in coremltools.ComputeUnit} == set(COMPUTE_UNITS)
    assert [COMPUTE_UNITS_OPTION.parse(units) for units in COMPUTE_UNITS] == list(COMPUTE_UNITS)


def test_what_is_handed_to_core_ml(core_ml, tmp_path):
    core_ml.predictions = good(4)
    engine = CoreMLEngine(tmp_path / "m.mlmodel", GEOMETRY, None)
    windows, state = noise(4), State(np.full((1, 8), 2, np.float32), np.full((1, 8), 3, np.float32))

    outputs = engine.run(windows, 3, state)

    (given,) = engine._model.calls
    assert {name: (value.shape, value.dtype.name) for name, value in given.items()} == {
        "input_node": ((1, 4, 19, 26), "float32"),
        "input_lengths": ((1,), "int32"),
        "previous_state_c": ((1, 8), "float32"),
        "previous_state_h": ((1, 8), "float32"),
    }
    np.testing.assert_array_equal(given["input_node"][0], windows)
    assert given["input_lengths"].tolist() == [3]
    assert (given["previous_state_c"], given["previous_state_h"]) == (state.c, state.h)
    assert (outputs.logits.shape, outputs.logits.dtype) == ((4, 5), np.float32)
    assert outputs.state.c.dtype == outputs.state.h.dtype == np.float32
    assert (outputs.state.c[0, 0], outputs.state.h[0, 0]) == (1, 0)


def test_core_ml_refuses_the_file(monkeypatch, tmp_path, refusal):
    import coremltools

    def refuse(path, compute_units):
        raise RuntimeError("Error compiling model")

    monkeypatch.setattr(coremltools.models, "MLModel", refuse)

    assert refusal(EngineError, CoreMLEngine, tmp_path / "m.mlmodel", GEOMETRY, 16) == (
        f"coreml (all) refuses {tmp_path / 'm.mlmodel'}: Error compiling model"
    )


def test_core_ml_fails_in_a_call(core_ml, tmp_path, refusal):
    def fail(given):
        raise RuntimeError("{ NSLocalizedDescription = 'no'; }")

    core_ml.predictions = fail
    engine = CoreMLEngine(tmp_path / "m.mlmodel", GEOMETRY, 16, compute_units="cpu_only")

    assert refusal(EngineError, engine.run, noise(16), 16, State.zeros(GEOMETRY)) == (
        "coreml (cpu_only): { NSLocalizedDescription = 'no'; }"
    )


def test_an_error_of_ours_is_not_wrapped_again(core_ml, tmp_path, refusal):
    core_ml.predictions = good(16, logits=None)
    engine = CoreMLEngine(tmp_path / "m.mlmodel", GEOMETRY, 16)

    assert refusal(EngineError, engine.run, noise(16), 16, State.zeros(GEOMETRY)) == (
        "coreml (all): the model gave no logits, only new_state_c, new_state_h"
    )


# -- outputs that are not the model's ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"new_state_c": None, "new_state_h": None, "other": np.zeros(1)},
            "the model gave no new_state_c, new_state_h, only logits, other",
        ),
        (
            {"logits": np.zeros((3, 1, 5))},
            "logits came back with shape [3, 1, 5], expected [4, 1, 5] for 4 steps",
        ),
        (
            {"logits": np.zeros((4, 5))},
            "logits came back with shape [4, 5], expected [4, 1, 5] for 4 steps",
        ),
        (
            {"new_state_c": np.zeros(8)},
            "new_state_c came back with shape [8], expected [1, 8] for 4 steps",
        ),
        (
            {"new_state_h": np.zeros((1, 9))},
            "new_state_h came back with shape [1, 9], expected [1, 8] for 4 steps",
        ),
    ],
)
def test_outputs_that_do_not_fit(refusal, changes, words):
    predict = good(4, **changes)

    assert refusal(EngineError, run_file, "an engine", predict, GEOMETRY, noise(4), 4, State.zeros(GEOMETRY)) == (
        f"an engine: {words}"
    )


# -- choosing ----------------------------------------------------------------------------------------------------------


def test_core_ml_needs_macos(monkeypatch, refusal):
    monkeypatch.setattr(sys, "platform", "linux")
    words = (
        "--dscoreml-engine=coreml: Core ML runs on macOS only, this is linux; leave the option out, or use "
        "--dscoreml-engine=reference"
    )

    assert refusal(UsageError, require_macos) == words
    assert refusal(UsageError, choosing.engine_name, "coreml") == words


@pytest.mark.parametrize(
    ("platform", "choice", "name"),
    [
        ("linux", "auto", "reference"),
        ("linux", "reference", "reference"),
        ("win32", "auto", "reference"),
        ("darwin", "auto", "coreml"),
        ("darwin", "coreml", "coreml"),
        ("darwin", "reference", "reference"),
    ],
)
def test_the_engine_that_a_choice_stands_for(monkeypatch, platform, choice, name):
    monkeypatch.setattr(sys, "platform", platform)

    assert choosing.engine_name(choice) == name


def test_every_engine_is_an_option():
    assert [ENGINE_OPTION.parse(name) for name in choosing.ENGINES] == list(choosing.ENGINES)


def test_opening_by_name(core_ml, tiny_conversions):
    path = tiny_conversions["dynamic-mlprogram-float32"]

    ours = choosing.open_engine("reference", path, GEOMETRY, None, compute_units="all")
    apples = choosing.open_engine("coreml", path, GEOMETRY, 16, compute_units="cpu_and_ne")

    assert type(ours) is ReferenceEngine
    assert (type(apples), apples.name, apples.n_steps) == (CoreMLEngine, "coreml (cpu_and_ne)", 16)
