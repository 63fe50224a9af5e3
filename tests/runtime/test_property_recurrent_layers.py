"""Recurrent layers in double against the specification's equations: sizes, none among them, every activation and flag."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.kernels.nn import records
from pytest_dscoreml.runtime.registry import nn

assert kernels.nn_recurrent
SOME = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 10**6)
sizes = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3))
# Kernels and equations run in double, so that only the order of sums and the form of a sigmoid differ.
DOUBLE = {"rtol": 1e-9, "atol": 1e-9}


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    """The kernel's results without the two axes of size 1, which they must have."""
    kernel = nn.find(name, 0)
    assert kernel is not None
    results = kernel.function(*inputs, **fields)
    assert all(result.ndim == 5 and result.shape[3:] == (1, 1) for result in results)
    return [result[..., 0, 0] for result in results]


Function = Callable[[Any], Any]
# The activations of recurrent layers, with the parameters that the specification names.
ACTIVATIONS: dict[str, tuple[records.ActivationParams, Function]] = {
    "linear": (records.ActivationParams(linear=records.AlphaBeta(0.5, 0.25)), lambda x: 0.5 * x + 0.25),
    "ReLU": (records.ActivationParams(ReLU=records.Nothing()), lambda x: np.where(x > 0, x, 0)),
    "tanh": (records.ActivationParams(tanh=records.Nothing()), np.tanh),
    "scaledTanh": (
        records.ActivationParams(scaledTanh=records.AlphaBeta(1.7159, 2 / 3)),
        lambda x: 1.7159 * np.tanh(2 / 3 * x),
    ),
    "sigmoid": (records.ActivationParams(sigmoid=records.Nothing()), lambda x: 1 / (1 + np.exp(-x))),
    "sigmoidHard": (
        records.ActivationParams(sigmoidHard=records.AlphaBeta(0.2, 0.5)),
        lambda x: np.where(0.2 * x + 0.5 < 0, 0, np.where(0.2 * x + 0.5 > 1, 1, 0.2 * x + 0.5)),
    ),
}
names = st.sampled_from(sorted(ACTIVATIONS))
# The greater of them reaches the bound of 50 on the arguments of activations.
scales = st.sampled_from([0.7, 12.0])


def weights(seed: int, scale: float) -> Callable[..., Any]:
    random = np.random.default_rng(seed)
    return lambda *shape: scale * random.normal(size=shape)


def agree(obtained: Any, expected: Any) -> None:
    """Relative to the greatest value: activations without a bound grow by a factor at each step."""
    assert np.shape(obtained) == np.shape(expected)
    scale = np.abs(expected).max(initial=1)
    np.testing.assert_allclose(obtained / scale, expected / scale, **DOUBLE)


def bounded(name: str) -> Function:
    return lambda x: ACTIVATIONS[name][1](np.clip(x, -50, 50))


def cut(sequence: Any, state: Any, whole: bool) -> Any:
    """What a layer puts out: all of the states, or the last."""
    return np.stack(sequence) if whole and len(sequence) else np.empty((0, *state.shape)) if whole else state[None]


@SOME
@given(
    size=sizes, acts=st.tuples(names, names), scale=scales, seed=seeds,
    flags=st.tuples(*[st.booleans()] * 4),
)  # fmt: skip
def test_simple_and_gated_layers(size: Any, acts: Any, scale: float, seed: int, flags: Any) -> None:
    steps, batch, inputs, hidden = size
    whole, biased, reverse, has_state = flags
    make = weights(seed, scale)
    x = make(steps, batch, inputs)
    start = make(batch, hidden) if has_state else np.zeros((batch, hidden))
    fed = [x[..., None, None], *([start[None, :, :, None, None]] if has_state else [])]
    w, r, b = ({gate: make(*shape) for gate in ("update", "reset", "output")} for shape in (
        (hidden, inputs), (hidden, hidden), (hidden,)
    ))  # fmt: skip
    common = {"inputVectorSize": inputs, "outputVectorSize": hidden, "sequenceOutput": whole, "reverseInput": reverse}
    f, g = bounded(acts[0]), bounded(acts[1])

    def share(gate: str, row: Any, state: Any) -> Any:
        return row @ w[gate].T + state @ r[gate].T + (b[gate] if biased else 0)

    simple, gated, simples, gateds = start, start, [], []
    for row in x[::-1] if reverse else x:
        simple = f(share("output", row, simple))
        z, reset = f(share("update", row, gated)), f(share("reset", row, gated))
        gated = (1 - z) * g(share("output", row, gated * reset)) + z * gated
        simples.append(simple)
        gateds.append(gated)
    obtained = layer("simpleRecurrent", *fed, activation=ACTIVATIONS[acts[0]][0], hasBiasVector=biased,
                     weightMatrix=w["output"], recursionMatrix=r["output"], biasVector=b["output"], **common)  # fmt: skip
    for found, expected in zip(obtained, (cut(simples, simple, whole), simple[None])):
        agree(found, expected)
    fields = {f"{gate}GateWeightMatrix": value for gate, value in w.items()}
    fields.update({f"{gate}GateRecursionMatrix": value for gate, value in r.items()})
    fields.update({f"{gate}GateBiasVector": value for gate, value in b.items()})
    activations = tuple(ACTIVATIONS[name][0] for name in acts)
    obtained = layer("gru", *fed, activations=activations, hasBiasVectors=biased, **fields, **common)
    for found, expected in zip(obtained, (cut(gateds, gated, whole), gated[None])):
        agree(found, expected)


