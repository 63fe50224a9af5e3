"""Measures how long the advice on float16 takes for a full-size graph.

    python benchmarks/advice.py [--n-hidden 2048] [--steps 500]

Builds DeepSpeech's graph with random weights and gives it to `python -m pytest_dscoreml advise`, on the demo's speech; prints
what that prints, and the seconds that it took in all.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from runtime_models import graph_path

from pytest_dscoreml.__main__ import main as command
from pytest_dscoreml.model.demo import demo_speech


def main() -> None:
    """Print the advice and its seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-hidden", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()) / "dscoreml-benchmark")
    given = parser.parse_args()
    graph = graph_path(given.directory, given.n_hidden, "dynamic")
    begun = time.monotonic()
    audio = [f"--audio={utterance.path}" for utterance in demo_speech()]
    status = command(["advise", str(graph), *audio, f"--steps={given.steps}", f"--cache-dir={given.directory}"])
    print(f"exit status {status}, {time.monotonic() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
