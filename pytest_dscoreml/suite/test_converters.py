"""Promise: what several converters make of one graph agrees. Collected where `--dscoreml-converter` is given twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis.strategies import SearchStrategy

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.strategies import Case, Material


def test_converters_agree(
    dscoreml_converters: Mapping[str, Engine],
    dscoreml_converter_comparisons: Mapping[str, Comparison],
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """On the same sequence, the conversion by each later converter agrees with the conversion by the first."""
    first, *others = dscoreml_converters

    @given(case=dscoreml_cases)
    def converters_agree(case: Case) -> None:
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        expected = recognise(dscoreml_converters[first], windows, state)
        for label in others:
            obtained = recognise(dscoreml_converters[label], windows, state)
            drawn = f"{case}, expected is converter {first}"
            dscoreml_converter_comparisons[label].outputs(expected=expected, obtained=obtained, case=drawn)

    dscoreml_check(converters_agree)
