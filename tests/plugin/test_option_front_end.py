"""`--dscoreml-front-end`: who computes the features."""

from __future__ import annotations

#: The conversion that `gate` selects where it is not told otherwise.
ONE_NAME = "dynamic-mlprogram-float32"


SPOKEN = "test_probabilities_agree or (test_transcription and thats_what_i_said)"


def test_numpy_and_the_graphs_own_say_the_same(gate, summary):
    rows = {}
    for choice in ("numpy", "graph"):
        result = gate("-k", SPOKEN, f"--dscoreml-front-end={choice}")
        result.assert_outcomes(passed=4)
        result.stdout.fnmatch_lines([f"dscoreml engine: *; features: {choice}"])
        rows[choice] = summary(result)[ONE_NAME]
    compared = [
        {name: row[name] for name in ("tests", "examples", "longest", "transcriptions")} for row in rows.values()
    ]
    assert compared[0] == compared[1]
    assert compared[0]["longest"] == "65"


def test_python_speech_features_are_other_features(gate, summary):
    """The conversion agrees on them as on any; what was not trained on them does not hear the words, and the gate says so."""
    result = gate("-k", SPOKEN, "--dscoreml-front-end=python_speech_features")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "dscoreml engine: *; features: python_speech_features",
            "*test_reference_hears_the_transcript*thats_what_i_said.wav*",
            "transcription ?tensorflow, thats_what_i_said.wav, decoder *? differs:",
            '  expected "that\'s what i said"',
        ]
    )
    assert summary(result)[ONE_NAME]["verdict"] == "passed"
