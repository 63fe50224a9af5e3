"""What a failure shows: the broken promise, the disagreement, the case, the tolerance, and a command that repeats it."""

from __future__ import annotations

import json
import re
import shlex
import sys

import pytest

#: The conversion that `gate` selects where it is not told otherwise.
ONE_NAME = "dynamic-mlprogram-float32"


NUMBER = r"-?\d\S*"


@pytest.fixture
def failing(gate, converter_with):
    """A gate that fails, with the failure's text."""

    def run(*args):
        converter, cache = converter_with("swapped-gates")
        result = gate(f"--dscoreml-converter={converter}", *args, cache=cache)
        result.assert_outcomes(failed=1)
        (report,) = result.reprec.listoutcomes()[2]
        return result, str(report.longrepr)

    return run


def test_whole_text(failing):
    result, text = failing("-k", "test_states")
    *lines, repeat = text.splitlines()
    expected = [
        r"broken promise: the states after a sequence are TensorFlow's\.",
        r"new_state_c \[dynamic, mlprogram, float32, T=1\] differ: (\d+) of 64 values, max abs \S+, first at row 0",
        r"     row          unit      expected      obtained    difference",
        *[rf" +0 +\d+ +{NUMBER} +{NUMBER} +{NUMBER}"] * 5,
        r"  \.\.\. and \d+ more",
        r"tolerance float32-state-c \(atol 1e-06, rtol 0\.0001: .+\); here it allows \S+",
        r"case Case\(length=1, features='\w+', state='\w+', seed=\d+\)",
        r"first divergence: linear linear_1 in the loop while_loop_0, pass 0, in step 0",
        r"  TensorFlow: BlockLSTM \S+/BlockLSTM, all gates before their activation",
        r"  input concat_4 agrees \(\S+/BlockLSTM, x and h joined\)",
        r"  shape \[1, 256\]; differences up to \S+, \S+ on average, of values up to \S+; at \d+: expected \S+, obtained \S+",
        r"  attributes, Core ML: bias=float32\[256\], weight=float32\[256, 128\]",
        r"  attributes, TensorFlow: cell_clip=-1, forget_bias=0, use_peephole=False, zeros=float32\[64\]",
        r"  23 results agree",
    ]
    assert len(lines) == len(expected), text
    for line, pattern in zip(lines, expected):
        assert re.fullmatch(pattern, line), line
    assert repeat.startswith("repeat with: pytest -p no:cacheprovider --dscoreml-model=demo ")
    assert repeat.endswith(f" -k 'test_states_agree and {ONE_NAME}'")
    for noise in ("Traceback", "Error:", "site-packages", "Falsifying", "suite/"):
        assert noise not in text
    assert text in result.stdout.str()


def test_the_command_repeats_it(failing, pytester):
    """Run by itself, in a process of its own, it ends in the same words."""
    _, text = failing("-k", "test_greedy")
    command = text.splitlines()[-1][len("repeat with: ") :]
    program, *args = shlex.split(command)
    assert program == "pytest"
    again = pytester.run(sys.executable, "-m", "pytest", *args)
    again.assert_outcomes(failed=1)
    assert "\n".join(text.splitlines()[:-1]) in again.stdout.str()


def test_the_report_names_the_failed_test(failing, pytester):
    failing("-k", "test_states", "--dscoreml-report=report")
    entry = json.loads((pytester.path / "report" / "results.json").read_text())["conversions"][ONE_NAME]
    assert entry["verdict"] == "failed"
    (failed,) = entry["tests"]["failed"]
    assert failed.endswith(f"test_states.py::test_states_agree[{ONE_NAME}]")
    assert entry["max_abs_error"]["states"] > 0.1


def test_the_users_own_failing_test(gate, pytester):
    """No promise of ours is named, and the recording's name is made fit for -k."""
    pytester.makepyfile(
        test_mine="""
        from dataclasses import replace
        from pytest_dscoreml.engines.streaming import recognise

        def test_mine(dscoreml_comparison, dscoreml_engine, dscoreml_recording):
            expected = recognise(dscoreml_engine, dscoreml_recording.windows[:1])
            dscoreml_comparison.greedy(expected=expected, obtained=replace(expected, logits=-expected.logits))
        """
    )
    result = gate("test_mine.py", "-k", "jovial")
    (report,) = result.reprec.listoutcomes()[2]
    lines = str(report.longrepr).splitlines()
    assert lines[0] == "greedy path [dynamic, mlprogram, float32, T=1] differs in 1 of 1 frames, first at frame 0"
    assert lines[-1].endswith(f" test_mine.py -k 'test_mine and {ONE_NAME}-jovial_wizard.wav'")
