"""Measurements add up and travel as JSON; a comparison keeps what it measured even where it fails."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.agreement.measurements import Errors, Measurements, Transcript
from pytest_dscoreml.agreement.tolerances import FLOAT32
from pytest_dscoreml.engines.protocol import Outputs, State
from pytest_dscoreml.model.alphabet import Alphabet

COUNTS = st.integers(0, 1000)
ERRORS = st.none() | st.floats(0, allow_nan=False)
TRANSCRIPTS = st.lists(st.builds(Transcript, *[st.text(max_size=5)] * 4), max_size=3)
#: With three digits, as they are kept.
BY_STEP = st.dictionaries(st.integers(1, 4), st.floats(0, 1).map(lambda error: float(f"{error:.2e}"))).map(
    lambda found: {length: [error] * length for length, error in found.items()}
)
NUMBERS = st.floats(0, allow_nan=False)
UNJUDGED = st.dictionaries(
    st.sampled_from(["recordings", "drawn"]), st.builds(Errors, NUMBERS, NUMBERS, COUNTS, COUNTS)
)
MEASURED = st.builds(Measurements, COUNTS, COUNTS, ERRORS, ERRORS, COUNTS, TRANSCRIPTS, COUNTS, UNJUDGED, BY_STEP)
LABEL = "static, mlprogram, float32"


def copy(measured):
    return Measurements.from_json(measured.to_json())


@given(measured=MEASURED)
def test_they_survive_json(measured):
    assert Measurements.from_json(json.loads(json.dumps(measured.to_json()))) == measured


@given(one=MEASURED, other=MEASURED)
def test_they_add_up(one, other):
    both = copy(one)
    both.add(other)

    def largest(*values):
        return max((value for value in values if value is not None), default=None)

    assert both == Measurements(
        one.examples + other.examples,
        max(one.longest, other.longest),
        largest(one.logits, other.logits),
        largest(one.states, other.states),
        one.greedy_mismatches + other.greedy_mismatches,
        one.transcripts + other.transcripts,
        one.greedy_frames + other.greedy_frames,
        {
            kind: Errors(
                max(found.logits for found in errors),
                max(found.states for found in errors),
                sum(found.greedy_mismatches for found in errors),
                sum(found.greedy_frames for found in errors),
            )
            for kind in {*one.unjudged, *other.unjudged}
            for errors in [[each.unjudged[kind] for each in (one, other) if kind in each.unjudged]]
        },
        {
            length: max(measured.by_step[length] for measured in (one, other) if length in measured.by_step)
            for length in {*one.by_step, *other.by_step}
        },
    )


@given(measured=MEASURED)
def test_nothing_added_changes_nothing(measured):
    both = copy(measured)
    both.add(Measurements())

    assert both == measured


def test_what_was_added_is_not_changed_later():
    other = Measurements(transcripts=[Transcript("a.wav", "tf", "x", "x")])
    both = Measurements()
    both.add(other)
    both.add(other)

    assert (len(both.transcripts), len(other.transcripts)) == (2, 1)


def test_the_largest_difference_at_each_step():
    measured = Measurements()
    measured.saw_steps([1.23456e-6, 0.0, float("inf")])
    measured.saw_steps([0.0, 2e-6, 1.0])
    measured.saw_steps([5e-6])

    assert measured.by_step == {3: [1.23e-6, 2e-6, float("inf")], 1: [5e-6]}


def test_a_transcript_agrees_where_the_texts_are_the_same():
    assert Transcript("a.wav", "tf", "x", "x").agrees
    assert not Transcript("a.wav", "tf", "x", "y").agrees


# -- the comparison ----------------------------------------------------------------------------------------------------


@pytest.fixture
def comparison():
    return Comparison(LABEL, FLOAT32, Alphabet(("a", "b")))


def outputs(rows, *, state=0.0, raw=False):
    values = np.array(rows, np.float32).reshape(-1, 3)
    filled = State(np.full((1, 2), state, np.float32), np.full((1, 2), state / 2, np.float32))
    return Outputs(values, filled, np.log(values) if raw else None)


GOOD = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]
BAD = [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1]]


def test_agreement_is_measured(comparison):
    comparison.outputs(expected=outputs(GOOD), obtained=outputs(np.array(GOOD) + 5e-6))
    comparison.outputs(expected=outputs(GOOD[:1], state=100), obtained=outputs(GOOD[:1], state=100.005))

    measured = comparison.measured
    assert (measured.examples, measured.longest) == (2, 2)
    assert measured.logits == pytest.approx(5e-6, rel=0.05)
    assert measured.states == pytest.approx(5e-3, rel=0.05)
    assert measured.by_step == {2: pytest.approx([5e-6, 5e-6], rel=0.05), 1: [0.0]}


def test_what_fails_is_measured_too(comparison, refusal):
    message = refusal(Disagreement, comparison.outputs, expected=outputs(GOOD), obtained=outputs(BAD), case="the case")

    assert message == (
        "probabilities (logits) [static, mlprogram, float32, T=2] differ: 2 of 6 values, max abs 0.6, first at frame 1\n"
        "   frame         class      expected      obtained    difference\n"
        "       1       1 ('b')           0.8           0.2           0.6\n"
        "       1       0 ('a')           0.1           0.7           0.6\n"
        f"tolerance {FLOAT32.probabilities}; here it allows 1e-05\n"
        "case the case"
    )
    assert (comparison.measured.examples, comparison.measured.longest) == (1, 2)
    assert comparison.measured.logits == pytest.approx(0.6)
    assert comparison.measured.by_step == {2: [0.0, 0.6]}
    assert comparison.measured.states is None


def test_states_that_fail_are_measured_too(comparison, refusal):
    message = refusal(
        Disagreement, comparison.outputs, expected=outputs(GOOD, state=1), obtained=outputs(GOOD, state=3)
    )

    assert message.startswith(
        "new_state_c [static, mlprogram, float32, T=2] differ: 2 of 2 values, max abs 2, first at row 0"
    )
    assert (comparison.measured.logits, comparison.measured.states) == (0, 2)


@pytest.mark.parametrize("obtained", [BAD[:1], np.full((2, 3), np.nan), np.full((2, 3), -np.inf)])
def test_what_cannot_be_subtracted_is_infinite(comparison, obtained):
    with pytest.raises(Disagreement):
        comparison.probabilities(expected=outputs(GOOD), obtained=outputs(obtained))

    assert comparison.measured.logits == np.inf
    # Rows that are not there cannot be laid against those that are.
    assert comparison.measured.by_step == ({2: [np.inf, np.inf]} if len(obtained) == 2 else {})


def test_greedy_mismatches_are_counted_where_they_fail(comparison):
    comparison.greedy(expected=outputs(GOOD), obtained=outputs(GOOD))
    assert (comparison.measured.greedy_mismatches, comparison.measured.greedy_frames) == (0, 2)

    with pytest.raises(Disagreement, match=r"greedy path \[static, mlprogram, float32, T=2\] differs in 1 of 2 frames"):
        comparison.greedy(expected=outputs(GOOD), obtained=outputs(BAD))
    assert (comparison.measured.greedy_mismatches, comparison.measured.greedy_frames) == (1, 4)


def test_greedy_paths_of_other_lengths_are_not_counted(comparison):
    with pytest.raises(Disagreement, match="expected 2 frames, obtained shape"):
        comparison.greedy(expected=outputs(GOOD), obtained=outputs(GOOD[:1]))

    assert comparison.measured.greedy_mismatches == 0


def test_log_probabilities_need_the_raw_logits_of_the_reference(comparison):
    comparison.log_probabilities(expected=outputs(GOOD, raw=True), obtained=outputs(GOOD))

    with pytest.raises(
        Disagreement, match=r"log-probabilities \(before the softmax\) \[static, mlprogram, float32, T=2\]"
    ):
        comparison.log_probabilities(expected=outputs(GOOD, raw=True), obtained=outputs(BAD))
    with pytest.raises(AssertionError, match="the reference engine shows its raw logits"):
        comparison.log_probabilities(expected=outputs(GOOD), obtained=outputs(GOOD))


def test_what_is_measured_and_not_judged(comparison):
    """However far it is: nothing is raised, and each kind of sequences is kept apart."""
    comparison.measure("drawn", expected=outputs(GOOD), obtained=outputs(BAD, state=3))
    comparison.measure("drawn", expected=outputs(GOOD), obtained=outputs(GOOD))
    found = comparison.measure("recordings", expected=outputs(GOOD), obtained=outputs(np.full((2, 3), np.nan)))

    measured = comparison.measured
    assert (found.logits, found.states, found.greedy_frames) == (np.inf, 0, 2)
    assert measured.unjudged["drawn"] == Errors(pytest.approx(0.6), 3, 1, 4)
    assert measured.unjudged["recordings"] == found
    assert (measured.examples, measured.longest, measured.logits, measured.states) == (3, 2, np.inf, 3)
    assert (measured.greedy_mismatches, measured.greedy_frames) == (1 + found.greedy_mismatches, 6)


def test_what_has_another_shape_is_wrong_in_every_frame(comparison):
    found = comparison.measure("drawn", expected=outputs(GOOD), obtained=outputs(GOOD[:1]))

    assert found == Errors(np.inf, 0, 2, 2)


def test_apart_measures_nothing_here(comparison, refusal):
    message = refusal(Disagreement, comparison.apart.outputs, expected=outputs(GOOD), obtained=outputs(BAD))

    assert message.startswith("probabilities (logits) [static, mlprogram, float32, T=2] differ")
    assert comparison.measured.examples == 0
    assert comparison.measured.logits is None


def test_distributions(comparison):
    comparison.distributions(outputs(GOOD))

    with pytest.raises(Disagreement, match=r"\[static, mlprogram, float32, T=2\] are no distribution in 2 of 2 frames"):
        comparison.distributions(outputs(2 * np.array(GOOD)))


def test_transcripts_are_kept(comparison, refusal):
    comparison.transcript(audio="a.wav", decoder="tf", expected="ab", obtained="ab")

    message = refusal(Disagreement, comparison.transcript, audio="b.wav", decoder="ds", expected="ab", obtained="b")

    assert message == (
        "transcription [static, mlprogram, float32, b.wav, decoder ds] differs:\n"
        "  expected 'ab'\n"
        "  obtained 'b'\n"
        "            v"
    )
    assert comparison.measured.transcripts == [
        Transcript("a.wav", "tf", "ab", "ab"),
        Transcript("b.wav", "ds", "ab", "b"),
    ]


def test_each_comparison_measures_for_itself():
    one, other = (Comparison(LABEL, FLOAT32, Alphabet(("a",))) for _ in range(2))
    one.sequence(outputs(GOOD))

    assert (one.measured.examples, other.measured.examples) == (1, 0)
