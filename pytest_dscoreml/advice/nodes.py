"""What each operation of a file computes, in TensorFlow's words: by its name there, or by its values in a short call."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_dscoreml.agreement.tolerances import Tolerance
from pytest_dscoreml.divergence.expected import Graph
from pytest_dscoreml.divergence.finding import counterparts
from pytest_dscoreml.engines.reference import ReferenceEngine
from pytest_dscoreml.engines.streaming import Fed, calls

#: Enough to tell quantities of the BlockLSTM apart.
_STEPS = 8


def nodes(graph: Graph, engine: ReferenceEngine, fed: Fed, tolerance: Tolerance) -> Mapping[str, str]:
    """By result of the file, TensorFlow's node or quantity that it agrees with in the first steps of a sequence."""
    first_steps = fed.windows[: min(_STEPS, engine.n_steps or _STEPS)]
    _, padded, length = next(calls(first_steps, engine.n_steps))
    inner = engine.inner(padded, length, fed.state)
    expected = graph.run(padded, length, fed.state)
    found = counterparts(engine.model.program, inner, expected, tolerance)
    return {name: match.source for name, match in found.items() if match.agrees}
