"""Conversions of the tiny model made in this process, as the worker makes them: starting one takes seconds."""

from __future__ import annotations

from pathlib import Path

from pytest_dscoreml.conversion import worker
from pytest_dscoreml.conversion.describe import selectable_from_json
from pytest_dscoreml.conversion.variants import OUTPUTS, ConversionSpec
from pytest_dscoreml.engines.reference import ReferenceEngine

STEPS = 16


def converted(graphs, spec: ConversionSpec, geometry, folder: Path):
    """An engine on a conversion, and what the converter chose a precision for."""
    import coremltools as ct
    import tensorflow as tf

    path = folder / f"{spec.name}-{len(list(folder.iterdir()))}.mlpackage"
    job = {
        "id": spec.name,
        "graph": str(graphs[spec.graph]),
        "convert_to": spec.target.value,
        "precision": spec.precision.value,
        "outputs": list(OUTPUTS),
        "inputs": spec.inputs(n_steps=STEPS, longest=100, window=(19, 26)),
        "file": str(path),
    }
    if spec.float32_operations is not None:
        job["float32_operations"] = list(spec.float32_operations)
    answer = worker.convert_job(tf, ct, job, lambda line: None)
    engine = ReferenceEngine(path, geometry, None if spec.variant == "dynamic" else STEPS)
    return engine, selectable_from_json(answer["selectable"])
