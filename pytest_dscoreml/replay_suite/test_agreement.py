"""Promise: TensorFlow, the dynamic model whole, the static model chunked and the pinned model chunked all agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import pytest

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.bundle.cases import Kind, RecordedCase
from pytest_dscoreml.conversion.variants import Variant
from pytest_dscoreml.parametrizing import conversions_of
from pytest_dscoreml.replay import Replay
from pytest_dscoreml.suite.test_agreement import test_recordings_agree

__all__ = ["test_recordings_agree", "test_variants_agree"]


def test_variants_agree(
    request: pytest.FixtureRequest,
    dscoreml_replay: Replay,
    dscoreml_comparisons: Mapping[Variant, Comparison],
    dscoreml_recorded: Callable[[Kind], Sequence[RecordedCase]],
) -> None:
    """On the same sequence, each variant agrees with TensorFlow and with every other variant."""
    specs = conversions_of(request.node)
    for case in dscoreml_recorded(Kind.SEQUENCE):
        obtained = {spec.variant: dscoreml_replay.fed(spec, case) for spec in specs}
        for variant, outputs in obtained.items():
            dscoreml_comparisons[variant].outputs(expected=case.expected, obtained=outputs, case=case.label)
        for one, other in combinations(obtained, 2):
            drawn = f"{case.label}, expected is variant {one}"
            dscoreml_comparisons[other].outputs(expected=obtained[one], obtained=obtained[other], case=drawn)
