"""Promise: frame by frame, the most probable class is TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable

from pytest_dscoreml.agreement.comparing import Comparison


def test_greedy_paths_agree(
    dscoreml_comparison: Comparison, dscoreml_drawn: Callable[[Callable[..., None]], None]
) -> None:
    """The greedy path is the same at every length, but where two classes are as good as tied."""
    dscoreml_drawn(dscoreml_comparison.greedy)
