"""Counts the records: per folder, per backend, refused operations, causes. Imports the records and the file writer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pytest_dscoreml.coremltools_tests.causes import HALF
from pytest_dscoreml.coremltools_tests.records import TestRecord
from pytest_dscoreml.coremltools_tests.strict import ATOL, RTOL
from pytest_dscoreml.files import write_whole


def reached(record: TestRecord) -> bool:
    """Whether the test came as far as asking for a prediction, or for a model's state: the rates are of these."""
    return record.attempts > 0 or bool(record.refused)


def document(records: Iterable[TestRecord], *, sample: int) -> dict[str, Any]:
    """All there is to say, as JSON values."""
    listed = sorted(records, key=lambda record: record.name)
    return {
        "format": 1,
        "sample": sample,
        "float16": {"atol": ATOL, "rtol": RTOL},
        "total": _count(listed),
        "folders": _by(listed, folder_of),
        "files": _by(listed, file_of),
        "backends": _by([record for record in listed if reached(record)], backend_of),
        "opsets": _by([record for record in listed if reached(record)], opset_of),
        "refused": dict(Counter(what for record in listed for what in record.refused).most_common()),
        "refused_unasked": dict(Counter(what for record in listed for what in record.refused_unasked).most_common()),
        "causes": dict(Counter(record.cause for record in listed if record.outcome == "failed").most_common()),
        "tests": [record.to_json() for record in listed],
    }


def write(path: Path, summary: dict[str, Any]) -> None:
    """The document, whole or not at all."""
    write_whole(path, (json.dumps(summary, indent=1, sort_keys=False) + "\n").encode())


def file_of(record: TestRecord) -> str:
    """The test's file, from coremltools' folder on."""
    return record.name.partition("::")[0]


def folder_of(record: TestRecord) -> str:
    """The test's folder."""
    return file_of(record).rpartition("/")[0] or "."


def backend_of(record: TestRecord) -> str:
    """``mlprogram fp16``."""
    return f"{record.backend} {record.precision}".strip()


def opset_of(record: TestRecord) -> str:
    """``mlprogram fp16 iOS17``."""
    return f"{backend_of(record)} {record.opset}".strip()


def _by(records: list[TestRecord], key: Callable[[TestRecord], str]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[TestRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return {name: _count(groups[name]) for name in sorted(groups)}


def _count(records: list[TestRecord]) -> dict[str, Any]:
    asked = [record for record in records if reached(record) and record.outcome in ("passed", "failed")]
    passed = [record for record in asked if record.outcome == "passed"]
    passable = sum(1 for record in asked if record.cause != HALF)
    # Float16 tests whose outputs were compared, and those that failed before there were any to compare.
    strict = [
        record
        for record in asked
        if record.precision == "fp16" and (record.strict is not None or record.outcome == "failed")
    ]
    return {
        "tests": len(records),
        "reached_prediction": len(asked),
        "passed": len(passed),
        "rate": _rate(len(passed), len(asked)),
        "beyond_float16": len(asked) - passable,
        "rate_of_passable": _rate(len(passed), passable),
        "passed_comparing": sum(1 for record in passed if record.compared),
        "passed_without_values": sum(1 for record in passed if not record.predictions),
        "unjudged_only": sum(1 for record in passed if record.predictions and record.unjudged == record.predictions),
        "refused": sum(1 for record in asked if record.outcome == "failed" and record.cause == "refused"),
        "float16_strict": len(strict),
        "float16_strict_passed": sum(1 for record in strict if record.strict and record.outcome == "passed"),
        "converted_only": sum(1 for record in records if not reached(record) and record.outcome == "passed"),
        "failed_before_prediction": sum(1 for record in records if not reached(record) and record.outcome == "failed"),
        "skipped": sum(1 for record in records if record.outcome == "skipped"),
        "xfailed": sum(1 for record in records if record.outcome == "xfailed"),
        "predictions": sum(record.predictions for record in records),
        "seconds": round(sum(record.seconds for record in records), 2),
    }


def _rate(passed: int, asked: int) -> Any:
    return round(passed / asked, 4) if asked else None
