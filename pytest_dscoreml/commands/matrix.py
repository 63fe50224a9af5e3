"""`matrix`: the reports of several runs as one table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FORMATS = ("markdown", "json", "html")


def add_to(commands: Any) -> None:
    """Describe the command to argparse."""
    parser = commands.add_parser("matrix", help="show the reports of several runs as one table")
    parser.add_argument("directory", type=Path, metavar="DIR", help="holds a folder with a results.json for each run")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Print it.

    Raises:
        UsageError: there are no reports, or one cannot be read.
    """
    from pytest_dscoreml.progress import on_stderr
    from pytest_dscoreml.report import matrix

    render = {"markdown": matrix.to_markdown, "json": matrix.to_json, "html": matrix.to_html}[given.format]
    with on_stderr().task(f"reading the reports in {given.directory}"):
        table = render(matrix.read_runs(given.directory))
    print(table, end="")
