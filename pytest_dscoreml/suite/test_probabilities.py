"""Promise: the probabilities are TensorFlow's, after the softmax and before it."""

from __future__ import annotations

from collections.abc import Callable

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.engines.protocol import Outputs


def test_probabilities_agree(
    dscoreml_comparison: Comparison, dscoreml_drawn: Callable[[Callable[..., None]], None]
) -> None:
    """At every length, on any features, from any state: the softmax."""
    dscoreml_drawn(dscoreml_comparison.probabilities)


def test_log_probabilities_agree(
    dscoreml_comparison: Comparison, dscoreml_drawn: Callable[[Callable[..., None]], None]
) -> None:
    """What goes into the softmax, which hides drift."""
    dscoreml_drawn(dscoreml_comparison.log_probabilities)


def test_probabilities_sum_to_one(
    dscoreml_comparison: Comparison, dscoreml_drawn: Callable[[Callable[..., None]], None]
) -> None:
    """Every row is a distribution: finite, not negative, and its sum one within the tolerance."""

    def rows_are_distributions(*, expected: Outputs, obtained: Outputs, case: object) -> None:
        dscoreml_comparison.distributions(obtained, case=case)

    dscoreml_drawn(rows_are_distributions)
