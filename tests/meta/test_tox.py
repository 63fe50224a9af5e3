"""The matrix of converters: every environment of tox.ini has a coremltools and a TensorFlow, and stands in its page."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "matrix.md").read_text(encoding="utf-8")


def matrix():
    """(names of the environments, lines of their dependencies)."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
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
