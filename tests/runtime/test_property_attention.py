"""Scaled dot-product attention against TensorFlow in double: batches, masks of any shape, no queries or keys, large scores."""

from __future__ import annotations

import os
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_normalization
SOME = settings(max_examples=60, deadline=None)
# Scores are rounded once where they are large, and a power's relative error is its exponent's absolute one.
TOLERANCE = {1.0: 1e-5, 100.0: 2e-3}


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def run(**arguments: Any) -> Any:
    """The kernel's result; float16 arguments are widened first, and errors of numbers ignored, as by the executor."""
    kernel = mil.find("scaled_dot_product_attention", 18)
    assert kernel is not None
    assert kernel.wide
    with np.errstate(all="ignore"):
        return kernel.function(**{name: widen(value) for name, value in arguments.items()})


def masks(draw: Any, leading: Any, target: int, source: int) -> Any:
    """The shape of a mask that broadcasts to [*leading, target, source], [*?, source]."""
    shape = [size if draw(st.booleans()) else 1 for size in (*leading, target)]
    return (*shape[draw(st.integers(0, len(shape))) :], source if draw(st.integers(0, 3)) else 1)


@SOME
@given(
    leading=npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=2),
    sizes=st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 4), st.integers(0, 4)),
    masked=st.sampled_from(["no", "bool", "float", "infinite"]),
    scale=st.sampled_from(sorted(TOLERANCE)),
    dtype=st.sampled_from(["float16", "float32"]),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_attention(
    tf: Any, leading: Any, sizes: Any, masked: str, scale: float, dtype: str, seed: int, data: Any
) -> None:
    target, source, width, values = sizes
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Any:
        return random.normal(size=(*leading, *shape)).astype(dtype)

    query, key, value = normal(target, width) * np.asarray(scale, dtype), normal(source, width), normal(source, values)
    mask: Any = None
    added: Any = np.zeros(())
    if masked != "no":
        shape = masks(data.draw, leading, target, source)
        chosen = random.random(shape) < 0.6
        if masked == "float":
            mask = added = random.normal(size=shape).astype(dtype)
        else:
            added = np.where(chosen, 0, -np.inf).astype(dtype)
            mask = chosen if masked == "bool" else added
    scores = tf.matmul(query.astype(np.float64), key.astype(np.float64), transpose_b=True) / np.sqrt(float(width))
    shares = tf.nn.softmax(scores + added.astype(np.float64)) if source else scores
    wanted = tf.matmul(shares, value.astype(np.float64)).numpy()
    obtained = run(query=query, key=key, value=value, attn_mask=mask)
    assert obtained.dtype == np.float32
    assert obtained.shape == (*leading, target, values)
    close = TOLERANCE[scale]
    # What may look at nothing has no value, in TensorFlow as in PyTorch, which the operation is defined by.
    np.testing.assert_allclose(obtained, wanted, rtol=close, atol=close)


def test_true_means_taking_part() -> None:
    value = np.eye(3, dtype=np.float32)[None]
    zeros = np.zeros((1, 1, 2), np.float32)
    arguments = {"query": zeros, "key": np.zeros((1, 3, 2), np.float32), "value": value}
    assert run(**arguments, attn_mask=np.array([True, False, True])).tolist() == [[[0.5, 0, 0.5]]]
    nothing = run(**arguments, attn_mask=np.array([False, False, False]))
    assert np.isnan(nothing).all()
