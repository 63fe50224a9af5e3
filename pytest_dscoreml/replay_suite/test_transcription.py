"""Promise: real speech is transcribed to the letter as TensorFlow's probabilities are, and as the speaker said it."""

from __future__ import annotations

import pytest

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.parametrizing import GATE
from pytest_dscoreml.replay import Replay
from pytest_dscoreml.run import Recording
from pytest_dscoreml.suite.test_transcription import test_partial_transcriptions_lead_to_the_whole

__all__ = ["pytest_generate_tests", "test_partial_transcriptions_lead_to_the_whole", "test_transcription_agrees"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each decoder that was there when the bundle was recorded."""
    run = metafunc.config.stash.get(GATE, None)
    if "recorded_decoder" in metafunc.fixturenames:
        names = run.recorded_decoders if isinstance(run, Replay) else ()
        # Without a recording, the test is skipped for that.
        metafunc.parametrize("recorded_decoder", names or ["greedy"])


def test_transcription_agrees(
    dscoreml_replay: Replay,
    dscoreml_conversion: Conversion,
    dscoreml_recording: Recording,
    dscoreml_comparison: Comparison,
    recorded_decoder: str,
) -> None:
    """By the greedy path, and by those of the recorded decoders that are here."""
    audio, texts = dscoreml_recording.utterance.name, dscoreml_replay.texts(dscoreml_recording)
    if recorded_decoder not in texts:
        pytest.skip(f"{audio} was not transcribed by {recorded_decoder} when the bundle was recorded")
    decoder = dscoreml_replay.decoder(recorded_decoder)
    if decoder is None:
        pytest.skip(dscoreml_replay.why_absent(recorded_decoder))
    obtained = dscoreml_replay.obtained(dscoreml_conversion.spec, dscoreml_recording)
    dscoreml_comparison.sequence(obtained)
    dscoreml_comparison.transcript(
        audio=audio,
        decoder=recorded_decoder,
        expected=texts[recorded_decoder],
        obtained=dscoreml_replay.text(obtained.logits, decoder, audio),
    )
