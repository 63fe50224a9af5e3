"""Without `--dscoreml-model` the plugin does nothing: same collection, nothing heavy imported, fixtures skip with a reason."""

from __future__ import annotations

import json
import sys

import pytest

from pytest_dscoreml.options import OPTIONS

HEAVY = ("tensorflow", "coremltools", "hypothesis", "numpy", "scipy", "google", "ds_ctcdecoder", "filelock")
#: Of the package itself, what pytest reads wherever the plugin is installed.
LIGHT = {
    "pytest_dscoreml",
    "pytest_dscoreml.errors",
    "pytest_dscoreml.fixtures",
    "pytest_dscoreml.options",
    "pytest_dscoreml.parametrizing",
    "pytest_dscoreml.plugin",
}
WATCH = """
    import json, sys
    def pytest_unconfigure():
        with open("modules.json", "w") as file:
            json.dump(sorted(sys.modules), file)
"""
MINE = """
    import pytest

    def test_plain():
        assert True

    @pytest.mark.dscoreml(variants=["dynamic"])
    def test_gated(dscoreml_engine):
        assert False, "there is no model"

    @pytest.mark.parametrize("number", [1, 2])
    def test_of_everything(number, dscoreml_variants, dscoreml_recording):
        assert False, "there is no model"
"""


def run(pytester, *args):
    return pytester.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args)


def modules(pytester):
    """The modules that the last run had imported at its end."""
    return set(json.loads((pytester.path / "modules.json").read_text()))


def test_nothing_heavy_is_imported_and_fixtures_skip(pytester):
    pytester.makeconftest(WATCH)
    pytester.makepyfile(test_mine=MINE)
    result = run(pytester, "-rs", "--strict-markers")
    result.assert_outcomes(passed=1, skipped=3)
    reason = "no model to gate: give --dscoreml-model=PATH or --dscoreml-model=demo"
    skips = [line for line in result.outlines if line.startswith("SKIPPED")]
    assert [line.partition(reason)[1:] for line in skips] == [(reason, "")] * len(skips)
    assert not [line for line in result.outlines if line.startswith("dscoreml")]
    imported = modules(pytester)
    # Hypothesis's own plugin imports it wherever it is installed.
    run(pytester, "-p", "no:dscoreml")
    anyway = modules(pytester)
    assert "pytest_dscoreml" not in anyway
    assert {name for name in imported - anyway if name.partition(".")[0] in HEAVY} == set()
    assert {name for name in imported if name.partition(".")[0] == "pytest_dscoreml"} == LIGHT


def test_collection_is_the_same_as_without_the_plugin(pytester):
    pytester.makepyfile(test_mine="def test_one(): pass\ndef test_two(): pass\n")
    collections = [
        [line for line in run(pytester, "--collect-only", "-q", *without).outlines if "::" in line]
        for without in ((), ("-p", "no:dscoreml"))
    ]
    assert collections[0] == collections[1] == ["test_mine.py::test_one", "test_mine.py::test_two"]


def test_an_empty_directory_stays_empty(pytester):
    assert run(pytester).ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize("model", [(), ("--dscoreml-model=demo",)])
def test_help_lists_every_option(pytester, model):
    """With a model too: help opens nothing."""
    result = run(pytester, "--help", *model)
    assert result.ret == 0
    text = " ".join(result.stdout.str().split())
    assert "Core ML conversions of DeepSpeech:" in text
    for option in OPTIONS:
        assert f"{option.flag}={option.metavar} " in text
        described = option.help if option.default is None else f"{option.help} (default: {option.default})"
        # Once for the command line, once for the ini file; pytest breaks lines at hyphens too.
        assert text.replace(" ", "").count(described.replace(" ", "")) == 2, option.name
        assert f"{option.ini} (" in text


def test_markers_show_the_marker(pytester):
    result = run(pytester, "--markers")
    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.dscoreml(variants=..., targets=..., precisions=...): run this test only for conversions with one "
            "of the named variants, targets and precisions; what is left out stays unrestricted"
        ]
    )
