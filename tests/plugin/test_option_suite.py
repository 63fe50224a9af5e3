"""`--dscoreml-suite`: whether the built-in suite is collected."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_dscoreml
from pytest_dscoreml.model.demo import demo_directory

_FILES_OF_OTHERS = shutil.ignore_patterns("__pycache__", "_demo")
COLLECT = ("--collect-only", "-q")


def collected(result):
    """The files that tests were collected from."""
    assert result.ret == 0, result.stdout.str()
    return {line.partition("::")[0].rpartition("/")[2] for line in result.outlines if "::" in line}


SUITE = {
    "test_agreement.py",
    "test_carry_over.py",
    "test_greedy.py",
    "test_interface.py",
    "test_padding.py",
    "test_probabilities.py",
    "test_recipe.py",
    "test_reload.py",
    "test_states.py",
    "test_transcription.py",
}
MINE, OTHER = {"test_mine.py"}, {"test_other.py"}


@pytest.mark.parametrize(
    ("suite", "paths", "expected"),
    [
        (None, [], SUITE | MINE | OTHER),
        (None, ["test_mine.py"], MINE),
        ("auto", [], SUITE | MINE | OTHER),
        ("auto", ["test_mine.py"], MINE),
        ("on", [], SUITE | MINE | OTHER),
        ("on", ["test_mine.py"], SUITE | MINE),
        ("off", [], MINE | OTHER),
        ("off", ["test_mine.py"], MINE),
        ("only", [], SUITE),
        ("only", ["test_mine.py"], SUITE),
    ],
)
def test_what_is_collected(gate, pytester, suite, paths, expected):
    pytester.makepyfile(test_mine="def test_mine(): pass", test_other="def test_other(): pass")
    chosen = [] if suite is None else [f"--dscoreml-suite={suite}"]
    assert collected(gate(*COLLECT, *chosen, *paths)) == expected


def test_testpaths_of_the_ini_file_are_no_command_line(gate, pytester):
    """`auto` adds the suite to what a project collects by itself."""
    pytester.makeini("[pytest]\ntestpaths = sub")
    (pytester.path / "sub").mkdir()
    (pytester.path / "sub" / "test_sub.py").write_text("def test_sub(): pass")
    pytester.makepyfile(test_mine="def test_mine(): pass")
    assert collected(gate(*COLLECT)) == SUITE | {"test_sub.py"}


def test_the_package_in_a_virtual_environment_below_the_tests(pytester):
    """Which pytest passes by: the suite is collected all the same, once, and nothing else that lies in there."""
    site = pytester.path / ".venv" / "lib" / "site-packages"
    shutil.copytree(Path(pytest_dscoreml.__file__).parent, site / "pytest_dscoreml", ignore=_FILES_OF_OTHERS)
    (pytester.path / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin")
    (site / "test_of_another.py").write_text("def test_of_another(): pass")
    pytester.makepyfile(test_mine="def test_mine(): pass")
    demo = demo_directory()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *COLLECT]
    command += [f"--dscoreml-model={demo / 'static.pb'}", f"--dscoreml-model={demo / 'dynamic.pb'}"]
    done = subprocess.run(command, cwd=pytester.path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line for line in done.stdout.splitlines() if "::" in line]
    assert {name.partition("::")[0].rpartition("/")[2] for name in names} == SUITE | MINE
    assert len(names) == len(set(names))
    assert {name for name in names if "/test_names" in name.replace("::", "/")} != set()
