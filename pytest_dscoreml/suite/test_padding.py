"""Promise: steps behind `input_lengths` are masked as TensorFlow masks them; what stands there changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.engines.streaming import Fed
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.model.loading import Model
from pytest_dscoreml.strategies import Case, Material


def test_padding_is_masked(
    dscoreml_gate: Gate,
    dscoreml_model: Model,
    dscoreml_engine: Engine,
    dscoreml_reference: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """One call with anything behind its real steps: all rows, the padding's among them, and the states agree."""
    geometry, steps = dscoreml_model.geometry, dscoreml_engine.n_steps or dscoreml_model.n_steps

    @given(case=dscoreml_cases, length=st.integers(0, steps - 1))
    def padding_is_masked(case: Case, length: int) -> None:
        frames = np.resize(dscoreml_material.windows(case), (steps, geometry.n_window, geometry.n_input))
        state = dscoreml_material.state(case)
        drawn = f"{case}, {length} of {steps} steps real"
        expected = dscoreml_reference.run(frames, length, state)
        dscoreml_gate.recorder.padded(frames, length, state, expected=expected, case=drawn)
        obtained = dscoreml_engine.run(frames, length, state)
        dscoreml_comparison.fed = Fed(frames, state, length)
        dscoreml_comparison.outputs(expected=expected, obtained=obtained, case=drawn)

    dscoreml_check(padding_is_masked)
