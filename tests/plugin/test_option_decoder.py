"""`--dscoreml-decoder`, `--dscoreml-beam-width`, `--dscoreml-scorer`: beam search."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from pytest_dscoreml.speech.ds_decoder import is_installed

#: The conversion that `gate` selects where it is not told otherwise.
ONE_NAME = "dynamic-mlprogram-float32"

HAS_DS = pytest.mark.skipif(not is_installed(), reason="ds-ctcdecoder has no wheel for this Python")
ONLY_WITHOUT_DS = pytest.mark.skipif(is_installed(), reason="ds-ctcdecoder is installed here")
SPOKEN = ("-k", "test_transcription_agrees and thats_what_i_said", "--dscoreml-report=report")


def transcriptions(result, pytester):
    result.assert_outcomes(passed=1)
    report = json.loads((pytester.path / "report" / "results.json").read_text())
    return report["decoders"], report["conversions"][ONE_NAME]["transcriptions"]


def name_of(decoder):
    if decoder == "ds":
        return f"ds-ctcdecoder {importlib.metadata.version('ds_ctcdecoder')}"
    import tensorflow

    return f"tf.nn.ctc_beam_search_decoder (TensorFlow {tensorflow.__version__})"


@pytest.mark.parametrize("choice", [pytest.param("ds", marks=HAS_DS), "tf", "auto"])
def test_transcribes_and_is_named(gate, pytester, choice):
    result = gate(*SPOKEN, f"--dscoreml-decoder={choice}")
    name = name_of(("ds" if is_installed() else "tf") if choice == "auto" else choice)
    decoders, spoken = transcriptions(result, pytester)
    assert decoders == [name]
    text = "that's what i said"
    heard = {"audio": "thats_what_i_said.wav", "decoder": name, "expected": text, "obtained": text, "agrees": True}
    assert spoken == [heard]
    assert f"dscoreml engine: reference; decoders: {name}; features: numpy" in result.outlines


def test_a_narrow_beam_still_hears_it(gate, pytester):
    _, spoken = transcriptions(gate(*SPOKEN, "--dscoreml-beam-width=1"), pytester)
    assert [heard["obtained"] for heard in spoken] == ["that's what i said"]


@ONLY_WITHOUT_DS
def test_ds_is_refused_where_it_is_missing(refusal):
    assert refusal("--dscoreml-decoder=ds").startswith("decoder 'ds' is not installed here; ")


def test_scorer_with_tensorflows_decoder(refusal):
    assert refusal("--dscoreml-decoder=tf", "--dscoreml-scorer=words.scorer") == (
        "scorer words.scorer: decoder 'tf' has no language model; choose 'ds', or leave the scorer out"
    )


@HAS_DS
def test_missing_scorer(refusal, pytester):
    assert refusal("--dscoreml-scorer=words.scorer") == (
        f"scorer {pytester.path / 'words.scorer'}: no such file; expected a .scorer file"
    )


@HAS_DS
def test_bad_scorer(refusal, pytester):
    path = pytester.makefile(".scorer", words="a text")
    assert refusal("--dscoreml-scorer=words.scorer") == (
        f"scorer {path}: not a .scorer file: it does not begin as a KenLM binary does; make it again with DeepSpeech's "
        "generate_scorer_package"
    )
