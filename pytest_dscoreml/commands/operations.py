"""`operations`: what the runtime runs."""

from __future__ import annotations

import argparse
from typing import Any


def add_to(commands: Any) -> None:
    """Describe the command to argparse."""
    parser = commands.add_parser("operations", help="list the Core ML operations that the runtime has, in Markdown")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Print it."""
    from pytest_dscoreml.runtime.operations import table

    print(table(), end="")
