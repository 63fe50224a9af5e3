"""One conversion under comparison: its tolerances, its words in messages, and what has been measured of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_dscoreml.agreement import metrics
from pytest_dscoreml.agreement.measurements import Errors, Measurements, Transcript
from pytest_dscoreml.agreement.metrics import Context
from pytest_dscoreml.agreement.tolerances import Tolerances
from pytest_dscoreml.agreement.transcripts import assert_transcripts_agree
from pytest_dscoreml.engines.protocol import Outputs
from pytest_dscoreml.engines.streaming import Fed
from pytest_dscoreml.model.alphabet import Alphabet


@dataclass
class Comparison:
    """Asserts agreement and keeps what it measured, the failing values too.

    Attributes:
        label: of the conversion, for messages: `dynamic, mlprogram, float32`.
        tolerances: those of its precision.
        alphabet: names the classes.
        measured: everything measured so far.
        fed: the sequence that is being compared, for the search of what departs in it first.
    """

    label: str
    tolerances: Tolerances
    alphabet: Alphabet
    measured: Measurements = field(default_factory=Measurements)
    fed: Fed | None = None

    def context(self, length: int, case: object = "") -> Context:
        """How messages name a sequence of `length` steps, drawn as `case`."""
        return Context(f"{self.label}, T={length}", str(case))

    def sequence(self, expected: Outputs) -> None:
        """Count a sequence about to be compared."""
        self.measured.sequence(len(expected.logits))

    def probabilities(self, *, expected: Outputs, obtained: Outputs, case: object = "") -> None:
        """Require agreement of the softmax's output."""
        self.measured.saw_logits(self._steps(expected=expected, obtained=obtained))
        metrics.assert_probabilities_agree(
            expected=expected.logits,
            obtained=obtained.logits,
            tolerance=self.tolerances.probabilities,
            alphabet=self.alphabet,
            context=self.context(len(expected.logits), case),
        )

    def _steps(self, *, expected: Outputs, obtained: Outputs) -> float:
        """Keep the largest difference of the probabilities at each step; the largest of them, infinite for other shapes."""
        if obtained.logits.shape != expected.logits.shape:
            return float("inf")
        errors = metrics.errors_by_step(expected=expected.logits, obtained=obtained.logits)
        self.measured.saw_steps(errors.tolist())
        return float(errors.max(initial=0.0))

    def log_probabilities(self, *, expected: Outputs, obtained: Outputs, case: object = "") -> None:
        """Require agreement before the softmax; the expected side must show its raw logits."""
        assert expected.raw_logits is not None, "the reference engine shows its raw logits"
        metrics.assert_log_probabilities_agree(
            expected=expected.raw_logits,
            obtained=obtained.logits,
            tolerance=self.tolerances.log_probabilities,
            floor=self.tolerances.floor,
            alphabet=self.alphabet,
            context=self.context(len(expected.logits), case),
        )

    def distributions(self, obtained: Outputs, *, case: object = "") -> None:
        """Require that every row is a distribution: finite, within 0 and 1, its sum one."""
        metrics.assert_distributions(
            obtained.logits, tolerance=self.tolerances.sums, context=self.context(len(obtained.logits), case)
        )

    def states(self, *, expected: Outputs, obtained: Outputs, case: object = "") -> None:
        """Require agreement of c and h after the sequence."""
        wanted, given = expected.state, obtained.state
        pairs = ((wanted.c, given.c), (wanted.h, given.h))
        self.measured.saw_states(max(metrics.largest_difference(expected=one, obtained=two) for one, two in pairs))
        steps = len(expected.logits)
        metrics.assert_states_agree(
            expected=wanted,
            obtained=given,
            steps=steps,
            tolerances=self.tolerances,
            context=self.context(steps, case),
        )

    def outputs(self, *, expected: Outputs, obtained: Outputs, case: object = "") -> None:
        """Require agreement of probabilities and states, of a sequence that is counted here."""
        self.sequence(expected)
        self.probabilities(expected=expected, obtained=obtained, case=case)
        self.states(expected=expected, obtained=obtained, case=case)

    def greedy(self, *, expected: Outputs, obtained: Outputs, case: object = "") -> None:
        """Require the same greedy path, and count the frames that differ."""
        if obtained.logits.shape == expected.logits.shape:
            flips = metrics.greedy_flips(expected=expected.logits, obtained=obtained.logits)
            self.measured.saw_greedy(len(flips), len(expected.logits))
        metrics.assert_greedy_paths_agree(
            expected=expected.logits,
            obtained=obtained.logits,
            tolerance=self.tolerances.probabilities,
            alphabet=self.alphabet,
            context=self.context(len(expected.logits), case),
        )

    @property
    def apart(self) -> Comparison:
        """The same, but what it measures is not kept: for comparisons of a conversion with itself."""
        return Comparison(self.label, self.tolerances, self.alphabet)

    def measure(self, kind: str, *, expected: Outputs, obtained: Outputs) -> Errors:
        """Measure probabilities, states and greedy path of a sequence of a kind, and require nothing of them."""
        self.sequence(expected)
        states = zip(expected.state, obtained.state)
        mismatches = len(expected.logits)
        if obtained.logits.shape == expected.logits.shape:
            mismatches = len(metrics.greedy_flips(expected=expected.logits, obtained=obtained.logits))
        errors = Errors(
            logits=self._steps(expected=expected, obtained=obtained),
            states=max(metrics.largest_difference(expected=one, obtained=other) for one, other in states),
            greedy_mismatches=mismatches,
            greedy_frames=len(expected.logits),
        )
        self.measured.saw_unjudged(kind, errors)
        return errors

    def transcript(self, *, audio: str, decoder: str, expected: str, obtained: str) -> None:
        """Require the same transcription, to the letter."""
        self.measured.transcripts.append(Transcript(audio, decoder, expected, obtained))
        assert_transcripts_agree(
            expected=expected, obtained=obtained, context=Context(f"{self.label}, {audio}, decoder {decoder}")
        )
