"""The product of a few rows with many weights, which a general product of matrices is slow at. Imports only NumPy.

BLAS copies the weights into an order of its own before it multiplies, which pays for many rows and not for few. Small
products it makes as they stand; so the weights are taken in small blocks, one NumPy call for all of them. Chunks of 16
steps with DeepSpeech's release geometry live on this: a call took 41 ms with one product of matrices for each layer, 37
with small blocks. (Sharing the blocks among threads gained nothing: BLAS's own thread is still spinning then.)
"""

from __future__ import annotations

import numpy as np

from pytest_dscoreml.runtime.registry import Array

#: Below so many weights nothing of this is worth its overhead.
MANY_WEIGHTS = 1 << 20
#: From more rows on, one product of matrices is as fast.
FEW_ROWS = 64
#: The numbers of rows for which small blocks are faster (measured at 2048 x 2048 weights), and the outputs of a block: 8
#: of 2048 inputs by 16 rows is the most that OpenBLAS keeps to one thread, where it has no kernel for small products.
BLOCKED_ROWS, BLOCK_OUTPUTS = range(8, 24), 8
#: Outputs of one product where blocks are not small: 8192 x 2048 weights and 16 rows took 7.7 ms so, 9.4 ms at once.
MOST_OUTPUTS = 2048


def few_rows(x: Array, weight: Array) -> bool:
    """Whether ``times_many`` is the faster way to x weight^T."""
    return len(x) <= FEW_ROWS and weight.size >= MANY_WEIGHTS


def times_many(x: Array, weight: Array) -> Array:
    """x [rows, inputs] times weight [outputs, inputs], transposed: [rows, outputs]."""
    outputs, inputs = weight.shape
    turned = np.ascontiguousarray(x.T)
    product = np.empty((outputs, len(x)), np.result_type(x, weight))
    if len(x) in BLOCKED_ROWS and not outputs % BLOCK_OUTPUTS:
        blocks = weight.reshape(-1, BLOCK_OUTPUTS, inputs)
        np.matmul(blocks, turned, product.reshape(len(blocks), BLOCK_OUTPUTS, len(x)))
    else:
        for start in range(0, outputs, MOST_OUTPUTS):
            np.matmul(weight[start : start + MOST_OUTPUTS], turned, product[start : start + MOST_OUTPUTS])
    return np.ascontiguousarray(product.T)
