"""`inspect`: what a graph gives, what a converted model takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_dscoreml.errors import UsageError


def add_to(commands: Any) -> None:
    """Describe the command to argparse."""
    parser = commands.add_parser("inspect", help="show inputs and outputs of a graph or a converted model")
    parser.add_argument("path", type=Path, metavar="PATH", help="a frozen .pb graph, a .mlmodel or a .mlpackage")
    parser.add_argument(
        "--graph", type=Path, metavar="GRAPH.pb", help="show the placeholders of this graph beside the model's inputs"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Print it.

    Raises:
        UsageError: a file cannot be used.
    """
    from pytest_dscoreml.inspection import CORE_ML_SUFFIXES, describe, inspect_inputs
    from pytest_dscoreml.progress import on_stderr

    if given.graph is None:
        with on_stderr().task(f"reading {given.path}"):
            lines = describe(given.path)
        print("\n".join(lines))
        return
    if given.path.suffix not in CORE_ML_SUFFIXES:
        raise UsageError(f"--graph goes with a converted model; {given.path} is no .mlmodel or .mlpackage")
    with on_stderr().task(f"reading {given.path} and {given.graph}"):
        inputs = [f"input   {inspected}" for inspected in inspect_inputs(given.path, given.graph)]
        outputs = [line for line in describe(given.path) if line.startswith("output")]
    print("\n".join([*inputs, *outputs]))
