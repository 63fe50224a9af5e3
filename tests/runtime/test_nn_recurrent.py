"""Neural network: recurrent layers against the specification's equations, step by step in double."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime import ReferenceModel
from pytest_dscoreml.runtime.kernels.nn import records

GATES = ("input", "forget", "output", "block")
Function = Callable[[Any], Any]
# What the specification admits in a recurrent layer, with parameters that differ from its usual ones.
ACTIVATIONS: dict[str, tuple[dict[str, float], Function]] = {
    "linear": ({"alpha": 0.5, "beta": 0.1}, lambda x: 0.5 * x + 0.1),
    "ReLU": ({}, lambda x: np.maximum(x, 0)),
    "tanh": ({}, np.tanh),
    "scaledTanh": ({"alpha": 1.5, "beta": 0.5}, lambda x: 1.5 * np.tanh(0.5 * x)),
    "sigmoid": ({}, lambda x: 1 / (1 + np.exp(-x))),
    "sigmoidHard": ({"alpha": 0.3, "beta": 0.4}, lambda x: np.clip(0.3 * x + 0.4, 0, 1)),
}
names = st.sampled_from(sorted(ACTIVATIONS))
FEW = settings(max_examples=20, deadline=None)


def near(obtained: Any, expected: Any) -> None:
    np.testing.assert_allclose(obtained, expected, rtol=1e-4, atol=1e-5)


def clipped(function: Function) -> Function:
    return lambda x: function(np.clip(x, -50, 50))


def set_activation(message: Any, name: str) -> None:
    chosen = getattr(message, name)
    chosen.SetInParent()
    for key, value in ACTIVATIONS[name][0].items():
        setattr(chosen, key, value)


def fill(message: Any, arrays: dict[str, Any]) -> None:
    for name, array in arrays.items():
        getattr(message, name).floatValue.extend(np.ravel(array).tolist())


class Case:
    """Sizes, an input and states, and a source of weights."""

    def __init__(self, seed: int, steps: int, states: int) -> None:
        self.random = np.random.default_rng(seed)
        self.steps, self.batch, self.inputs, self.hidden = steps, 2, 3, 4
        self.x = self.array(steps, self.batch, self.inputs)
        self.states = [self.array(self.batch, self.hidden) for _ in range(states)]

    def array(self, *shape: int) -> Any:
        return self.random.normal(scale=0.7, size=shape).astype(np.float32)

    def network(self, build: Any, kind: str, outputs: int, **fields: Any) -> Any:
        inputs = [("x", "float32", (*self.x.shape, 1, 1))]
        inputs += [(f"s{i}", "float32", (1, *s.shape, 1, 1)) for i, s in enumerate(self.states)]
        results = [f"y{i}" for i in range(outputs)]
        network = build.network(inputs, [(name, "float32", ()) for name in results])
        layer = network.layer(
            kind,
            "rnn",
            [name for name, _, _ in inputs],
            results,
            inputVectorSize=self.inputs,
            outputVectorSize=self.hidden,
            **fields,
        )
        return network, getattr(layer, kind)

    def run(self, network: Any) -> dict[str, Any]:
        given = {"x": self.x[..., None, None]}
        given.update({f"s{i}": state[None, :, :, None, None] for i, state in enumerate(self.states)})
        return {name: value[..., 0, 0] for name, value in ReferenceModel(network.model).predict(given).items()}


def order(steps: int, reverse: bool) -> Any:
    return reversed(range(steps)) if reverse else range(steps)


@FEW
@given(
    seed=st.integers(0, 99), steps=st.integers(1, 4), name=names, sequence=st.booleans(), bias=st.booleans(),
    reverse=st.booleans(), outputs=st.integers(1, 2), given_state=st.booleans(),
)  # fmt: skip
def test_simple_recurrent(
    build: Any,
    seed: int,
    steps: int,
    name: str,
    sequence: bool,
    bias: bool,
    reverse: bool,
    outputs: int,
    given_state: bool,
) -> None:
    case = Case(seed, steps, 1 if given_state else 0)
    network, layer = case.network(
        build, "simpleRecurrent", outputs, sequenceOutput=sequence, hasBiasVector=bias, reverseInput=reverse
    )
    w, r, b = case.array(4, 3), case.array(4, 4), case.array(4)
    fill(layer, {"weightMatrix": w, "recursionMatrix": r, **({"biasVector": b} if bias else {})})
    set_activation(layer.activation, name)
    f = clipped(ACTIVATIONS[name][1])
    h = case.states[0].astype(np.float64) if given_state else np.zeros((2, 4))
    history = []
    for step in order(steps, reverse):
        h = f(case.x[step] @ w.T + h @ r.T + (b if bias else 0))
        history.append(h)
    obtained = case.run(network)
    near(obtained["y0"], history if sequence else [h])
    if outputs == 2:
        near(obtained["y1"], [h])


@FEW
@given(
    seed=st.integers(0, 99), steps=st.integers(1, 4), inner=names, outer=names, sequence=st.booleans(),
    bias=st.booleans(), reverse=st.booleans(),
)  # fmt: skip
def test_gru(
    build: Any, seed: int, steps: int, inner: str, outer: str, sequence: bool, bias: bool, reverse: bool
) -> None:
    case = Case(seed, steps, 1)
    network, layer = case.network(build, "gru", 2, sequenceOutput=sequence, hasBiasVectors=bias, reverseInput=reverse)
    w, r, b = ({gate: case.array(*shape) for gate in ("update", "reset", "output")} for shape in ((4, 3), (4, 4), (4,)))
    for gate in w:
        fill(layer, {f"{gate}GateWeightMatrix": w[gate], f"{gate}GateRecursionMatrix": r[gate]})
        if bias:
            fill(layer, {f"{gate}GateBiasVector": b[gate]})
    for name in (inner, outer):
        set_activation(layer.activations.add(), name)
    f, g = (clipped(ACTIVATIONS[name][1]) for name in (inner, outer))

    def share(gate: str, step: int, state: Any) -> Any:
        return case.x[step] @ w[gate].T + state @ r[gate].T + (b[gate] if bias else 0)

    h = case.states[0].astype(np.float64)
    history = []
    for step in order(steps, reverse):
        z, reset = f(share("update", step, h)), f(share("reset", step, h))
        h = (1 - z) * g(share("output", step, h * reset)) + z * h
        history.append(h)
    obtained = case.run(network)
    near(obtained["y0"], history if sequence else [h])
    near(obtained["y1"], [h])


def lstm_weights(case: Case, message: Any, params: dict[str, bool]) -> dict[str, dict[str, Any]]:
    """Fill ``message`` and return the arrays by kind and gate."""
    held: dict[str, dict[str, Any]] = {
        "Weight": {gate: case.array(4, 3) for gate in GATES},
        "Recursion": {gate: case.array(4, 4) for gate in GATES},
        "Bias": {gate: case.array(4) for gate in GATES if params["hasBiasVectors"]},
        "Peephole": {gate: case.array(4) for gate in GATES[:3] if params["hasPeepholeVectors"]},
    }
    for kind, gates in held.items():
        form = "Matrix" if kind in ("Weight", "Recursion") else "Vector"
        for gate, array in gates.items():
            prefix = "blockInput" if gate == "block" else f"{gate}Gate"
            fill(message, {f"{prefix}{kind}{form}": array})
    return held


def lstm_steps(
    case: Case, held: Any, params: dict[str, Any], chosen: list[str], h: Any, c: Any, reverse: bool
) -> tuple[list[Any], Any, Any]:
    f, g, out = (ACTIVATIONS[name][1] for name in chosen)
    f, g = clipped(f), clipped(g)
    limit = params["cellClipThreshold"] or 50.0
    history = []
    for step in order(case.steps, reverse):

        def share(gate: str, state: Any, cell: Any, step: int = step) -> Any:
            total = case.x[step] @ held["Weight"][gate].T + state @ held["Recursion"][gate].T
            total = total + held["Bias"].get(gate, 0)
            if gate == "forget" and params["forgetBias"]:
                total = total + 1
            return total + held["Peephole"].get(gate, 0) * cell

        enter, forget = f(share("input", h, c)), f(share("forget", h, c))
        if params["coupledInputAndForgetGate"]:
            forget = 1 - enter
        new = np.clip(c * forget + enter * g(share("block", h, c)), -limit, limit)
        h, c = out(new) * f(share("output", h, new)), new
        history.append(h)
    return history, h, c


flags = st.fixed_dictionaries(
    {
        **{
            name: st.booleans()
            for name in (
                "sequenceOutput", "hasBiasVectors", "forgetBias", "hasPeepholeVectors", "coupledInputAndForgetGate"
            )
        },
        "cellClipThreshold": st.sampled_from([0.0, 0.25]),
    }
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99), steps=st.integers(1, 4), params=flags, chosen=st.lists(names, min_size=3, max_size=3),
    reverse=st.booleans(),
)  # fmt: skip
def test_uni_directional_lstm(build: Any, seed: int, steps: int, params: Any, chosen: Any, reverse: bool) -> None:
    case = Case(seed, steps, 2)
    network, layer = case.network(build, "uniDirectionalLSTM", 3, reverseInput=reverse)
    for name, value in params.items():
        setattr(layer.params, name, value)
    for name in chosen:
        set_activation(layer.activations.add(), name)
    held = lstm_weights(case, layer.weightParams, params)
    h, c = (state.astype(np.float64) for state in case.states)
    history, h, c = lstm_steps(case, held, params, chosen, h, c, reverse)
    obtained = case.run(network)
    near(obtained["y0"], history if params["sequenceOutput"] else [h])
    near(obtained["y1"], [h])
    near(obtained["y2"], [c])


@FEW
@given(seed=st.integers(0, 99), steps=st.integers(1, 4), params=flags, outputs=st.sampled_from([1, 5]))
def test_bi_directional_lstm(build: Any, seed: int, steps: int, params: Any, outputs: int) -> None:
    case = Case(seed, steps, 4)
    network, layer = case.network(build, "biDirectionalLSTM", outputs)
    chosen = ["sigmoid", "tanh", "tanh"]
    for name, value in params.items():
        setattr(layer.params, name, value)
    for name in chosen:
        set_activation(layer.activationsForwardLSTM.add(), name)
        set_activation(layer.activationsBackwardLSTM.add(), name)
    first, second = (lstm_weights(case, layer.weightParams.add(), params) for _ in range(2))
    states = [state.astype(np.float64) for state in case.states]
    forward = lstm_steps(case, first, params, chosen, states[0], states[1], False)
    backward = lstm_steps(case, second, params, chosen, states[2], states[3], True)
    obtained = case.run(network)
    if params["sequenceOutput"]:
        near(obtained["y0"], np.concatenate((forward[0], backward[0][::-1]), -1))
    else:
        near(obtained["y0"], [np.concatenate((forward[1], backward[1]), -1)])
    if outputs == 5:
        for name, wanted in zip(("y1", "y2", "y3", "y4"), (*forward[1:], *backward[1:])):
            near(obtained[name], [wanted])


def test_arguments_of_activations_are_bounded(build: Any) -> None:
    case = Case(1, 1, 0)
    network, layer = case.network(build, "simpleRecurrent", 1)
    fill(layer, {"weightMatrix": np.full((4, 3), 100), "recursionMatrix": np.zeros((4, 4))})
    layer.activation.linear.alpha = 1
    case.x[:] = 1
    assert case.run(network)["y0"].tolist() == [[[50.0] * 4] * 2]


def test_weights_that_do_not_fit_are_refused(build: Any) -> None:
    case = Case(1, 1, 2)
    network, layer = case.network(build, "uniDirectionalLSTM", 1)
    lstm_weights(case, layer.weightParams, {"hasBiasVectors": False, "hasPeepholeVectors": False})
    layer.weightParams.forgetGateWeightMatrix.floatValue.pop()
    layer.weightParams.ClearField("outputGateRecursionMatrix")
    for _ in range(3):
        layer.activations.add().tanh.SetInParent()
    with pytest.raises(LoadError) as caught:
        ReferenceModel(network.model)
    assert str(caught.value) == (
        "model: layer 'rnn': uniDirectionalLSTM has an unreadable weightParams: holds 11 values, its shape (4, 3) takes 12 "
        "[main, specification 4]"
    )
    layer.weightParams.forgetGateWeightMatrix.floatValue.append(1)
    with pytest.raises(LoadError) as caught:
        ReferenceModel(network.model)
    assert str(caught.value) == (
        "model: layer 'rnn': uniDirectionalLSTM sets weightParams to a message without outputGateRecursionMatrix, which "
        "must be set [main, specification 4]"
    )


def test_activations_without_parameters_have_coremltools_defaults() -> None:
    """coremltools writes them so, and its tests expect these numbers."""
    x = np.linspace(-3, 3, 7)
    unset = records.AlphaBeta()

    np.testing.assert_array_equal(records.ActivationParams(linear=unset).unbounded()(x), x)
    np.testing.assert_array_equal(records.ActivationParams(scaledTanh=unset).unbounded()(x), np.tanh(x))
    np.testing.assert_allclose(
        records.ActivationParams(sigmoidHard=unset).unbounded()(x), np.clip(0.2 * x + 0.5, 0, 1), rtol=1e-15
    )
