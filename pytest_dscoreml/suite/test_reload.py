"""Promise: the model on disk is the model: saved again by coremltools and opened anew, it gives the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.strategies import Case, Material


def test_saved_and_reloaded(
    dscoreml_gate: Gate,
    dscoreml_conversion: Conversion,
    dscoreml_engine: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    tmp_path: Path,
) -> None:
    """Bit for bit the same outputs after a round trip through coremltools."""
    import coremltools

    saved = tmp_path / f"saved{dscoreml_conversion.path.suffix}"
    coremltools.models.MLModel(str(dscoreml_conversion.path), skip_model_load=True).save(str(saved))
    reloaded = dscoreml_gate.open(saved, dscoreml_conversion.spec)
    case = Case(dscoreml_gate.model.n_steps + 3, "speech", "random")
    windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
    expected, obtained = (recognise(engine, windows, state) for engine in (dscoreml_engine, reloaded))
    dscoreml_comparison.outputs(expected=expected, obtained=obtained, case=f"{case}, saved and reloaded")
    changed = [
        name
        for name, before, after in (
            ("logits", expected.logits, obtained.logits),
            ("new_state_c", expected.state.c, obtained.state.c),
            ("new_state_h", expected.state.h, obtained.state.h),
        )
        if not np.array_equal(before, after)
    ]
    if changed:
        raise Disagreement(f"saved model [{dscoreml_conversion.spec}]: saving and loading changed {', '.join(changed)}")
