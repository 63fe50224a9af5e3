"""Accuracy against size: the rows of the table, and that no other table takes a compressed conversion for one that agrees."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest

from pytest_dscoreml.agreement.measurements import Errors, Measurements, Transcript
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.report import compression, github, json_file, terminal
from pytest_dscoreml.report.results import ConversionResult

PLAIN = ConversionSpec("dynamic", "mlprogram", "float32")
GENTLE, HARSH, UNTRIED = (dataclasses.replace(PLAIN, compression=name) for name in ("linear8", "uniform1", "sparse50"))


@pytest.fixture
def both(gate, results):
    """The gate and its results, with two compressions of the conversion that it has."""
    made = gate.conversions[PLAIN.name]
    gate.compressed = (GENTLE, HARSH, UNTRIED)
    gate.conversions[GENTLE.name] = dataclasses.replace(made, spec=GENTLE, size=617)
    results.conversions = {
        **results.conversions,
        HARSH.name: ConversionResult(5, ["test_a"], [], Measurements(3, 9)),
        GENTLE.name: ConversionResult(
            6,
            [],
            [],
            Measurements(
                *(9, 64, 0.5, float("inf"), 7),
                [Transcript("a.wav", "ds", "she had", "she had"), Transcript("b.wav", "ds", "abc", "xb")],
                120,
                {"recordings": Errors(0.01, 0.2, 1, 100), "drawn": Errors(0.5, float("inf"), 6, 20)},
            ),
        ),
    }
    return gate, results


def test_the_rows(both):
    plain, gentle, harsh = compression.rows(*both)

    assert (plain.conversion, plain.compression, plain.bytes, plain.ratio) == (PLAIN.name, "", 1234, 1.0)
    assert (plain.kept, plain.promises, plain.recordings, plain.drawn) == (12, 12, None, None)
    assert gentle == compression.SizeRow(
        conversion=GENTLE.name,
        compression="linear8",
        uncompressed=PLAIN.name,
        kept=6,
        promises=6,
        bytes=617,
        ratio=0.5,
        logits=0.5,
        states=float("inf"),
        greedy_mismatches=7,
        greedy_frames=120,
        recordings=Errors(0.01, 0.2, 1, 100),
        drawn=Errors(0.5, float("inf"), 6, 20),
        agreeing=1,
        transcriptions=2,
        character_error_rate=0.2,
    )
    assert (harsh.conversion, harsh.bytes, harsh.ratio, harsh.broken) == (HARSH.name, None, None, True)
    assert not gentle.broken


def test_the_cells(both):
    assert [one.cells for one in compression.rows(*both)] == [
        *[(PLAIN.name, "12 of 12 kept", "1", "100%", "1.3e-06", "3.0e-05", "-", "1 of 1 agree", "0.0%")],
        (
            *(GENTLE.name, "6 of 6 kept", "1", "50%", "1.0e-02 / 5.0e-01", "2.0e-01 / inf", "1 of 100 / 6 of 20"),
            *("1 of 2 agree", "20.0%"),
        ),
        (HARSH.name, "5 of 6 kept", "-", "-", "- / -", "- / -", "- / -", "none", "-"),
    ]


def test_nothing_was_to_be_compressed(gate, results):
    assert compression.rows(gate, results) == []


def test_the_json(both):
    document = json.loads(json.dumps(json_file.document(*both), allow_nan=False))

    assert [row["conversion"] for row in document["accuracy_against_size"]] == [PLAIN.name, GENTLE.name, HARSH.name]
    gentle = document["accuracy_against_size"][1]
    assert (gentle["bytes"], gentle["states"], gentle["character_error_rate"]) == (617, "infinite", 0.2)
    assert gentle["drawn"] == {"logits": 0.5, "states": "infinite", "greedy_mismatches": 6, "greedy_frames": 20}
    assert set(document["compressed"]) == {GENTLE.name, HARSH.name}
    assert not {GENTLE.name, HARSH.name} & set(document["conversions"])
    assert document["compressed"][GENTLE.name]["conversion"]["bytes"] == 617


def test_no_other_table_has_them(both):
    gate, results = both

    assert {name for name, _ in terminal.ordered(gate, results)} == set(results.conversions) - {GENTLE.name, HARSH.name}
    assert terminal.transcriptions(gate, results) == ["a.wav, ds: 'she had', 1 of 3 conversions agree"]
    summary = github.summary(gate, results, None)
    head, _, sizes = summary.partition("#### Accuracy against size")
    assert GENTLE.name not in head.replace(f"no {GENTLE.name}", "")
    assert f"| {GENTLE.name} | 6 of 6 kept | 1 | 50% |" in sizes
    assert all(f"- {line}" in sizes for line in compression.LEGEND)


def test_the_table_on_the_terminal(both):
    written = []
    reporter = SimpleNamespace(
        write_sep=lambda sign, title: written.append((title, {})),
        write_line=lambda line, **colours: written.append((line, colours)),
    )
    terminal.sizes(reporter, compression.rows(*both))

    assert written[0][0] == "dscoreml: accuracy against size"
    assert written[1][0].split() == list(compression.COLUMNS)
    # What is measured and not judged is never green.
    assert [colours for _, colours in written[1:5]] == [{"red": False}] * 3 + [{"red": True}]
    assert [line for line, _ in written[5:]] == list(compression.LEGEND)


@pytest.mark.parametrize(
    ("pairs", "rate"),
    [
        ([], None),
        ([("", "x")], None),
        ([("ab", "ab")], 0.0),
        ([("ab", ""), ("cd", "cxd")], 0.75),
        ([("a", "xyz")], 3.0),
    ],
)
def test_character_error_rate(pairs, rate):
    transcripts = [Transcript("a.wav", "ds", *pair) for pair in pairs]

    assert compression.character_error_rate(transcripts) == rate
