"""The results as JSON; docs/report.md documents the schema."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pytest_dscoreml import __version__
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.files import write_whole
from pytest_dscoreml.report import compression
from pytest_dscoreml.report.results import ConversionResult, Results, finite
from pytest_dscoreml.run import Run

#: Raised when a field is removed or changes its meaning; new fields alone do not raise it.
SCHEMA_VERSION = 1
FILE_NAME = "results.json"


def check(directory: Path, option: str) -> None:
    """Make the directory and write into it, so that what will not do is said before the run and not after it.

    Raises:
        UsageError: the directory cannot be written; names the option, `--dscoreml-NAME=VALUE`.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise _unusable(option, error) from None


def _unusable(option: str, error: OSError) -> UsageError:
    """The error to raise where something cannot be written."""
    return UsageError(f"{option}: cannot be written ({error.strerror}); give another")


def write(path: Path, document: Mapping[str, Any], option: str) -> None:
    """Write plain values as JSON, whole or not at all; raises as `write_text` does."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n", option)


def write_text(path: Path, text: str, option: str) -> None:
    """Write a file, whole or not at all.

    Raises:
        UsageError: it cannot be written; names the option.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise _unusable(option, error) from None


def document(gate: Run, results: Results) -> dict[str, Any]:
    """The run as plain values; differences that are infinite are written as the text `infinite`."""
    model, compressed = gate.model, compression.names(gate)
    return {
        "schema": SCHEMA_VERSION,
        "version": __version__,
        "converter": dict(next(iter(gate.versions.values()))),
        "converters": {label: dict(versions) for label, versions in gate.versions.items()},
        "numpy": np.__version__,
        "engine": gate.engine_name,
        "decoders": [decoder.name for decoder in gate.decoders],
        "features": gate.settings.front_end,
        "conditions": dict(gate.conditions),
        "replayed": _replayed(gate),
        "seconds": round(results.seconds, 1),
        "model": {
            "name": model.name,
            "sha256": model.hash,
            "n_hidden": model.geometry.n_hidden,
            "n_classes": model.geometry.n_classes,
            "n_steps": model.n_steps,
            "graphs": {
                kind: {"sha256": graph.sha256, "exported": graph.exported} for kind, graph in model.graphs.items()
            },
        },
        "conversions": {name: _conversion(name, result, gate) for name, result in results.without(compressed).items()},
        "compressed": {
            name: _conversion(name, result, gate) for name, result in results.conversions.items() if name in compressed
        },
        "accuracy_against_size": compression.to_json(gate, results),
    }


def _replayed(gate: Run) -> dict[str, str] | None:
    """The bundle that was run in place of a model; None where there was a model."""
    bundle = gate.replayed
    return (
        None if bundle is None else {"directory": str(bundle.directory), "made": bundle.made, "digest": bundle.digest}
    )


def _conversion(name: str, result: ConversionResult, gate: Run) -> dict[str, Any]:
    """One conversion: verdict, tests, measurements, and how it was made."""
    made = gate.conversions.get(name)
    measured = result.measured
    return {
        "verdict": result.verdict,
        "tests": {
            "passed": result.passed,
            "failed": result.failures,
            "skipped": result.skipped,
            "known_defects": result.known,
        },
        "examples": measured.examples,
        "longest": measured.longest,
        "max_abs_error": finite({"logits": measured.logits, "states": measured.states}),
        "greedy_mismatches": measured.greedy_mismatches,
        "greedy_frames": measured.greedy_frames,
        "transcriptions": [{**vars(transcript), "agrees": transcript.agrees} for transcript in measured.transcripts],
        "error": gate.failures.get(name),
        "conversion": None if made is None else _made(made),
    }


def _made(made: Conversion) -> dict[str, Any]:
    """How a conversion was made and what it declares."""
    return {
        "versions": dict(made.versions),
        "seconds": made.seconds,
        "cached": made.cached,
        "bytes": made.size,
        "op_counts": dict(made.op_counts),
        "warnings": list(made.warnings),
        "interface": made.interface.to_json(),
    }