GATES = {"inputGate": 0, "forgetGate": 1, "blockInput": 2, "outputGate": 3}


class Direction:
    """The weights of one direction, and its equations."""

    def __init__(self, make: Callable[..., Any], inputs: int, hidden: int, acts: tuple[str, ...]) -> None:
        self.w, self.r, self.b = make(4, hidden, inputs), make(4, hidden, hidden), make(4, hidden)
        # The cell's input looks at no cell.
        self.p = make(4, hidden)
        self.p[2] = 0
        self.activations = tuple(ACTIVATIONS[name][0] for name in acts)
        self.f, self.g, self.h = bounded(acts[0]), bounded(acts[1]), ACTIVATIONS[acts[2]][1]

    def record(self, params: records.LSTMParams) -> records.LSTMWeightParams:
        fields = {}
        for gate, row in GATES.items():
            fields.update({f"{gate}WeightMatrix": self.w[row], f"{gate}RecursionMatrix": self.r[row]})
            if params.hasBiasVectors:
                fields[f"{gate}BiasVector"] = self.b[row]
            if params.hasPeepholeVectors and gate != "blockInput":
                fields[f"{gate}PeepholeVector"] = self.p[row]
        return records.LSTMWeightParams(**fields)

    def steps(self, x: Any, y: Any, c: Any, params: records.LSTMParams) -> tuple[list[Any], Any, Any]:
        limit = params.cellClipThreshold or 50.0
        outputs = []
        for row in x:

            def share(gate: int, cell: Any, row: Any = row, y: Any = y) -> Any:
                bias = self.b[gate] * params.hasBiasVectors + (gate == 1 and params.forgetBias)
                return (
                    row @ self.w[gate].T + y @ self.r[gate].T + self.p[gate] * params.hasPeepholeVectors * cell + bias
                )

            enter = self.f(share(0, c))
            forget = 1 - enter if params.coupledInputAndForgetGate else self.f(share(1, c))
            c = np.clip(c * forget + enter * self.g(share(2, c)), -limit, limit)
            y = self.h(c) * self.f(share(3, c))
            outputs.append(y)
        return outputs, y, c


flags = ("sequenceOutput", "hasBiasVectors", "forgetBias", "hasPeepholeVectors", "coupledInputAndForgetGate")
all_params = st.builds(
    records.LSTMParams, cellClipThreshold=st.sampled_from([0.0, 0.25]), **{name: st.booleans() for name in flags}
)
three = st.tuples(names, names, names)


@SOME
@given(
    size=sizes, acts=st.tuples(three, three), params=all_params, reverse=st.booleans(), states=st.integers(0, 4),
    scale=scales, seed=seeds,
)  # fmt: skip
def test_long_short_term_layers(
    size: Any, acts: Any, params: records.LSTMParams, reverse: bool, states: int, scale: float, seed: int
) -> None:
    """States that are not given are zeros, however many of the following are left out with them."""
    steps, batch, inputs, hidden = size
    make = weights(seed, scale)
    x = make(steps, batch, inputs)
    ahead, back = (Direction(make, inputs, hidden, chosen) for chosen in acts)
    start = [make(batch, hidden) if index < states else np.zeros((batch, hidden)) for index in range(4)]
    fed = [x[..., None, None], *(state[None, :, :, None, None] for state in start[:states])]
    common = {"inputVectorSize": inputs, "outputVectorSize": hidden, "params": params}
    outputs, y, c = ahead.steps(x[::-1] if reverse else x, start[0], start[1], params)
    obtained = layer(
        "uniDirectionalLSTM",
        *fed[:3],
        activations=ahead.activations,
        weightParams=ahead.record(params),
        reverseInput=reverse,
        **common,
    )
    for found, expected in zip(obtained, (cut(outputs, y, params.sequenceOutput), y[None], c[None])):
        agree(found, expected)
    first = ahead.steps(x, start[0], start[1], params)
    second = back.steps(x[::-1], start[2], start[3], params)
    both = [cut(part[0], part[1], params.sequenceOutput) for part in (first, second)]
    obtained = layer(
        "biDirectionalLSTM",
        *fed,
        activationsForwardLSTM=ahead.activations,
        activationsBackwardLSTM=back.activations,
        weightParams=(ahead.record(params), back.record(params)),
        **common,
    )
    agree(obtained[0], np.concatenate((both[0], both[1][::-1]), 2))
    for found, expected in zip(obtained[1:], (*first[1:], *second[1:])):
        agree(found, expected[None])
