"""Measures the nine conversions of a full-size model against plain calls of coremltools, in one run.

    python benchmarks/conversions.py [--n-hidden 2048] [--rounds 1] [--directory DIR]

Plain: one process that imports TensorFlow and coremltools and then, nine times, reads the .pb, calls
`ct.convert(graph_def, ...)` and saves the model. The product: `pytest_dscoreml.conversion.convert` with an empty cache,
for the same graphs, with the same arguments. Both include imports and saving; the product includes what it does besides:
hashes of the files, flushing them to the disk, the description of each model. Graphs with random weights are built
before the clocks start. In the end the files of both sides are compared, byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple

from runtime_models import LONGEST, SEED, graph_path

from pytest_dscoreml.conversion.cache import Cache
from pytest_dscoreml.conversion.convert import Conversion, Converter, convert
from pytest_dscoreml.conversion.variants import DEEPSPEECH_WINDOW, OUTPUTS, ConversionSpec, default_specs
from pytest_dscoreml.model.graph import STATIC_STEPS
from pytest_dscoreml.progress import on_stderr

#: What the project asks for, of the plain calls' time.
MOST = 0.5
#: Holds names that coremltools draws at random for each package it writes.
DRAWN = "Manifest.json"


class Spent(NamedTuple):
    """Seconds of wall clock, and of CPU in this process and in those that it waited for."""

    wall: float
    cpu: float


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-hidden", type=int, default=2048, help="the geometry (default: 2048)")
    parser.add_argument("--rounds", type=int, default=1, help="measurements of each side, in turns (default: 1)")
    parser.add_argument("--directory", type=Path, help="where to keep the graphs (default: the plugin's cache)")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plain is not None:
        convert_plainly(given.plain)
        return
    directory = Cache(given.directory).directory
    # A process of its own builds them: this one shall not hold TensorFlow and the weights while others are measured.
    build = f"import runtime_models, pathlib; runtime_models.graph_path(pathlib.Path({str(directory)!r}), {given.n_hidden}, "
    for kind in ("static", "dynamic"):
        subprocess.run([sys.executable, "-c", f"{build}{kind!r})"], check=True, cwd=Path(__file__).parent)
    graphs = {kind: graph_path(directory, given.n_hidden, kind) for kind in ("static", "dynamic")}
    size = graphs["dynamic"].stat().st_size / 2**20
    print(f"# n_hidden {given.n_hidden}, seed {SEED}, graphs of {size:.0f} MB, {os.cpu_count()} CPUs", flush=True)
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            measure(graphs, Path(scratch), number)


def measure(graphs: Mapping[str, Path], scratch: Path, number: int) -> None:
    """One round: each side once, the first of them in turn."""
    sides = {"plain": plain, "product": product}
    spent: dict[str, Spent] = {}
    phases: dict[str, dict[str, dict[str, float]]] = {}
    files: dict[str, dict[str, Path]] = {}
    for side in sorted(sides, reverse=bool(number % 2)):
        print(f"# load average {os.getloadavg()[0]:.1f}, {side}", flush=True)
        spent[side], (phases[side], files[side]) = clocked(lambda side=side: sides[side](graphs, scratch))
    print("\n| conversion | " + " | ".join(f"{side}: load, convert, save" for side in sides) + " | files |")
    print("|---|---|---|---|")
    for spec in default_specs():
        seconds = [
            ", ".join(f"{phases[side][spec.name][phase]:.1f}" for phase in ("load", "convert", "save"))
            for side in sides
        ]
        same = digests(files["plain"][spec.name]) == digests(files["product"][spec.name])
        print(f"| {spec.name} | " + " | ".join(seconds) + f" | {'the same' if same else 'DIFFERENT'} |")
    print("\n| nine conversions | wall | CPU |\n|---|---|---|")
    for side in sides:
        print(f"| {side} | {spent[side].wall:.0f} s | {spent[side].cpu:.0f} s |")
    wall = spent["product"].wall / spent["plain"].wall
    cpu = spent["product"].cpu / spent["plain"].cpu
    print(f"| product of plain, at most {MOST} | {wall:.2f} | {cpu:.2f} |\n", flush=True)


def clocked(work: Callable[[], Any]) -> tuple[Spent, Any]:
    """What some work took, and its result."""

    def cpu() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    wall, before = time.perf_counter(), cpu()
    result = work()
    return Spent(time.perf_counter() - wall, cpu() - before), result


def product(graphs: Mapping[str, Path], scratch: Path) -> tuple[dict[str, dict[str, float]], dict[str, Path]]:
    """The product's conversions: (seconds by phase, files), each by name."""
    results = convert(
        graphs,
        default_specs(),
        converter=Converter(timeout_seconds=3600),
        cache=Cache(scratch / "cache"),
        n_steps=STATIC_STEPS,
        longest=LONGEST,
        progress=on_stderr(),
    )
    phases, files = {}, {}
    for spec, made in results.items():
        if not isinstance(made, Conversion):
            raise made
        files[spec.name] = made.path
        phases[spec.name] = json.loads(made.path.with_name("conversion.json").read_text(encoding="utf-8"))["phases"]
    return phases, files


