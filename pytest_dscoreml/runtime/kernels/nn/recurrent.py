"""Neural network: recurrent layers over [sequence, batch, channels, 1, 1].

A reversed layer's sequence is in the order in which it was computed, last step first; both halves of a bidirectional
layer's are in the order of the input.
"""

# ruff: noqa: N803

from __future__ import annotations

from typing import Optional

import numpy as np

from pytest_dscoreml.runtime.kernels.functions import recurrent as functions
from pytest_dscoreml.runtime.kernels.nn.records import Activation, ActivationParams, LSTMParams, LSTMWeightParams
from pytest_dscoreml.runtime.registry import Array, nn

_DEFAULT_CLIP = 50.0


def _sequence(x: Array, size: int) -> Array:
    if x.ndim != 5 or x.shape[2:] != (size, 1, 1):
        raise ValueError(f"an input of shape {x.shape}, expected [sequence, batch, {size}, 1, 1]")
    return x[..., 0, 0]


def _initial(given: Optional[Array], x: Array, size: int) -> Array:
    """A state [1, batch, size, 1, 1] as [batch, size], zeros where none is given."""
    if given is None:
        return np.zeros((x.shape[1], size), x.dtype)
    if given.size != x.shape[1] * size:
        raise ValueError(f"a state of shape {given.shape}, expected [1, {x.shape[1]}, {size}, 1, 1]")
    return given.reshape(x.shape[1], size)


def _result(sequence: Array) -> Array:
    return sequence[..., None, None]


def _state(state: Array) -> Array:
    return state[None, :, :, None, None]


def _activations(given: tuple[ActivationParams, ...], count: int) -> list[Activation]:
    if len(given) != count:
        raise ValueError(f"{len(given)} activations, expected {count}")
    return [item.function() for item in given]


@nn.kernel("simpleRecurrent", fresh=True)
def simple_recurrent(
    x: Array,
    h: Optional[Array] = None,
    *,
    inputVectorSize: int,
    outputVectorSize: int,
    activation: ActivationParams,
    sequenceOutput: bool = False,
    hasBiasVector: bool = False,
    weightMatrix: Array,
    recursionMatrix: Array,
    biasVector: Optional[Array] = None,
    reverseInput: bool = False,
) -> tuple[Array, Array]:
    """h = f(W x + R h + b): (all or the last h, the last h)."""
    sequence, last = functions.rnn(
        _sequence(x, inputVectorSize),
        _initial(h, x, outputVectorSize),
        weightMatrix,
        recursionMatrix,
        biasVector if hasBiasVector else None,
        output=activation.function(),
        reverse=reverseInput,
        sequence=sequenceOutput,
    )
    return _result(sequence), _state(last)


@nn.kernel("gru", fresh=True)
def gru(
    x: Array,
    h: Optional[Array] = None,
    *,
    inputVectorSize: int,
    outputVectorSize: int,
    activations: tuple[ActivationParams, ...],
    sequenceOutput: bool = False,
    hasBiasVectors: bool = False,
    updateGateWeightMatrix: Array,
    resetGateWeightMatrix: Array,
    outputGateWeightMatrix: Array,
    updateGateRecursionMatrix: Array,
    resetGateRecursionMatrix: Array,
    outputGateRecursionMatrix: Array,
    updateGateBiasVector: Optional[Array] = None,
    resetGateBiasVector: Optional[Array] = None,
    outputGateBiasVector: Optional[Array] = None,
    reverseInput: bool = False,
) -> tuple[Array, Array]:
    """A gated recurrent unit whose reset gate acts on h before the product: (all or the last h, the last h)."""
    bias: Optional[Array] = None
    if hasBiasVectors:
        if resetGateBiasVector is None or outputGateBiasVector is None or updateGateBiasVector is None:
            raise ValueError("hasBiasVectors is set, and a bias vector is not")
        bias = np.concatenate((resetGateBiasVector, outputGateBiasVector, updateGateBiasVector))
    gate, output = _activations(activations, 2)
    sequence, last = functions.gru(
        _sequence(x, inputVectorSize),
        _initial(h, x, outputVectorSize),
        np.concatenate((resetGateWeightMatrix, outputGateWeightMatrix, updateGateWeightMatrix)),
        np.concatenate((resetGateRecursionMatrix, outputGateRecursionMatrix, updateGateRecursionMatrix)),
        bias,
        gate=gate,
        output=output,
        reverse=reverseInput,
        sequence=sequenceOutput,
    )
    return _result(sequence), _state(last)


