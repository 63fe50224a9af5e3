"""Random numbers of both formats against SciPy's distributions, and what a seed, a shape, a type and a bound promise."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_chance
SOME = settings(max_examples=25, deadline=None)
FEW = settings(max_examples=10, deadline=None)
COUNT = 40_000
# So many that are distributed as they should be fail such a test once in ten million times; a deviation that is 15 % off
# fails it always.
LEVEL = 1e-7
FORMS = ("Like", "Static", "Dynamic")
seeds = st.integers(0, 2**31 - 1)
dtypes = st.sampled_from(["float16", "float32"])
quarters = st.integers(-12, 12).map(lambda number: number / 4)


def run(op: str, **arguments: Any) -> Any:
    kernel = mil.find(op, 15)
    assert kernel is not None
    assert not kernel.pure
    return kernel.function(**{name: value for name, value in arguments.items() if value is not None})


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    assert not kernel.pure
    return kernel.function(*inputs, **fields)


def in_form(kind: str, form: str, shape: Any, **fields: Any) -> Any:
    """A layer's numbers; its shape is that of an input, a field, or what an input holds."""
    if form == "Static":
        return layer(f"random{kind}Static", outputShape=shape, **fields)
    return layer(f"random{kind}{form}", np.zeros(shape, np.float32) if form == "Like" else shape, **fields)


def follows(drawn: Any, distribution: Any, dtype: str) -> None:
    """Kolmogorov and Smirnov's test, where a number of the type stands for all that are rounded to it."""
    assert drawn.dtype == dtype
    values = np.sort(drawn.astype(np.float64).ravel())
    half = np.spacing(np.abs(values).astype(dtype)).astype(np.float64) / 2 if dtype == "float16" else 0.0
    share = np.arange(1, values.size + 1) / values.size
    above = (share - distribution.cdf(values + half)).max()
    below = (distribution.cdf(values - half) - share + 1 / values.size).max()
    assert scipy.stats.kstwobign.sf(max(above, below, 0) * np.sqrt(values.size)) > LEVEL
    # No number tells of the next.
    pairs = drawn.astype(np.float64).ravel()
    if pairs.std() > 0:
        assert abs(np.corrcoef(pairs[:-1], pairs[1:])[0, 1]) * np.sqrt(values.size) < scipy.stats.norm.isf(LEVEL / 2)


