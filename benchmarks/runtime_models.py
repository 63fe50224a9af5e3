"""Builds the models that benchmarks/runtime.py measures: random weights, the graphs of DeepSpeech, their conversions.

The graphs are files in the cache directory and the conversions entries of the same cache, so that a second run finds
them. Imports the package's model and conversion layers; TensorFlow only to build a graph that is not there yet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.conversion.cache import Cache
from pytest_dscoreml.conversion.convert import Converter, convert
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.model.graph import DYNAMIC_STEPS, STATIC_STEPS, build_graph
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import LSTM_BIAS, LSTM_KERNEL, N_CONTEXT, N_INPUT, Weights
from pytest_dscoreml.progress import on_stderr

#: The longest sequence that is measured; a dynamic ML Program must admit it.
LONGEST = 4000
SEED = 7
N_STEPS = {"static": STATIC_STEPS, "dynamic": DYNAMIC_STEPS}


def random_weights(n_hidden: int) -> Weights:
    """Weights of DeepSpeech's geometry, scaled so that activations neither vanish nor saturate."""
    random = np.random.default_rng(SEED)
    classes = len(Metadata().alphabet.labels) + 1
    window = (2 * N_CONTEXT + 1) * N_INPUT
    sizes = {
        "layer_1": (window, n_hidden),
        "layer_2": (n_hidden, n_hidden),
        "layer_3": (n_hidden, n_hidden),
        "layer_5": (n_hidden, n_hidden),
        "layer_6": (n_hidden, classes),
    }

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return random.standard_normal((rows, columns), np.float32) * np.float32(rows**-0.5)

    arrays: dict[str, NDArray[np.float32]] = {}
    for layer, (rows, columns) in sizes.items():
        arrays[f"{layer}/weights"] = matrix(rows, columns)
        arrays[f"{layer}/bias"] = random.standard_normal(columns, np.float32) * np.float32(0.1)
    arrays[LSTM_KERNEL] = matrix(2 * n_hidden, 4 * n_hidden)
    arrays[LSTM_BIAS] = random.standard_normal(4 * n_hidden, np.float32) * np.float32(0.1)
    return Weights(arrays)


def graph_path(directory: Path, n_hidden: int, kind: str) -> Path:
    """The frozen ``static`` or ``dynamic`` graph of a geometry, built when it is not there."""
    path = directory / "graphs" / f"{kind}-{n_hidden}-seed{SEED}.pb"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        graph = build_graph(random_weights(n_hidden), Metadata(), n_steps=N_STEPS[kind])
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(graph.SerializeToString())
        unfinished.replace(path)
    return path


def conversion_path(directory: Path, n_hidden: int, spec: ConversionSpec) -> Path:
    """The converted model's file, made when the cache does not hold it; ConversionError when it cannot be made."""
    made = convert(
        {spec.graph: graph_path(directory, n_hidden, spec.graph)},
        [spec],
        converter=Converter(timeout_seconds=3600),
        cache=Cache(directory),
        n_steps=STATIC_STEPS,
        longest=LONGEST,
        progress=on_stderr(),
    )[spec]
    if isinstance(made, Exception):
        raise made
    return made.path
