"""`--dscoreml-engine` and `--dscoreml-compute-units`: what runs the conversions."""

from __future__ import annotations

import sys

import pytest

OTHER_THAN_MACOS = pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here, it is not refused")


@OTHER_THAN_MACOS
def test_core_ml_is_refused_where_it_cannot_run(refusal):
    assert refusal("--dscoreml-engine=coreml") == (
        f"--dscoreml-engine=coreml: Core ML runs on macOS only, this is {sys.platform}; leave the option out, or use "
        "--dscoreml-engine=reference"
    )


@pytest.mark.parametrize("choice", ["auto", "reference"])
def test_engine_is_named(gate, choice):
    result = gate("-k", "test_states", f"--dscoreml-engine={choice}")
    result.assert_outcomes(passed=1)
    name = "coreml" if choice == "auto" and sys.platform == "darwin" else "reference"
    result.stdout.re_match_lines(
        [rf"dscoreml engine: {name}; decoders: .*", rf"=+ dscoreml: demo on the {name} engine =+"]
    )