@SOME
@given(
    mean=quarters,
    deviation=st.sampled_from([None, 0.25, 1.0, 3.5]),
    dtype=dtypes,
    seed=seeds,
    form=st.sampled_from(FORMS),
)
def test_normal(mean: float, deviation: Any, dtype: str, seed: int, form: str) -> None:
    options = {"mean": np.asarray(mean, dtype), "stddev": None if deviation is None else np.asarray(deviation, dtype)}
    wanted = scipy.stats.norm(mean, 1 if deviation is None else deviation)
    follows(run("random_normal", shape=(40, COUNT // 40), seed=seed, **options), wanted, dtype)
    wanted = scipy.stats.norm(mean, deviation or 0.5)
    follows(in_form("Normal", form, (COUNT,), seed=seed, mean=mean, stdDev=deviation or 0.5), wanted, "float32")


@SOME
@given(low=quarters, width=st.sampled_from([0.25, 1.0, 6.5]), dtype=dtypes, seed=seeds, form=st.sampled_from(FORMS))
def test_uniform(low: float, width: float, dtype: str, seed: int, form: str) -> None:
    wanted = scipy.stats.uniform(low, width)
    bounds = {"low": np.asarray(low, dtype), "high": np.asarray(low + width, dtype)}
    drawn = run("random_uniform", shape=(40, COUNT // 40), seed=seed, **bounds)
    of_layer = in_form("Uniform", form, (COUNT,), seed=seed, minVal=low, maxVal=low + width)
    for values in (drawn, of_layer):
        assert values.min() >= low
        assert values.max() < low + width
    follows(drawn, wanted, dtype)
    follows(of_layer, wanted, "float32")


@SOME
@given(
    probability=st.sampled_from([0.0, 0.125, 0.5, 0.875, 1.0]), dtype=dtypes, seed=seeds, form=st.sampled_from(FORMS)
)
def test_bernoulli(probability: float, dtype: str, seed: int, form: str) -> None:
    drawn = run("random_bernoulli", shape=(40, COUNT // 40), prob=np.asarray(probability, dtype), seed=seed)
    assert drawn.dtype == dtype
    for values in (drawn, in_form("Bernoulli", form, (COUNT,), prob=probability, seed=seed)):
        assert set(np.unique(values)) <= {0.0, 1.0}
        ones = int(values.astype(np.int64).sum())
        assert scipy.stats.binomtest(ones, COUNT, probability).pvalue > LEVEL


@SOME
@given(
    lead=npst.array_shapes(min_dims=0, max_dims=2, max_side=2), classes=st.integers(1, 5), logits=st.booleans(),
    temperature=st.sampled_from([0.0, 0.5, 2.0]), seed=seeds,
)  # fmt: skip
def test_categorical(lead: Any, classes: int, logits: bool, temperature: float, seed: int) -> None:
    """Each distribution in the last axis is drawn from alone; what cannot happen does not."""
    weights = np.random.default_rng(seed).uniform(0.2, 1, (*lead, classes)) * np.array([1.0, 0, 1, 1, 1])[:classes]
    # Logits are logarithms but for a constant, and as float32 large ones too.
    with np.errstate(divide="ignore"):
        x = (np.log(weights) + 40 if logits else weights / weights.sum(-1, keepdims=True)).astype(np.float32)
    drawn = run("random_categorical", x=x, mode="logits" if logits else "probs", size=COUNT, seed=seed)
    # The layer adds an epsilon to probabilities, so that none of them is nothing.
    of_layer = layer(
        "categoricalDistribution", x, numSamples=COUNT, isLogits=logits, temperature=temperature, seed=seed
    )
    for values, power in ((drawn, 1.0), (of_layer, 1 / (temperature or 1.0))):
        assert values.shape == (*lead, COUNT)
        assert values.dtype == np.float32
        for position in np.ndindex(*lead):
            shares = weights[position] ** power / (weights[position] ** power).sum()
            counts = np.bincount(values[position].astype(int), minlength=classes)
            assert counts.size == classes
            possible = shares > 0
            assert counts[~possible].sum() <= (0 if power == 1.0 or logits else 8)
            if possible.sum() > 1:
                expected = shares[possible] * counts[possible].sum()
                assert scipy.stats.chisquare(counts[possible], expected).pvalue > LEVEL


KINDS: dict[str, dict[str, Any]] = {
    "Normal": {"mean": 1.0, "stdDev": 2.0},
    "Uniform": {"minVal": -1.0, "maxVal": 2.0},
    "Bernoulli": {"prob": 0.5},
}


@pytest.mark.parametrize("kind", sorted(KINDS))
@FEW
@given(shape=npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), seed=st.integers(-5, 2**31 - 1))
def test_seeds_and_shapes(kind: str, shape: Any, seed: int) -> None:
    """A seed makes the same numbers in every form; -1 makes other ones each time."""
    fields, op = KINDS[kind], f"random_{kind.lower()}"
    forms = [in_form(kind, form, shape, seed=seed, **fields) for form in FORMS if form != "Dynamic" or shape]
    again = in_form(kind, "Static", shape, seed=seed, **fields)
    of_op = run(op, shape=shape, seed=seed)
    for values in (*forms, of_op):
        assert np.shape(values) == shape
        assert values.dtype == np.float32
        if seed != -1:
            np.testing.assert_array_equal(values, again if values is not of_op else run(op, shape=shape, seed=seed))
    first, second = (run(op, shape=(COUNT,), seed=other) for other in (seed, -1 if seed == -1 else seed + 1))
    assert (first != second).any()


def test_uniform_numbers_of_no_width_are_the_bound() -> None:
    assert run("random_uniform", shape=(3,), low=np.float16(0.1), high=np.float16(0.1), seed=5).tolist() == [
        np.float16(0.1)
    ] * 3  # fmt: skip
    assert in_form("Uniform", "Static", (2,), seed=5, minVal=2.0, maxVal=2.0).tolist() == [2, 2]


def test_temperature_and_softmax_agree() -> None:
    """Drawn with logits of any size, a class's share is its softmax."""
    x = np.array([0.0, 1.0, -2.0], np.float32)
    counts = np.bincount(run("random_categorical", x=x, size=COUNT, seed=3).astype(int), minlength=3)
    assert scipy.stats.chisquare(counts, scipy.special.softmax(x.astype(np.float64)) * COUNT).pvalue > LEVEL
