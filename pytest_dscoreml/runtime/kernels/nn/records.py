"""Neural network: the messages inside layers' messages, as records. Field names are the specification's."""

# ruff: noqa: N815

from __future__ import annotations

from functools import cached_property
from typing import Callable, Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import elementwise, windows
from pytest_dscoreml.runtime.registry import Array, Ints, record


@record
class EdgeSizes:
    """So many elements at the start and at the end of an axis."""

    startEdgeSize: int = 0
    endEdgeSize: int = 0


@record
class BorderAmounts:
    """The edges of the height, then of the width."""

    borderAmounts: tuple[EdgeSizes, ...] = ()

    def pairs(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """((top, bottom), (left, right)), zeros where nothing is set."""
        edges = self.borderAmounts or (EdgeSizes(), EdgeSizes())
        if len(edges) != 2:
            raise ValueError(f"{len(edges)} border amounts, expected 2: height and width")
        height, width = edges
        return (height.startEdgeSize, height.endEdgeSize), (width.startEdgeSize, width.endEdgeSize)


@record
class ValidPadding:
    """Padding by given amounts, none by default."""

    paddingAmounts: Optional[BorderAmounts] = None

    def pads(self) -> windows.Pads:
        """((top, bottom), (left, right))."""
        return (self.paddingAmounts or BorderAmounts()).pairs()


@record
class SamePadding:
    """Padding that makes ceil(size / stride) windows; the odd element goes to the end (0) or the start (1)."""

    asymmetryMode: int = 0

    def pads(self, sizes: Ints, extents: Ints, strides: Ints) -> windows.Pads:
        """((top, bottom), (left, right))."""
        return windows.padding("same_lower" if self.asymmetryMode else "same", None, sizes, extents, strides)


@record
class ValidCompletePadding:
    """Padding of a pooling layer whose last window includes the last pixel: [height, width], the same on both sides."""

    paddingAmounts: Ints = ()


@record
class SamplingMode:
    """How a grid is laid over an image."""

    samplingMethod: int = 0


@record
class BoxCoordinatesMode:
    """What the four numbers of a box are."""

    boxMode: int = 0


@record
class Nothing:
    """A message without fields."""


@record
class PaddingConstant:
    """The value around an image."""

    value: float = 0.0


@record
class AlphaBeta:
    """The parameters of an activation."""

    alpha: float = 0.0
    beta: float = 0.0


Activation = Callable[[Array], Array]


@record
class ActivationParams:
    """An activation of a recurrent layer: those that the specification admits there, with any parameters."""

    linear: Optional[AlphaBeta] = None
    ReLU: Optional[Nothing] = None
    tanh: Optional[Nothing] = None
    scaledTanh: Optional[AlphaBeta] = None
    sigmoid: Optional[Nothing] = None
    sigmoidHard: Optional[AlphaBeta] = None

    def function(self) -> Activation:
        """The activation of an argument that is first bounded to -50..50, as all of these layers do."""
        inner = self.unbounded()

        def bounded(x: Array) -> Array:
            return inner(elementwise.clip(x, -50.0, 50.0))

        return bounded

    def unbounded(self) -> Activation:
        """The activation of an argument as it is."""
        if self.linear is not None:
            return _linear(*_or_defaults(self.linear, 1.0, 0.0))
        if self.ReLU is not None:
            return elementwise.relu
        if self.tanh is not None:
            return np.tanh
        if self.scaledTanh is not None:
            return _scaled_tanh(*_or_defaults(self.scaledTanh, 1.0, 1.0))
        if self.sigmoid is not None:
            return elementwise.sigmoid
        if self.sigmoidHard is not None:
            return _sigmoid_hard(*_or_defaults(self.sigmoidHard, 0.2, 0.5))
        raise ValueError("an activation is not set")


def _or_defaults(by: AlphaBeta, alpha: float, beta: float) -> tuple[float, float]:
    """The parameters, or these where none is set: coremltools writes the activations of its defaults without any."""
    return (by.alpha, by.beta) if by.alpha or by.beta else (alpha, beta)


def _linear(alpha: float, beta: float) -> Activation:
    return lambda x: x * x.dtype.type(alpha) + x.dtype.type(beta)


def _scaled_tanh(alpha: float, beta: float) -> Activation:
    return lambda x: x.dtype.type(alpha) * np.tanh(x.dtype.type(beta) * x)


def _sigmoid_hard(alpha: float, beta: float) -> Activation:
    return lambda x: elementwise.clip(x.dtype.type(alpha) * x + x.dtype.type(beta), 0, 1)


@record
class LSTMParams:
    """What both directions of an LSTM have in common; a threshold of 0 means 50."""

    sequenceOutput: bool = False
    hasBiasVectors: bool = False
    forgetBias: bool = False
    hasPeepholeVectors: bool = False
    coupledInputAndForgetGate: bool = False
    cellClipThreshold: float = 0.0


@record
class LSTMWeightParams:
    """The weights of one direction of an LSTM."""

    inputGateWeightMatrix: Array
    forgetGateWeightMatrix: Array
    blockInputWeightMatrix: Array
    outputGateWeightMatrix: Array
    inputGateRecursionMatrix: Array
    forgetGateRecursionMatrix: Array
    blockInputRecursionMatrix: Array
    outputGateRecursionMatrix: Array
    inputGateBiasVector: Optional[Array] = None
    forgetGateBiasVector: Optional[Array] = None
    blockInputBiasVector: Optional[Array] = None
    outputGateBiasVector: Optional[Array] = None
    inputGatePeepholeVector: Optional[Array] = None
    forgetGatePeepholeVector: Optional[Array] = None
    outputGatePeepholeVector: Optional[Array] = None

    @cached_property
    def from_input(self) -> Array:
        """[4 hidden, inputs], in the order input, forget, output, cell."""
        return np.concatenate(
            (
                self.inputGateWeightMatrix,
                self.forgetGateWeightMatrix,
                self.outputGateWeightMatrix,
                self.blockInputWeightMatrix,
            )
        )

    @cached_property
    def recurrent(self) -> Array:
        """[4 hidden, hidden], in the same order."""
        return np.concatenate(
            (
                self.inputGateRecursionMatrix,
                self.forgetGateRecursionMatrix,
                self.outputGateRecursionMatrix,
                self.blockInputRecursionMatrix,
            )
        )

    def bias(self, *, has: bool, forget_one: bool) -> Optional[Array]:
        """[4 hidden], in the same order; with ``forget_one`` 1 is added to the forget gate's."""
        hidden = self.inputGateRecursionMatrix.shape[0]
        zeros = np.zeros(hidden, self.inputGateRecursionMatrix.dtype)
        vectors: list[Array] = [zeros] * 4
        if has:
            names = ("inputGate", "forgetGate", "outputGate", "blockInput")
            vectors = [_set(getattr(self, f"{name}BiasVector"), f"{name}BiasVector") for name in names]
        if forget_one:
            vectors[1] = vectors[1] + 1
        return np.concatenate(vectors) if has or forget_one else None

    def peephole(self, *, has: bool) -> Optional[Array]:
        """[3 hidden]: input, forget, output."""
        if not has:
            return None
        names = ("inputGate", "forgetGate", "outputGate")
        return np.concatenate([_set(getattr(self, f"{name}PeepholeVector"), f"{name}PeepholeVector") for name in names])


def _set(vector: Optional[Array], name: str) -> Array:
    if vector is None:
        raise ValueError(f"{name} is not set")
    return vector
