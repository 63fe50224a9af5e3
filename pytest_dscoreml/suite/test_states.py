"""Promise: the states after a sequence are TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis.strategies import SearchStrategy

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.strategies import Case, Material


def test_states_agree(
    dscoreml_engine: Engine,
    dscoreml_reference: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """c and h, at every length, on any features, from any state."""

    @given(case=dscoreml_cases)
    def states_agree(case: Case) -> None:
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        expected = recognise(dscoreml_reference, windows, state)
        obtained = recognise(dscoreml_engine, windows, state)
        dscoreml_comparison.sequence(expected)
        dscoreml_comparison.states(expected=expected.state, obtained=obtained.state, length=case.length, case=case)

    dscoreml_check(states_agree)
