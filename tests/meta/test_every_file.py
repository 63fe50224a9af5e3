"""What holds for every file: it opens with what it is for, and names no path of the machine it was written on."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pytest_dscoreml"

#: Places that exist on the machine of whoever wrote a file, and nowhere else.
MACHINE_PATHS = re.compile(rb"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/|[/.]pyenv\b")


def tracked():
    """The files under version control; without git, those of a source distribution."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and not any(part.startswith(".") for part in path.parts)]


def python_files():
    return [path for path in tracked() if path.suffix == ".py"]


def test_there_is_something_to_look_at():
    assert PACKAGE / "plugin.py" in python_files()
    assert len(python_files()) > 100


@pytest.mark.parametrize("path", python_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_opens_with_a_docstring(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    assert docstring
    assert len(docstring.split()) >= 4


def test_no_file_names_a_path_of_a_machine():
    here = Path(__file__).resolve()
    found = [
        f"{path.relative_to(ROOT)}:{content[: match.start()].count(10) + 1}: {match[0]!r}"
        for path in tracked()
        if path != here and b"\0" not in (content := path.read_bytes())
        for match in MACHINE_PATHS.finditer(content)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"/work/main", True),
        (b"see /root/x", True),
        (b"'/home/ann/x'", True),
        (b"~/.pyenv/versions", True),
        (b"https://example.org/work/1", False),
        (b"docs/work/x", False),
        (b"/home/", False),
        (b"/tmp/x", False),
    ],
)
def test_what_counts_as_a_path_of_a_machine(text, found):
    assert bool(MACHINE_PATHS.search(text)) is found
