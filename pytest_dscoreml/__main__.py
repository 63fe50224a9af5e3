"""`python -m pytest_dscoreml`: the commands beside the gate. Each imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Optional

from pytest_dscoreml import __version__
from pytest_dscoreml.commands import advise, diverge, export, inspect, matrix, operations, transcribe
from pytest_dscoreml.errors import DscoremlError

#: Exit status when something that was given cannot be used, argparse's own.
UNUSABLE = 2


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_dscoreml", description="DeepSpeech graphs and Core ML models"
    )
    parser.add_argument("--version", action="version", version=f"pytest-dscoreml {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (advise, diverge, export, inspect, matrix, operations, transcribe):
        command.add_to(commands)
    given = parser.parse_args(arguments)
    try:
        status: Optional[int] = given.run(given)
    except DscoremlError as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    return 0 if status is None else status


if __name__ == "__main__":
    sys.exit(main())
