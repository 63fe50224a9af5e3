"""Measures what the tolerances stand on: the errors of healthy conversions, and those that defects make.

    python benchmarks/tolerances.py [--model demo] [--seeds 20] [--steps 1,17,64]

Healthy: the worst error of each quantity over every kind of features and states, for each precision. Defects: the
five of tests/plugin/defects.py, put into a copy of the dynamic ML Program; of each quantity the largest error that a
defect makes on the same sequences. A tolerance must lie between: above every healthy error, below what defects make.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "plugin"))
import defects

from pytest_dscoreml.agreement.tolerances import BY_PRECISION
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.engines.protocol import Engine, Outputs
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.options import Settings
from pytest_dscoreml.strategies import FEATURES, STATES, Case

QUANTITIES = ("probabilities", "log-probabilities", "c / max(abs(c))", "h / max(abs(h))", "row sums", "flipped margin")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="as --dscoreml-model (default: demo)")
    parser.add_argument("--audio", action="append", default=[], type=Path, help="speech to cut sequences from")
    parser.add_argument("--seeds", type=int, default=20, help="sequences of each kind and length (default: 20)")
    parser.add_argument("--steps", default="1,17,64", help="lengths (default: 1,17,64)")
    given = parser.parse_args()
    lengths = [int(steps) for steps in given.steps.split(",")]
    gate = Gate(Settings.from_values({"model": tuple(given.model or ["demo"]), "audio": tuple(given.audio)}))
    cases = [
        Case(length, features, state, seed)
        for features in FEATURES
        for state in STATES
        for length in lengths
        for seed in range(given.seeds)
    ]
    print(f"{gate.model.name}: {len(cases)} sequences of {given.steps} steps\n")
    print("| healthy | " + " | ".join(QUANTITIES) + " |")
    print("|---" * (len(QUANTITIES) + 1) + "|")
    for spec in gate.specs:
        _row(str(spec), _worst(gate, gate.engine(spec), spec, cases))
    print("\n| defect | " + " | ".join(QUANTITIES) + " |")
    print("|---" * (len(QUANTITIES) + 1) + "|")
    for precision in ("float32", "float16"):
        spec = ConversionSpec("dynamic", "mlprogram", precision)
        for defect, engine in _damaged(gate, spec):
            _row(f"{defect}, {precision}", _worst(gate, engine, spec, cases))


def _row(name: str, errors: np.ndarray) -> None:
    print(f"| {name} | " + " | ".join(f"{error:.1e}" for error in errors) + " |", flush=True)


def _damaged(gate: Gate, spec: ConversionSpec) -> Iterator[tuple[str, Engine]]:
    """An engine for each defect, on a damaged copy of the conversion."""
    for defect in defects.DEFECTS:
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / gate.conversion(spec).path.name
            shutil.copytree(gate.conversion(spec).path, copy)
            defects.damage(copy, defect)
            yield defect, gate.open(copy, spec)


def _worst(gate: Gate, engine: Engine, spec: ConversionSpec, cases: list[Case]) -> np.ndarray:
    """The worst error of each quantity; every call has three steps of padding, whose rows are compared too."""
    floor = BY_PRECISION[spec.precision.value].floor
    worst = np.zeros(len(QUANTITIES))
    for case in cases:
        windows, state = gate.material.windows(case), gate.material.state(case)
        steps = engine.n_steps or len(windows) + 3
        expected_state = obtained_state = state
        for start in range(0, len(windows), steps):
            chunk = windows[start : start + steps]
            length = len(chunk)
            chunk = np.pad(chunk, ((0, steps - length), (0, 0), (0, 0)))
            expected = gate.reference.run(chunk, length, expected_state)
            obtained = engine.run(chunk, length, obtained_state)
            expected_state, obtained_state = expected.state, obtained.state
            worst = np.maximum(worst, _errors(expected, obtained, floor))
    return worst


def _errors(expected: Outputs, obtained: Outputs, floor: float) -> np.ndarray:
    wide = expected.raw_logits.astype(np.float64)
    log_expected = wide - wide.max(-1, keepdims=True)
    log_expected -= np.log(np.exp(log_expected).sum(-1, keepdims=True))
    with np.errstate(divide="ignore"):
        log_errors = np.abs(np.log(obtained.logits.astype(np.float64)) - log_expected)
    ranked = np.sort(expected.logits, axis=-1)
    flipped = expected.logits.argmax(-1) != obtained.logits.argmax(-1)
    return np.array(
        [
            np.abs(obtained.logits - expected.logits).max(),
            np.where(log_expected >= np.log(floor), log_errors, 0.0).max(),
            np.abs(obtained.state.c - expected.state.c).max() / np.abs(expected.state.c).max(),
            np.abs(obtained.state.h - expected.state.h).max() / np.abs(expected.state.h).max(),
            np.abs(obtained.logits.astype(np.float64).sum(-1) - 1).max(),
            (ranked[:, -1] - ranked[:, -2])[flipped].max() if flipped.any() else 0.0,
        ]
    )


if __name__ == "__main__":
    main()
