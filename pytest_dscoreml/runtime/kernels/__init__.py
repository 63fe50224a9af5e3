"""The kernels of both formats; importing this package registers them all."""

from __future__ import annotations

from pytest_dscoreml.runtime.kernels.mil import elementwise as mil_elementwise
from pytest_dscoreml.runtime.kernels.mil import indexing as mil_indexing
from pytest_dscoreml.runtime.kernels.mil import linear as mil_linear
from pytest_dscoreml.runtime.kernels.mil import shapes as mil_shapes
from pytest_dscoreml.runtime.kernels.nn import elementwise as nn_elementwise
from pytest_dscoreml.runtime.kernels.nn import indexing as nn_indexing
from pytest_dscoreml.runtime.kernels.nn import linear as nn_linear
from pytest_dscoreml.runtime.kernels.nn import shapes as nn_shapes

__all__ = [
    "mil_elementwise",
    "mil_indexing",
    "mil_linear",
    "mil_shapes",
    "nn_elementwise",
    "nn_indexing",
    "nn_linear",
    "nn_shapes",
]
