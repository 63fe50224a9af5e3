"""`--dscoreml-reproduce`: the one example that a failure shows, run again by the command that it prints."""

from __future__ import annotations

import json
import re
import shlex

import hypothesis
import pytest

VERSION = hypothesis.__version__
#: Hypothesis's blob of what the tests below fail with; each Hypothesis has its own.
COMMAND = re.compile(rf"repeat with: pytest (.+ --dscoreml-reproduce={re.escape(VERSION)}:([\w+/]+=*) -k '([^']+)')")


@pytest.fixture
def failure(gate, converter_with):
    """Run a test with a damaged conversion; gives the failure's text."""

    def run(*args):
        converter, cache = converter_with("swapped-gates")
        # Enough to find the defect, whatever a version of Hypothesis draws first.
        result = gate(f"--dscoreml-converter={converter}", "--dscoreml-max-examples=10", *args, cache=cache)
        result.assert_outcomes(failed=1)
        (report,) = result.reprec.listoutcomes()[2]
        return str(report.longrepr)

    return run


@pytest.fixture
def blob(failure):
    """The blob of a test's failure, with its version."""
    return lambda test: f"{VERSION}:{COMMAND.search(failure('-k', test))[2]}"


def measured(pytester):
    """How many examples the report of the only conversion says were compared."""
    conversions = json.loads((pytester.path / "report" / "results.json").read_text())["conversions"]
    (entry,) = conversions.values()
    return entry["examples"]


@pytest.mark.parametrize("test", ["test_states_agree", "test_feed_cut_reset_resume", "test_padding_is_masked"])
def test_the_printed_command_runs_that_example_and_fails_the_same_way(failure, pytester, test, loaded):
    text = failure("-k", test, "--dscoreml-report=kept")
    kept = (pytester.path / "kept" / "results.json").read_bytes()
    command, _, selection = COMMAND.fullmatch(text.splitlines()[-1]).groups()
    assert selection == f"{test} and dynamic-mlprogram-float32"
    assert "reproduce_failure" not in text
    again = pytester.runpytest_inprocess(*shlex.split(command), "--dscoreml-report=report")
    again.assert_outcomes(failed=1)
    (report,) = again.reprec.listoutcomes()[2]
    # The command too: it has the blob already, and once.
    assert str(report.longrepr) == text
    assert [name for name, content in report.sections if content and "log" not in name] == []
    assert measured(pytester) == 1
    # What was written of the whole run is left alone.
    assert "--dscoreml-report" not in text
    assert (pytester.path / "kept" / "results.json").read_bytes() == kept


@pytest.mark.parametrize("test", ["test_states_agree", "test_feed_cut_reset_resume"])
def test_it_passes_where_the_defect_is_gone(gate, blob, pytester, test):
    result = gate(f"--dscoreml-reproduce={blob(test)}", "--dscoreml-report=report", "-k", test)
    result.assert_outcomes(passed=1)
    assert measured(pytester) == 1


@pytest.mark.parametrize(
    ("of", "given_to"),
    [
        ("test_states_agree", "test_padding_is_masked"),
        ("test_padding_is_masked", "test_states_agree"),
        ("test_feed_cut_reset_resume", "test_any_cut"),
    ],
)
def test_an_example_of_another_test(failure, blob, of, given_to):
    """Hypothesis would make up what is missing: it neither passes nor fails as if it were an example."""
    given = blob(of)
    text = failure(f"--dscoreml-reproduce={given}", "-k", given_to)
    assert (
        f"UsageError: --dscoreml-reproduce={given}: no example of this test: give it to the test that it was shown for, with "
        "the --dscoreml-max-steps of that run, or leave the option out\n"
    ) in text
    assert " differ: " not in text


@pytest.mark.parametrize("text", ["AAAA", "AXicY2BgAAAABAAB", "/v4="])
def test_what_is_no_blob(failure, text):
    assert f"UsageError: --dscoreml-reproduce={VERSION}:{text}: no example of this test: " in failure(
        f"--dscoreml-reproduce={VERSION}:{text}", "-k", "test_states_agree"
    )


