"""Promise: the state carries a sequence over any cut: pieces give what the whole gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.bundle.cases import Kind, RecordedCase
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.replay import Replay


def test_any_cut_gives_the_whole(
    dscoreml_replay: Replay,
    dscoreml_conversion: Conversion,
    dscoreml_engine: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_recorded: Callable[[Kind], Sequence[RecordedCase]],
) -> None:
    """The conversion in pieces agrees with itself on the whole, and with TensorFlow on the whole."""
    for case in dscoreml_recorded(Kind.CUT):
        whole = dscoreml_replay.fed(dscoreml_conversion.spec, case)
        pieces = recognise(dscoreml_engine, case.windows, case.state, cuts=case.cuts)
        dscoreml_comparison.outputs(expected=whole, obtained=pieces, case=case.label)
        dscoreml_comparison.outputs(
            expected=case.expected, obtained=pieces, case=f"{case.label}, expected is TensorFlow's whole"
        )