def plain(graphs: Mapping[str, Path], scratch: Path) -> tuple[dict[str, dict[str, float]], dict[str, Path]]:
    """The same by plain calls in a process of its own."""
    folder = scratch / "plain"
    folder.mkdir()
    (folder / "graphs.json").write_text(json.dumps({kind: str(path) for kind, path in graphs.items()}))
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with (folder / "log.txt").open("wb") as log:
        subprocess.run([sys.executable, __file__, "--plain", str(folder)], check=True, env=environment, stderr=log)
    files = {spec.name: folder / f"{spec.name}{spec.suffix}" for spec in default_specs()}
    return json.loads((folder / "seconds.json").read_text()), files


def convert_plainly(folder: Path) -> None:
    """What one would write without the product."""
    import coremltools as ct
    import tensorflow as tf

    graphs = json.loads((folder / "graphs.json").read_text())
    seconds: dict[str, dict[str, float]] = {}
    for spec in default_specs():
        begun = time.perf_counter()
        graph_def = tf.compat.v1.GraphDef()
        graph_def.ParseFromString(Path(graphs[spec.graph]).read_bytes())
        loaded = time.perf_counter()
        model = ct.convert(graph_def, **arguments(ct, spec))
        converted = time.perf_counter()
        model.save(str(folder / f"{spec.name}{spec.suffix}"))
        saved = time.perf_counter()
        seconds[spec.name] = {"load": loaded - begun, "convert": converted - loaded, "save": saved - converted}
        print(f"# {spec.name}, {saved - begun:.1f} s", flush=True)
    (folder / "seconds.json").write_text(json.dumps(seconds))


def arguments(ct: Any, spec: ConversionSpec) -> dict[str, Any]:
    """The arguments of ct.convert that the product hands over too."""
    options = {
        "source": "tensorflow",
        "outputs": list(OUTPUTS),
        "convert_to": spec.target.value,
        "skip_model_load": True,
    }
    inputs = spec.inputs(n_steps=STATIC_STEPS, longest=LONGEST, window=DEEPSPEECH_WINDOW)
    if inputs is not None:
        options["inputs"] = [
            ct.TensorType(
                name=one["name"],
                shape=tuple(ct.RangeDim(*size) if isinstance(size, list) else size for size in one["shape"]),
            )
            for one in inputs
        ]
    if spec.target.value == "mlprogram":
        options["compute_precision"] = getattr(ct.precision, spec.precision.value.upper())
    return options


def digests(model: Path) -> dict[str, str]:
    """Sha256 of each file of a model, except the one that differs from save to save."""
    files = [model] if model.is_file() else [path for path in model.rglob("*") if path.is_file()]
    return {
        "" if path == model else path.relative_to(model).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != DRAWN
    }


if __name__ == "__main__":
    main()
