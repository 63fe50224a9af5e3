"""`--dscoreml-baseline`, `--dscoreml-write-baseline`: a run beside a stored one, and what is no comparison."""

from __future__ import annotations

import json

import pytest

QUICK = ("-k", "test_states or test_names")


@pytest.fixture
def written(gate, pytester):
    """A baseline of the quick tests, and its file."""
    result = gate(*QUICK, "--dscoreml-write-baseline=b.json")
    result.assert_outcomes(passed=2)
    return pytester.path / "b.json"


def edit(file, change):
    document = json.loads(file.read_text())
    (entry,) = document["conversions"].values()
    change(entry)
    file.write_text(json.dumps(document), encoding="utf-8")


def section(result):
    """The lines about the baseline."""
    lines = result.outlines
    (start,) = [number for number, line in enumerate(lines) if "dscoreml: against the baseline b.json" in line]
    (end,) = [number for number, line in enumerate(lines) if "conversions compared with the baseline" in line]
    return lines[start + 1 : end + 1]


def test_a_run_that_writes_says_that_it_compared_with_none(gate, pytester):
    result = gate(*QUICK, "--dscoreml-write-baseline=deep/b.json")
    assert "baseline written to deep/b.json; this run was compared with none" in result.outlines
    assert "compared with the baseline" not in result.stdout.str()
    assert result.ret == 0
    assert json.loads((pytester.path / "deep" / "b.json").read_text())["conditions"]["max examples"] == 2


def test_the_same_again(gate, written):
    result = gate(*QUICK, f"--dscoreml-baseline={written}")
    (line,) = section(result)
    assert line == "1 of 1 conversions compared with the baseline, none worse; converting took 1.00 times as long"
    assert result.ret == 0


def test_what_is_worse_fails_a_run_whose_tests_pass(gate, written):
    def better(entry):
        entry["max_abs_error"]["states"] /= 100
        entry["conversion"]["bytes"] //= 2
        del entry["conversion"]["op_counts"]["while_loop"]

    edit(written, better)
    result = gate(*QUICK, f"--dscoreml-baseline={written}")
    result.assert_outcomes(passed=2)
    drift, size, operations, verdict = section(result)
    assert drift.startswith("dynamic-mlprogram-float32: states drifted from ")
    assert size.startswith("dynamic-mlprogram-float32: size grew from ")
    assert operations == "dynamic-mlprogram-float32: new: while_loop"
    assert verdict.startswith("1 of 1 conversions compared with the baseline, 1 worse; ")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_fewer_tests_than_the_baselines_are_no_pass(gate, written):
    result = gate("-k", "test_names", f"--dscoreml-baseline={written}")
    result.assert_outcomes(passed=1)
    assert section(result)[0].startswith("dynamic-mlprogram-float32: 0 sequences were compared, ")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_both_at_once_are_refused(refusal, written):
    assert refusal(f"--dscoreml-baseline={written}", "--dscoreml-write-baseline=other.json") == (
        "--dscoreml-baseline, --dscoreml-write-baseline: a run compares with a baseline or writes one; leave one of them out"
    )


def test_a_baseline_of_other_draws_is_refused_before_any_test(refusal, written):
    assert "its run had max examples 2, this one has 3" in refusal(
        f"--dscoreml-baseline={written}", "--dscoreml-max-examples=3"
    )
    assert "its run had seed null, this one has 5" in refusal(f"--dscoreml-baseline={written}", "--hypothesis-seed=5")


def test_a_place_that_cannot_be_written_is_refused_before_any_test(refusal, pytester):
    (pytester.path / "file").write_text("in the way")
    assert refusal("--dscoreml-write-baseline=file/b.json") == (
        "--dscoreml-write-baseline=file/b.json: cannot be written (File exists); give another"
    )


def test_a_run_that_breaks_off_neither_writes_nor_compares(gate, written, pytester):
    pytester.makepyfile(test_mine="def test_mine(dscoreml_gate): raise KeyboardInterrupt")
    suite = ("--dscoreml-suite=off",)
    result = gate(*suite, "--dscoreml-write-baseline=other.json", process=True)
    assert "no baseline was written: the run did not finish" in result.outlines
    assert not (pytester.path / "other.json").exists()
    result = gate(*suite, f"--dscoreml-baseline={written}", process=True)
    assert "nothing was compared with the baseline: the run did not finish" in result.outlines


def test_a_run_that_ends_at_its_first_failure_neither_writes_nor_compares(gate, written, pytester):
    """`-x` leaves tests out, and the exit code is that of a run whose tests all had their turn."""
    pytester.makepyfile(
        test_mine="""
        def test_one(dscoreml_comparison):
            dscoreml_comparison.measured.sequence(1)
            assert False
        def test_two(dscoreml_comparison):
            pass
        """
    )
    suite = ("--dscoreml-suite=off", "-x")
    result = gate(*suite, "--dscoreml-write-baseline=other.json", "--dscoreml-report=report")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "no baseline was written: the run did not finish" in result.outlines
    assert not (pytester.path / "other.json").exists()
    # What did run is worth looking at all the same.
    assert (pytester.path / "report" / "report.html").read_text().count("<svg ") == 4
    result = gate(*suite, f"--dscoreml-baseline={written}")
    assert "nothing was compared with the baseline: the run did not finish" in result.outlines


def test_collecting_alone_compares_nothing_and_writes_nothing(gate, written, pytester):
    result = gate("--collect-only", f"--dscoreml-baseline={written}")
    assert result.ret == 0
    assert "compared" not in result.stdout.str()
    gate("--collect-only", "--dscoreml-write-baseline=other.json")
    assert not (pytester.path / "other.json").exists()


def test_a_worse_run_with_workers_fails_too(gate, written):
    edit(written, lambda entry: entry["conversion"].update(bytes=1))
    result = gate(*QUICK, f"--dscoreml-baseline={written}", "-n", "2", process=True)
    result.assert_outcomes(passed=2)
    assert section(result)[-1].startswith("1 of 1 conversions compared with the baseline, 1 worse")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
