"""What Hypothesis draws: within bounds, with the edges of chunks well represented, shrinking to something readable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st

from pytest_dscoreml.model.weights import Geometry
from pytest_dscoreml.strategies import (
    EXTREME_C,
    EXTREME_FEATURE,
    FEATURES,
    STATES,
    Case,
    Material,
    cases,
    cut_cases,
    lengths,
)

GEOMETRY = Geometry(n_hidden=4, n_classes=3)
SPEECH = np.random.default_rng(0).normal(5, 2, (30, 26)).astype(np.float32)
SILENCE = np.arange(26, dtype=np.float32)
MATERIAL = Material(SPEECH, SILENCE, GEOMETRY)

QUIET = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}


def drawn(strategy, count):
    """Many examples of a strategy, the same each time."""
    found = []

    @seed(1)
    @settings(max_examples=count, phases=[Phase.generate], **QUIET)
    @given(strategy)
    def draw(example):
        found.append(example)

    draw()
    return found


# -- lengths -----------------------------------------------------------------------------------------------------------


@given(data=st.data(), n_steps=st.integers(1, 20), max_steps=st.integers(1, 100))
def test_lengths_are_within_their_bounds(data, n_steps, max_steps):
    assert 1 <= data.draw(lengths(n_steps, max_steps)) <= max_steps


@pytest.mark.parametrize("max_steps", [1, 2, 15, 16, 17, 64])
def test_every_edge_of_a_chunk_comes_up(max_steps):
    counted = drawn(lengths(16, max_steps), 400)

    edges = {length for length in (1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64) if length <= max_steps}
    assert edges <= set(counted)
    assert max_steps in counted


def test_edges_come_up_half_of_the_time():
    counted = drawn(lengths(16, 1000), 400)

    beside = [length for length in counted if length % 16 in (0, 1, 15)]
    assert len(beside) > 0.4 * len(counted)
    assert len(set(counted)) > 60


def test_lengths_shrink_to_the_shortest():
    assert find(lengths(16, 64), lambda length: True) == 1
    assert find(lengths(16, 64), lambda length: length > 16) == 17


# -- cases -------------------------------------------------------------------------------------------------------------


def test_cases_of_every_kind_come_up():
    examples = drawn(cases(16, 64), 300)

    assert {(case.features, case.state) for case in examples} == {
        (kind, state) for kind in FEATURES for state in STATES
    }
    assert all(0 <= case.seed <= 999 for case in examples)
    assert len({case.seed for case in examples}) > 50


def test_a_property_that_always_fails_shrinks_to_one_step_of_silence():
    failing = []

    @settings(max_examples=20, print_blob=False, **QUIET)
    @given(case=cases(16, 64))
    def fails(case):
        failing.append(case)
        raise AssertionError("always")

    with pytest.raises(AssertionError, match="always"):
        fails()
    assert failing[-1] == Case(length=1, features="silence", state="zeros", seed=0)
    assert str(failing[-1]) == "Case(length=1, features='silence', state='zeros', seed=0)"


def test_what_does_not_matter_shrinks_away():
    longest = find(cases(16, 64), lambda case: case.length > 16 and case.state != "zeros")

    assert longest == Case(length=17, features="silence", state="random", seed=0)


@given(data=st.data(), n_steps=st.integers(1, 20), max_steps=st.integers(2, 100))
def test_cuts_lie_within_the_case(data, n_steps, max_steps):
    case, cuts = data.draw(cut_cases(n_steps, max_steps))

    assert 2 <= case.length <= max_steps
    assert 1 <= len(cuts) <= 5
    assert list(cuts) == sorted(set(cuts))
    assert 1 <= cuts[0] <= cuts[-1] < case.length


def test_cut_cases_shrink_to_two_steps_cut_in_half():
    assert find(cut_cases(16, 64), lambda drawn_case: True) == (Case(length=2), (1,))


# -- material ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(case=cases(16, 64))
def test_material_is_the_same_each_time_and_of_the_right_form(case):
    windows, state = MATERIAL.windows(case), MATERIAL.state(case)

    assert (windows.shape, windows.dtype) == ((case.length, 19, 26), np.float32)
    assert np.isfinite(windows).all()
    for value in state:
        assert (value.shape, value.dtype) == ((1, 4), np.float32)
    assert np.abs(state.h).max() <= 1
    assert np.abs(state.c).max() <= EXTREME_C
    again = Material(SPEECH, SILENCE, GEOMETRY)
    np.testing.assert_array_equal(again.windows(case), windows)
    np.testing.assert_array_equal(again.state(case), state)


def frames(case):
    """The frames themselves: the middle of each window; and the context beside the sequence is zero."""
    windows = MATERIAL.windows(case)
    assert not windows[0, :9].any()
    assert not windows[-1, 10:].any()
    return windows[:, 9]


def test_silence_is_silence():
    np.testing.assert_array_equal(frames(Case(5, "silence")), np.tile(SILENCE, (5, 1)))


@pytest.mark.parametrize("start", [0, 7, 29, 999])
def test_speech_is_taken_round_and_round(start):
    expected = np.stack([SPEECH[(start + step) % 30] for step in range(64)])

    np.testing.assert_array_equal(frames(Case(64, "speech", seed=start)), expected)


def test_noise_is_as_loud_as_speech():
    noise = frames(Case(2000, "noise", seed=3))

    np.testing.assert_allclose(noise.mean(axis=0), SPEECH.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(noise.std(axis=0), SPEECH.std(axis=0), atol=0.3)


def test_extreme_features_reach_far_and_not_further():
    extreme = np.abs(frames(Case(64, "extreme", seed=3)))

    assert 0.95 * EXTREME_FEATURE < extreme.max() <= EXTREME_FEATURE


@pytest.mark.parametrize("kind", ["noise", "extreme"])
def test_another_seed_makes_other_features(kind):
    assert not np.array_equal(frames(Case(5, kind, seed=1)), frames(Case(5, kind, seed=2)))


def test_states():
    zeros, random, extreme = (MATERIAL.state(Case(1, state=state, seed=5)) for state in STATES)

    assert not np.any(zeros)
    assert len(np.unique(random.c)) == len(np.unique(random.h)) == 4
    assert set(np.abs(extreme.c).ravel()) == {EXTREME_C}
    assert set(np.abs(extreme.h).ravel()) == {1}
    assert not np.array_equal(random.c, MATERIAL.state(Case(1, state="random", seed=6)).c)
