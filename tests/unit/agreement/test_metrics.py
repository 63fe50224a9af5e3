"""Every failure of a comparison, word for word; and what passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.agreement.metrics import (
    Context,
    assert_distributions,
    assert_greedy_paths_agree,
    assert_log_probabilities_agree,
    assert_probabilities_agree,
    assert_states_agree,
    difference,
    greedy_flips,
)
from pytest_dscoreml.agreement.tolerances import BY_PRECISION, FLOAT16, FLOAT32, Tolerance
from pytest_dscoreml.engines.protocol import State
from pytest_dscoreml.model.alphabet import Alphabet

ALPHABET = Alphabet((" ", "a", "'"))
LABEL = "dynamic, mlprogram, float32, T=3"
CONTEXT = Context(LABEL)
DRAWN = Context(LABEL, "Case(length=3, features='noise', state='zeros', seed=7)")
TENTH = Tolerance("a-tenth", atol=0.1, rtol=0.0, why="for this test")
RELATIVE = Tolerance("a-tenth-of-it", atol=0.0, rtol=0.1, why="for this test")
TOLD = "tolerance a-tenth (atol 0.1: for this test)"


def rows(*values):
    return np.array(values, np.float32)


EXPECTED = rows([0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7])


def changed(array, places):
    copy = array.copy()
    for place, value in places.items():
        copy[place] = value
    return copy


def probabilities(obtained, *, expected=EXPECTED, tolerance=TENTH, context=CONTEXT):
    return assert_probabilities_agree(
        expected=expected, obtained=obtained, tolerance=tolerance, alphabet=ALPHABET, context=context
    )


# -- differences -------------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_a_difference_is_within_the_limit_or_beyond_it(data):
    values = st.floats(-100, 100, width=32)
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
    expected, obtained = (data.draw(arrays.arrays(np.float32, shape, elements=values)) for _ in range(2))

    found = difference(expected=expected, obtained=obtained, tolerance=RELATIVE)

    wide = np.abs(obtained.astype(float) - expected.astype(float))
    assert found.limit == pytest.approx(0.1 * np.abs(expected).max())
    assert found.largest == wide.max()
    assert bool(found) == bool((wide > found.limit).any())
    np.testing.assert_array_equal(found.beyond, wide > found.limit)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_differs_infinitely(wrong):
    found = difference(expected=rows(1, 2), obtained=rows(1, wrong), tolerance=TENTH)

    assert (found.largest, found.beyond.tolist()) == (np.inf, [False, True])


def test_the_same_infinity_is_no_difference_and_nan_always_is():
    same = difference(expected=rows(np.inf, -np.inf), obtained=rows(np.inf, -np.inf), tolerance=RELATIVE)
    nans = difference(expected=rows(np.nan), obtained=rows(np.nan), tolerance=TENTH)

    assert (bool(same), same.largest) == (False, 0)
    assert (bool(nans), nans.largest) == (True, np.inf)


def test_nothing_differs_from_nothing():
    empty = np.zeros((0, 4), np.float32)

    found = difference(expected=empty, obtained=empty, tolerance=TENTH)

    assert (bool(found), found.largest, found.limit) == (False, 0, 0.1)


# -- probabilities -----------------------------------------------------------------------------------------------------


def test_agreement_gives_the_largest_difference():
    assert probabilities(changed(EXPECTED, {(1, 2): 0.15})) == pytest.approx(0.05)
    assert probabilities(EXPECTED) == 0
    assert probabilities(EXPECTED[:0], expected=EXPECTED[:0]) == 0


def test_the_edge_of_a_tolerance_passes():
    tolerance = Tolerance("a-quarter", atol=0.25, rtol=0, why="exact in binary")
    expected, obtained = rows([0.5, 0.5]), rows([0.25, 0.75])

    alphabet = Alphabet(("a",))
    within = {"expected": expected, "tolerance": tolerance, "alphabet": alphabet, "context": CONTEXT}
    assert assert_probabilities_agree(obtained=obtained, **within) == 0.25
    with pytest.raises(Disagreement):
        assert_probabilities_agree(obtained=rows([0.25, np.nextafter(np.float32(0.75), np.float32(1))]), **within)


def test_probabilities_that_differ(refusal):
    obtained = changed(EXPECTED, {(1, 1): 0.5, (1, 3): 0.3, (2, 0): 0.4})

    assert refusal(Disagreement, probabilities, obtained, context=DRAWN) == (
        "probabilities (logits) [dynamic, mlprogram, float32, T=3] differ: 3 of 12 values, max abs 0.3, first at frame 1\n"
        "   frame         class      expected      obtained    difference\n"
        "       2       0 (' ')           0.1           0.4           0.3\n"
        "       1     3 (blank)           0.1           0.3           0.2\n"
        "       1       1 ('a')           0.7           0.5           0.2\n"
        f"{TOLD}; here it allows 0.1\n"
        "case Case(length=3, features='noise', state='zeros', seed=7)"
    )


def test_the_table_holds_the_five_worst(refusal):
    obtained = EXPECTED + rows([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12])

    assert refusal(Disagreement, probabilities, obtained) == (
        "probabilities (logits) [dynamic, mlprogram, float32, T=3] differ: 12 of 12 values, max abs 12, first at frame 0\n"
        "   frame         class      expected      obtained    difference\n"
        "       2     3 (blank)           0.7          12.7            12\n"
        '       2       2 ("\'")           0.1          11.1            11\n'
        "       2       1 ('a')           0.1          10.1            10\n"
        "       2       0 (' ')           0.1           9.1             9\n"
        "       1     3 (blank)           0.1           8.1             8\n"
        "  ... and 7 more\n"
        f"{TOLD}; here it allows 0.1"
    )


def test_values_that_are_not_finite(refusal):
    obtained = changed(EXPECTED, {(0, 1): np.nan, (2, 3): np.inf})

    assert refusal(Disagreement, probabilities, obtained) == (
        "probabilities (logits) [dynamic, mlprogram, float32, T=3] differ: 2 of 12 values, max abs inf, first at frame 0\n"
        "   frame         class      expected      obtained    difference\n"
        "       0       1 ('a')           0.1           nan           inf\n"
        "       2     3 (blank)           0.7           inf           inf\n"
        f"{TOLD}; here it allows 0.1"
    )


@pytest.mark.parametrize("shape", [(2, 4), (3, 5), (3, 1, 4), (0,)])
def test_another_shape(refusal, shape):
    assert refusal(Disagreement, probabilities, np.zeros(shape, np.float32)) == (
        "probabilities (logits) [dynamic, mlprogram, float32, T=3]: expected 3 frames of 4 classes, "
        f"obtained shape {list(shape)}"
    )


# -- log-probabilities -------------------------------------------------------------------------------------------------


RAW = rows([3, 0, 1, -2], [0, 5, 0, 0])


def softmax(raw):
    powers = np.exp(raw.astype(np.float64))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def log_probabilities(obtained, *, expected=RAW, floor=1e-30, tolerance=TENTH, context=CONTEXT):
    return assert_log_probabilities_agree(
        expected=expected, obtained=obtained, tolerance=tolerance, floor=floor, alphabet=ALPHABET, context=context
    )


@given(constant=st.floats(-1000, 1000))
def test_a_constant_added_to_a_frame_is_no_difference(constant):
    assert log_probabilities(softmax(RAW), expected=(RAW + constant)) < 1e-3


def test_drift_that_the_softmax_flattens_is_seen(refusal):
    drifted = RAW.copy()
    drifted[1, 0] = -1
    assert np.abs(softmax(drifted) - softmax(RAW)).max() < 0.01

    assert refusal(Disagreement, log_probabilities, softmax(drifted)) == (
        "log-probabilities (before the softmax) [dynamic, mlprogram, float32, T=3] differ: 1 of 8 values, max abs 0.996, "
        "first at frame 1\n"
        "   frame         class      expected      obtained    difference\n"
        "       1       0 (' ')      -5.02001      -6.01583         0.996\n"
        f"{TOLD}; here it allows 0.1"
    )


def test_a_probability_of_zero_is_infinitely_far_unless_below_the_floor(refusal):
    obtained = changed(softmax(RAW), {(0, 3): 0})

    assert log_probabilities(obtained, floor=0.01) < 0.01
    assert refusal(Disagreement, log_probabilities, obtained, floor=1e-3) == (
        "log-probabilities (before the softmax) [dynamic, mlprogram, float32, T=3] differ: 1 of 8 values, max abs inf, "
        "first at frame 0\n"
        "   frame         class      expected      obtained    difference\n"
        "       0     3 (blank)      -5.17552          -inf           inf\n"
        f"{TOLD}; here it allows 0.1"
    )


@pytest.mark.parametrize("wrong", [np.nan, -0.1, np.inf])
def test_what_has_no_logarithm_is_infinitely_far(wrong):
    with pytest.raises(Disagreement, match="1 of 8 values, max abs inf, first at frame 0\n"):
        log_probabilities(changed(softmax(RAW), {(0, 0): wrong}))


def test_log_probabilities_of_another_shape(refusal):
    assert refusal(Disagreement, log_probabilities, softmax(RAW)[:1]) == (
        "log-probabilities (before the softmax) [dynamic, mlprogram, float32, T=3]: expected 2 frames of 4 classes, "
        "obtained shape [1, 4]"
    )


# -- distributions -----------------------------------------------------------------------------------------------------


def distributions(obtained, context=CONTEXT):
    assert_distributions(obtained, tolerance=TENTH, context=context)


def test_distributions_pass():
    distributions(EXPECTED)
    distributions(EXPECTED[:0])
    distributions(changed(EXPECTED, {(0, 0): 0.79}))


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ({(1, 1): 0.9}, "in 1 of 3 frames, first frame 1: smallest 0.1, sum 1.2"),
        ({(0, 1): -0.1, (0, 0): 0.9}, "in 1 of 3 frames, first frame 0: smallest -0.1, sum 1"),
        ({(1, 1): np.nan, (2, 0): 5}, "in 2 of 3 frames, first frame 1: smallest nan, sum nan"),
        ({(2, 0): np.inf}, "in 1 of 3 frames, first frame 2: smallest 0.1, sum inf"),
    ],
)
def test_rows_that_are_no_distribution(refusal, places, words):
    assert refusal(Disagreement, distributions, changed(EXPECTED, places)) == (
        f"probabilities (logits) [dynamic, mlprogram, float32, T=3] are no distribution {words}, expected 0 or more with a "
        f"sum of 1\n{TOLD}"
    )


def test_the_case_is_told_of_a_distribution_too(refusal):
    message = refusal(Disagreement, distributions, 2 * EXPECTED, DRAWN)

    assert message.endswith(f"\n{TOLD}\ncase Case(length=3, features='noise', state='zeros', seed=7)")


# -- states ------------------------------------------------------------------------------------------------------------

STATE = State(rows([1, 2, -3]), rows([0.1, 0.2, 0.3]))


def states(obtained, *, c=TENTH, h=TENTH, context=CONTEXT):
    tolerances = replace(FLOAT32, state_c=c, state_h=h)
    return assert_states_agree(expected=STATE, obtained=obtained, steps=3, tolerances=tolerances, context=context)


def test_states_that_agree_give_the_largest_difference():
    assert states(STATE) == 0
    assert states(State(STATE.c, STATE.h + rows([0, 0, 0.05]))) == pytest.approx(0.05)
    assert states(State(STATE.c + rows([0.25, 0, 0]), STATE.h), c=RELATIVE) == 0.25


def test_c_that_differs(refusal):
    assert refusal(Disagreement, states, State(rows([1, 2.5, np.nan]), STATE.h), context=DRAWN) == (
        "new_state_c [dynamic, mlprogram, float32, T=3] differ: 2 of 3 values, max abs inf, first at row 0\n"
        "     row          unit      expected      obtained    difference\n"
        "       0             2            -3           nan           inf\n"
        "       0             1             2           2.5           0.5\n"
        f"{TOLD}; here it allows 0.1\n"
        "case Case(length=3, features='noise', state='zeros', seed=7)"
    )


def test_h_that_differs_by_the_scale_of_h(refusal):
    assert refusal(Disagreement, states, State(STATE.c, rows([0.1, 0.2, 0.35])), h=RELATIVE) == (
        "new_state_h [dynamic, mlprogram, float32, T=3] differ: 1 of 3 values, max abs 0.05, first at row 0\n"
        "     row          unit      expected      obtained    difference\n"
        "       0             2           0.3          0.35          0.05\n"
        "tolerance a-tenth-of-it (rtol 0.1: for this test); here it allows 0.03"
    )


def test_a_tolerance_that_grows_with_the_steps(refusal):
    growing = Tolerance("growing", atol=0.0, rtol=0.01, why="for this test", per_step=0.01)

    assert (growing.limit(3.0), growing.limit(3.0, 3)) == pytest.approx((0.03, 0.12))
    assert states(State(STATE.c + rows([0.1, 0, 0]), STATE.h), c=growing) == pytest.approx(0.1)
    assert refusal(Disagreement, states, State(STATE.c + rows([0.125, 0, 0]), STATE.h), c=growing).endswith(
        "tolerance growing (rtol 0.01, rtol 0.01 a step: for this test); here it allows 0.12"
    )


def test_float16_allows_c_what_each_step_rounds_away():
    assert BY_PRECISION["float16"].state_c.per_step == 2**-12
    assert BY_PRECISION["float32"].state_c.per_step == 0


@pytest.mark.parametrize(("name", "index"), [("new_state_c", 0), ("new_state_h", 1)])
def test_a_state_of_another_shape(refusal, name, index):
    obtained = list(STATE)
    obtained[index] = rows(1, 2)

    assert refusal(Disagreement, states, State(*obtained)) == (
        f"{name} [dynamic, mlprogram, float32, T=3]: expected shape [1, 3], obtained [2]"
    )


# -- greedy paths ------------------------------------------------------------------------------------------------------


def greedy(obtained, *, expected=EXPECTED, tolerance=TENTH, context=CONTEXT):
    return assert_greedy_paths_agree(
        expected=expected, obtained=obtained, tolerance=tolerance, alphabet=ALPHABET, context=context
    )


def test_flips_are_the_frames_whose_class_differs():
    obtained = changed(EXPECTED, {(0, 1): 0.9, (2, 2): 0.8})

    assert greedy_flips(expected=EXPECTED, obtained=obtained).tolist() == [0, 2]


def test_the_same_path_passes():
    assert greedy(EXPECTED * 0.5 + 0.2) == 0
    assert greedy(EXPECTED[:0], expected=EXPECTED[:0]) == 0


def test_where_two_classes_are_close_either_is_right():
    expected = rows([0.5, 0.4, 0.1, 0.0], [0.7, 0.1, 0.1, 0.1])

    assert greedy(rows([0.4, 0.5, 0.1, 0.0], [0.7, 0.1, 0.1, 0.1]), expected=expected) == 1


def test_a_margin_of_twice_the_tolerance_may_not_turn(refusal):
    tolerance = Tolerance("an-eighth", atol=0.125, rtol=0, why="exact in binary")
    expected, obtained = rows([0.5, 0.25, 0.25, 0.0]), rows([0.25, 0.5, 0.25, 0.0])

    assert refusal(Disagreement, greedy, obtained, expected=expected, tolerance=tolerance) == (
        "greedy path [dynamic, mlprogram, float32, T=3] differs in 1 of 1 frames, first at frame 0\n"
        "   frame      expected      obtained        margin\n"
        "       0           ' '           'a'          0.25\n"
        "tolerance an-eighth (atol 0.125: exact in binary); a margin of 0.25 or more may not turn"
    )


def test_paths_that_differ(refusal):
    obtained = changed(EXPECTED, {(1, 3): 0.8, (2, 2): 0.9})

    assert refusal(Disagreement, greedy, obtained, context=DRAWN) == (
        "greedy path [dynamic, mlprogram, float32, T=3] differs in 2 of 3 frames, first at frame 1\n"
        "   frame      expected      obtained        margin\n"
        "       1           'a'         blank           0.6\n"
        '       2         blank           "\'"           0.6\n'
        f"{TOLD}; a margin of 0.2 or more may not turn\n"
        "case Case(length=3, features='noise', state='zeros', seed=7)"
    )


def test_five_frames_of_a_path_are_shown(refusal):
    expected = np.tile(EXPECTED[:1], (9, 1))
    message = refusal(Disagreement, greedy, np.roll(expected, 1, axis=1), expected=expected)

    assert message.splitlines()[0].endswith("differs in 9 of 9 frames, first at frame 0")
    assert [line.split()[0] for line in message.splitlines()[2:-1]] == ["0", "1", "2", "3", "4"]


def test_nan_is_no_path():
    with pytest.raises(Disagreement, match="differs in 1 of 3 frames, first at frame 1\n"):
        greedy(changed(EXPECTED, {(1, 0): np.nan}))


def test_a_path_of_another_length(refusal):
    assert refusal(Disagreement, greedy, EXPECTED[:2]) == (
        "greedy path [dynamic, mlprogram, float32, T=3]: expected 3 frames, obtained shape [2, 4]"
    )


# -- tolerances --------------------------------------------------------------------------------------------------------


def test_a_tolerance_says_what_it_is():
    both = Tolerance("both", atol=1e-6, rtol=1e-4, why="because")

    assert str(both) == "both (atol 1e-06, rtol 0.0001: because)"
    assert both.limit(50) == pytest.approx(1e-6 + 5e-3)


def test_every_tolerance_has_a_name_of_its_own_and_a_reason():
    every = [
        tolerance
        for tolerances in BY_PRECISION.values()
        for tolerance in (
            tolerances.probabilities,
            tolerances.log_probabilities,
            tolerances.state_c,
            tolerances.state_h,
            tolerances.sums,
        )
    ]

    assert len({tolerance.name for tolerance in every}) == len(every) == 10
    assert all(tolerance.why for tolerance in every)
    assert BY_PRECISION == {"float32": FLOAT32, "float16": FLOAT16}


def test_float32_is_held_to_what_was_promised():
    assert (FLOAT32.probabilities.atol, FLOAT32.probabilities.rtol) == (1e-5, 0)
    assert FLOAT32.state_c.rtol == FLOAT32.state_h.rtol == 1e-4
