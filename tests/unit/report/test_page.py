"""The page: everything in it, in order, and nothing that a browser would fetch or run by mistake."""

from __future__ import annotations

import dataclasses
import re
import warnings
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from pytest_dscoreml.agreement.measurements import Errors, Measurements, Transcript
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.engines.streaming import Timing
from pytest_dscoreml.report.baseline import Against
from pytest_dscoreml.report.changes import Change
from pytest_dscoreml.report.page.rendering import page
from pytest_dscoreml.report.portraits import Drift, Gallery, Heard, Portrait, Speed
from pytest_dscoreml.report.results import ConversionResult

#: Elements that have no end tag.
VOID = {"meta", "br", "link", "img", "input"}


class Outline(HTMLParser):
    """Reads a page: its text by element, and what it refers to. Every element must be closed where it was opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.words, self.rows, self.attributes = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.attributes.append((tag, attrs))
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs[name] for name in ("href", "src", "xlink:href") if name in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if "script" not in self.open and "style" not in self.open and text.strip():
            self.words.append(text.strip())
            if {"th", "td"} & set(self.open[-3:]):
                self.rows[-1].append(text.strip())


@pytest.fixture
def gallery():
    probabilities = np.random.default_rng(1).dirichlet(np.ones(29), 40).astype(np.float32)
    heard = Heard("a.wav", np.arange(6400, dtype=np.int16), 16000, 0.02, probabilities, probabilities[::-1])
    drift = Drift([16, 32], [1e-6, 2e-6], [1e-7, 1e-7])
    return Gallery(
        {"dynamic-mlprogram-float32": Portrait([heard], drift, Timing(1, 0.25))},
        [Speed("mlprogram-float32", "a.wav", 0.8, Timing(3, 0.5), Timing(1, 0.25))],
        ["it was not run"],
    )


@pytest.fixture
def shown(gate, results, gallery, monkeypatch):
    monkeypatch.setattr("pytest_dscoreml.report.terminal.tensorflow_version", lambda: "2.12.1")

    def render(against=None, pairs=(), pictures=gallery):
        return page(gate, results, pictures, against, pairs)

    return render


def test_failures_come_first(shown):
    text = shown()
    order = [text.index(f'<section class="conversion" id="{name}"') for name in (
        "static-neuralnetwork-float32", "pinned-mlprogram-float16", "dynamic-mlprogram-float32")]  # fmt: skip

    assert order == sorted(order)
    matrix = [row for row in Outline(text).rows if len(row) == 13 and row[0] != "conversion"]
    assert [row[:3] for row in matrix] == [
        ["static-neuralnetwork-float32", "failed", "3/5"],
        ["pinned-mlprogram-float16", "not compared", "0/0"],
        ["dynamic-mlprogram-float32", "passed", "12/12"],
    ]
    assert matrix[2][3:] == ["34", "64", "1.3e-06", "3.0e-05", "0", "1 of 1 agree", "1", "6", "4.5", "0.250"]


def test_says_what_the_run_says(shown):
    words = Outline(shown()).words

    for said in (
        "static.pb on the reference engine",
        "1 of 3 conversions passed",
        "the converter ended with signal 11",
        "no static-mlprogram-float16: coremltools 4.0 writes no ML Programs",
        "a.wav, ds: 'she had', 1 of 3 conversions agree",
        "broken promise: so it is\nlogits differ: 5 values",
        "test_c",
        "alone",
        "a warning",
        "known defect one",
        "input_node float32 [1, 1.., 19, 26]",
        "5 linear",
        "Not shown: it was not run.",
    ):
        assert said in words, said


def test_charts_of_what_was_run(shown, gallery):
    text = shown()
    (heard,) = gallery.portraits["dynamic-mlprogram-float32"].heard
    flips = int((heard.expected.argmax(axis=1) != heard.obtained.argmax(axis=1)).sum())
    section = text[text.index('<section class="conversion" id="dynamic-mlprogram-float32"') :]

    assert re.findall("<h4>(.*?)</h4>", section) == [
        "What is heard in a.wav",
        "Drift of the states",
        "Greedy margins",
        "Where the probabilities differ",
    ]
    assert text.count("<svg ") == 4
    assert f"differs in {flips} of them" in text


def test_static_beside_dynamic(shown):
    assert ["mlprogram-float32", "a.wav, 0.8 s", "0.5000 s in 3 calls", "0.2500 s in 1 call", "2.00"] in Outline(
        shown()
    ).rows


def test_transcriptions_with_what_differs_marked(shown):
    assert "<del>s</del>he had" in shown()


def test_the_baseline(shown):
    found = {"dynamic-mlprogram-float32": [Change("drift", "logits drifted"), Change("fixed", "one is fixed")]}
    against = Against({"converter": {"coremltools": "8.3"}}, found, (), None)
    text = shown(against)

    assert '<li class="failed">dynamic-mlprogram-float32: logits drifted</li>' in text
    assert "<li>dynamic-mlprogram-float32: one is fixed</li>" in text
    assert "1 of 1 conversions compared with the baseline, 1 worse" in text


def test_converters_side_by_side(shown):
    cells = ("dynamic-mlprogram-float32", "ct8.3 / ct9.0", "1", "2", "3", "4", "5", "an operation appeared")
    assert list(cells) in Outline(shown(pairs=[SimpleNamespace(cells=cells)])).rows


def test_asks_no_network_for_anything(shown):
    text = shown()
    links = Outline(text).links

    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_links_lead_somewhere_and_ids_are_unique(shown):
    outline = Outline(shown())

    assert len(outline.ids) == len(set(outline.ids))
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)


def test_names_of_others_are_text(shown, results, gate):
    """A recording's name, a transcription and a failure come from outside."""
    evil = "<script>alert(1)</script>{{ 7 * 7 }}"
    measured = results.conversions["static-neuralnetwork-float32"].measured
    measured.transcripts = [Transcript(evil, "ds", evil, "x" + evil)]
    results.failed["test_a"] = evil
    gate.defects = ()
    text = shown()

    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}" in text
    assert "49" not in [word for word in Outline(text).words if len(word) < 4]


