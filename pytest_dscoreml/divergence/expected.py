"""Everything TensorFlow computes in one call, by the names of its nodes, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pytest_dscoreml.divergence.quantities import LSTM, OUTPUTS, Array, lstm
from pytest_dscoreml.engines.protocol import Floats, State
from pytest_dscoreml.engines.tensorflow import TensorFlowEngine
from pytest_dscoreml.model.frozen import FEATURES_OUTPUT, producer, read_graph

#: The attributes of a node that say what it computes, rather than of which type.
_SILENT = ("T", "Tidx", "Tshape", "Tperm", "Tparams", "Tindices", "Tdim", "Tpaddings", "Index", "N", "dtype", "shape")


@dataclass(frozen=True)
class Expected:
    """One call in TensorFlow.

    Attributes:
        values: by node, its first output.
        lstm: inside of the BlockLSTM; None where the graph has none, or several.
        lstm_node: the name of that node.
        unmasked: nodes that hold steps behind the length as they come out of the BlockLSTM, where they are zeros.
        length: real steps.
        steps: all of them, the padding's among them.
    """

    values: Mapping[str, Array]
    lstm: LSTM | None
    lstm_node: str
    unmasked: frozenset[str]
    length: int
    steps: int


class Graph:
    """A frozen graph whose inner values can be asked for."""

    def __init__(self, path: Path) -> None:
        self.engine = TensorFlowEngine(path)
        self._nodes = {node.name: node for node in read_graph(path).graph_def.node}
        features = self._ancestors(FEATURES_OUTPUT)
        needed = self._ancestors("logits") | self._ancestors("new_state_c") | self._ancestors("new_state_h")
        self._computed = [name for name in self._nodes if name in needed - features and self._is_computed(name)]
        lstms = [name for name in self._computed if self._nodes[name].op == "BlockLSTM"]
        self._lstm = lstms[0] if len(lstms) == 1 else ""

    def _ancestors(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = [name] if name in self._nodes else []
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += map(producer, self._nodes[node].input)
        return found

    def _is_computed(self, name: str) -> bool:
        """Whether a node depends on the inputs of the graph: weights are large, and no results."""
        return any(self._nodes[one].op == "Placeholder" for one in self._ancestors(name))

    def run(self, windows: Floats, length: int, state: State) -> Expected:
        """Everything that one call computes."""
        node = self._nodes.get(self._lstm)
        fetches = {name: f"{name}:0" for name in self._computed}
        extra = {} if node is None else {f"in{number}": _tensor(name) for number, name in enumerate(node.input)}
        extra |= {} if node is None else {name: f"{self._lstm}:{number}" for number, name in enumerate(OUTPUTS)}
        values = self.engine.inner(
            {**fetches, **{f"lstm {name}": tensor for name, tensor in extra.items()}}, windows, length, state
        )
        inside = None
        if node is not None:
            inputs = {number: values[f"lstm in{number}"] for number in range(len(node.input))}
            outputs = {name: values[f"lstm {name}"] for name in OUTPUTS}
            inside = lstm(inputs, outputs, length, node.attr["forget_bias"].f)
        return Expected(
            {name: values[name] for name in fetches}, inside, self._lstm, self._unmasked, length, len(windows)
        )

    @cached_property
    def _unmasked(self) -> frozenset[str]:
        """What `Expected.unmasked` is, in every call."""
        found: set[str] = set()
        for name in self._computed:
            sources = {producer(source) for source in self._nodes[name].input}
            if sources & {self._lstm, *found} and self._nodes[name].op not in ("Mul", "GatherNd"):
                found.add(name)
        return frozenset(found | {self._lstm} if self._lstm else found)

    def operation(self, name: str) -> str:
        """The type of a node."""
        return str(self._nodes[name].op)

    def attributes(self, name: str) -> dict[str, Any]:
        """What a node says of itself, and its small constant inputs."""
        node = self._nodes[name]
        found = {key: _plain(value) for key, value in node.attr.items() if key not in _SILENT}
        for source in map(producer, node.input):
            constant = self._nodes[source]
            if constant.op == "Const":
                value = _constant(constant)
                found[source.rpartition("/")[2]] = (
                    value.tolist() if value.size <= 8 else f"{value.dtype}{list(value.shape)}"
                )
        return found


def _tensor(reference: str) -> str:
    return reference if ":" in reference else f"{reference}:0"


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    plain = getattr(value, kind) if kind else None
    return (
        plain.decode(errors="replace") if isinstance(plain, bytes) else plain if kind in ("i", "f", "b") else str(plain)
    )


def _constant(node: Any) -> Array:
    from pytest_dscoreml.heavy import import_tensorflow

    return np.asarray(import_tensorflow().make_ndarray(node.attr["value"].tensor))
