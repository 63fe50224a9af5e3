"""Errors beside float32, and their share of what is tolerated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pytest_dscoreml.advice.measuring import are_same, measure
from pytest_dscoreml.agreement.tolerances import FLOAT16
from pytest_dscoreml.engines.protocol import Outputs, State


def outputs(logits=0.0, c=0.0, h=0.0):
    """Two frames of three classes, one of which is off by so much, and states that are."""
    rows = np.array([[0.2, 0.7, 0.1], [0.5, 0.4, 0.1]], np.float32)
    rows[1, 1] += logits
    state = State(np.array([[4.0, -8.0 + c]], np.float32), np.array([[0.5 + h, 1.0]], np.float32))
    return Outputs(rows, state)


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        ({}, 0.0),
        ({"logits": 0.05}, 1.0),
        # atol 1e-3, rtol 2e-2 and 2**-12 a step, of a scale of 8, after two steps.
        ({"c": 0.5}, 0.5 / (1e-3 + (2e-2 + 2 * 2.0**-12) * 8)),
        ({"h": 0.25}, 0.25 / (1e-3 + 0.15)),
        ({"logits": 0.01, "h": 0.25}, 0.25 / (1e-3 + 0.15)),
    ],
)
def test_the_loss_is_the_worst_of_three(change, loss):
    errors = measure([outputs()], [outputs(**change)], FLOAT16)
    assert errors.loss == pytest.approx(loss, rel=1e-5)
    assert (errors.logits, errors.c, errors.h) == pytest.approx(
        (change.get("logits", 0), change.get("c", 0), change.get("h", 0)), rel=1e-5
    )


def test_the_worst_of_all_sequences_and_all_flips():
    errors = measure([outputs()] * 3, [outputs(0.2), outputs(0.3), outputs(c=0.5)], FLOAT16)
    assert (errors.logits, errors.c, errors.flips) == (pytest.approx(0.3, rel=1e-5), pytest.approx(0.5, rel=1e-5), 2)


def test_what_is_not_finite_is_an_infinite_loss():
    assert measure([outputs()], [outputs(h=np.inf)], FLOAT16).loss == np.inf
    assert measure([outputs()], [outputs(logits=np.nan)], FLOAT16).loss == np.inf


def test_the_same_bit_for_bit():
    assert are_same([outputs()], [outputs()])
    assert are_same([outputs(h=np.nan)], [outputs(h=np.nan)])
    assert not are_same([outputs()], [outputs(c=1e-5)])
    other = outputs()
    assert not are_same([outputs()], [dataclasses.replace(other, logits=other.logits + np.float32(1e-7))])
