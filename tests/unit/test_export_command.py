"""`python -m pytest_dscoreml export`: the graph it writes, DeepSpeech's options, and one line for whatever is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_dscoreml.__main__ import main
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.model.frozen import read_graph, read_metadata
from pytest_dscoreml.model.loading import serialized_graph
from pytest_dscoreml.model.metadata import Metadata


@pytest.fixture
def export(capsys, tmp_path, tiny_checkpoint, tiny_alphabet):
    """Run the command; gives status, standard output, standard error. An option of None is left out."""

    def run(**changes):
        options = {
            "export_dir": tmp_path / "out",
            "checkpoint_dir": tiny_checkpoint.parent,
            "alphabet_config_path": tiny_alphabet,
            **changes,
        }
        arguments = [text for name, given in options.items() if given is not None for text in (f"--{name}", str(given))]
        status = main(["export", *arguments])
        return (status, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("n_steps", "words"), [(None, "16 steps"), (16, "16 steps"), (-1, "any number of steps"), (5, "5 steps")]
)
def test_the_graph_it_writes(export, tmp_path, tiny_weights, tiny_metadata, n_steps, words):
    expected = serialized_graph(tiny_weights, tiny_metadata, n_steps=n_steps or 16)
    path = tmp_path / "out" / "output_graph.pb"

    assert export(n_steps=n_steps) == (0, f"wrote {path}: {len(expected)} bytes, {words}\n", "")
    assert path.read_bytes() == expected
    assert list((tmp_path / "out").iterdir()) == [path]


def test_a_prefix_does_as_well(export, tmp_path, tiny_files, tiny_checkpoint):
    assert export(checkpoint_dir=tiny_checkpoint)[0] == 0
    assert (tmp_path / "out" / "output_graph.pb").read_bytes() == tiny_files["static"].read_bytes()


def test_what_is_stored_in_the_graph(export, tmp_path, tiny_metadata):
    status, _, _ = export(export_beam_width=77, export_language="en-Latn-GB")

    metadata = read_metadata(read_graph(tmp_path / "out" / "output_graph.pb"))
    assert status == 0
    assert metadata == Metadata(beam_width=77, alphabet=tiny_metadata.alphabet, language="en-Latn-GB")


def test_a_scorer_is_accepted_and_told_to_be_no_part(export):
    status, out, err = export(scorer_path="kenlm.scorer")

    assert (status, err) == (0, "")
    assert out.split("\n")[1:] == [
        "the scorer is no part of the graph; give it to the gate with --dscoreml-scorer",
        "",
    ]


def test_a_graph_that_was_there_is_replaced(export, tmp_path, tiny_files):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "output_graph.pb").write_bytes(b"before")

    assert export()[0] == 0
    assert (tmp_path / "out" / "output_graph.pb").read_bytes() == tiny_files["static"].read_bytes()


@pytest.fixture
def refused(export, tmp_path):
    """The one line on standard error; nothing may have been written or said beside it."""

    def run(**changes):
        status, out, err = export(**changes)
        assert (status, out) == (2, "")
        assert not (tmp_path / "out").exists()
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err[len("error: ") : -1]

    return run


@pytest.mark.parametrize("n_steps", [0, -2, 2**40])
def test_an_impossible_number_of_steps(refused, n_steps):
    assert refused(n_steps=n_steps) == (
        f"n_steps {n_steps}: expected a positive number of steps, or -1 for a dynamic graph"
    )


@pytest.mark.parametrize("width", [0, -500, 2**31])
def test_an_impossible_beam_width(refused, width):
    assert (
        refused(export_beam_width=width) == f"--export_beam_width {width}: expected a whole number from 1, of 32 bits"
    )


@pytest.mark.parametrize("name", ["", "nothing"])
def test_no_checkpoint(refused, tmp_path, name):
    directory = tmp_path / name

    assert refused(checkpoint_dir=directory) == (
        f"--checkpoint_dir {directory}: no TensorFlow checkpoint there; give its directory or prefix"
    )


def test_a_damaged_checkpoint(refused, tmp_path):
    index = tmp_path / "train-1.index"
    index.write_text("text " * 100)

    assert refused(checkpoint_dir=index) == (
        f"checkpoint {tmp_path / 'train-1'}: cannot be read (not an sstable (bad magic number)); copy the .index and all "
        ".data files again"
    )


def test_another_alphabet(refused, tiny_checkpoint):
    assert refused(alphabet_config_path=None) == (
        f"checkpoint {tiny_checkpoint}: alphabet and model disagree: the alphabet has 28 labels, which with the blank makes "
        "29 classes; the output layer has 5. Give the alphabet the model was trained with"
    )


def test_no_alphabet(refused, tmp_path):
    path = tmp_path / "nothing.txt"

    assert refused(alphabet_config_path=path) == (
        f"alphabet {path}: cannot be read (No such file or directory); give a DeepSpeech alphabet.txt"
    )


@pytest.mark.parametrize(("place", "reason"), [("", "File exists"), ("below", "Not a directory")])
def test_a_file_in_the_way(export, tmp_path, place, reason):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("in the way")
    directory = in_the_way / place

    status, out, err = export(export_dir=directory)

    assert (status, out) == (2, "")
    assert err == f"error: --export_dir {directory}: cannot be written ({reason}); give another\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert in_the_way.read_text() == "in the way"


def test_a_directory_in_the_way(export, tmp_path):
    (tmp_path / "out" / "output_graph.pb").mkdir(parents=True)

    status, out, err = export()

    assert (status, out) == (2, "")
    assert err == f"error: --export_dir {tmp_path / 'out'}: cannot be written (Is a directory); give another\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["output_graph.pb"]


def test_as_a_process(tmp_path, tiny_checkpoint, tiny_files, tiny_alphabet):
    """Once for real; TensorFlow may have its say on standard error."""
    command = [sys.executable, "-m", "pytest_dscoreml", "export", "--export_dir", str(tmp_path / "out")]
    command += ["--alphabet_config_path", str(tiny_alphabet), "--n_steps", "-1"]

    done = subprocess.run([*command, "--checkpoint_dir", str(tiny_checkpoint)], capture_output=True, text=True)

    path = tmp_path / "out" / "output_graph.pb"
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert done.stdout == f"wrote {path}: {path.stat().st_size} bytes, any number of steps\n"
    assert path.read_bytes() == tiny_files["dynamic"].read_bytes()


def test_a_refusal_as_a_process(tmp_path):
    """Of what is found out before TensorFlow is needed, so that this is quick."""
    command = [sys.executable, "-m", "pytest_dscoreml", "export", "--export_dir", str(tmp_path / "out")]
    command += ["--checkpoint_dir", str(tmp_path), "--alphabet_config_path", str(tmp_path / "a.txt")]

    done = subprocess.run(command, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: alphabet {tmp_path / 'a.txt'}: cannot be read (No such file or directory); give a DeepSpeech alphabet.txt\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_real_checkpoint(export, real_export, tmp_path):
    status, _, _ = export(
        checkpoint_dir=real_export / "checkpoint", alphabet_config_path=real_export / "alphabet.txt", n_steps=-1
    )

    exported = read_graph(tmp_path / "out" / "output_graph.pb")
    assert (status, exported.n_steps) == (0, -1)
    assert read_metadata(exported).alphabet == Alphabet.from_file(real_export / "alphabet.txt")