def test_filters_have_what_rows_have(shown):
    outline = Outline(shown())
    buttons = {(a["data-facet"], a["value"]) for tag, a in outline.attributes if tag == "button" and "data-facet" in a}

    assert buttons == {
        *(("verdict", verdict) for verdict in ("failed", "not compared", "passed")),
        *(("variant", variant) for variant in ("static", "pinned", "dynamic")),
        *(("target", target) for target in ("neuralnetwork", "mlprogram")),
        *(("precision", precision) for precision in ("float32", "float16")),
    }
    rows = [a for tag, a in outline.attributes if tag == "tr" and "data-verdict" in a]
    assert {(facet, row[f"data-{facet}"]) for row in rows for facet, _ in buttons} == buttons


@pytest.fixture
def compressed(gate, results):
    """Two conversions with compressed weights, one of which no longer hears the same."""
    specs = [
        ConversionSpec("static", "neuralnetwork", "float32", compression=name) for name in ("linear8", "palettize2")
    ]
    gate.compressed = tuple(specs)
    found = [{"recordings": Errors(error, 0.5, 3, 40)} for error in (0.01, 0.9)]
    results.failed["test_d"] = "it does not hear the same"
    results.conversions[specs[0].name] = ConversionResult(10, measured=Measurements(9, 40, unjudged=found[0]))
    results.conversions[specs[1].name] = ConversionResult(
        8, ["test_d"], measured=Measurements(9, 40, unjudged=found[1])
    )
    made = gate.conversions["dynamic-mlprogram-float32"]
    gate.conversions["static-neuralnetwork-float32"] = made
    for spec, size in zip(specs, (400, 100)):
        gate.conversions[spec.name] = dataclasses.replace(made, spec=spec, size=size)


@pytest.mark.usefixtures("compressed")
def test_accuracy_against_size(shown):
    text = shown()
    outline = Outline(text)

    assert "1 of 3 conversions passed, 1 of 2 compressed ones keep their promises" in outline.words
    rows = [row for row in outline.rows if row[0].startswith("static-neuralnetwork") and "kept" in row[1]]
    assert [row[:4] for row in rows] == [
        ["static-neuralnetwork-float32", "3 of 5 kept", "1", "100%"],
        ["static-neuralnetwork-float32-linear8", "10 of 10 kept", "0", "32%"],
        ["static-neuralnetwork-float32-palettize2", "8 of 9 kept", "0", "8%"],
    ]
    chart = text[text.index("<h4>Accuracy against size</h4>") :]
    chart = chart[: chart.index("</svg>")]
    assert re.findall(">(linear8|palettize2|neuralnetwork)<", chart) == ["linear8", "palettize2", "neuralnetwork"]


@pytest.mark.usefixtures("compressed")
def test_what_is_compressed_never_passes_as_agreeing(shown):
    """Its numbers are not judged: it has no row in the matrix, and no tolerance in its charts."""
    text = shown()
    matrix = text[text.index('id="conversions"') : text.index('id="sizes"')]
    order = re.findall('<section class="conversion" id="([^"]*)"', text)
    section = text[text.index('id="static-neuralnetwork-float32-linear8"') :]

    assert "linear8" not in matrix
    assert order[-2:] == ["static-neuralnetwork-float32-palettize2", "static-neuralnetwork-float32-linear8"]
    assert '<span class="passed">keeps its promises</span>' in section
    assert "it does not hear the same" in text


def test_a_run_that_was_interrupted(shown):
    text = shown(pictures=Gallery(why_empty=["the run was interrupted"]))

    assert "<svg " not in text
    assert text.count("Not shown: the run was interrupted.") == 3


def test_warnings_that_are_errors_do_not_end_it(shown):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "<svg " in shown()
