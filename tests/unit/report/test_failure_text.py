"""The text of a failure: its words, the smallest example of it, and a command that runs this test alone."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import pytest

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.errors import ConversionError
from pytest_dscoreml.report.failure import REPORTED, failure_text


def text(error, *, name="test_states", identity=None, arguments=("--dscoreml-model=demo",)):
    item = SimpleNamespace(name=name)
    if identity is not None:
        item.name, item.callspec = f"{name}[{identity}]", SimpleNamespace(id=identity)
    config = SimpleNamespace(invocation_params=SimpleNamespace(args=arguments))
    return failure_text(error, item, config)


def test_a_disagreement_speaks_for_itself():
    assert text(Disagreement("states differ\n  a table"), identity="static-mlprogram-float32") == (
        "states differ\n"
        "  a table\n"
        "repeat with: pytest --dscoreml-model=demo -k 'test_states and static-mlprogram-float32'"
    )


def test_an_error_says_its_kind():
    assert text(ConversionError("the converter hung")) == (
        "ConversionError: the converter hung\nrepeat with: pytest --dscoreml-model=demo -k test_states"
    )


def test_notes_stand_between():
    error = Disagreement("states differ")
    error.__notes__ = ["Falsifying example: states_agree(", "    case=Case(length=1),", ")"]

    assert text(error).split("\n")[1:-1] == error.__notes__


@pytest.mark.parametrize("old", [(), ("-k", "old or older"), ("-kold",)])
def test_arguments_are_kept_and_quoted_but_for_an_older_selection(old):
    command = text(Disagreement("x"), arguments=("--dscoreml-audio=my voice.wav", *old, "-x")).split("repeat with: ")[1]

    assert shlex.split(command) == ["pytest", "--dscoreml-audio=my voice.wav", "-x", "-k", "test_states"]


def test_the_promise_of_the_file_comes_first():
    item = SimpleNamespace(name="test_states", module=SimpleNamespace(__doc__="Promise: the states agree.\n\nMore."))
    config = SimpleNamespace(invocation_params=SimpleNamespace(args=()))

    assert failure_text(Disagreement("x"), item, config) == (
        "broken promise: the states agree.\nx\nrepeat with: pytest -k test_states"
    )


def test_a_note_that_repeats_the_case_is_left_out():
    error = Disagreement("states differ\ncase Case(length=1, features='silence', state='zeros', seed=0)")
    error.__notes__ = ["Falsifying example: states_agree("]

    assert text(error).split("\n")[:-1] == str(error).split("\n")


def test_without_arguments():
    assert text(Disagreement("x"), arguments=()) == "x\nrepeat with: pytest -k test_states"


def test_what_is_reported_in_these_words():
    assert issubclass(Disagreement, AssertionError)
    assert isinstance(ConversionError("x"), REPORTED)
    assert not isinstance(AssertionError("x"), REPORTED)


@pytest.mark.parametrize(
    "identity",
    [
        "a.wav-static",
        "salt and (pepper).wav-static",
        "not or and.wav-static",
        "it's 100%, né?.wav-static",
        "a[1].wav-static",
    ],
)
def test_the_command_selects_the_test_and_no_other(pytester, identity):
    """Whatever a recording is called: pytest's own `-k` reads the selection."""
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("value", [1, 2], ids=[{identity!r}, "other.wav-static"])
        def test_heard(value):
            pass

        def test_other():
            pass
        """
    )
    shown = pytester.runpytest("--collect-only", "-q").stdout.lines
    name = next(line.split("::")[1] for line in shown if "::test_heard" in line)
    item = SimpleNamespace(name=name, callspec=SimpleNamespace(id=name[len("test_heard[") : -1]))
    config = SimpleNamespace(invocation_params=SimpleNamespace(args=()))
    command = shlex.split(failure_text(Disagreement("x"), item, config).split("repeat with: pytest ")[1])

    result = pytester.runpytest("-v", *command)

    result.assert_outcomes(passed=1, deselected=2)
    assert sum("::test_heard" in line and "PASSED" in line for line in result.stdout.lines) == 1