def test_of_another_hypothesis(refusal):
    """Before anything is converted: no version reads what another has packed."""
    assert refusal("--dscoreml-reproduce=6.0.0:AAEB", "-k", "test_states_agree") == (
        f"--dscoreml-reproduce=6.0.0:AAEB: made by Hypothesis 6.0.0, and here is {VERSION}, which cannot read it; install "
        "hypothesis==6.0.0, or leave the option out: the same examples may be drawn"
    )


@pytest.mark.parametrize(("selected", "count"), [("test_states_agree or test_padding", 2), ("test_names", 0)])
def test_of_one_test_only(gate, selected, count):
    result = gate(f"--dscoreml-reproduce={VERSION}:AAEB", "-k", selected)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        f"ERROR: --dscoreml-reproduce={VERSION}:AAEB: an example of one test, and {count} that draw are selected; select it "
        "with -k, as the failure's command does"
    ) in result.stderr.str() + result.stdout.str()


def test_of_one_test_only_on_workers(gate):
    options = (f"--dscoreml-reproduce={VERSION}:AAEB", "-k", "test_states_agree or test_padding", "-n", "2")
    result = gate(*options, process=True)
    result.assert_outcomes(errors=2)
    assert result.stdout.str().count(f"UsageError: --dscoreml-reproduce={VERSION}:AAEB: an example of one test") == 2


@pytest.mark.parametrize("option", ["--dscoreml-record=new", "--dscoreml-write-baseline=new.json"])
def test_nothing_is_kept_of_one_example(refusal, option):
    assert refusal(f"--dscoreml-reproduce={VERSION}:AAEB", option) == (
        f"{option}: --dscoreml-reproduce runs one example only; leave one of them out"
    )


def test_it_means_nothing_in_a_replay(replay, bundle, refused):
    assert refused(replay(f"--dscoreml-reproduce={VERSION}:AAEB")) == (
        "--dscoreml-replay=bundle: --dscoreml-reproduce means nothing in a replay, which takes it from the bundle or does "
        "without; leave it out, on the command line and as dscoreml_reproduce in the ini file"
    )


MINE = """
    from hypothesis import given, settings

    def test_checked(dscoreml_comparison, dscoreml_material, dscoreml_cases, dscoreml_check, dscoreml_engine):
        from pytest_dscoreml.agreement.disagreement import Disagreement

        @given(case=dscoreml_cases)
        def short(case):
            if case.length > 3:
                raise Disagreement(f"length [{case.length}] is too long")

        dscoreml_check(short)

    def test_by_itself(dscoreml_cases, dscoreml_settings, dscoreml_conversion):
        from pytest_dscoreml.agreement.disagreement import Disagreement

        @settings(dscoreml_settings)
        @given(case=dscoreml_cases)
        def short(case):
            if case.length > 3:
                raise Disagreement(f"length [{case.length}] is too long")

        short()
"""


def test_a_users_own_test(gate, pytester):
    """What it reads is the same; one that runs Hypothesis by itself gets Hypothesis's advice."""
    pytester.makepyfile(test_mine=MINE)
    result = gate("test_mine.py", "--dscoreml-max-examples=20")
    result.assert_outcomes(failed=2)
    checked, alone = (str(report.longrepr) for report in result.reprec.listoutcomes()[2])
    command, _, _ = COMMAND.fullmatch(checked.splitlines()[-1]).groups()
    assert "--dscoreml-reproduce" not in alone
    advice = rf"@reproduce_failure\('{re.escape(VERSION)}', b'.+'\)"
    assert re.search(advice, alone)
    assert not re.search(advice, checked)
    again = pytester.runpytest_inprocess(*shlex.split(command))
    again.assert_outcomes(failed=1)
    (report,) = again.reprec.listoutcomes()[2]
    assert str(report.longrepr) == checked
