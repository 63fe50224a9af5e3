"""Promise: real speech is transcribed to the letter as TensorFlow's probabilities are, and as the speaker said it."""

from __future__ import annotations

import pytest

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.agreement.metrics import Context
from pytest_dscoreml.agreement.transcripts import assert_transcripts_agree
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.engines.protocol import Engine, Floats
from pytest_dscoreml.engines.streaming import Stream, partial_transcriptions
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.run import Recording, Run
from pytest_dscoreml.speech.greedy import collapse, greedy_path


def test_transcription_agrees(
    dscoreml_gate: Gate, dscoreml_conversion: Conversion, dscoreml_recording: Recording, dscoreml_comparison: Comparison
) -> None:
    """By beam search, without the scorer and, where one was given, with it."""
    expected, utterance = dscoreml_gate.expected(dscoreml_recording), dscoreml_recording.utterance
    texts = {
        decoder.name: dscoreml_gate.expected_text(dscoreml_recording, decoder) for decoder in dscoreml_gate.decoders
    }
    dscoreml_gate.recorder.recording(
        utterance.name, dscoreml_recording.windows, expected=expected, transcript=utterance.transcript, texts=texts
    )
    obtained = dscoreml_gate.obtained(dscoreml_conversion.spec, dscoreml_recording)
    dscoreml_comparison.sequence(obtained)
    for decoder in dscoreml_gate.decoders:
        dscoreml_comparison.transcript(
            audio=utterance.name,
            decoder=decoder.name,
            expected=texts[decoder.name],
            obtained=dscoreml_gate.text(obtained.logits, decoder, utterance.name),
        )


def test_reference_hears_the_transcript(dscoreml_gate: Gate, dscoreml_recording: Recording) -> None:
    """TensorFlow itself hears what was said: else equal transcriptions would say little."""
    transcript = dscoreml_recording.utterance.transcript
    if transcript is None:
        pytest.skip(f"nobody said what is spoken in {dscoreml_recording.utterance.name}")
    heard = dscoreml_gate.expected_text(dscoreml_recording, dscoreml_gate.decoders[0])
    context = Context(f"tensorflow, {dscoreml_recording.utterance.name}, decoder {dscoreml_gate.decoders[0].name}")
    assert_transcripts_agree(expected=transcript, obtained=heard, context=context)


def test_partial_transcriptions_lead_to_the_whole(
    dscoreml_run: Run, dscoreml_engine: Engine, dscoreml_recording: Recording, dscoreml_comparison: Comparison
) -> None:
    """What is read off after each chunk is what TensorFlow's probabilities say up to there, and no frame is lost."""
    stream, chunk = Stream(dscoreml_engine), dscoreml_run.model.n_steps
    windows, alphabet = dscoreml_recording.windows, dscoreml_run.model.metadata.alphabet

    def greedy(probabilities: Floats) -> str:
        return collapse(greedy_path(probabilities), alphabet)

    expected_rows = dscoreml_run.expected(dscoreml_recording).logits
    for number, obtained in enumerate(partial_transcriptions(stream, windows, greedy, chunk=chunk), start=1):
        heard = min(number * chunk, len(windows))
        context = dscoreml_comparison.context(heard, f"partial transcription of {dscoreml_recording.utterance.name}")
        assert_transcripts_agree(expected=greedy(expected_rows[:heard]), obtained=obtained, context=context)
    rows = len(stream.outputs.logits)
    if rows != len(windows):
        raise Disagreement(f"{dscoreml_comparison.label}: {len(windows)} frames were fed, {rows} came back")
