"""What a graph gives and what a converted model takes: the inspection steps of Apple's DeepSpeech example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from pytest_dscoreml.errors import ModelError
from pytest_dscoreml.heavy import import_tensorflow
from pytest_dscoreml.model.frozen import FEATURES_INPUT, OUTPUTS, FrozenGraph, producer, read_graph
from pytest_dscoreml.runtime.interface import Feature, Interface
from pytest_dscoreml.runtime.interface_reader import read_interface
from pytest_dscoreml.runtime.problems import Problems
from pytest_dscoreml.runtime.source import open_source

CORE_ML_SUFFIXES = (".mlmodel", ".mlpackage")


@dataclass(frozen=True)
class Placeholder:
    """An input of a TensorFlow graph; a dimension of None is unknown."""

    name: str
    dtype: str
    shape: tuple[Optional[int], ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {tuple('?' if size is None else size for size in self.shape)}".replace(
            "'", ""
        )


@dataclass(frozen=True)
class InspectedInput:
    """An input of a converted model beside the graph's placeholder, None where the graph has none of that name."""

    feature: Feature
    placeholder: Optional[Placeholder]

    def __str__(self) -> str:
        declared = f"{self.feature.name} {self.feature.dtype} {self.feature.describe_shape()}"
        return f"{declared}   TensorFlow: {self.placeholder or 'no such placeholder'}"


def inspect_tf_outputs(path: Path | str) -> list[str]:
    """The names of a frozen graph's outputs: what is computed and read by nothing else in it.

    For a DeepSpeech export these are mfccs, logits, new_state_c and new_state_h.

    Raises:
        ModelError: the file is no DeepSpeech graph.
    """
    graph_def = read_graph(Path(path)).graph_def
    read = {producer(reference) for node in graph_def.node for reference in node.input}
    return [
        node.name
        for node in graph_def.node
        if node.name not in read and node.op not in ("Const", "Placeholder", "NoOp")
    ]


def inspect_inputs(model: Path | str, graph: Path | str) -> list[InspectedInput]:
    """Every input of a converted model: name, shape or range, type; beside it the placeholder of that name.

    Raises:
        LoadError: the file is no Core ML model.
        ModelError: the other is no DeepSpeech graph.
    """
    placeholders = {placeholder.name: placeholder for placeholder in graph_inputs(read_graph(Path(graph)))}
    return [InspectedInput(feature, placeholders.get(feature.name)) for feature in file_interface(model).inputs]


def graph_inputs(graph: FrozenGraph) -> list[Placeholder]:
    """The placeholders of a graph."""
    tf = import_tensorflow()
    found = []
    for node in graph.graph_def.node:
        if node.op == "Placeholder":
            sizes = tuple(None if dim.size < 0 else dim.size for dim in node.attr["shape"].shape.dim)
            found.append(Placeholder(node.name, tf.as_dtype(node.attr["dtype"].type).name, sizes))
    return found


def file_interface(path: Path | str) -> Interface:
    """What a `.mlmodel` or `.mlpackage` declares of its inputs and outputs.

    Raises:
        LoadError: it is damaged or no Core ML model.
    """
    source = open_source(path)
    problems = Problems(source.label)
    description: Any = source.message.description
    interface = read_interface(description, description.defaultFunctionName or "main", problems)
    problems.raise_if_any()
    return interface


def features_only(graph: FrozenGraph) -> set[str]:
    """The names of the nodes that serve the features sub-graph and nothing that the conversion is asked for."""
    read = {node.name: {producer(reference) for reference in node.input} for node in graph.graph_def.node}
    readers: dict[str, set[str]] = {name: set() for name in read}
    for name, sources in read.items():
        for source in sources:
            readers[source].add(name)
    return _reached([FEATURES_INPUT], readers) - _reached(OUTPUTS, read)


def _reached(names: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """The nodes that can be reached from the named ones, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += edges.get(name, ())
    return found


def describe(path: Path) -> list[str]:
    """Lines about a file of either kind: a frozen graph's inputs and outputs, or a converted model's interface.

    Raises:
        ModelError: the file is missing or of neither kind.
        LoadError: a Core ML file that cannot be read.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file; give a frozen .pb graph, a .mlmodel or a .mlpackage")
    if path.suffix in CORE_ML_SUFFIXES:
        interface = file_interface(path)
        features = [("input", feature) for feature in interface.inputs]
        features += [("output", feature) for feature in interface.outputs]
        return [
            f"{kind:<6}  {feature.name:<17} {feature.dtype:<8} {feature.describe_shape()}" for kind, feature in features
        ]
    graph = read_graph(path)
    lines = [f"input   {placeholder}" for placeholder in graph_inputs(graph)]
    return lines + [f"output  {name}" for name in inspect_tf_outputs(path)]
