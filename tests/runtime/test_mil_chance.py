"""Random operations: distribution, seeds, types, and that a run never reuses an earlier run's numbers.

Only statistics can be compared. The seeds here are fixed, so that a test passes or fails for good; the bounds are five
standard errors wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.runtime import ReferenceModel, kernels
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_chance
COUNT = 40_000
SHAPE = (200, COUNT // 200)


def run(op: str, **arguments: Any) -> Any:
    kernel = mil.find(op, 15)
    assert kernel is not None
    assert not kernel.pure
    return kernel.function(**arguments)


def within(obtained: float, expected: float, deviation: float) -> None:
    """``obtained`` is a mean of COUNT values of that standard deviation."""
    assert abs(obtained - expected) <= 5 * deviation / np.sqrt(COUNT), (obtained, expected)


def test_bernoulli() -> None:
    drawn = run("random_bernoulli", shape=SHAPE, prob=np.float32(0.3), seed=7)
    assert drawn.shape == SHAPE
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    within(float(drawn.mean()), 0.3, np.sqrt(0.3 * 0.7))


def test_normal() -> None:
    drawn = run("random_normal", shape=SHAPE, mean=np.float32(-2), stddev=np.float32(3), seed=7).astype(np.float64)
    within(drawn.mean(), -2, 3)
    within(((drawn + 2) ** 2).mean(), 9, 9 * np.sqrt(2))
    # A normal distribution has 68.27 % of its values within one standard deviation.
    within((np.abs(drawn + 2) < 3).mean(), 0.6827, np.sqrt(0.6827 * 0.3173))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_uniform(dtype: Any) -> None:
    drawn = run("random_uniform", shape=SHAPE, low=dtype(-1), high=dtype(3), seed=7)
    assert drawn.dtype == dtype
    assert drawn.min() >= -1
    assert drawn.max() < 3
    wide = drawn.astype(np.float64)
    # float16 rounds to at most 2^-10 here.
    assert abs(wide.mean() - 1) <= 5 * (4 / np.sqrt(12)) / np.sqrt(COUNT) + (2e-3 if dtype is np.float16 else 0)
    within((wide < 0).mean(), 0.25, np.sqrt(0.25 * 0.75))
    assert run("random_uniform", shape=(3,), low=dtype(2), high=dtype(2), seed=1).tolist() == [2, 2, 2]


@pytest.mark.parametrize("mode", ["logits", "probs"])
def test_categorical(mode: str) -> None:
    probabilities = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    x = (np.log(np.maximum(probabilities, 1e-30)) + 4 if mode == "logits" else probabilities).astype(np.float32)
    drawn = run("random_categorical", x=x, mode=mode, size=COUNT, seed=7)
    assert drawn.shape == (2, COUNT)
    assert drawn.dtype == np.float32
    for row, wanted in zip(drawn, probabilities):
        for category, probability in enumerate(wanted):
            within(float((row == category).mean()), probability, np.sqrt(probability * (1 - probability)))
    with pytest.raises(ValueError, match=r"^mode 'odds' is neither logits nor probs$"):
        run("random_categorical", x=x, mode="odds")


@pytest.mark.parametrize("op", ["random_bernoulli", "random_normal", "random_uniform"])
def test_seeds(op: str) -> None:
    same = [run(op, shape=(50,), seed=3) for _ in range(2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert (run(op, shape=(50,), seed=4) != same[0]).any()
    assert (run(op, shape=(50,), seed=-3) != same[0]).any()
    assert (run(op, shape=(50,)) != run(op, shape=(50,))).any()
    assert run(op, shape=()).shape == ()
    with pytest.raises(ValueError, match=r"asks for more than 2 GiB$"):
        run(op, shape=(2**20, 2**20))


def test_numbers_are_drawn_in_each_run_and_not_when_the_model_is_loaded(build: Any) -> None:
    program = build.program([("x", "float32", (50,))], [("y", "float32", (50,))])
    program.op("random_uniform", ("r", "float32", (50,)), shape=np.array([50], np.int32), low=np.float32(0))
    program.op("add", ("y", "float32", (50,)), x="x", y="r")
    model = ReferenceModel(program.model)
    first, second = (model.predict({"x": np.zeros(50)})["y"] for _ in range(2))
    assert (first != second).any()
    assert first.min() >= 0
    assert first.max() < 1
