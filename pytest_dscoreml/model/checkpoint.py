"""Reads the variables of a TensorFlow 1 checkpoint with whatever TensorFlow is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_dscoreml.errors import ModelError
from pytest_dscoreml.heavy import import_tensorflow
from pytest_dscoreml.model.weights import LSTM_BIAS, LSTM_KERNEL, VARIABLES, Weights, is_layer_norm

#: Optimizers keep their slots beside the variable, under its name.
_SLOTS = ("/Adam", "/Adam_1", "/Momentum", "/ExponentialMovingAverage")


def checkpoint_prefix(path: Path) -> Path | None:
    """The prefix of the checkpoint that `path` names (a prefix, its `.index`, or a directory), None if there is none."""
    if path.is_dir():
        latest = _latest(path)
        if latest is not None and latest.parent.resolve() == path.resolve():
            return latest
        # Without the `checkpoint` file (or with one that names files elsewhere) a single index still says it all.
        indices = sorted(path.glob("*.index"))
        return indices[0].with_suffix("") if len(indices) == 1 else latest
    if path.suffix == ".index" and path.is_file():
        return path.with_suffix("")
    return path if Path(f"{path}.index").is_file() else None


def _latest(directory: Path) -> Path | None:
    """The prefix that a directory's `checkpoint` file names; None where it names none that is there."""
    tf = import_tensorflow()
    try:
        latest = tf.train.latest_checkpoint(str(directory))
    except UnicodeDecodeError:  # the `checkpoint` file is no text
        return None
    return None if latest is None else Path(latest)


def read_checkpoint(prefix: Path) -> Weights:
    """The variables of a checkpoint, optimizer slots left out.

    The LSTM's names vary a little between DeepSpeech versions: a variable that ends in `_cell/kernel` or `_cell/bias`
    is taken for it where the usual name is absent and there is only one.

    Raises:
        ModelError: the checkpoint is damaged or lacks a variable of DeepSpeech's.
    """
    tf = import_tensorflow()

    source = f"checkpoint {prefix}"
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = [name for name in reader.get_variable_to_shape_map() if not name.endswith(_SLOTS)]
        if any(map(is_layer_norm, names)):
            raise ModelError(
                f"{source}: has layer normalisation, which the graph builder does not write; give frozen graphs, "
                "static and dynamic, with --dscoreml-model twice"
            )
        wanted = {name: _find(name, names) for name in VARIABLES}
        arrays = {
            name: np.asarray(reader.get_tensor(stored), np.float32)
            for name, stored in wanted.items()
            if stored is not None
        }
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:  # IndexError: a .data file is cut short
        reason = str(error).splitlines()[0]
        raise ModelError(f"{source}: cannot be read ({reason}); copy the .index and all .data files again") from None
    try:
        return Weights(arrays)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None


def _find(name: str, names: list[str]) -> str | None:
    """The stored name of a variable."""
    if name in names:
        return name
    if name in (LSTM_KERNEL, LSTM_BIAS):
        ending = "_cell/" + name.rsplit("/", 1)[1]
        alike = [stored for stored in names if stored.endswith(ending)]
        return alike[0] if len(alike) == 1 else None
    return None
