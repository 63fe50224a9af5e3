"""Several converters of one run beside each other: what the later ones make of each conversion, against the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_dscoreml.report.changes import Change, changes, cost
from pytest_dscoreml.report.results import error_text
from pytest_dscoreml.run import Run

COLUMNS = ("conversion", "converters", "logits", "states", "operations", "seconds", "kB", "different")


@dataclass(frozen=True)
class Pair:
    """One conversion by two converters.

    Attributes:
        kind: `variant-target-precision`.
        labels: of the converters, the first of the run and another.
        entries: what the report has of the two.
        found: what is different.
    """

    kind: str
    labels: tuple[str, str]
    entries: tuple[Mapping[str, Any], Mapping[str, Any]]
    found: tuple[Change, ...]

    @property
    def cells(self) -> Sequence[str]:
        """The row of a table, `first / other` in each column that has numbers."""
        made = [entry["conversion"] for entry in self.entries]
        numbers = [
            [error_text(entry["max_abs_error"]["logits"]) for entry in self.entries],
            [error_text(entry["max_abs_error"]["states"]) for entry in self.entries],
            ["-" if one is None else str(sum(one["op_counts"].values())) for one in made],
            ["-" if one is None else f"{one['seconds']:.1f}" for one in made],
            ["-" if one is None else f"{one['bytes'] / 1000:.0f}" for one in made],
        ]
        different = "; ".join(change.text for change in self.found)
        return (self.kind, " / ".join(self.labels), *(" / ".join(two) for two in numbers), different)


def pairs(gate: Run, document: Mapping[str, Any]) -> list[Pair]:
    """Every conversion that two converters of the run have results of, the first converter's beside each other's."""
    first, *others = gate.versions
    entries = document["conversions"]
    by_kind: dict[str, dict[str, Mapping[str, Any]]] = {}
    for spec in gate.specs:
        if spec.name in entries:
            by_kind.setdefault(spec.kind, {})[spec.converter] = entries[spec.name]
    return [
        Pair(kind, (first, label), (found[first], found[label]), tuple(_found(found[first], found[label])))
        for kind, found in by_kind.items()
        for label in others
        if first in found and label in found
    ]


def _found(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    both = before["conversion"], now["conversion"]
    return [*changes(before, now), *(cost(*both) if None not in both else ())]
