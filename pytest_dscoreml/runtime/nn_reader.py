"""Reads a neural network's protobuf into a ``Program``.

A neural network has one name space, and ``copy`` may write a name again: that is how its loops carry values. The
reader renames later definitions (``h``, ``h@2``, ...), so that every name is defined once, and makes what a loop's
body redefines the loop's carried values.

The form knows no jumps. ``loopBreak`` and ``loopContinue`` become carried flags: what follows a branch that may jump
runs in a branch of its own, when the flag is not set, and the loop ends when the flag of its break is set. Imports only
the runtime's own forms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime.interface import ARRAY, IMAGE, Interface
from pytest_dscoreml.runtime.nn_flags import contradictions
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
_JUMPS = {"loopBreak": " broken", "loopContinue": " skipped"}
_MOST_SKIPPING = 50
_RESULTS = {
    "NonMaximumSuppression": 4,
    "biDirectionalLSTM": 5,
    "gru": 2,
    "simpleRecurrent": 2,
    "topK": 2,
    "uniDirectionalLSTM": 3,
}
_NETWORKS = {"loop": ("conditionNetwork", "bodyNetwork"), "branch": ("ifBranch", "elseBranch")}

Names = dict[str, str]


def read_network(message: Any, interface: Interface, version: int, problems: Problems, *, result: str = "") -> Program:
    """The network in ``message``, with the inputs and outputs of ``interface``; what is wrong goes to ``problems``.

    ``result`` is the model's predicted feature, for networks that classify or estimate a number: its value, and a
    classifier's probabilities, are those that the network names, or else the output of its last layer.
    """
    reader = _Reader(f"specification {version}", problems)
    inputs = tuple(reader.define(feature.name, reader.names) for feature in interface.inputs)
    steps = reader.layers(message.layers, "main", reader.names)
    last = next((layer.output[0] for layer in reversed(message.layers) if layer.output), "")
    predicted = getattr(message, "labelProbabilityLayerName", "") or last
    outputs = {
        feature.name: reader.names.get(predicted, predicted)
        if feature.kind != ARRAY or (feature.name == result and result not in reader.names)
        else reader.names.get(feature.name, feature.name)
        for feature in interface.outputs
        if feature.kind != IMAGE
    }
    outputs.update({item.name: reader.names.get(item.name, item.name) for item in interface.outputs if item.image})
    return Program(NEURALNETWORK, reader.opset, Block(inputs, steps, tuple(outputs.values())), outputs)


class _Reader:
    def __init__(self, opset: str, problems: Problems) -> None:
        self.opset = opset
        self.names: Names = {}
        self._problems = problems
        self._counts: dict[str, int] = {}
        self._taken: set[str] = set()
        # How deep the branches are nested that hold what follows a jump.
        self._skipping = 0
        # The flags that a jump in the innermost loop sets, by the kind of jump.
        self._flags: dict[str, str] = {}

    def define(self, name: str, names: Names) -> Value:
        """A new definition of ``name``: from here on ``names`` leads there."""
        count = self._counts.get(name, 0) + 1
        # A file may itself use a name of this form.
        while (unique := name if count == 1 else f"{name}@{count}") in self._taken:
            count += 1
        self._counts[name] = count
        self._taken.add(unique)
        names[name] = unique
        return Value(unique, _FLOAT)

    def layers(self, layers: Any, location: str, names: Names) -> tuple[Step, ...]:
        steps: list[Step] = []
        for index, layer in enumerate(layers):
            kind = layer.WhichOneof("layer")
            if kind in _JUMPS:
                steps.extend(self._jump(kind, layer, location, names))
                # What follows a jump in the same network is never run.
                break
            steps.extend(self._layer(layer, location, names))
            rest = layers[index + 1 :]
            if kind == "branch" and rest and (jumps := _jumps([layer])):
                steps.extend(self._unless(sorted(jumps), rest, location, names, layer.name))
                break
        return tuple(steps)

    def _jump(self, kind: str, layer: Any, location: str, names: Names) -> tuple[Step, ...]:
        flag = self._flags.get(kind)
        if flag is None:
            self._problems.add(Place("layer", kind, layer.name, location, self.opset).says("is not in a loop"))
            return ()
        return (self._flag(flag, 1.0, layer.name, location, names),)

    def _flag(self, flag: str, value: float, name: str, location: str, names: Names) -> Step:
        """The step that gives ``flag`` a value."""
        held = {"shape": Constant(np.array([1])), "data": Constant(np.array([value], np.float32))}
        return Step("loadConstantND", name, location, (), held, (self.define(flag, names),))

    def _unless(self, jumps: list[str], rest: Any, location: str, names: Names, name: str) -> tuple[Step, ...]:
        """``rest``, run where none of the flags of ``jumps`` is set; ``name`` is the layer that may have set them."""
        flags = [self._flags[kind] for kind in jumps if kind in self._flags]
        if not flags:
            return self.layers(rest, location, names)
        if self._skipping == _MOST_SKIPPING:
            place = Place("layer", "branch", name, location, self.opset)
            self._problems.add(place.says(f"follows {_MOST_SKIPPING} others that may jump, which is not supported"))
            return ()
        self._skipping += 1
        steps: list[Step] = []
        jumped = flags[0]
        for flag in flags[1:]:
            both = self.define(f"{name} jumped", names)
            steps.append(Step("logicalOr", name, location, (Ref(names[jumped]), Ref(names[flag])), {}, (both,)))
            jumped = f"{name} jumped"
        first, second = dict(names), dict(names)
        others = self.layers(rest, location, second)
        self._skipping -= 1
        merged = [item for item in second if second[item] != names.get(item)]
        # Only what is skipped as well can read what is new here, so that after a jump any value will do.
        unread = [self._flag(item, 0.0, name, location, first) for item in merged if item not in names]
        blocks = (
            Block((), tuple(unread), tuple(first[item] for item in merged)),
            Block((), others, tuple(second[item] for item in merged)),
        )
        operands = (Ref(names[jumped]),)
        outputs = tuple(self.define(item, names) for item in merged)
        steps.append(Step("branch", name, location, operands, {}, outputs, blocks))
        return tuple(steps)

    def _layer(self, layer: Any, location: str, names: Names) -> tuple[Step, ...]:
        kind = layer.WhichOneof("layer")
        place = Place("layer", str(kind), layer.name, location, self.opset)
        if kind is None:
            self._problems.add(place.says("has no type: it is damaged, or of a kind newer than this coremltools"))
            return ()
        if kind == "custom":
            # Code of the application's own: no kernel has this name, and so the compiler refuses it by its class.
            operands = tuple(Ref(names.get(name, name)) for name in layer.input)
            outputs = tuple(self.define(name, names) for name in layer.output)
            return (Step(f"custom.{layer.custom.className}", layer.name, location, operands, {}, outputs),)
        operands = tuple(Ref(names.get(name, name)) for name in layer.input)
        if any(getattr(getattr(layer, kind), network).preprocessing for network in _NETWORKS.get(kind, ())):
            self._problems.add(place.says("holds a network with preprocessing, which only a model's inputs may have"))
        if kind == "loop":
            return self._loop(layer, operands, place, names)
        if kind == "branch":
            return (self._branch(layer, operands, place, names),)
        parameters: dict[str, Operand] = {}
        message = getattr(layer, kind)
        op = kind
        if kind == "activation":
            which = message.WhichOneof("NonlinearityType")
            op = f"activation.{which}"
            message = getattr(message, which) if which else message
        place = Place("layer", op, layer.name, location, self.opset)
        for text in contradictions(message, len(operands)):
            self._problems.add(place.says(text))
        for field, value in message.ListFields():
            try:
                parameters[field.name] = Constant(_value(field, value, message, op, field.name))
            except LoadError as error:
                self._problems.add(place.says(f"has an unreadable {field.name}: {error}"))
                parameters[field.name] = UNREADABLE
        for name in layer.output:
            if name in names and kind != "copy":
                self._problems.add(place.says(f"defines {name!r}, which is defined already: only copy may do so"))
        outputs = tuple(self.define(name, names) for name in layer.output)
        # A layer may leave results out from the end; its kernel gives all of them.
        unnamed = range(len(outputs), _RESULTS.get(op, 0))
        outputs += tuple(self.define(f"{layer.name} result {index}", names) for index in unnamed)
        return (Step(op, layer.name, location, operands, parameters, outputs),)

    def _loop(self, layer: Any, operands: tuple[Operand, ...], place: Place, names: Names) -> tuple[Step, ...]:
        loop = layer.loop
        if operands or layer.output:
            self._problems.add(place.says("has inputs or outputs of its own, which is not supported"))
            return ()
        inside = f"{place.location}/{layer.name}"
        broken = f"{inside}{_JUMPS['loopBreak']}"
        outer_flags, jumps = self._flags, _jumps(loop.bodyNetwork.layers)
        self._flags = {kind: f"{inside}{_JUMPS[kind]}" for kind in sorted(jumps)}
        before: tuple[Step, ...] = ()
        if "loopBreak" in jumps:
            before = (self._flag(broken, 0.0, layer.name, place.location, names),)
        carried = [name for name in _assigned(loop.bodyNetwork.layers) if name in names]
        carried += [broken] if before else []
        for name in _assigned(loop.conditionNetwork.layers):
            if name in names:
                self._problems.add(place.says(f"has a condition that redefines {name!r}, which is not supported"))
        initial = tuple(Ref(names[name]) for name in carried)
        inner = dict(names)
        inputs = tuple(self.define(name, inner) for name in carried)
        condition_steps = self.layers(loop.conditionNetwork.layers, f"{inside}[0]", inner)
        tested: tuple[str, ...] = ()
        if loop.conditionVar:
            tested = (inner.get(loop.conditionVar, loop.conditionVar),)
        elif not loop.maxLoopIterations and not before:
            self._problems.add(place.says("has neither a condition nor a number of passes"))
        if before:
            more, goes_on = self._not_broken(broken, tested, layer.name, f"{inside}[0]", inner)
            condition_steps, tested = (*condition_steps, *more), (goes_on,)
        # copy may rewrite a carried value again, but other layers of the body define it for the first time there.
        resets = [
            self._flag(flag, 0.0, layer.name, f"{inside}[1]", inner) for flag in self._flags.values() if flag != broken
        ]
        body_steps = (*resets, *self.layers(loop.bodyNetwork.layers, f"{inside}[1]", inner))
        self._flags = outer_flags
        produced = tuple(inner[name] for name in carried)
        parameters: dict[str, Operand] = {}
        if loop.maxLoopIterations:
            parameters["maxLoopIterations"] = Constant(np.asarray(loop.maxLoopIterations))
        step = Step(
            "loop",
            layer.name,
            place.location,
            initial,
            parameters,
            tuple(self.define(name, names) for name in carried),
            (Block(inputs, condition_steps, tested), Block(inputs, body_steps, produced)),
        )
        return (*before, step)

    def _not_broken(
        self, broken: str, tested: tuple[str, ...], name: str, location: str, names: Names
    ) -> tuple[tuple[Step, ...], str]:
        """The steps, and the name of their result, that tell whether to go on: the condition, and no break yet."""
        going = self.define(f"{name} unbroken", names)
        first = Step("logicalNot", name, location, (Ref(names[broken]),), {}, (going,))
        if not tested:
            return (first,), going.name
        both = self.define(f"{name} goes on", names)
        return (first, Step("logicalAnd", name, location, (Ref(tested[0]), Ref(going.name)), {}, (both,))), both.name

    def _branch(self, layer: Any, operands: tuple[Operand, ...], place: Place, names: Names) -> Step:
        branch = layer.branch
        inside = f"{place.location}/{layer.name}"
        first, second = dict(names), dict(names)
        then_steps = list(self.layers(branch.ifBranch.layers, f"{inside}[0]", first))
        else_steps = list(self.layers(branch.elseBranch.layers, f"{inside}[1]", second))
        assigned = dict.fromkeys((*_assigned(branch.ifBranch.layers), *_assigned(branch.elseBranch.layers)))
        assigned.update(dict.fromkeys(self._flags[jump] for jump in sorted(_jumps([layer])) if jump in self._flags))
        for network, steps, side, other in (
            (branch.ifBranch, then_steps, first, second),
            (branch.elseBranch, else_steps, second, first),
        ):
            if any(item.WhichOneof("layer") in _JUMPS for item in network.layers):
                # This side never comes back, so that what the other one defines is defined afterwards.
                missing = [name for name in assigned if name in other and name not in side]
                steps += [self._flag(name, 0.0, layer.name, inside, side) for name in missing]
        # What only one side defines, and nothing before it did, cannot be read afterwards.
        merged = [name for name in assigned if name in first and name in second]
        blocks = (
            Block((), tuple(then_steps), tuple(first[name] for name in merged)),
            Block((), tuple(else_steps), tuple(second[name] for name in merged)),
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


def _jumps(layers: Any) -> set[str]:
    """The kinds of jumps in layers and their branches; a nested loop keeps its own."""
    found: set[str] = set()
    for layer in layers:
        kind = layer.WhichOneof("layer") or ""
        if kind in _JUMPS:
            found.add(kind)
        elif kind == "branch":
            found |= _jumps(layer.branch.ifBranch.layers) | _jumps(layer.branch.elseBranch.layers)
    return found


def _value(field: Any, value: Any, layer: Any, op: str, path: str) -> Any:
    """The content of a set field as a ``Constant`` holds it; LoadError when weights do not fit."""
    if field.message_type is None:
        if isinstance(value, str):
            return value
        if field.enum_type is not None and value not in field.enum_type.values_by_number:
            raise LoadError(f"{value} is none of {', '.join(item.name for item in field.enum_type.values)}")
        # Repeated fields become vectors, also of one element.
        single = isinstance(value, (bool, int, float))
        return np.asarray(value if single else list(value))
    if field.message_type.name == "WeightParams":
        return read_weights(value, layer, op, path)
    if hasattr(value, "ListFields"):
        return _nested(value, layer, op, path)
    return tuple(_nested(item, layer, op, path) for item in value)


def _nested(message: Any, layer: Any, op: str, path: str) -> dict[str, Any]:
    """A nested message as a dictionary by field name."""
    return {
        field.name: _value(field, value, layer, op, f"{path}.{field.name}") for field, value in message.ListFields()
    }
