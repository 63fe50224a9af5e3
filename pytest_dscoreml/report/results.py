"""The results of a run, gathered from test reports: what every rendering shows."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_dscoreml.agreement.measurements import Measurements

PASSED, FAILED, NOT_COMPARED = "passed", "failed", "not compared"


@dataclass
class ConversionResult:
    """Of one conversion: its tests and what they measured.

    Attributes:
        passed: tests that passed.
        failures: node ids of tests that failed, in any phase.
        skipped: node ids of tests that were skipped.
        measured: the sum of what the tests measured.
        known: node ids of tests that failed as a known defect of the converter makes them, with the defect's id.
    """

    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    measured: Measurements = field(default_factory=Measurements)
    known: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`passed` needs a comparison that happened; no failure alone is not enough."""
        if self.failures:
            return FAILED
        return PASSED if self.passed and self.measured.examples else NOT_COMPARED


def finite(value: Any) -> Any:
    """A value as JSON has it, which knows no infinity: what is not finite is the text `infinite`, within dictionaries too."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    return "infinite" if isinstance(value, float) and not math.isfinite(value) else value


def error_text(value: Any, missing: str = "-") -> str:
    """A largest difference in a table; `missing` where nothing was compared, reports' word for what is infinite as it is."""
    return missing if value is None else value if isinstance(value, str) else f"{value:.1e}"


class Results:
    """By conversion, in the order in which they were first heard of; and the texts of all failures by node id."""

    def __init__(self) -> None:
        self.conversions: dict[str, ConversionResult] = {}
        self.failed: dict[str, str] = {}
        self._begun = time.monotonic()

    def without(self, names: Collection[str]) -> dict[str, ConversionResult]:
        """The conversions but for those of these names."""
        return {name: result for name, result in self.conversions.items() if name not in names}

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self._begun

    def add(self, report: pytest.TestReport, carried: Mapping[str, Any], known: str | None = None) -> None:
        """Take in a report of a test and what it carried: measurements by conversion, None where there were none.

        `known` is the id of the known defect that the test was expected to show.
        """
        if report.failed:
            self.failed.setdefault(report.nodeid, report.longreprtext)
        for name, measured in carried.items():
            result = self.conversions.setdefault(name, ConversionResult())
            if report.failed:
                result.failures.append(report.nodeid)
            elif report.skipped and known is not None:
                result.known[report.nodeid] = known
            elif report.skipped:
                result.skipped.append(report.nodeid)
            else:
                result.passed += 1
            if measured is not None:
                result.measured.add(Measurements.from_json(measured))
