"""TensorFlow 1 checkpoints: how one is found, which variables are read, and damage of every kind."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import ModelError
from pytest_dscoreml.model.checkpoint import checkpoint_prefix, read_checkpoint
from pytest_dscoreml.model.loading import load_model
from pytest_dscoreml.model.weights import LSTM_BIAS, LSTM_KERNEL

UNREADABLE = r"checkpoint {prefix}: cannot be read \((.+)\); copy the \.index and all \.data files again"


@pytest.fixture
def copy(tiny_checkpoint, tmp_path):
    """The prefix of a copy of the tiny checkpoint, to be damaged."""
    shutil.copytree(tiny_checkpoint.parent, tmp_path / "copy")
    return tmp_path / "copy" / tiny_checkpoint.name


@pytest.fixture(scope="module")
def spare(tiny_checkpoint, tmp_path_factory):
    """The same for the many examples of Hypothesis."""
    directory = tmp_path_factory.mktemp("spare") / "copy"
    shutil.copytree(tiny_checkpoint.parent, directory)
    return directory / tiny_checkpoint.name


def part(prefix, suffix):
    return prefix.with_name(prefix.name + suffix)


def data_file(prefix):
    return part(prefix, ".data-00000-of-00001")


# -- finding -----------------------------------------------------------------------------------------------------------


def test_a_prefix_an_index_and_a_directory_name_it(copy):
    assert checkpoint_prefix(copy) == checkpoint_prefix(part(copy, ".index")) == checkpoint_prefix(copy.parent) == copy


@pytest.mark.parametrize("content", [None, b"no such field", b'model_checkpoint_path: "gone"', b"\xff\xfe"])
def test_without_a_usable_checkpoint_file_the_only_index_counts(copy, content):
    (copy.parent / "checkpoint").unlink()
    if content is not None:
        (copy.parent / "checkpoint").write_bytes(content)

    assert checkpoint_prefix(copy.parent) == copy


def test_a_directory_that_was_copied_is_not_left_for_where_it_came_from(copy, tiny_checkpoint):
    (copy.parent / "checkpoint").write_text(f'model_checkpoint_path: "{tiny_checkpoint.as_posix()}"')

    assert checkpoint_prefix(copy.parent) == copy


def test_of_several_the_checkpoint_file_names_the_latest(tiny_weights, write_checkpoint, copy):
    directory = copy.parent.parent / "several"
    later = write_checkpoint(directory, tiny_weights.arrays, step=400)
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(part(copy, suffix), directory)

    assert checkpoint_prefix(directory) == later
    (directory / "checkpoint").unlink()
    assert checkpoint_prefix(directory) is None


@pytest.mark.parametrize("name", ["", "nothing", "nothing.index", "checkpoint"])
def test_where_there_is_none(tmp_path, name):
    assert checkpoint_prefix(tmp_path / name) is None


# -- reading -----------------------------------------------------------------------------------------------------------


def test_the_slots_of_the_optimizer_are_left_out(tiny_checkpoint, tiny_weights):
    weights = read_checkpoint(tiny_checkpoint)

    assert weights.arrays.keys() == tiny_weights.arrays.keys()
    for name, array in tiny_weights.arrays.items():
        np.testing.assert_array_equal(weights.arrays[name], array, err_msg=name)


def test_the_lstm_is_found_under_another_scope(tiny_weights, write_checkpoint, tmp_path):
    arrays = {
        name.replace("cudnn_lstm/", "lstm_fused_cell/") if name in (LSTM_KERNEL, LSTM_BIAS) else name: array
        for name, array in tiny_weights.arrays.items()
    }

    weights = read_checkpoint(write_checkpoint(tmp_path / "renamed", arrays, slots=True))

    np.testing.assert_array_equal(weights.arrays[LSTM_KERNEL], tiny_weights.arrays[LSTM_KERNEL])
    np.testing.assert_array_equal(weights.arrays[LSTM_BIAS], tiny_weights.arrays[LSTM_BIAS])


def test_two_lstms_are_not_guessed_at(tiny_weights, write_checkpoint, tmp_path, refusal):
    arrays = {name: array for name, array in tiny_weights.arrays.items() if name != LSTM_KERNEL}
    arrays.update({f"{scope}/lstm_cell/kernel": tiny_weights.arrays[LSTM_KERNEL] for scope in ("a", "b")})
    prefix = write_checkpoint(tmp_path / "two", arrays)

    assert refusal(ModelError, read_checkpoint, prefix) == (
        f"checkpoint {prefix}: variables missing: {LSTM_KERNEL}; a DeepSpeech acoustic model has all of these"
    )


def test_a_missing_variable(tiny_weights, write_checkpoint, tmp_path, refusal):
    arrays = {name: array for name, array in tiny_weights.arrays.items() if not name.startswith("layer_5")}
    prefix = write_checkpoint(tmp_path / "partial", arrays)

    assert refusal(ModelError, read_checkpoint, prefix) == (
        f"checkpoint {prefix}: variables missing: layer_5/weights, layer_5/bias; a DeepSpeech acoustic model has all of these"
    )


@pytest.mark.parametrize("name", ["layer_1/LayerNorm/gamma", "layer_1/layer_norm/gamma"])
def test_layer_norm(tiny_weights, write_checkpoint, tmp_path, refusal, name):
    arrays = {**tiny_weights.arrays, name: np.ones(8, np.float32)}
    prefix = write_checkpoint(tmp_path / "normalised", arrays)

    assert refusal(ModelError, read_checkpoint, prefix) == (
        f"checkpoint {prefix}: has layer normalisation, which the graph builder does not write; give frozen graphs, "
        "static and dynamic, with --dscoreml-model twice"
    )


def test_an_alphabet_of_other_classes(tiny_checkpoint, tmp_path, refusal):
    assert refusal(ModelError, load_model, [str(tiny_checkpoint)], exports=tmp_path / "exports") == (
        f"checkpoint {tiny_checkpoint}: alphabet and model disagree: the alphabet has 28 labels, which with the blank makes "
        "29 classes; the output layer has 5. Give the alphabet the model was trained with"
    )
    assert not (tmp_path / "exports").exists()


# -- damage ------------------------------------------------------------------------------------------------------------


def unreadable(prefix, message):
    """The reason that TensorFlow gave, from a message that must be whole."""
    match = re.fullmatch(UNREADABLE.format(prefix=re.escape(str(prefix))), message)
    assert match, message
    return match[1]


def test_a_missing_data_file(copy, refusal):
    data_file(copy).unlink()

    for path in (copy, copy.parent, part(copy, ".index")):
        message = refusal(ModelError, load_model, [str(path)], exports=copy.parent / "exports")
        assert unreadable(copy, message) == f"{data_file(copy)}; No such file or directory"
    assert not (copy.parent / "exports").exists()


def test_a_changed_data_file(copy, refusal):
    content = bytearray(data_file(copy).read_bytes())
    content[100] ^= 1
    data_file(copy).write_bytes(content)

    assert "Checksum does not match" in unreadable(copy, refusal(ModelError, read_checkpoint, copy))


def test_an_index_that_is_text(copy, refusal):
    part(copy, ".index").write_text("text " * 100)

    assert unreadable(copy, refusal(ModelError, read_checkpoint, copy)) == "not an sstable (bad magic number)"


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere(spare, tiny_checkpoint, refusal, suffix, data):
    whole = part(tiny_checkpoint, suffix).read_bytes()
    # The optimizer's slots and the step lie behind the last variable that is read, or before the first.
    cut = data.draw(st.integers(0, len(whole) - 1 if suffix == ".index" else len(whole) // 4))
    part(spare, suffix).write_bytes(whole[:cut])
    try:
        assert unreadable(spare, refusal(ModelError, read_checkpoint, spare))
    finally:
        part(spare, suffix).write_bytes(whole)


def test_relative_paths_do(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)

    assert checkpoint_prefix(Path(copy.name)) == Path(copy.name)
    assert checkpoint_prefix(Path()).name == copy.name
