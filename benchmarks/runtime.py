"""Measures the NumPy runtime against TensorFlow on the same graph, in one run, and prints a table in Markdown.

    python benchmarks/runtime.py [--cache-dir DIR] [--n-hidden 128,2048] [--rounds 5]

Graphs of DeepSpeech with random weights are built and converted once (into the cache). TensorFlow and the runtime then
take turns, round after round, each with the threads its library takes by itself, and the figure is the median of the
rounds' ratios: another load on the machine slows both. Beside it stand the memory's bandwidth, measured in the same
rounds as a product of one vector with the recurrent weights, and the floor that follows from it: a step cannot take less
than reading the recurrent weights once. Memory is the peak of a process that loads the model and runs it once.
"""

from __future__ import annotations

import argparse
import functools
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import numpy as np
from runtime_models import SEED, conversion_path, graph_path
from threadpoolctl import threadpool_info

from pytest_dscoreml.conversion.cache import Cache
from pytest_dscoreml.conversion.variants import ConversionSpec, Precision, Target, Variant
from pytest_dscoreml.heavy import import_tensorflow
from pytest_dscoreml.model.graph import STATIC_STEPS
from pytest_dscoreml.runtime import ReferenceModel

OUTPUTS = ("logits", "new_state_c", "new_state_h")
TARGETS = ("mlprogram", "neuralnetwork")
STEPS = 636
SHORT, LONG = 400, 4000
RELEASE = 2048
#: What the project asks for: of TensorFlow's time by geometry; long over short; chunked over dynamic; over the weights.
MOST_OF_TENSORFLOW = {RELEASE: 0.45, 128: 1.2}
MOST_LINEAR, MOST_CHUNKED, MOST_MEMORY = 12.0, 1.3, 300
_MEMORY = "--memory-of"
_THREADS = "OPENBLAS_NUM_THREADS"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache-dir", type=Path, help="graphs and conversions (default: the plugin's cache)")
    parser.add_argument("--n-hidden", default=f"128,{RELEASE}", help=f"geometries (default: 128,{RELEASE})")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of each; the figures are medians (default: 5)"
    )
    parser.add_argument("--threads", type=int, help="for both sides; on a busy machine 1 disturbs the figures least")
    parser.add_argument(_MEMORY, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--hidden", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of is not None:
        print(_peak(given.memory_of, given.hidden))
        return
    if given.threads is not None and os.environ.get(_THREADS) != str(given.threads):
        # NumPy's BLAS reads it when it is loaded.
        os.environ[_THREADS] = str(given.threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    directory = Cache(given.cache_dir).directory
    geometries = [int(size) for size in given.n_hidden.split(",")]
    rows = [row for n_hidden in geometries for row in _measure(directory, n_hidden, given.rounds)]
    tf = import_tensorflow()
    print(f"\nTensorFlow {tf.__version__}, NumPy {np.__version__}, {os.cpu_count()} CPUs, {_blas()}.")
    print(f"Load average at the end {os.getloadavg()[0]:.1f}; {given.rounds} rounds.\n")
    print("| n_hidden | what | measured | limit |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def _measure(directory: Path, n_hidden: int, rounds: int) -> list[tuple[str, str, str, str]]:
    dynamic = {target: conversion_path(directory, n_hidden, _spec("dynamic", target)) for target in TARGETS}
    static = {target: conversion_path(directory, n_hidden, _spec("static", target)) for target in TARGETS}
    models = {target: ReferenceModel(path) for target, path in dynamic.items()}
    chunks = {target: ReferenceModel(path) for target, path in static.items()}
    run_tensorflow = _tensorflow(graph_path(directory, n_hidden, "dynamic"))
    fed = _inputs(n_hidden, STEPS)
    turns: dict[str, Callable[[], Any]] = {"tensorflow": lambda: run_tensorflow(fed)}
    turns["bandwidth"] = _reads(n_hidden)
    for target in TARGETS:
        turns[target] = functools.partial(models[target].predict, fed)
        turns[f"{target} chunked"] = functools.partial(_chunked, chunks[target], fed, n_hidden)
    expected = run_tensorflow(fed)
    for name, turn in turns.items():
        if name != "bandwidth":
            print(f"# n_hidden {n_hidden}, {name}: differs by {_difference(turn(), expected):.1e}", flush=True)
    seconds = _alternate(turns, rounds)
    rows = []
    tensorflow = np.median(seconds["tensorflow"])
    weights = 4 * n_hidden * n_hidden * 4
    step = np.median(seconds["bandwidth"])
    floor = np.median(seconds["bandwidth"] * STEPS / seconds["tensorflow"])
    size = str(n_hidden)
    rows.append((size, f"TensorFlow, T = {STEPS}", f"{tensorflow:.3g} s", ""))
    rows.append((size, "reading the recurrent weights", f"{step * 1e3:.3g} ms, {weights / step / 1e9:.1f} GB/s", ""))
    rows.append((size, "floor: reading them at each step", f"{floor:.2f} of TensorFlow", ""))
    for target in TARGETS:
        ratio = np.median(seconds[target] / seconds["tensorflow"])
        limit = MOST_OF_TENSORFLOW.get(n_hidden)
        text = f"{ratio:.2f} of TensorFlow ({np.median(seconds[target]):.3g} s), {ratio / floor:.2f} of the floor"
        rows.append((size, f"{target}, T = {STEPS}", text, "" if limit is None else f"{limit}"))
        chunked = np.median(seconds[f"{target} chunked"] / seconds[target])
        text = f"{chunked:.2f} of the dynamic model"
        rows.append((size, f"{target}, {STATIC_STEPS} steps a call", text, f"{MOST_CHUNKED}"))
    if n_hidden < RELEASE:
        # The release geometry takes minutes for what the small one shows as well.
        rows += [_linear(models[target], target, n_hidden, rounds) for target in TARGETS]
    for target in TARGETS:
        held = sum(file.stat().st_size for file in _files(dynamic[target])) / 2**20
        peak = _peak_elsewhere(dynamic[target], n_hidden)
        text = f"{peak:.0f} MB, the file's {held:.0f} MB and {peak - held:.0f}"
        rows.append((size, f"{target}, peak memory, T = {STEPS}", text, f"file + {MOST_MEMORY} MB"))
    return rows


def _alternate(turns: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Seconds of each, one array over the rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            seconds[name].append(_seconds(turn))
    return {name: np.array(found) for name, found in seconds.items()}


def _linear(model: ReferenceModel, target: str, n_hidden: int, rounds: int) -> tuple[str, str, str, str]:
    """Long sequences against short ones."""
    short, long = (_inputs(n_hidden, steps) for steps in (SHORT, LONG))
    turns = {"short": lambda: model.predict(short), "long": lambda: model.predict(long)}
    seconds = _alternate(turns, rounds)
    ratio = np.median(seconds["long"] / seconds["short"])
    return str(n_hidden), f"{target}, T = {LONG} over T = {SHORT}", f"{ratio:.1f}", f"{MOST_LINEAR:.0f}"


def _seconds(turn: Callable[[], Any]) -> float:
    start = time.perf_counter()
    turn()
    return time.perf_counter() - start


def _reads(n_hidden: int) -> Callable[[], Any]:
    """One product of a vector with weights of the recurrent half's size."""
    random = np.random.default_rng(SEED)
    weights = random.standard_normal((n_hidden, 4 * n_hidden), np.float32)
    vector, result = weights[0, :n_hidden].copy(), np.empty(4 * n_hidden, np.float32)
    return lambda: np.dot(vector, weights, result)


def _inputs(n_hidden: int, steps: int) -> dict[str, Any]:
    random = np.random.default_rng(SEED)
    return {
        "input_node": random.standard_normal((1, steps, 19, 26), np.float32),
        "input_lengths": np.array([steps], np.int32),
        "previous_state_c": np.zeros((1, n_hidden), np.float32),
        "previous_state_h": np.zeros((1, n_hidden), np.float32),
    }


def _chunked(model: ReferenceModel, fed: Mapping[str, Any], n_hidden: int) -> dict[str, Any]:
    """The sequence in calls of a static graph, the state carried from one to the next."""
    windows = fed["input_node"]
    state = {name: fed[name] for name in ("previous_state_c", "previous_state_h")}
    logits = []
    for start in range(0, windows.shape[1], STATIC_STEPS):
        part = windows[:, start : start + STATIC_STEPS]
        length = part.shape[1]
        padding = ((0, 0), (0, STATIC_STEPS - length), (0, 0), (0, 0))
        outputs = model.predict(
            {"input_node": np.pad(part, padding), "input_lengths": np.array([length], np.int32), **state}
        )
        state = {f"previous_state_{name}": outputs[f"new_state_{name}"] for name in "ch"}
        logits.append(outputs["logits"][:length])
    return {**outputs, "logits": np.concatenate(logits)}


def _tensorflow(path: Path) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    tf = import_tensorflow()
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    threads = int(os.environ.get(_THREADS, 0))
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    session = tf.compat.v1.Session(graph=graph, config=config)

    def run(fed: Mapping[str, Any]) -> dict[str, Any]:
        values = session.run([f"{name}:0" for name in OUTPUTS], {f"{name}:0": value for name, value in fed.items()})
        return dict(zip(OUTPUTS, values))

    return run


def _difference(obtained: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
    return max(float(np.abs(obtained[name] - expected[name]).max()) for name in OUTPUTS)


def _spec(variant: str, target: str) -> ConversionSpec:
    return ConversionSpec(Variant(variant), Target(target), Precision.FLOAT32)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _peak_elsewhere(path: Path, n_hidden: int) -> float:
    command = [sys.executable, __file__, _MEMORY, str(path), "--hidden", str(n_hidden)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _peak(path: Path, n_hidden: int) -> float:
    """The most memory, in MB, that this process has held after loading a model and running it."""
    ReferenceModel(path).predict(_inputs(n_hidden, STEPS))
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: there Linux counts the process that started this one.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _blas() -> str:
    found = [one for one in threadpool_info() if one.get("user_api") == "blas"]
    return f"threads of both: {os.environ.get(_THREADS) or 'what their libraries take'}; " + ", ".join(
        f"{one['internal_api']} {one['version']} ({one.get('architecture')}), {one['num_threads']} threads"
        for one in found
    )


if __name__ == "__main__":
    main()
