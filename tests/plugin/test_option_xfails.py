"""`--dscoreml-xfails`: what a known defect breaks is expected to fail, and said to be stale when it does not."""

from __future__ import annotations

import json

import pytest

ENTRY = """
[[defect]]
id = "mine"
coremltools = "{versions}"
promise = "{promise}"
reason = "it does what it should not"
"""


@pytest.fixture
def xfails(pytester):
    def make(promise, versions=">=4.0"):
        path = pytester.path / "mine.toml"
        path.write_text(ENTRY.format(promise=promise, versions=versions), encoding="utf-8")
        return f"--dscoreml-xfails={path}"

    return make


def test_a_defect_that_shows(gate, pytester):
    """The one that comes with the package: expected to fail, counted apart, told of in the summary and the report."""
    result = gate("-k", "recipe", "-rx", "--dscoreml-report=report")
    result.assert_outcomes(xfailed=1)
    assert result.ret == 0
    words = (
        "known defect recipe-range-of-two: without `inputs`, an unknown time dimension becomes a range of 1 to 2 steps in an "
        "ML Program; give a RangeDim"
    )
    result.stdout.fnmatch_lines([f"{words}; in dynamic-mlprogram-float32", f"XFAIL *test_recipe.py*{words}"])
    (test,) = json.loads((pytester.path / "report" / "results.json").read_text())["conversions"].values()
    assert list(test["tests"]["known_defects"].values()) == ["recipe-range-of-two"]
    assert (test["verdict"], test["tests"]["failed"], test["tests"]["skipped"]) == ("not compared", [], [])


def test_a_defect_that_does_not_show_is_stale(gate, xfails, pytester):
    result = gate("-k", "test_names", xfails("interface"))
    result.assert_outcomes(failed=1)
    path = pytester.path / "mine.toml"
    line = f"known defect mine is stale: this passes; narrow its versions (coremltools >=4.0), or remove it from {path}"
    assert line in result.outlines


@pytest.mark.parametrize("versions", ["<4.0", ">=100"])
def test_a_defect_of_other_versions(gate, xfails, versions):
    gate("-k", "test_names", xfails("interface", versions)).assert_outcomes(passed=1)


def test_another_failure_than_a_broken_promise_is_no_known_defect(gate, xfails, pytester):
    pytester.makepyfile(
        test_mine="""
        def test_mine(dscoreml_conversion):
            raise RuntimeError("a fault of the test itself")
        """
    )
    result = gate("--dscoreml-suite=off", xfails("mine"))
    result.assert_outcomes(failed=1)


def test_tests_of_ones_own(gate, xfails, pytester):
    pytester.makepyfile(
        test_mine="""
        from pytest_dscoreml.agreement.disagreement import Disagreement

        def test_mine(dscoreml_conversion):
            raise Disagreement("as known")
        """
    )
    gate("--dscoreml-suite=off", xfails("test_mine")).assert_outcomes(xfailed=1)


def test_a_file_that_cannot_be_read(refusal):
    assert refusal("--dscoreml-xfails=nowhere.toml") == (
        "--dscoreml-xfails=nowhere.toml: No such file or directory; give a TOML file of known defects"
    )


def test_a_test_that_skips_itself_shows_no_defect(gate, xfails, pytester):
    pytester.makepyfile(
        test_mine="""
        import pytest

        def test_mine(dscoreml_conversion):
            pytest.skip("not here")
        """
    )
    gate("--dscoreml-suite=off", "--dscoreml-report=report", xfails("test_mine")).assert_outcomes(skipped=1)
    (made,) = json.loads((pytester.path / "report" / "results.json").read_text())["conversions"].values()
    assert (len(made["tests"]["skipped"]), made["tests"]["known_defects"]) == (1, {})


def test_a_defect_that_keeps_the_file_from_being_made(gate, xfails, pytester):
    """The fixture fails, before the test itself begins: that is the defect too."""
    pytester.makepyfile(
        test_mine="""
        import pytest
        from pytest_dscoreml.errors import ConversionError

        @pytest.fixture
        def refused(dscoreml_conversion):
            raise ConversionError("as known")

        def test_mine(refused):
            pass
        """
    )
    gate("--dscoreml-suite=off", "--dscoreml-report=report", xfails("test_mine")).assert_outcomes(xfailed=1)
    (made,) = json.loads((pytester.path / "report" / "results.json").read_text())["conversions"].values()
    assert (made["tests"]["skipped"], list(made["tests"]["known_defects"].values())) == ([], ["mine"])
