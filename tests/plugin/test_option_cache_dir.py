"""`--dscoreml-cache-dir`: where conversions are kept."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def entries(gate, conversions):
    """The entries of the shared cache, filled with one conversion at least."""
    gate("-k", "test_names").assert_outcomes(passed=1)
    return sorted((conversions / "entries").iterdir())


def found(pytester):
    """Of each conversion of the last report, whether it was in the cache."""
    report = json.loads((pytester.path / "report" / "results.json").read_text())
    return [made["conversion"]["cached"] for made in report["conversions"].values()]


def test_what_is_there_is_not_made_again(gate, pytester, entries, conversions):
    gate("-k", "test_names", "--dscoreml-report=report").assert_outcomes(passed=1)
    assert sorted((conversions / "entries").iterdir()) == entries
    assert found(pytester) == [True]


def test_the_users_cache_by_default(gate, pytester, monkeypatch, conversions, entries):
    """Without the option: the user's cache directory, here one that already has what is needed."""
    home = pytester.path / "users cache"
    home.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    (home / "pytest-dscoreml").symlink_to(conversions, target_is_directory=True)
    gate("-k", "test_names", "--dscoreml-report=report", cache=None).assert_outcomes(passed=1)
    assert found(pytester) == [True]


def test_a_file(refusal, pytester):
    path = pytester.makefile(".txt", taken="a file")
    assert refusal(cache="taken.txt/cache") == (
        f"cannot write to the cache directory {path}/cache: Not a directory; choose another with --dscoreml-cache-dir=DIR"
    )
