"""Runs a float32 file as if a converter had made some of its operations float16; and a written file beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pytest_dscoreml.advice.measuring import Errors, measure
from pytest_dscoreml.agreement.tolerances import Tolerances
from pytest_dscoreml.engines.protocol import Engine, Outputs
from pytest_dscoreml.engines.reference import ReferenceEngine
from pytest_dscoreml.engines.streaming import Fed, recognise
from pytest_dscoreml.progress import Progress
from pytest_dscoreml.runtime.mixed import with_half_operations


class Simulation:
    """A float32 ML Program, what it is fed, and what it makes of it.

    Attributes:
        engine: the reference engine on the file.
        sequences: what is fed, by name; engines of a fixed number of steps get it in their chunks.
        expected: the outputs of each sequence in float32.

    Args:
        tolerances: those of float16.
        progress: is told of what takes long.
    """

    def __init__(
        self,
        engine: ReferenceEngine,
        sequences: Mapping[str, Fed],
        tolerances: Tolerances,
        progress: Progress | None = None,
    ) -> None:
        self.engine = engine
        self.sequences = sequences
        self.progress = Progress() if progress is None else progress
        self._tolerances = tolerances
        self.expected = self.run(engine)

    def run(self, engine: Engine) -> Sequence[Outputs]:
        """The outputs of each sequence by an engine of the same model."""
        return [recognise(engine, fed.windows, fed.state, cuts=fed.cuts) for fed in self.sequences.values()]

    def obtained(self, half: Collection[str]) -> Sequence[Outputs]:
        """The outputs with the operations in float16 whose first results these are, all others in float32."""
        return self.run(self.engine.with_program(with_half_operations(self.engine.model.program, half)))

    def errors(self, half: Collection[str]) -> Errors:
        """The errors with these in float16."""
        return self.errors_of(self.obtained(half))

    def errors_of(self, obtained: Sequence[Outputs]) -> Errors:
        """The errors of a run of the sequences."""
        return measure(self.expected, obtained, self._tolerances)
