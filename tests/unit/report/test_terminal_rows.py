"""The header's lines and the summary's rows, word for word."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_dscoreml import __version__
from pytest_dscoreml.report import terminal
from pytest_dscoreml.report.results import Results


class Reporter:
    """Keeps what pytest's terminal reporter is told to write."""

    def __init__(self):
        self.sections = []
        self.lines = []
        self.colours = []

    def write_sep(self, sep, title):
        assert sep == "="
        self.sections.append(title)

    def write_line(self, line, **markup):
        self.lines.append(line)
        self.colours.append({name for name, on in markup.items() if on})


@pytest.fixture
def reporter():
    return Reporter()


def test_the_header(gate, monkeypatch):
    monkeypatch.setattr(terminal, "tensorflow_version", lambda: "2.21.0")

    assert terminal.header(gate) == [
        f"dscoreml {__version__}: coremltools 9.0, tensorflow 2.12.1, numpy 1.24.3 in the converter (python 3.9.18); "
        f"tensorflow 2.21.0, numpy {np.__version__} here",
        "dscoreml engine: reference; decoders: ds, ds + scorer; features: numpy",
        "dscoreml model: static.pb, n_hidden 8, 29 classes, windows 19 x 26, static graph of 16 steps, "
        f"sha256 {gate.model.hash[:12]} (dynamic graph exported from its weights)",
    ]


def test_the_summary(gate, results, reporter):
    terminal.summary(reporter, gate, results)

    assert reporter.sections == ["dscoreml: static.pb on the reference engine"]
    assert reporter.lines == [
        "conversion                    verdict       tests  examples  longest  logits   states   greedy  transcriptions",
        "static-neuralnetwork-float32  failed        3/5    7         17       inf      -        5       0 of 2 agree",
        "pinned-mlprogram-float16      not compared  0/0    0         0        -        -        0       none",
        "dynamic-mlprogram-float32     passed        12/12  34        64       1.3e-06  3.0e-05  0       1 of 1 agree",
        "a.wav, ds: 'she had', 1 of 3 conversions agree",
        "logits, states: largest absolute difference; greedy: frames whose most probable class differs",
        "known defect one: two steps; in dynamic-mlprogram-float32",
        "no static-mlprogram-float16: coremltools 4.0 writes no ML Programs",
        "pinned-mlprogram-float16 was not converted: the converter ended with signal 11",
    ]
    assert reporter.colours == [set(), {"red"}, set(), {"green"}, set(), set(), {"yellow"}, {"yellow"}, {"red"}]


def test_without_results_there_is_no_summary(gate, reporter):
    terminal.summary(reporter, gate, Results())

    assert (reporter.sections, reporter.lines) == ([], [])
