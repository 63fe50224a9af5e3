"""The command line beside pytest: its commands, `inspect`, and how it refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_dscoreml import __version__
from pytest_dscoreml.__main__ import main

GRAPH = """\
input   input_samples float32 (512,)
input   input_node float32 (1, ?, 19, 26)
input   input_lengths int32 (1,)
input   previous_state_c float32 (1, 8)
input   previous_state_h float32 (1, 8)
output  mfccs
output  logits
output  new_state_c
output  new_state_h
"""


@pytest.fixture
def run(capsys):
    """Run a command; gives status, standard output, standard error."""

    def call(*arguments):
        return (main(["inspect", *map(str, arguments)]), *capsys.readouterr())

    return call


def test_inspecting_a_graph(run, tiny_files):
    assert run(tiny_files["dynamic"]) == (0, GRAPH, "")


def test_inspecting_a_converted_model(run, tiny_conversions):
    status, out, err = run(tiny_conversions["dynamic-mlprogram-float32"])

    assert (status, err) == (0, "")
    assert "input   input_node        float32  (1, 1..2000, 19, 26)\n" in out
    assert [line.split()[0] for line in out.splitlines()] == ["input"] * 4 + ["output"] * 3


def test_inspecting_both_beside_each_other(run, tiny_conversions, tiny_files):
    status, out, err = run(tiny_conversions["dynamic-mlprogram-float32"], "--graph", tiny_files["dynamic"])

    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in lines] == ["input"] * 4 + ["output"] * 3
    assert lines[0] == (
        "input   input_node float32 (1, 1..2000, 19, 26)   TensorFlow: input_node float32 (1, ?, 19, 26)"
    )


def test_a_graph_beside_a_graph(run, tiny_files):
    assert run(tiny_files["static"], "--graph", tiny_files["dynamic"]) == (
        2,
        "",
        f"error: --graph goes with a converted model; {tiny_files['static']} is no .mlmodel or .mlpackage\n",
    )


def test_a_file_that_is_not_there(run, tmp_path):
    path = tmp_path / "nothing.pb"

    assert run(path) == (2, "", f"error: {path}: no such file; give a frozen .pb graph, a .mlmodel or a .mlpackage\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.pb", "model {path}: the file is empty; give a frozen .pb graph"),
        ("empty.mlmodel", "{path} is empty: not a Core ML model"),
    ],
)
def test_a_file_that_is_nothing(run, tmp_path, name, words):
    path = tmp_path / name
    path.touch()

    assert run(path) == (2, "", f"error: {words.format(path=path)}\n")


def test_a_directory_that_is_no_package(run, tmp_path):
    (tmp_path / "m.mlpackage").mkdir()

    assert run(tmp_path / "m.mlpackage") == (
        2,
        "",
        f"error: {tmp_path / 'm.mlpackage'}: no Manifest.json, so this directory is not a Core ML package\n",
    )


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["export"], ["inspect"], ["export", "--n_steps", "many"]])
def test_arguments_that_argparse_refuses(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m pytest_dscoreml")


def test_its_version_and_its_commands(capsys):
    for argument in ("--version", "--help"):
        with pytest.raises(SystemExit) as ended:
            main([argument])
        assert ended.value.code == 0
    out, _ = capsys.readouterr()

    assert out.startswith(f"pytest-dscoreml {__version__}\nusage: python -m pytest_dscoreml ")
    assert "write the inference graph of a DeepSpeech checkpoint" in out
    assert "show inputs and outputs of a graph or a converted model" in out


def test_asking_for_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from pytest_dscoreml.__main__ import main\n"
        "try:\n    main(['export', '--help'])\n"
        "except SystemExit:\n    print(sorted({'tensorflow', 'coremltools', 'numpy'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
