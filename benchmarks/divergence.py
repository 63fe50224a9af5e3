"""Measures how long it takes to name the first operation at which a conversion of a full-size graph departs.

    python benchmarks/divergence.py [--n-hidden 2048] [--steps 200]

Builds DeepSpeech's graph with random weights, converts it, puts the ten defects of tests/unit/divergence/injected.py into
the files, one after the other, and prints what is named for each, and in which time; limit: 60 s.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from runtime_models import conversion_path, graph_path

from pytest_dscoreml.agreement.tolerances import FLOAT32
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.divergence.expected import Graph
from pytest_dscoreml.divergence.locating import Locator
from pytest_dscoreml.engines.protocol import State
from pytest_dscoreml.engines.reference import ReferenceEngine
from pytest_dscoreml.engines.streaming import Fed
from pytest_dscoreml.model.graph import STATIC_STEPS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "divergence"))
from injected import DEFECTS, inject


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-hidden", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()) / "dscoreml-benchmark")
    given = parser.parse_args()
    print("| conversion | defect | named | seconds |\n|---|---|---|---|")
    for variant in ("static", "dynamic"):
        graph = Graph(graph_path(given.directory, given.n_hidden, variant))
        for target in ("neuralnetwork", "mlprogram"):
            spec = ConversionSpec(variant, target, "float32")
            made = conversion_path(given.directory, given.n_hidden, spec)
            for defect in DEFECTS:
                measure(graph, made, spec, defect, given.steps)


def measure(graph: Graph, made: Path, spec: ConversionSpec, defect: str, steps: int) -> None:
    """One line of the table."""
    random = np.random.default_rng(3)
    geometry = graph.engine.geometry
    windows = random.standard_normal((steps, geometry.n_window, geometry.n_input), np.float32)
    c, h = random.standard_normal((2, 1, geometry.n_hidden), np.float32)
    state = State(c, np.tanh(h))
    fed = Fed(windows[:STATIC_STEPS], state, 9) if defect == "no mask" else Fed(windows, state)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / made.name
        (shutil.copytree if made.is_dir() else shutil.copyfile)(made, path)
        inject(path, defect)
        begun = time.monotonic()
        engine = ReferenceEngine(path, geometry, None if spec.variant == "dynamic" else STATIC_STEPS)
        found = Locator(graph, path, engine, FLOAT32).find(fed)
        taken = time.monotonic() - begun
    departure = None if found is None else found.departure
    named = "nothing" if departure is None else f"{departure.step.op} {departure.result.rpartition('/')[2]}"
    print(f"| {spec} | {defect} | {named} | {taken:.1f} |", flush=True)


if __name__ == "__main__":
    main()
