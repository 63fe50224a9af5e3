"""The whole advice on a model with one critical spot: ranking, choice, the converter's file, and the words for it."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from pytest_dscoreml.advice.text import lines
from pytest_dscoreml.advising import Advising
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.errors import ConversionError, UsageError
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.options import Settings

SPOT = ["BiasAdd_4", "logits", "raw_logits", "transpose_4"]
SPEC = ConversionSpec("dynamic", "mlprogram", "float16")


@pytest.fixture(scope="module")
def gate(critical_graphs, tmp_path_factory):
    made = Gate(
        Settings.from_values(
            {
                "model": tuple(map(str, critical_graphs.values())),
                "engine": "reference",
                "cache-dir": tmp_path_factory.mktemp("cache"),
            }
        )
    )
    made.wanted = ()
    return made


@pytest.fixture(scope="module")
def advising(gate):
    return Advising(gate, steps=24)


@pytest.fixture(scope="module")
def advice(advising):
    return advising.advise(SPEC, goal=0.1)


def test_the_written_file_loses_a_tenth(advice):
    assert advice.before.errors.loss > 2
    assert advice.before.errors.flips > 0
    assert advice.selectors == tuple(SPOT)
    assert advice.after is not None
    assert advice.after.errors == advice.simulated
    assert advice.after.errors.loss <= advice.goal == 0.1 * advice.before.errors.loss
    assert advice.after.errors.logits < advice.before.errors.logits / 10
    assert advice.before.as_simulated
    assert advice.after.as_simulated
    assert advice.faults == ()
    assert advice.held
    assert advice.sequences == {
        "33 steps of noise, state random": 24,
        "64 steps of speech, state extreme": 24,
        "200 steps of speech, state zeros": 24,
    }


def test_each_operation_is_matched_with_tensorflow(advice):
    node = {row.name: row.node for row in advice.rows}
    assert node["BiasAdd_4"] == "BiasAdd_4"
    assert node["add_2"].endswith("/BlockLSTM, c")
    assert node["sigmoid_4"].endswith("/BlockLSTM, gate f")
    # TensorFlow has no values before the loop that would be these: the BlockLSTM keeps no history.
    assert {row.name for row in advice.rows if not row.node} == {"concat_1", "concat_2", "fill_0"}


def test_in_words(advice):
    told = lines(advice)
    assert told[0] == (
        f"dynamic-mlprogram-float16, coremltools {advice.coremltools}, 3 sequences of 24 to 24 steps, beside the same in "
        "float32:"
    )
    assert told[4].split()[:4] == ["loss", "share", "logits", "c"]
    assert {line.split()[6] for line in told[5:8]} == {"BiasAdd_4", "raw_logits", "logits"}
    assert "  linear BiasAdd_4, and transpose_4, which else rounds its constants first" in told
    assert "  the advice held: these are float32 in the file and all others float16" in told
    assert told[-1].endswith("FP16ComputePrecision(op_selector=lambda op: op.name not in keep)")
    assert [line.strip(" ',") for line in told if line.startswith("      '")] == SPOT


def test_in_json(advice):
    read = json.loads(json.dumps(advice.to_json(), allow_nan=False))
    assert (read["held"], read["selectors"], read["conversion"]) == (True, SPOT, SPEC.name)
    assert read["rows"][0]["errors"]["loss"] == advice.rows[0].errors.loss
    assert [len(read["rows"]), len(read["kept"])] == [len(advice.rows), 3]
    infinite = dataclasses.replace(advice.before.errors, loss=math.inf)
    changed = dataclasses.replace(advice, before=dataclasses.replace(advice.before, errors=infinite))
    assert changed.to_json()["before"]["errors"]["loss"] is None


def test_what_does_not_hold(advice):
    worse = dataclasses.replace(advice.after, errors=advice.before.errors, as_simulated=False)
    assert not dataclasses.replace(advice, after=worse).held
    told = lines(dataclasses.replace(advice, after=worse))
    assert (
        "  the advice did not hold: these are float32 in the file and all others float16; the file's outputs are not those of "
        "the simulation" in told
    )
    assert not dataclasses.replace(advice, faults=("add is float16",)).held
    assert "  not as asked for: add is float16" in lines(dataclasses.replace(advice, faults=("add is float16",)))
    refused = dataclasses.replace(advice, after=None, faults=("it refused",))
    assert not refused.held
    assert "checked by converting: it failed" in lines(refused)
    assert not dataclasses.replace(advice, goal=None, after=worse).held
    vain = dataclasses.replace(advice, goal=None, after=worse, simulated=worse.errors)
    assert (vain.held, vain.helped, advice.helped) == (True, False, True)
    assert any("it loses no less than float16 throughout" in line for line in lines(vain))
    assert not any("it loses no less than float16 throughout" in line for line in lines(advice))


def test_an_operation_that_the_converter_does_not_have(gate):
    """Said, not converted as if nothing had been asked."""
    with pytest.raises(
        ConversionError, match="LookupError: the converter chose no precision for nowhere, which should stay"
    ):
        gate.conversion(dataclasses.replace(SPEC, float32_operations=("nowhere",)))


@pytest.mark.parametrize("spec", [("static", "neuralnetwork", "float32"), ("pinned", "mlprogram", "float32")])
def test_what_has_no_float16(advising, spec):
    with pytest.raises(
        UsageError, match=f"there is nothing to keep in float32, .* such as {spec[0]}-mlprogram-float16$"
    ):
        advising.advise(ConversionSpec(*spec))


def test_a_converter_that_writes_no_programs(gate, advising, monkeypatch):
    monkeypatch.setattr(gate, "versions", {"": {"coremltools": "4.1"}})
    with pytest.raises(UsageError, match=r"coremltools 4\.1 writes no ML Programs; .*; choose another converter$"):
        advising.advise(SPEC)
