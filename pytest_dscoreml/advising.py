"""Advises which operations of a float16 conversion to keep in float32, and checks the advice by converting with it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_dscoreml.advice.checking import faults
from pytest_dscoreml.advice.choosing import Choice, Chooser, goal_of
from pytest_dscoreml.advice.measuring import are_same
from pytest_dscoreml.advice.names import constant_makers, identified
from pytest_dscoreml.advice.nodes import nodes
from pytest_dscoreml.advice.ranking import OperationLoss, ranked
from pytest_dscoreml.advice.result import Advice, Written, selectors
from pytest_dscoreml.advice.simulation import Simulation
from pytest_dscoreml.agreement.tolerances import FLOAT16
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.variants import ConversionSpec, Precision, Target, Variant, unavailable
from pytest_dscoreml.divergence.expected import Graph
from pytest_dscoreml.engines.protocol import Outputs, State
from pytest_dscoreml.engines.reference import ReferenceEngine
from pytest_dscoreml.engines.streaming import Fed
from pytest_dscoreml.errors import ConversionError, UsageError
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.strategies import Case

#: What is drawn beside the recordings: states of all sizes, and a longer stretch of speech, where rounding adds up.
DRAWN = (
    Case(33, "noise", "random", seed=1),
    Case(64, "speech", "extreme", seed=2),
    Case(200, "speech", "zeros", seed=3),
)


@dataclass(frozen=True)
class _Ranking:
    simulation: Simulation
    rows: tuple[OperationLoss, ...]
    before: Written
    coremltools: str


class Advising:
    """Advice on the conversions of one gate, by the reference engine.

    Args:
        gate: opens the model and makes the conversions.
        steps: longer sequences are cut after so many steps; None takes them whole.
    """

    def __init__(self, gate: Gate, *, steps: int | None = None) -> None:
        self._gate = gate
        self.sequences = _sequences(gate, steps)

    def rows(self, spec: ConversionSpec) -> tuple[OperationLoss, ...]:
        """Every operation of a float16 conversion that the converter lets be chosen, the one that loses most first.

        Raises:
            UsageError: the conversion is none in float16.
            ConversionError: float32 or float16 cannot be converted.
            EngineError: the runtime refuses a file.
        """
        return self._ranking(spec).rows

    def advise(self, spec: ConversionSpec, *, keep: int | None = None, goal: float = 0.5) -> Advice:
        """The advice on a float16 conversion, checked by converting.

        Args:
            keep: how many operations to keep in float32, those that lose most; None: as few as reach the goal.
            goal: the loss to get down to, as a part of the loss of float16 throughout; of what is tolerated where that is
                infinite.

        Raises:
            as `rows`.
        """
        begun = time.monotonic()
        ranking = self._ranking(spec)
        chooser = Chooser(ranking.simulation, ranking.rows)
        limit = goal_of(goal, ranking.before.errors)
        choice = chooser.below(limit) if keep is None else chooser.first(keep)
        after, told = self._after(spec, choice, ranking)
        return Advice(
            conversion=spec.name,
            coremltools=ranking.coremltools,
            sequences={name: len(fed.windows) for name, fed in self.sequences.items()},
            rows=ranking.rows,
            before=ranking.before,
            goal=limit if keep is None else None,
            kept=choice.kept,
            simulated=choice.errors,
            after=after,
            faults=tuple(told),
            seconds=time.monotonic() - begun,
        )

    def _ranking(self, spec: ConversionSpec) -> _Ranking:
        """Convert in float32 and in float16, and take one operation after the other."""
        if spec.target is not Target.MLPROGRAM or spec.precision is not Precision.FLOAT16:
            raise UsageError(
                f"--conversion {spec.name}: there is nothing to keep in float32, for all of it is; only an mlprogram is "
                f"converted in float16, such as {spec.variant}-mlprogram-float16"
            )
        gate = self._gate
        reason = unavailable(spec, gate.coremltools_of(spec))
        if reason is not None:
            raise UsageError(f"--conversion {spec.name}: {reason}; choose another converter")
        single = dataclasses.replace(spec, precision=Precision.FLOAT32)
        half = dataclasses.replace(spec, float32_operations=())
        gate.convert([single, half])
        simulation = Simulation(self._open(single), self.sequences, FLOAT16, gate.progress)
        program, whole = simulation.engine.model.program, gate.conversion(half)
        known = identified(program, whole.selectable)
        before = self._written(whole, simulation, simulation.obtained(set(known)))
        graph = Graph(gate.model.paths[spec.graph])
        first = next(iter(self.sequences.values()))
        sources = nodes(graph, simulation.engine, first, gate.tolerances(single).state_c)
        makers = constant_makers(program, whole.selectable)
        rows = ranked(simulation, known, makers, sources, before.errors)
        return _Ranking(simulation, tuple(rows), before, whole.versions["coremltools"])

    def _after(self, spec: ConversionSpec, choice: Choice, ranking: _Ranking) -> tuple[Written | None, list[str]]:
        """The file with the chosen operations in float32, and what is wrong with it; None where there is none."""
        kept = {row.selector for row in choice.kept}
        mixed = dataclasses.replace(spec, float32_operations=selectors(choice.kept))
        try:
            made = self._gate.conversion(mixed)
        except ConversionError as error:
            return None, [str(error)]
        simulation = ranking.simulation
        expected = simulation.obtained({row.result for row in ranking.rows} - {row.result for row in choice.kept})
        written = self._written(made, simulation, expected)
        program, single = self._gate.file(mixed).program, simulation.engine.model.program
        return written, faults(program, single, made.selectable, kept)

    def _written(self, made: Conversion, simulation: Simulation, expected: Sequence[Outputs]) -> Written:
        obtained = simulation.run(self._open(made.spec))
        return Written(
            errors=simulation.errors_of(obtained),
            size=made.size,
            casts=made.op_counts.get("cast", 0),
            as_simulated=are_same(expected, obtained),
        )

    def _open(self, spec: ConversionSpec) -> ReferenceEngine:
        """The reference engine on a conversion, whatever engine the gate has: Core ML runs no programs of ours."""
        n_steps = None if spec.variant is Variant.DYNAMIC else self._gate.model.n_steps
        return ReferenceEngine(self._gate.conversion(spec).path, self._gate.model.geometry, n_steps)


def _sequences(gate: Gate, steps: int | None) -> dict[str, Fed]:
    """The recordings and what is drawn beside them, each cut after so many steps."""
    zeros = State.zeros(gate.model.geometry)
    found = {recording.utterance.name: Fed(recording.windows[:steps], zeros) for recording in gate.recordings}
    for case in DRAWN:
        name = f"{case.length} steps of {case.features}, state {case.state}"
        found[name] = Fed(gate.material.windows(case)[:steps], gate.material.state(case))
    return found
