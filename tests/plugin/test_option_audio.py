"""`--dscoreml-audio`: the user's recordings."""

from __future__ import annotations

import json
import re

import pytest

#: The conversion that `gate` selects where it is not told otherwise.
ONE_NAME = "dynamic-mlprogram-float32"


EXPECTED = "expected a WAV file of 16000 Hz, mono, 16-bit PCM"


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ({"rate": 8000}, "8000 Hz, mono, 16-bit PCM"),
        ({"channels": 2}, "16000 Hz, 2 channels, 16-bit PCM"),
        ({"width": 1}, "16000 Hz, mono, 8-bit PCM"),
    ],
)
def test_another_format(refusal, wav, form, found):
    wav("my speech.wav", **form)
    assert refusal("--dscoreml-audio=my speech.wav") == (
        f"my speech.wav: {found}; {EXPECTED}; convert it: sox 'my speech.wav' -r 16000 -b 16 -c 1 -e signed-integer "
        "'my speech-16000.wav'"
    )


def test_missing(refusal):
    assert refusal("--dscoreml-audio=none.wav") == f"none.wav: no such file; {EXPECTED}"


def test_an_empty_file(refusal, pytester):
    (pytester.path / "empty.wav").write_bytes(b"")
    assert refusal("--dscoreml-audio=empty.wav") == (
        f"empty.wav: an empty file (0 bytes); {EXPECTED}; copy or record it again"
    )


def test_no_samples(refusal, wav):
    wav("mute.wav", seconds=0)
    assert refusal("--dscoreml-audio=mute.wav") == (
        f"mute.wav: holds no samples; {EXPECTED}, one sample or more; record it again"
    )


def test_shorter_than_a_window(refusal, wav):
    wav("short.wav", seconds=0.01)
    assert refusal("--dscoreml-audio=short.wav") == (
        "short.wav: shorter than one window of 32 ms; give a longer recording"
    )


def test_the_second_of_two_is_bad(refusal, wav):
    wav("good.wav")
    assert refusal("--dscoreml-audio=good.wav", "--dscoreml-audio=none.wav").startswith("none.wav: no such file; ")


def test_several_beside_the_demos(gate, pytester, wav):
    """Each is transcribed once, also where two have the same file name, or are named twice."""
    (pytester.path / "sub").mkdir()
    paths = [wav("a.wav"), wav("sub/a.wav"), wav("my own (and) speech.wav", seconds=0.3)]
    options = [f"--dscoreml-audio={path.relative_to(pytester.path)}" for path in [*paths, paths[2]]]
    result = gate(*options, "-k", "test_transcription.py", "-rs", "--dscoreml-report=report")
    result.assert_outcomes(passed=(4 + 3) * 2 + 4, skipped=3)
    reasons = [line.split(": ", 1)[1] for line in result.outlines if line.startswith("SKIPPED")]
    names = [str(paths[0]), str(paths[1]), "my own (and) speech.wav"]
    assert reasons == [f"nobody said what is spoken in {name}" for name in names]
    report = json.loads((pytester.path / "report" / "results.json").read_text())
    transcriptions = report["conversions"][ONE_NAME]["transcriptions"]
    assert [heard["audio"] for heard in transcriptions][4:] == names
    assert all(heard["agrees"] for heard in transcriptions)


def test_alone_with_a_models_own_graphs(gate, demo, pytester, summary):
    """A model that is not the demo is heard on the user's recordings only."""
    speech = demo / "thats_what_i_said.wav"
    model = (demo / "static.pb", demo / "dynamic.pb")
    result = gate(f"--dscoreml-audio={speech}", "-k", "test_transcription.py", model=model)
    result.assert_outcomes(passed=2, skipped=1)
    assert summary(result)[ONE_NAME]["transcriptions"] == "1 of 1 agree"


def test_without_any_recording_transcription_is_skipped(gate, demo):
    result = gate("-k", "test_transcription.py", "-rs", model=(demo / "static.pb", demo / "dynamic.pb"))
    result.assert_outcomes(skipped=3)
    assert re.search(r"SKIPPED \[3\] .*: no recording to transcribe: give --dscoreml-audio$", result.stdout.str(), re.M)
