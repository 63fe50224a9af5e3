"""Promise: steps behind `input_lengths` are masked as TensorFlow masks them; what stands there changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.bundle.cases import Kind, RecordedCase
from pytest_dscoreml.engines.protocol import Engine


def test_padding_is_masked(
    dscoreml_engine: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_recorded: Callable[[Kind], Sequence[RecordedCase]],
) -> None:
    """One call with anything behind its real steps: all rows, the padding's among them, and the states agree."""
    for case in dscoreml_recorded(Kind.PADDED):
        obtained = dscoreml_engine.run(case.windows, case.length, case.state)
        dscoreml_comparison.outputs(expected=case.expected, obtained=obtained, case=case.label)
