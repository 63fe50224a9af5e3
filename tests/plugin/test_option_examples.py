"""`--dscoreml-max-examples` and `--dscoreml-max-steps`: how much Hypothesis draws."""

from __future__ import annotations

import pytest

#: The conversion that `gate` selects where it is not told otherwise.
ONE_NAME = "dynamic-mlprogram-float32"


DRAWN = "test_states_agree"


@pytest.mark.parametrize("examples", [1, 3])
def test_examples_are_counted(gate, summary, examples):
    result = gate("-k", DRAWN, f"--dscoreml-max-examples={examples}")
    row = summary(result)[ONE_NAME]
    assert (row["verdict"], row["tests"], row["examples"]) == ("passed", "1/1", str(examples))


@pytest.mark.parametrize("steps", [2, 40])
def test_no_sequence_is_longer(gate, summary, steps):
    """The longest one is drawn: it is one of the edges, which come up half of the time."""
    result = gate("-k", DRAWN, f"--dscoreml-max-steps={steps}", "--dscoreml-max-examples=20")
    row = summary(result)[ONE_NAME]
    assert (row["examples"], row["longest"]) == ("20", str(steps))


def test_runs_draw_the_same(gate, summary):
    rows = [summary(gate("-k", DRAWN))[ONE_NAME] for _ in range(2)]
    assert rows[0] == rows[1]


def test_hypothesis_seed_draws_others(gate, summary):
    args = ("-k", DRAWN, "--dscoreml-max-examples=3", "--dscoreml-max-steps=64")
    errors = {summary(gate(*args, *seed))[ONE_NAME]["states"] for seed in ([], ["--hypothesis-seed=5"])}
    assert len(errors) == 2
