"""Properties of tests, as `--junitxml` writes them: which conversion by which converter, and what was measured."""

from __future__ import annotations

import pytest

from pytest_dscoreml.parametrizing import COMPARED, conversions_of
from pytest_dscoreml.run import Run

PREFIX = "dscoreml_"


def describe(item: pytest.Item, gate: Run) -> None:
    """What is known before the test runs: model, engine, and the conversions with their converters."""
    specs = conversions_of(item)
    made_by = (
        [gate.coremltools_of(spec) for spec in specs]
        if specs
        else [versions["coremltools"] for versions in gate.versions.values()]
    )
    known = {
        "model": gate.model.hash,
        "engine": gate.engine_name,
        "coremltools": ", ".join(dict.fromkeys(made_by)),
        **({"conversion": ", ".join(spec.name for spec in specs)} if specs else {}),
    }
    item.user_properties += [(f"{PREFIX}{name}", value) for name, value in known.items()]


def measure(item: pytest.Item) -> None:
    """What the test measured, the worst of its conversions: called when it has run."""
    measured = [one.measured for one in item.stash.get(COMPARED, {}).values() if one.measured.examples]
    if not measured:
        return
    found = {
        "examples": sum(one.examples for one in measured),
        "longest": max(one.longest for one in measured),
        "max_error_logits": max((one.logits for one in measured if one.logits is not None), default=None),
        "max_error_states": max((one.states for one in measured if one.states is not None), default=None),
        "greedy_mismatches": sum(one.greedy_mismatches for one in measured),
    }
    item.user_properties += [(f"{PREFIX}{name}", str(value)) for name, value in found.items() if value is not None]
