"""The matrix of converters: every environment of tox.ini has a coremltools and a TensorFlow, and stands in its page.

So does the environment for a coremltools that is not released.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "matrix.md").read_text(encoding="utf-8")


def settings():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


def matrix():
    """(names of the environments, lines of their dependencies)."""
    parser = settings()
    (section,) = [name for name in parser.sections() if "-ct" in name]
    return section[len("testenv:{") : -1].split(","), parser[section]["deps"].strip().splitlines()


def dependencies(environment):
    """What tox installs into an environment: the lines all of whose factors it has."""
    _, lines = matrix()
    python, converter = environment.split("-")
    found = []
    for line in lines:
        factors, _, requirement = line.partition(":")
        wanted = []
        for factor in factors.strip().replace("{", ",{").split("-"):
            prefix, _, numbers = factor.strip(",").partition(",{")
            wanted.append([prefix + number for number in numbers.rstrip("}").split(",")] if numbers else [prefix])
        if all(python in names or converter in names for names in wanted):
            found.append(requirement.strip())
    return found


@pytest.mark.parametrize("environment", matrix()[0])
def test_every_environment(environment):
    assert re.fullmatch(r"py3\d+-ct\d\d", environment)
    needed = dependencies(environment)
    (coremltools,) = [one for one in needed if one.startswith("coremltools==")]
    assert coremltools.split("==")[1].replace(".", "").startswith(environment[-2:])
    assert len([one for one in needed if re.match(r"tensorflow(-cpu)?==", one)]) == 1
    assert f"`{environment}`" in PAGE
    assert coremltools.split("==")[1] in PAGE


def test_the_versions_that_were_asked_for():
    versions = ["4.0", "4.1", "5.0", "5.2.0", "6.0", "6.3.0", "7.0", "7.2", "8.0", "8.3.0", "9.0"]
    found = {
        one.split("==")[1] for name in matrix()[0] for one in dependencies(name) if one.startswith("coremltools==")
    }
    assert sorted(found) == sorted(versions)
    assert {name[:-5] for name in matrix()[0] if name.endswith("ct90")} == {"py39", "py310", "py311", "py312", "py313"}


# --- a converter that is not released ---------------------------------------------------------------------------------


def candidate_steps():
    """What tox does before the gate runs on the candidate, command by command."""
    return settings()["testenv:candidate"]["commands_pre"].replace("\\\n", "").strip().splitlines()


def test_the_candidate_is_gated_as_the_matrix_is():
    parser = settings()
    (of_matrix,) = [name for name in parser.sections() if "-ct" in name]

    assert parser["testenv:candidate"]["commands"] == parser[of_matrix]["commands"] == "{[matrix]gate}"
    assert parser["testenv:candidate"]["package"] == parser[of_matrix]["package"] == "skip"
    assert parser["testenv:candidate"]["extras"] == ""
    assert "--dscoreml-converter={env_python}" in parser["matrix"]["gate"]


@pytest.mark.parametrize(("given", "status"), [(None, 1), ("", 1), ("coremltools==9.0", 0)])
def test_without_a_candidate_the_first_step_fails_with_one_message(given, status):
    unset = settings()["candidate"]["unset"]
    python, *arguments = shlex.split(candidate_steps()[0].replace("{[candidate]unset}", unset))
    environment = {name: value for name, value in os.environ.items() if name != "DSCOREML_CANDIDATE"}
    if given is not None:
        environment["DSCOREML_CANDIDATE"] = given

    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)

    assert python == "python"
    assert (done.returncode, done.stderr) == (status, f"{unset}\n" if status else "")
    assert "DSCOREML_CANDIDATE" in unset


def test_the_candidate_is_never_the_one_of_an_earlier_run():
    """pip would leave a wheel or folder out whose version is installed; tox installs nothing again that it has."""
    _, remove, install = candidate_steps()

    assert "deps" not in settings()["testenv:candidate"]
    assert re.search(r"pip uninstall .*--yes coremltools$", remove)
    assert install.endswith('"{env:DSCOREML_CANDIDATE:}"')


@pytest.mark.parametrize("python", ["py39", "py310", "py311", "py312", "py313"])
def test_the_tensorflow_of_a_candidate_is_that_of_the_newest_release(python):
    wanted = [Requirement(text) for text in shlex.split(settings()["candidate"]["tensorflow"].replace("\\\n", ""))]
    version = f"3.{python[3:]}"
    taken = [f"{one.name}{one.specifier}" for one in wanted if one.marker.evaluate({"python_version": version})]

    assert taken == [one for one in dependencies(f"{python}-ct90") if one.startswith("tensorflow")]


def test_the_page_tells_of_the_candidate():
    for name in ("DSCOREML_CANDIDATE", "DSCOREML_CANDIDATE_TENSORFLOW", "DSCOREML_CANDIDATE_PYTHON", "DSCOREML_MATRIX"):
        assert f"`{name}`" in PAGE
        assert name in (ROOT / "tox.ini").read_text(encoding="utf-8")
