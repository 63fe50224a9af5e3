"""The kernels' parameters are those of coremltools' own operation registry and of the neural network's protobuf."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_dscoreml.runtime import kernels, proto
from pytest_dscoreml.runtime.registry import mil, nn, record_parameters

assert kernels.mil_linear  # importing the package registers the kernels
OPSETS = (15, 16, 17, 18)
# What coremltools writes for its ``coreml_update_state``, and does not define as an operation of its own.
BACKEND_OPS = {"write_state"}
MIL_OPS = sorted({kernel.op for kernel in mil} - BACKEND_OPS)
NN_LAYERS = sorted({kernel.op for kernel in nn})


@pytest.fixture(scope="module")
def coremltools_ops() -> Any:
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    return {
        name: {int(version.name[len("iOS") :]): definition for version, definition in versions.items()}
        for name, versions in SSAOpRegistry.core_ops.items()
    }


@pytest.mark.parametrize("op", MIL_OPS)
def test_mil_parameters_are_coremltools(op: str, coremltools_ops: Any) -> None:
    compared = 0
    for ios in OPSETS:
        kernel = mil.find(op, ios)
        definition = coremltools_ops[op].get(ios)
        if kernel is None:
            continue
        assert definition is not None, f"coremltools has no {op} in iOS {ios}"
        spec = definition.input_spec.input_types
        assert set(kernel.parameters) == set(spec), f"{op}, iOS {ios}"
        optional = {name for name, kind in spec.items() if kind.optional}
        ours = {name for name, parameter in kernel.parameters.items() if not parameter.required}
        assert ours == optional, f"{op}, iOS {ios}: optional parameters"
        compared += 1
    assert compared > 0


# Defaults that coremltools' definitions leave to words.
STATED_DEFAULTS = {
    ("gru", "reset_after"): False,
    # Written in topk's documentation; its code asks the instance's arguments before it tells them.
    ("topk", "k"): 1,
    ("topk", "axis"): -1,
    ("topk", "ascending"): False,
    ("topk", "sort"): True,
    ("topk", "return_indices"): True,
}


def _defaults(definition: Any) -> dict[str, Any]:
    """The plain defaults of coremltools' definition; empty where they depend on the values of an instance's arguments."""
    instance = definition.__new__(definition)
    # Many defaults depend on x's rank, which no plain one does.
    instance.x = SimpleNamespace(rank=4, shape=(1, 1, 1, 1))
    instance.boxes, instance.box_indices = SimpleNamespace(shape=(1, 4)), None
    try:
        return dict(instance.default_inputs().items())
    except AttributeError:
        return {}


@pytest.mark.parametrize("op", MIL_OPS)
def test_mil_defaults_are_coremltools(op: str, coremltools_ops: Any) -> None:
    """Where coremltools' default is a plain value, the kernel's is the same."""
    for ios in OPSETS:
        kernel = mil.find(op, ios)
        if kernel is None:
            continue
        defaults = _defaults(coremltools_ops[op][ios])
        for name, parameter in inspect.signature(kernel.function).parameters.items():
            if parameter.default is parameter.empty or parameter.default is None:
                continue
            if (op, name) in STATED_DEFAULTS:
                assert parameter.default == STATED_DEFAULTS[op, name]
            elif name == "epsilon" and name not in defaults:
                # Its type is that of the operation's argument, so coremltools' default needs one.
                assert not defaults
                assert parameter.default == {"inverse": 1e-4, "log": 1e-45, "rsqrt": 1e-12}[op]
            else:
                assert parameter.default == defaults[name], f"{op}.{name}, iOS {ios}"


@pytest.mark.parametrize("layer", NN_LAYERS)
def test_nn_parameters_are_fields(layer: str) -> None:
    kind, _, activation = layer.partition(".")
    message = proto.activation_messages()[activation] if activation else proto.layer_messages()[kind]
    kernel = nn.find(layer, 0)
    assert kernel is not None
    fields = {field.name for field in message.fields}
    unknown = set(kernel.parameters) - fields
    assert not unknown, f"{layer} takes {unknown}, the layer has {fields}"
    for parameter in kernel.parameters.values():
        if parameter.form is not None:
            _check_record(parameter.form, message.fields_by_name[parameter.name].message_type)


def _check_record(form: type, message: Any) -> None:
    """A record's fields are those of the message, but for those that are refused."""
    known = record_parameters(form)
    fields = {field.name for field in message.fields}
    assert set(known) <= fields, f"{form.__name__}: {set(known) - fields} are no fields of {message.name}"
    missing = fields - set(known)
    assert not missing or message.name == "ActivationParams", f"{form.__name__} lacks {missing}"
    for parameter in known.values():
        if parameter.form is not None and parameter.form.__name__ != "AlphaBeta":
            _check_record(parameter.form, message.fields_by_name[parameter.name].message_type)


def test_fields_the_kernels_do_not_take_are_known() -> None:
    """Such a field is refused when a model sets it; this list is for those who read the code."""
    refused = set()
    for layer in NN_LAYERS:
        kind, _, activation = layer.partition(".")
        message = proto.activation_messages()[activation] if activation else proto.layer_messages()[kind]
        kernel = nn.find(layer, 0)
        assert kernel is not None
        refused |= {(layer, field.name) for field in message.fields if field.name not in kernel.parameters}
    assert refused == set()


def test_every_layer_has_a_kernel_but_those_of_control_flow() -> None:
    """Loops, branches and jumps are the executor's, and a custom layer is code of the application's own."""
    layers = {name for name in proto.layer_messages() if name != "activation"}
    activations = {f"activation.{name}" for name in proto.activation_messages()}
    assert (layers | activations) - set(NN_LAYERS) == {"branch", "custom", "loop", "loopBreak", "loopContinue"}
