"""Reads a neural network's protobuf into a ``Program``.

A neural network has one name space, and ``copy`` may write a name again: that is how its loops carry values. The
reader renames later definitions (``h``, ``h@2``, ...), so that every name is defined once, and makes what a loop's
body redefines the loop's carried values. Imports only the runtime's own forms.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime.interface import Interface
from pytest_dscoreml.runtime.nn_weights import read_weights
from pytest_dscoreml.runtime.problems import Place, Problems
from pytest_dscoreml.runtime.program import (
    NEURALNETWORK,
    UNREADABLE,
    Block,
    Constant,
    Operand,
    Program,
    Ref,
    Step,
    TensorType,
    Value,
)

# Everything inside a neural network is a float.
_FLOAT = TensorType("float32")
_EXACT_ARRAY_MAPPING = 1
_NETWORKS = {"loop": ("conditionNetwork", "bodyNetwork"), "branch": ("ifBranch", "elseBranch")}

Names = dict[str, str]


def read_network(message: Any, interface: Interface, version: int, problems: Problems) -> Program:
    """The network in ``message``, with the inputs and outputs of ``interface``; what is wrong goes to ``problems``."""
    if message.arrayInputShapeMapping != _EXACT_ARRAY_MAPPING:
        problems.add("the network uses RANK5_ARRAY_MAPPING for its inputs, only EXACT_ARRAY_MAPPING is supported")
    if message.preprocessing:
        problems.add("the network preprocesses images, which is not supported")
    reader = _Reader(f"specification {version}", problems)
    inputs = tuple(reader.define(feature.name, reader.names) for feature in interface.inputs)
    steps = reader.layers(message.layers, "main", reader.names)
    outputs = {feature.name: reader.names.get(feature.name, feature.name) for feature in interface.outputs}
    return Program(NEURALNETWORK, reader.opset, Block(inputs, steps, tuple(outputs.values())), outputs)


class _Reader:
    def __init__(self, opset: str, problems: Problems) -> None:
        self.opset = opset
        self.names: Names = {}
        self._problems = problems
        self._taken: dict[str, int] = {}

    def define(self, name: str, names: Names) -> Value:
        """A new definition of ``name``: from here on ``names`` leads there."""
        count = self._taken.get(name, 0) + 1
        self._taken[name] = count
        names[name] = name if count == 1 else f"{name}@{count}"
        return Value(names[name], _FLOAT)

    def layers(self, layers: Any, location: str, names: Names) -> tuple[Step, ...]:
        steps = (self._layer(layer, location, names) for layer in layers)
        return tuple(step for step in steps if step is not None)

    def _layer(self, layer: Any, location: str, names: Names) -> Optional[Step]:
        kind = layer.WhichOneof("layer")
        place = Place("layer", str(kind), layer.name, location, self.opset)
        if kind is None:
            self._problems.add(place.says("has no type: it is damaged, or of a kind newer than this coremltools"))
            return None
        operands = tuple(Ref(names.get(name, name)) for name in layer.input)
        if kind == "loop":
            return self._loop(layer, operands, place, names)
        if kind == "branch":
            return self._branch(layer, operands, place, names)
        parameters: dict[str, Operand] = {}
        message = getattr(layer, kind)
        op = kind
        if kind == "activation":
            which = message.WhichOneof("NonlinearityType")
            op = f"activation.{which}"
            message = getattr(message, which) if which else message
        place = Place("layer", op, layer.name, location, self.opset)
        for field, value in message.ListFields():
            parameters[field.name] = self._field(field, value, message, op, place)
        for name in layer.output:
            if name in names and kind != "copy":
                self._problems.add(place.says(f"defines {name!r}, which is defined already: only copy may do so"))
        return Step(
            op, layer.name, location, operands, parameters, tuple(self.define(name, names) for name in layer.output)
        )

    def _field(self, field: Any, value: Any, message: Any, op: str, place: Place) -> Operand:
        if field.message_type is None:
            if isinstance(value, str):
                return Constant(value)
            # Repeated fields become vectors, also of one element.
            single = isinstance(value, (bool, int, float))
            return Constant(np.asarray(value if single else list(value)))
        try:
            if field.message_type.name == "WeightParams":
                return Constant(read_weights(value, message, op, field.name))
            raise LoadError(f"is of type {field.message_type.name}, which is not supported")
        except LoadError as error:
            self._problems.add(place.says(f"has an unreadable {field.name}: {error}"))
            return Ref(UNREADABLE)

    def _loop(self, layer: Any, operands: tuple[Operand, ...], place: Place, names: Names) -> Optional[Step]:
        loop = layer.loop
        if operands or layer.output:
            self._problems.add(place.says("has inputs or outputs of its own, which is not supported"))
            return None
        carried = [name for name in _assigned(loop.bodyNetwork.layers) if name in names]
        for name in _assigned(loop.conditionNetwork.layers):
            if name in names:
                self._problems.add(place.says(f"has a condition that redefines {name!r}, which is not supported"))
        initial = tuple(Ref(names[name]) for name in carried)
        inner = dict(names)
        inputs = tuple(self.define(name, inner) for name in carried)
        inside = f"{place.location}/{layer.name}"
        condition_steps = self.layers(loop.conditionNetwork.layers, f"{inside}[0]", inner)
        tested: tuple[str, ...] = ()
        if loop.conditionVar:
            tested = (inner.get(loop.conditionVar, loop.conditionVar),)
        elif not loop.maxLoopIterations:
            self._problems.add(place.says("has neither a condition nor a number of passes"))
        # copy may rewrite a carried value again, but other layers of the body define it for the first time there.
        body_steps = self.layers(loop.bodyNetwork.layers, f"{inside}[1]", inner)
        produced = tuple(inner[name] for name in carried)
        parameters: dict[str, Operand] = {}
        if loop.maxLoopIterations:
            parameters["maxLoopIterations"] = Constant(np.asarray(loop.maxLoopIterations))
        return Step(
            "loop",
            layer.name,
            place.location,
            initial,
            parameters,
            tuple(self.define(name, names) for name in carried),
            (Block(inputs, condition_steps, tested), Block(inputs, body_steps, produced)),
        )

    def _branch(self, layer: Any, operands: tuple[Operand, ...], place: Place, names: Names) -> Step:
        branch = layer.branch
        inside = f"{place.location}/{layer.name}"
        first, second = dict(names), dict(names)
        then_steps = self.layers(branch.ifBranch.layers, f"{inside}[0]", first)
        else_steps = self.layers(branch.elseBranch.layers, f"{inside}[1]", second)
        assigned = dict.fromkeys((*_assigned(branch.ifBranch.layers), *_assigned(branch.elseBranch.layers)))
        # What only one side defines, and nothing before it did, cannot be read afterwards.
        merged = [name for name in assigned if name in first and name in second]
        blocks = (
            Block((), then_steps, tuple(first[name] for name in merged)),
            Block((), else_steps, tuple(second[name] for name in merged)),
        )
        outputs = tuple(self.define(name, names) for name in merged)
        return Step("branch", layer.name, place.location, operands, {}, outputs, blocks)


def _assigned(layers: Any) -> list[str]:
    """The names that layers write, those of nested networks included, in order."""
    found: dict[str, None] = {}
    for layer in layers:
        found.update(dict.fromkeys(layer.output))
        for network in _NETWORKS.get(layer.WhichOneof("layer") or "", ()):
            found.update(dict.fromkeys(_assigned(getattr(getattr(layer, layer.WhichOneof("layer")), network).layers)))
    return list(found)
