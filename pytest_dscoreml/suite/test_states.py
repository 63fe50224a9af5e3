"""Promise: the states after a sequence are TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable

from pytest_dscoreml.agreement.comparing import Comparison


def test_states_agree(dscoreml_comparison: Comparison, dscoreml_drawn: Callable[[Callable[..., None]], None]) -> None:
    """c and h, at every length, on any features, from any state."""
    dscoreml_drawn(dscoreml_comparison.states)
