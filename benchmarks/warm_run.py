"""Measures a second run of the gate on the demo model, when all conversions are in the cache, without TensorFlow's import.

    python benchmarks/warm_run.py [--rounds 5]

After one run that fills a cache, `pytest --dscoreml-model=demo` and `python -c "import tensorflow"` take turns, each in a
fresh process; the figure is the median of the rounds' differences. CPU time stands beside the wall clock: on a machine
that others use too, it says more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

#: What the project asks for, in seconds.
MOST = 15.0
IMPORT = [sys.executable, "-c", "import tensorflow"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default: 5)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "pytest", "--dscoreml-model=demo", f"--dscoreml-cache-dir={folder}/cache", "-q"]
        print("# the first run: {:.1f} s, CPU {:.1f} s".format(*seconds(run, folder)), flush=True)
        rounds = []
        for _ in range(given.rounds):
            rounds.append((seconds(IMPORT, folder), seconds(run, folder)))
            print("# import {:.1f} s, CPU {:.1f} s;".format(*rounds[-1][0]), end=" ")
            print("run {:.1f} s, CPU {:.1f} s".format(*rounds[-1][1]), flush=True)
    print(f"\n{os.cpu_count()} CPUs, load average at the end {os.getloadavg()[0]:.1f}; {given.rounds} rounds.\n")
    print("| what | wall clock | least and most | CPU | limit |\n|---|---|---|---|---|")
    imports, runs = zip(*rounds)
    others = [tuple(whole - part for part, whole in zip(*one)) for one in rounds]
    for name, found, limit in (
        ("importing TensorFlow", imports, ""),
        ("a run with everything in the cache", runs, ""),
        ("the run without the import", others, f"{MOST:.0f} s"),
    ):
        wall, cpu = zip(*found)
        figures = (
            f"{statistics.median(wall):.1f} s | {min(wall):.1f}, {max(wall):.1f} s | {statistics.median(cpu):.1f} s"
        )
        print(f"| {name} | {figures} | {limit} |")


def seconds(command: Sequence[str], folder: str) -> tuple[float, float]:
    """What a process that must succeed takes: seconds of the wall clock, and of CPU."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    taken, now = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return taken, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


if __name__ == "__main__":
    main()
