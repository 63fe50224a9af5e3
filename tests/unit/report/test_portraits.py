"""What is run for the report: every recording, a long sequence, and how long the longest recording takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.engines.protocol import Outputs, State
from pytest_dscoreml.engines.streaming import Timing, recognise
from pytest_dscoreml.errors import ConversionError, EngineError
from pytest_dscoreml.model.demo import Utterance
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import Geometry
from pytest_dscoreml.progress import Progress
from pytest_dscoreml.report import portraits
from pytest_dscoreml.report.portraits import Gallery, Heard, Portrait, Speed, paint, speeds
from pytest_dscoreml.run import Recording

GEOMETRY = Geometry(n_hidden=4, n_classes=3)
SPECS = [
    ConversionSpec("static", "mlprogram", "float32"),
    ConversionSpec("dynamic", "mlprogram", "float32"),
    ConversionSpec("dynamic", "neuralnetwork", "float32"),
    ConversionSpec("pinned", "mlprogram", "float16"),
]


class Counting:
    """An engine whose state counts the steps, each `rate` off, and whose probabilities say what the first window holds."""

    name, geometry = "counting", GEOMETRY

    def __init__(self, n_steps=None, rate=0.0):
        self.n_steps, self.rate, self.calls = n_steps, rate, 0

    def run(self, windows, length, state):
        self.calls += 1
        rows = np.tile(np.float32([0.7, 0.2, 0.1]), (len(windows), 1))
        rows[windows[:, 0, 0] > 0.5] = [0.2, 0.2 + self.rate, 0.6 - self.rate]
        return Outputs(rows, State(state.c + np.float32(length * (1 + self.rate)), state.h))


class Refusing(Counting):
    def run(self, windows, length, state):
        raise EngineError("counting: no more")


def recording(name, steps):
    windows = np.zeros((steps, 19, 26), np.float32)
    windows[0] = 1.0
    return Recording(Utterance(Path(name), None, name), windows)


class StandIn:
    """A run of conversions on such engines; `Gate` where the report asks whether there is TensorFlow."""

    no_recording, compressed = "no recording here", ()

    def __init__(self, engines, recordings):
        self.specs = SPECS[: len(engines)]
        self.engines = dict(zip(self.specs, engines))
        self.conversions = {spec.name: object() for spec in self.specs}
        self.recordings = recordings
        self.model = SimpleNamespace(metadata=Metadata(), geometry=GEOMETRY, n_steps=16)
        self.reference = Counting()
        self.material = SimpleNamespace(windows=lambda case: np.zeros((case.length, 19, 26), np.float32))
        self.progress = Progress()

    def engine(self, spec):
        found = self.engines[spec]
        if isinstance(found, Exception):
            raise found
        return found

    def expected(self, one):
        return recognise(self.reference, one.windows)

    def obtained(self, spec, one):
        return recognise(self.engine(spec), one.windows)


TWO = (recording("a.wav", 20), recording("b.wav", 40))


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(portraits, "Gate", StandIn)
    monkeypatch.setattr(portraits, "read_wav", lambda path, sample_rate: np.zeros(sample_rate, np.int16))
    return lambda *engines, recordings=TWO: StandIn(engines, recordings)


def of(run):
    gallery = paint(run, [spec.name for spec in run.specs])
    assert list(gallery.portraits) == [spec.name for spec in run.specs]
    return gallery


def test_every_recording_by_both_sides(run):
    (portrait,) = of(run(Counting(16, 0.05))).portraits.values()

    assert [(heard.recording, len(heard.expected), len(heard.samples)) for heard in portrait.heard] == [
        ("a.wav", 20, 16000),
        ("b.wav", 40, 16000),
    ]
    for heard in portrait.heard:
        assert heard.step == 0.02
        np.testing.assert_allclose(heard.expected[0], [0.2, 0.2, 0.6])
        np.testing.assert_allclose(heard.obtained[0], [0.2, 0.25, 0.55])
        assert heard.error == pytest.approx(0.05)


def test_states_after_each_chunk(run):
    gallery = of(run(Counting(16, 0.5), Counting(None, 0.25)))
    static, dynamic = (portrait.drift for portrait in gallery.portraits.values())

    assert static.steps == dynamic.steps == [*range(16, 1000, 16), 1000]
    np.testing.assert_allclose(static.c, np.multiply(static.steps, 0.5))
    np.testing.assert_allclose(dynamic.c, np.multiply(dynamic.steps, 0.25))
    assert set(static.h) == {0.0}


def test_tensorflow_runs_the_long_sequence_once(run):
    one = run(Counting(16), Counting(), Counting(), Counting(16))
    of(one)

    chunks = -(-portraits.LONG // 16)
    assert one.reference.calls == chunks + 2 * len(one.engines)


def test_static_beside_dynamic(run):
    gallery = of(run(Counting(16), Counting(), Counting()))

    # The dynamic neural network has no static one beside it.
    (row,) = gallery.speeds
    assert (row.kind, row.recording, row.seconds) == ("mlprogram-float32", "b.wav", pytest.approx(0.8))
    assert (row.static.calls, row.dynamic.calls) == (3, 1)
    assert row.static.seconds > 0


def test_speeds_as_plain_values():
    gallery = Gallery(speeds=[Speed("mlprogram-float32", "b.wav", 0.8, Timing(3, 0.5), Timing(1, 0.25))])
    assert speeds(gallery) == [
        {
            "kind": "mlprogram-float32",
            "recording": "b.wav",
            "seconds": 0.8,
            "static": {"calls": 3, "seconds": 0.5},
            "dynamic": {"calls": 1, "seconds": 0.25},
            "ratio": 2.0,
        }
    ]


def test_what_an_engine_refuses_is_said(run):
    gallery = of(run(Refusing(16), Counting(), EngineError("not this file")))
    portrait = list(gallery.portraits.values())

    assert portrait[0].missing == ["it cannot be run for the report: counting: no more"]
    assert portrait[1].missing == []
    assert portrait[2].missing == ["it cannot be run for the report: not this file"]
    assert gallery.speeds == []


def test_what_was_not_converted_has_none(run):
    one = run(Counting(16), ConversionError("broken"))
    del one.conversions[SPECS[1].name]

    assert list(paint(one, [spec.name for spec in SPECS]).portraits) == [SPECS[0].name]


def test_only_what_has_results_is_run(run):
    one = run(Counting(16), Counting())
    assert list(paint(one, [SPECS[1].name]).portraits) == [SPECS[1].name]
    assert one.engines[SPECS[0]].calls == 0


def test_without_recordings(run):
    gallery = of(run(Counting(16), Counting(), recordings=()))

    for portrait in gallery.portraits.values():
        assert (portrait.heard, portrait.worst) == ([], None)
        assert portrait.missing == ["no recording here"]
        assert portrait.drift is not None
    (row,) = gallery.speeds
    assert (row.recording, row.seconds, row.static.calls, row.dynamic.calls) == ("200 steps of speech", 4.0, 13, 1)


def test_a_bundle_without_recordings_has_nothing_to_time(run, monkeypatch):
    one = run(Counting(16), Counting(), recordings=())
    monkeypatch.setattr(portraits, "Gate", type("Another", (), {}))
    gallery = of(one)

    assert [portrait.timing for portrait in gallery.portraits.values()] == [None, None]
    assert gallery.speeds == []


def test_a_bundle_has_no_sound_and_no_tensorflow(run, monkeypatch):
    one = run(Counting(16))
    monkeypatch.setattr(portraits, "Gate", type("Another", (), {}))
    (portrait,) = of(one).portraits.values()

    assert portrait.drift is None
    assert [heard.samples for heard in portrait.heard] == [None, None]
    assert portrait.missing == ["a bundle has no TensorFlow to follow states with"]


def heard(expected, obtained):
    return Heard("one.wav", None, 16000, 0.02, np.float32(expected), np.float32(obtained))


def test_the_worst_recording_margins_and_flips():
    near = heard([[0.6, 0.4], [0.1, 0.9]], [[0.6, 0.4], [0.1, 0.9]])
    far = heard([[0.55, 0.45]], [[0.45, 0.55]])
    portrait = Portrait([near, far, far])

    assert portrait.worst is far
    np.testing.assert_allclose(portrait.margins, [0.2, 0.8, 0.1, 0.1], rtol=1e-5)
    np.testing.assert_allclose(portrait.flips, [0.1, 0.1], rtol=1e-5)
    assert Portrait().margins.shape == Portrait().flips.shape == (0,)
