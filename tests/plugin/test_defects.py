"""Five defects of a converter: the gate fails, and names the promise that is broken."""

from __future__ import annotations

import re

import pytest

#: What a test of the suite promises, as the first line of its failure says.
PROMISES = {
    "test_probabilities_agree": "the probabilities are TensorFlow's, after the softmax and before it.",
    "test_states_agree": "the states after a sequence are TensorFlow's.",
    "test_any_cut_gives_the_whole": "the state carries a sequence over any cut: pieces give what the whole gives.",
    "test_carried_state_matters": "the state carries a sequence over any cut: pieces give what the whole gives.",
    "test_padding_is_masked": "steps behind `input_lengths` are masked as TensorFlow masks them; what stands there changes "
    "nothing.",
    "test_greedy_paths_agree": "frame by frame, the most probable class is TensorFlow's.",
}
PROBABILITIES, STATES, CUTS, STATE_MATTERS, PADDING, GREEDY = PROMISES
EVERY = ("static-", "dynamic-")
LABEL = r"\[(static|dynamic), (neuralnetwork|mlprogram), float(32|16), T=\d+\]"
QUANTITY = r"(probabilities \(logits\)|log-probabilities \(before the softmax\))"
PROBABILITIES_DIFFER = rf"{QUANTITY} {LABEL} differ: \d+ of \d+ values, max abs \S+, first at frame \d+"
STATES_DIFFER = rf"new_state_[ch] {LABEL} differ: \d+ of \d+ values, max abs \S+, first at row 0"
EITHER = f"({PROBABILITIES_DIFFER})|({STATES_DIFFER})"

#: For each defect, of which variants which tests must fail, with which words on the second line.
BROKEN = {
    "swapped-gates": {EVERY: {PROBABILITIES: PROBABILITIES_DIFFER, STATES: STATES_DIFFER}},
    "dropped-state": {
        EVERY: {
            CUTS: EITHER,
            STATE_MATTERS: r"state \[\S+\] is ignored: two states leave new_state_c 0 apart after a step, expected 1\.\d+",
            STATES: STATES_DIFFER,
        }
    },
    "early-gather": {
        EVERY: {STATES: STATES_DIFFER, CUTS: EITHER},
        # In chunks, the wrong state is what the next chunk starts from.
        ("static-",): {PROBABILITIES: PROBABILITIES_DIFFER},
    },
    "dropped-mask": {EVERY: {PADDING: PROBABILITIES_DIFFER}},
    "clip-at-6": {EVERY: {PROBABILITIES: PROBABILITIES_DIFFER}},
}
#: What holds all the same: a promise that is kept is not reported as broken.
KEPT = {
    "swapped-gates": {EVERY: {CUTS, STATE_MATTERS}},
    "dropped-state": {},
    "early-gather": {EVERY: {STATE_MATTERS}, ("dynamic-",): {PROBABILITIES, GREEDY}},
    "dropped-mask": {EVERY: set(PROMISES) - {PADDING}},
    "clip-at-6": {EVERY: {CUTS, STATE_MATTERS}},
}


def reports_of(result):
    """The reports of a run by test and conversion."""
    passed, skipped, failed = result.reprec.listoutcomes()
    assert not skipped
    found = {True: {}, False: {}}
    for outcome, reports in ((True, passed), (False, failed)):
        for report in reports:
            test, conversion = re.fullmatch(r".*::(\w+)\[(.+)\]", report.nodeid).groups()
            found[outcome][test, conversion] = report
    return found[True], found[False]


@pytest.mark.parametrize("defect", BROKEN)
def test_the_broken_promise_is_named(gate, converter_with, defect, summary):
    converter, cache = converter_with(defect)
    result = gate(
        "--dscoreml-variant=static,dynamic",
        "--dscoreml-max-examples=6",
        "--dscoreml-max-steps=40",
        f"--dscoreml-converter={converter}",
        *("-k", " or ".join(PROMISES)),
        select=(),
        cache=cache,
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Traceback" not in result.stdout.str()
    rows = summary(result)
    assert len(rows) == 6
    assert {row["verdict"] for row in rows.values()} == {"failed"}
    passed, failed = reports_of(result)
    assert len(passed) + len(failed) == 6 * len(PROMISES)
    for (test, _), report in failed.items():
        assert str(report.longrepr).splitlines()[0] == f"broken promise: {PROMISES[test]}"
    for variants, tests in BROKEN[defect].items():
        for test, words in tests.items():
            for conversion in (name for name in rows if name.startswith(variants)):
                assert (test, conversion) in failed
                second = str(failed[test, conversion].longrepr).splitlines()[1]
                assert re.fullmatch(words, second), second
    for variants, tests in KEPT[defect].items():
        for test in tests:
            assert not [name for name in rows if name.startswith(variants) and (test, name) not in passed], test
