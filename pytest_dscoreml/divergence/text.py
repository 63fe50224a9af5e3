"""A divergence in words, for failures and the command."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_dscoreml.divergence.expected import Graph
from pytest_dscoreml.divergence.finding import Departure
from pytest_dscoreml.divergence.locating import Divergence
from pytest_dscoreml.divergence.matching import shown


def lines(found: Divergence, graph: Graph, engine: str) -> list[str]:
    """Where it began, what went in, what came out, and what both sides say of the operation."""
    call = found.call
    place = f"steps {call.first} to {call.first + call.length - 1}" if call.length > 1 else f"step {call.first}"
    if not found.converter:
        return [
            f"first divergence: none in the file; the reference engine makes of {place} what TensorFlow does, {engine} does "
            "not: the device is at fault, not the converter"
        ]
    if found.departure is None:
        return [
            f"first divergence: none; in {place} no single operation departs beyond the tolerance of the states, "
            "the difference adds up"
        ]
    return _departure(found.departure, graph, place)


def _departure(departure: Departure, graph: Graph, place: str) -> list[str]:
    match, step = departure.match, departure.step
    where = f" in the loop {departure.loop}, pass {match.departs}" if departure.loop else ""
    node = match.source.partition(", ")[0]
    told = [
        f"first divergence: {step.op} {departure.result}{where}, in {place}",
        f"  TensorFlow: {graph.operation(node)} {match.source}",
        *(f"  input {line}" for line in shown(departure.inputs)),
        f"  {_statistics(departure)}",
        f"  attributes, Core ML: {_attributes(departure.attributes)}",
        f"  attributes, TensorFlow: {_attributes(graph.attributes(node))}",
    ]
    if departure.between:
        told.append(f"  made of what has no counterpart in TensorFlow: {', '.join(departure.between)}")
    told.append(f"  {departure.agreeing} results agree")
    return told


def _statistics(departure: Departure) -> str:
    match = departure.match
    if match.expected is None or match.departs is None:
        return "nothing to compare with"
    expected, obtained = match.expected, match.obtained
    if departure.loop:
        expected, obtained = expected[match.departs], obtained[match.departs]
    if expected.size != obtained.size:
        return f"shape: expected {list(expected.shape)}, obtained {list(obtained.shape)}"
    wanted, given = expected.astype(np.float64).ravel(), obtained.astype(np.float64).ravel()
    with np.errstate(invalid="ignore"):
        apart = np.abs(wanted - given)
    worst = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    return (
        f"shape {list(match.obtained.shape)}; differences up to {apart[worst]:.3g}, {np.mean(apart):.3g} on average, of "
        f"values up to {np.abs(wanted).max():.3g}; at {worst}: expected {wanted[worst]:.6g}, obtained {given[worst]:.6g}"
    )


def _attributes(attributes: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in sorted(attributes.items())) or "none"


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
