"""Promise: frame by frame, the most probable class is TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis.strategies import SearchStrategy

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.strategies import Case, Material


def test_greedy_paths_agree(
    dscoreml_engine: Engine,
    dscoreml_reference: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """The greedy path is the same at every length, but where two classes are as good as tied."""

    @given(case=dscoreml_cases)
    def greedy_paths_agree(case: Case) -> None:
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        expected = recognise(dscoreml_reference, windows, state)
        obtained = recognise(dscoreml_engine, windows, state)
        dscoreml_comparison.sequence(expected)
        dscoreml_comparison.greedy(expected=expected, obtained=obtained, case=case)

    dscoreml_check(greedy_paths_agree)
