"""Says of a failed comparison where the conversion departs first; once for each conversion, for it takes time."""

from __future__ import annotations

from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.divergence import text
from pytest_dscoreml.divergence.expected import Graph
from pytest_dscoreml.divergence.locating import Divergence, Locator
from pytest_dscoreml.engines.streaming import Fed
from pytest_dscoreml.gate import Gate


class Diverging:
    """The searches of a run; TensorFlow's graphs are opened for them when the first is needed."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._graphs: dict[str, Graph] = {}
        self._told: dict[ConversionSpec, str] = {}

    def find(self, spec: ConversionSpec, fed: Fed) -> Divergence | None:
        """The first divergence of a conversion in a sequence; None where each call agrees that starts from TensorFlow's state.

        Raises:
            DscoremlError: the conversion was not made, or an engine refuses it.
        """
        gate, graph = self._gate, self.graph(spec)
        path, engine = gate.conversion(spec).path, gate.engine(spec)
        what = f"looking for the first divergence of {spec}"
        with gate.progress.task(what, total=len(fed.windows), unit="steps") as task:
            return Locator(graph, path, engine, gate.tolerances(spec), task).find(fed)

    def graph(self, spec: ConversionSpec) -> Graph:
        """The graph that a conversion was made from, with its inner values."""
        if spec.graph not in self._graphs:
            self._graphs[spec.graph] = Graph(self._gate.model.paths[spec.graph])
        return self._graphs[spec.graph]

    def lines(self, spec: ConversionSpec, fed: Fed) -> list[str]:
        """What was found, in words."""
        found = self.find(spec, fed)
        if found is None:
            return [
                "first divergence: none; every call of this sequence agrees that starts from TensorFlow's state: look at how "
                "the calls are joined, or at what adds up over them"
            ]
        return text.lines(found, self.graph(spec), self._gate.engine(spec).name)

    def lines_once(self, spec: ConversionSpec, fed: Fed, test: str) -> list[str]:
        """As `lines`, and for a conversion's later failures what was found for the first, and in which test it is."""
        if spec in self._told:
            return [self._told[spec]]
        told = self.lines(spec, fed)
        self._told[spec] = f"{told[0]} (found for {test}, which has more)"
        return told
