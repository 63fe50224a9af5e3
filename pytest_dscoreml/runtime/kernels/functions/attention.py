"""Scaled dot-product attention. Imports only NumPy."""

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions.elementwise import softmax
from pytest_dscoreml.runtime.registry import Array


def scaled_dot_product_attention(query: Array, key: Array, value: Array, mask: Optional[Array]) -> Array:
    """softmax(query key^T / sqrt(E) + mask) value; query [*, L, E], key [*, S, E], value [*, S, V].

    ``mask`` broadcasts to [*, L, S]: numbers are added, truth values say which elements take part.
    """
    ranks = {query.ndim, key.ndim, value.ndim}
    if len(ranks) != 1 or query.ndim < 3:
        raise ValueError(f"query {query.shape}, key {key.shape} and value {value.shape} need one rank of 3 or more")
    scale = query.dtype.type(1 / np.sqrt(query.shape[-1]))
    scores = np.matmul(query * scale, np.swapaxes(key, -1, -2))
    if mask is not None and mask.dtype == np.bool_:
        scores = np.where(mask, scores, scores.dtype.type(-np.inf))
    elif mask is not None:
        scores = scores + mask
    return np.asarray(np.matmul(softmax(scores, -1), value))
