"""Promise: the probabilities are TensorFlow's, after the softmax and before it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis.strategies import SearchStrategy

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.strategies import Case, Material


def test_probabilities_agree(
    dscoreml_engine: Engine,
    dscoreml_reference: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """At every length, on any features, from any state."""

    @given(case=dscoreml_cases)
    def probabilities_agree(case: Case) -> None:
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        expected = recognise(dscoreml_reference, windows, state)
        obtained = recognise(dscoreml_engine, windows, state)
        dscoreml_comparison.sequence(expected)
        dscoreml_comparison.probabilities(expected=expected, obtained=obtained, case=case)
        dscoreml_comparison.log_probabilities(expected=expected, obtained=obtained, case=case)

    dscoreml_check(probabilities_agree)


def test_probabilities_sum_to_one(
    dscoreml_engine: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """Every row is a distribution: finite, not negative, and its sum one within the tolerance."""

    @given(case=dscoreml_cases)
    def rows_are_distributions(case: Case) -> None:
        obtained = recognise(dscoreml_engine, dscoreml_material.windows(case), dscoreml_material.state(case))
        dscoreml_comparison.distributions(obtained, case=case)

    dscoreml_check(rows_are_distributions)