def _lstm(
    x: Array,
    h: Array,
    c: Array,
    weights: LSTMWeightParams,
    params: LSTMParams,
    activations: tuple[ActivationParams, ...],
    *,
    reverse: bool,
) -> tuple[Array, Array, Array]:
    gate, cell, _ = _activations(activations, 3)
    # The output's activation sees the cell state, which has a bound of its own.
    return functions.lstm(
        x,
        h,
        c,
        weights.from_input,
        weights.recurrent,
        weights.bias(has=params.hasBiasVectors, forget_one=params.forgetBias),
        peephole=weights.peephole(has=params.hasPeepholeVectors),
        gate=gate,
        cell=cell,
        output=activations[2].unbounded(),
        clip=params.cellClipThreshold or _DEFAULT_CLIP,
        reverse=reverse,
        coupled=params.coupledInputAndForgetGate,
        sequence=params.sequenceOutput,
    )


@nn.kernel("uniDirectionalLSTM", fresh=True)
def uni_directional_lstm(
    x: Array,
    h: Optional[Array] = None,
    c: Optional[Array] = None,
    *,
    inputVectorSize: int,
    outputVectorSize: int,
    activations: tuple[ActivationParams, ...],
    params: Optional[LSTMParams] = None,
    weightParams: LSTMWeightParams,
    reverseInput: bool = False,
) -> tuple[Array, Array, Array]:
    """A long short-term memory: (all or the last h, the last h, the last c)."""
    sequence, last, cell = _lstm(
        _sequence(x, inputVectorSize),
        _initial(h, x, outputVectorSize),
        _initial(c, x, outputVectorSize),
        weightParams,
        params or LSTMParams(),
        activations,
        reverse=reverseInput,
    )
    return _result(sequence), _state(last), _state(cell)


@nn.kernel("biDirectionalLSTM", fresh=True)
def bi_directional_lstm(
    x: Array,
    h: Optional[Array] = None,
    c: Optional[Array] = None,
    h_back: Optional[Array] = None,
    c_back: Optional[Array] = None,
    *,
    inputVectorSize: int,
    outputVectorSize: int,
    activationsForwardLSTM: tuple[ActivationParams, ...],
    activationsBackwardLSTM: tuple[ActivationParams, ...],
    params: Optional[LSTMParams] = None,
    weightParams: tuple[LSTMWeightParams, ...],
) -> tuple[Array, Array, Array, Array, Array]:
    """Two long short-term memories, one from each end: (both h in one vector, then h, c, h and c of the ends)."""
    if len(weightParams) != 2:
        raise ValueError(f"{len(weightParams)} sets of weights, expected 2")
    common = params or LSTMParams()
    steps = _sequence(x, inputVectorSize)
    states = [_initial(state, x, outputVectorSize) for state in (h, c, h_back, c_back)]
    forward = _lstm(steps, states[0], states[1], weightParams[0], common, activationsForwardLSTM, reverse=False)
    backward = _lstm(steps, states[2], states[3], weightParams[1], common, activationsBackwardLSTM, reverse=True)
    both = np.concatenate((forward[0], backward[0][::-1]), axis=-1)
    return _result(both), _state(forward[1]), _state(forward[2]), _state(backward[1]), _state(backward[2])
