"""`diverge`, `transcribe` and `advise`: the commands that convert a model and run it."""

from __future__ import annotations

import json
import re

import pytest

from pytest_dscoreml.__main__ import main

HEARD = "that's what i said"


@pytest.fixture
def run(loaded, capsys, conversions):
    """Run a command; gives status, the lines of its output, and standard error."""

    def call(*arguments, cache=conversions):
        status = main([*map(str, arguments), f"--cache-dir={cache}"])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    return call


def test_a_right_conversion_departs_nowhere(run, demo):
    status, lines, _ = run("diverge", "demo", "--conversion=dynamic-mlprogram-float32")
    assert status == 0
    assert len(lines) == 4
    assert lines[0] == "dynamic-mlprogram-float32, thats_what_i_said.wav: every call agrees"


def test_what_takes_long_is_told_on_stderr(run, monkeypatch):
    """In whole lines, since it is no terminal; what is found is not touched by it."""
    monkeypatch.setattr("pytest_dscoreml.progress.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("pytest_dscoreml.progress.Lines.seconds", 0.0)
    status, lines, err = run("diverge", "demo", "--conversion=static-mlprogram-float32")
    assert status == 0
    assert [line.rpartition(": ")[2] for line in lines] == ["every call agrees"] * 4
    assert "reading recordings (4 of 4): sixteen_frames.wav, 0 s\n" in err
    where = r"looking for the first divergence of static-mlprogram-float32 \(17 of \d+ steps\): call by call, \d+ s"
    assert len(re.findall(f"(?m)^{where}$", err)) >= 4
    assert "\r" not in err
    assert "\x1b" not in err


def test_a_defect_is_named(run, converter_with):
    python, cache = converter_with("swapped-gates")
    command = ("diverge", "demo", "--conversion=dynamic-mlprogram-float32", f"--converter={python}")
    status, lines, _ = run(*command, cache=cache)
    assert status == 1
    assert lines[:3] == [
        "dynamic-mlprogram-float32, thats_what_i_said.wav:",
        "  first divergence: linear linear_1 in the loop while_loop_0, pass 0, in step 0",
        "    TensorFlow: BlockLSTM cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell/BlockLSTM, all gates before "
        "their activation",
    ]
    assert re.fullmatch(r"    shape \[1, 256\]; differences up to [\d.]+, [\d.]+ on average, of .*", lines[4])


def test_a_recording_chunk_by_chunk_and_whole(run, demo):
    audio = demo / "thats_what_i_said.wav"
    two = ("--conversion=static-mlprogram-float32", "--conversion=dynamic-mlprogram-float32")
    status, lines, _ = run("transcribe", "demo", audio, *two)
    assert status == 0
    first, second = (number for number, line in enumerate(lines) if line.endswith(")") and " on reference (" in line)
    chunks = lines[first + 1 : first + 6]
    assert [line.split()[0] for line in chunks] == ["0.32", "0.64", "0.96", "1.28", "1.30"]
    assert chunks[0].endswith(" s  that'")
    assert chunks[-1] == f"    1.30 s  {HEARD}"
    assert lines[second + 1] == f"    1.30 s  {HEARD}"
    assert lines[second + 2].endswith(f": {HEARD}")
    static, dynamic = lines[-2:]
    assert re.search(r", 16 steps a call: [\d.]+ s in 5 calls, [\d.]+ of the recording's 1\.3 s$", static)
    assert re.search(r", whole: [\d.]+ s in 1 call, .*, [\d.]+ times the first$", dynamic)


def test_by_tensorflow(run, demo):
    audio = demo / "thats_what_i_said.wav"
    status, lines, err = run(
        "transcribe", "demo", audio, "--engine=tensorflow", "--conversion=static-mlprogram-float32"
    )
    assert status == 0
    assert lines[0].startswith("static-mlprogram-float32 on tensorflow ")
    assert lines[5].endswith(HEARD)
    assert "converting" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["diverge", "demo", "--conversion=x"], "--conversion x: there is no such conversion; choose from static-"),
        (["diverge", "nowhere.pb"], "nowhere.pb"),
        (["transcribe", "demo", "nowhere.wav"], "nowhere.wav"),
        (["advise", "demo", "--conversion=pinned-neuralnetwork-float32"], "there is nothing to keep in float32"),
        (["transcribe", "demo", "a.wav", "--front-end=x"], "--front-end x: expected one of numpy, graph, "),
    ],
)
def test_what_cannot_be_used(run, arguments, words):
    status, lines, err = run(*arguments)
    assert (status, lines) == (2, [])
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--keep=0", "argument --keep: 0: expected a whole number from 1"),
        ("--steps=-3", "argument --steps: -3: expected a whole number from 1"),
        ("--goal=1", "argument --goal: 1: expected a number from 0 to 1, 1 itself left out"),
        ("--goal=half", "argument --goal: half: expected a number from 0 to 1, 1 itself left out"),
        ("--goal=nan", "argument --goal: nan: expected a number from 0 to 1, 1 itself left out"),
    ],
)
def test_options_of_advise_that_make_no_sense(capsys, option, words):
    with pytest.raises(SystemExit) as ended:
        main(["advise", "demo", option])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"{words}\n")


def test_advice_on_float16(run):
    command = ("advise", "demo", "--conversion=static-mlprogram-float16", "--keep=3", "--steps=8")
    status, lines, _ = run(*command)
    assert status == 0
    assert lines[0].startswith("static-mlprogram-float16, coremltools ")
    assert lines[0].endswith(", 7 sequences of 8 to 8 steps, beside the same in float32:")
    assert [line for line in lines if line.startswith("keep ")] == ["keep 3 of 50 operations in float32:"]
    assert "  the advice held: these are float32 in the file and all others float16" in lines

    status, lines, _ = run(*command, "--format=json")
    (advice,) = json.loads("\n".join(lines))
    assert status == 0
    assert (len(advice["rows"]), len(advice["kept"]), advice["held"], advice["goal"]) == (50, 3, True, None)
    assert advice["kept"] == advice["rows"][:3]
    assert advice["after"]["errors"] == advice["simulated"]
