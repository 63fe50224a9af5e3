"""What is different between two results of one conversion, as `--dscoreml-report` writes them. Pure functions on plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_dscoreml.conversion.describe import DeclaredTensor, Interface

#: How often the largest error of a stored run may be had without being drift, and below which error nothing is. On the same
#: examples, other versions of TensorFlow and NumPy were measured to change it up to 1.2 times (logits) and 2.9 times (states);
#: the same versions, with another number of threads, 1.02 times. docs/baseline.md has the figures.
DRIFT_FACTOR = {"logits": 2.0, "states": 4.0}
#: The rounding of a probability near one, and the absolute part of the tolerance of states.
DRIFT_FLOOR = {"logits": 1e-7, "states": 1e-6}
#: How much larger a file may become: names and descriptions change with the versions, weights do not.
SIZE_FACTOR = 1.05
#: A conversion that takes as many times longer, or shorter, is worth a word; time is never a failure.
TIME_FACTOR = 2.0

#: Kinds of change that make a run worse; those of any other kind are told, and no more.
WORSE = ("failure", "not compared", "drift", "interface", "size")


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        kind: `verdict`, `failure`, `fixed`, `not compared`, `drift`, `operations`, `interface`, `size`, `seconds` or
            `known defect`.
        text: in words.
    """

    kind: str
    text: str

    @property
    def worse(self) -> bool:
        """Whether it is a step back."""
        return self.kind in WORSE


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """What is different in a conversion's entry: verdict and errors first, then how it was made."""
    if before["verdict"] != now["verdict"]:
        yield Change("verdict", f"was {before['verdict']}")
    yield from errors(before, now)
    old, new = before["conversion"], now["conversion"]
    if old is not None and new is not None:
        yield from operations(old["op_counts"], new["op_counts"])
        yield from interface(old["interface"], new["interface"])
    was, are = _defects(before), _defects(now)
    yield from (Change("known defect", f"known defect: {one}") for one in sorted(are - was))
    yield from (Change("known defect", f"no longer: {one}") for one in sorted(was - are))


def errors(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """Errors that drifted beyond the noise, and frames whose class has come to differ."""
    for quantity, factor in DRIFT_FACTOR.items():
        old, new = (_number(entry["max_abs_error"][quantity]) for entry in (before, now))
        if old is not None and new is not None and new > max(factor * old, DRIFT_FLOOR[quantity]):
            yield Change("drift", f"{quantity} drifted from {old:.1e} to {new:.1e}, more than {factor:g} times")
    old_frames, new_frames = (entry.get("greedy_mismatches", 0) for entry in (before, now))
    if new_frames > old_frames:
        yield Change("drift", f"frames of another class: {old_frames} to {new_frames}")


def operations(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[Change]:
    """Types of operations that appeared or vanished."""
    appeared, vanished = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    if appeared:
        yield Change("operations", f"new: {', '.join(appeared)}")
    if vanished:
        yield Change("operations", f"gone: {', '.join(vanished)}")


def interface(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Inputs and outputs that are declared otherwise."""
    was, is_now = Interface.from_json(old), Interface.from_json(new)
    for kind, older, newer in (("input", was.inputs, is_now.inputs), ("output", was.outputs, is_now.outputs)):
        before, after = ({tensor.name: tensor for tensor in tensors} for tensors in (older, newer))
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                yield Change("interface", f"{kind} {_declared(name, after)}, was {_declared(name, before)}")
    if was.specification_version != is_now.specification_version:
        versions = f"{was.specification_version} to {is_now.specification_version}"
        yield Change("interface", f"specification version {versions}")


def _declared(name: str, tensors: Mapping[str, DeclaredTensor]) -> str:
    return str(tensors[name]) if name in tensors else "not there"


def cost(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Size that grew, and seconds of converting that are far from what they were."""
    if new["bytes"] > SIZE_FACTOR * old["bytes"]:
        yield Change("size", f"size grew from {old['bytes'] / 1000:.0f} to {new['bytes'] / 1000:.0f} kB")
    elif old["bytes"] > SIZE_FACTOR * new["bytes"]:
        yield Change("smaller", f"size fell from {old['bytes'] / 1000:.0f} to {new['bytes'] / 1000:.0f} kB")
    if old["seconds"] and new["seconds"]:
        ratio = new["seconds"] / old["seconds"]
        if not 1 / TIME_FACTOR <= ratio <= TIME_FACTOR:
            yield Change("seconds", f"converting took {ratio:.2g} times as long, {new['seconds']:.1f} s")


def failures(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """Tests that fail now and did not, and the reverse."""
    old, new = (set(entry["tests"]["failed"]) for entry in (before, now))
    yield from (Change("failure", f"fails now: {test}") for test in sorted(new - old))
    yield from (Change("fixed", f"no longer fails: {test}") for test in sorted(old - new))
    if now["error"] is not None and before["error"] is None:
        yield Change("failure", f"is no longer converted: {now['error']}")


def _number(value: Any) -> float | None:
    return math.inf if value == "infinite" else value


def _defects(entry: Mapping[str, Any]) -> set[str]:
    return set(entry["tests"]["known_defects"].values())
