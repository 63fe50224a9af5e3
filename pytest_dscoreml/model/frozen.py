"""Reads a frozen DeepSpeech graph (`.pb`): is it one, static or dynamic, its weights and its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_dscoreml.errors import ModelError
from pytest_dscoreml.heavy import import_tensorflow
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.model.graph import DYNAMIC_STEPS
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import VARIABLES, Geometry, Weights, is_layer_norm

INPUTS = ("input_node", "input_lengths", "previous_state_c", "previous_state_h")
OUTPUTS = ("logits", "new_state_c", "new_state_h")
#: What the gate reads of a graph beyond its outputs: the values before the softmax.
RAW_LOGITS = "raw_logits"
FEATURES_INPUT, FEATURES_OUTPUT = "input_samples", "mfccs"


@dataclass(frozen=True)
class FrozenGraph:
    """A parsed graph and where it came from; `n_steps` is -1 for a dynamic one."""

    graph_def: Any
    n_steps: int
    source: str

    @property
    def is_dynamic(self) -> bool:
        """Whether it takes any number of steps."""
        return self.n_steps == DYNAMIC_STEPS


def read_graph(path: Path) -> FrozenGraph:
    """Parse a `.pb` file and recognise the DeepSpeech graph in it.

    Raises:
        ModelError: the file is missing, is no frozen graph, is cut short, or lacks a tensor that DeepSpeech exports.
    """
    tf = import_tensorflow()
    from google.protobuf.message import DecodeError

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {path}: cannot be read ({error.strerror}); give a frozen .pb graph") from None
    if not data:
        raise ModelError(f"model {path}: the file is empty; give a frozen .pb graph")
    graph_def = tf.compat.v1.GraphDef()
    try:
        graph_def.ParseFromString(data)
    except DecodeError:
        raise ModelError(
            f"model {path}: not a frozen TensorFlow graph, or cut short ({len(data)} bytes do not parse as a GraphDef); "
            "export it again, or give a checkpoint"
        ) from None
    return recognise(graph_def, f"model {path}")


def recognise(graph_def: Any, source: str) -> FrozenGraph:
    """Require the inputs, outputs and shapes of a DeepSpeech graph.

    Raises:
        ModelError: one of them is missing or of another shape; `source` opens the message.
    """
    nodes = {node.name: node for node in graph_def.node}
    missing = [name for name in (*INPUTS, *OUTPUTS, RAW_LOGITS) if name not in nodes]
    if missing:
        raise ModelError(
            f"{source}: not a DeepSpeech inference graph, it has no {', '.join(missing)} among its {len(nodes)} nodes; "
            "export it with DeepSpeech's --export_dir, or with `python -m pytest_dscoreml export`"
        )
    dangling = sorted({ref for node in graph_def.node for ref in map(producer, node.input) if ref not in nodes})
    if dangling:
        raise ModelError(
            f"{source}: nodes read {', '.join(dangling[:3])}, which the graph does not have; export it again"
        )
    shape = [dim.size for dim in nodes["input_node"].attr["shape"].shape.dim]
    placeholder = nodes["input_node"].op == "Placeholder" and len(shape) == 4 and shape[0] == 1 and min(shape[2:]) > 0
    if not placeholder or (shape[1] < 1 and shape[1] != DYNAMIC_STEPS):
        raise ModelError(
            f"{source}: input_node is a {nodes['input_node'].op} of shape {shape}, expected a Placeholder of "
            "[1, steps or -1, 19, 26]; the gate needs DeepSpeech's own export"
        )
    return FrozenGraph(graph_def, shape[1], source)


def producer(reference: str) -> str:
    """The node that an input of a node names: `^node`, `node:1` and `node` are all `node`."""
    return reference.lstrip("^").split(":")[0]


def constants(graph_def: Any, names: tuple[str, ...]) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """The values of those of the named nodes that are constants.

    Raises:
        ModelError: one of the values is damaged.
    """
    wanted = set(names)
    return {node.name: _value(node) for node in graph_def.node if node.op == "Const" and node.name in wanted}


def _value(node: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """The value of a constant."""
    tf = import_tensorflow()
    try:
        value: np.ndarray[Any, np.dtype[Any]] = tf.make_ndarray(node.attr["value"].tensor)
    except (TypeError, ValueError):
        raise ModelError(f"constant {node.name}: its value does not fit its type and shape; export it again") from None
    return value


def float_arrays(graph_def: Any) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """The float32 constants of more than one value: a model's weights."""
    tf = import_tensorflow()

    found = {
        node.name: _value(node)
        for node in graph_def.node
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum
    }
    return {name: array for name, array in found.items() if array.size > 1}


def read_weights(graph: FrozenGraph) -> Weights:
    """The frozen variables of a graph.

    Raises:
        ModelError: a variable is missing, does not fit, or the graph has layers that DeepSpeech v0.7's has not.
    """
    unknown = [node.name for node in graph.graph_def.node if is_layer_norm(node.name)]
    if unknown:
        raise ModelError(
            f"{graph.source}: has layer normalisation ({unknown[0]}), which the graph builder does not write; give both "
            "graphs, static and dynamic, with --dscoreml-model twice"
        )
    try:
        return Weights(constants(graph.graph_def, VARIABLES))
    except ModelError as error:
        raise ModelError(f"{graph.source}: {error}") from None


def read_geometry(graph: FrozenGraph) -> Geometry:
    """The sizes of the model, as TensorFlow infers them for the graph's tensors.

    Raises:
        ModelError: TensorFlow refuses the graph, or a size cannot be told.
    """
    tf = import_tensorflow()

    copy = tf.compat.v1.GraphDef()
    copy.CopyFrom(graph.graph_def)  # importing writes default attributes into the definition
    try:
        with tf.Graph().as_default() as imported:
            tf.import_graph_def(copy, name="")
        tensors = {name: imported.get_tensor_by_name(f"{name}:0") for name in (*INPUTS, *OUTPUTS, RAW_LOGITS)}
    except (KeyError, ValueError, tf.errors.OpError) as error:
        reason = str(error.args[0] if isinstance(error, KeyError) else error).splitlines()[0]
        raise ModelError(f"{graph.source}: TensorFlow refuses the graph ({reason}); export it again") from None
    # A shape of unknown rank has no list, which is told below as a shape that is not DeepSpeech's.
    sizes: dict[str, list[Any]] = {
        name: [] if tensors[name].shape.rank is None else tensors[name].shape.as_list()
        for name in ("input_node", "previous_state_c", "logits")
    }
    _, _, n_window, n_input = sizes["input_node"]
    n_hidden, n_classes = ((sizes[name] or [None])[-1] for name in ("previous_state_c", "logits"))
    if n_hidden is None or n_classes is None or n_window % 2 == 0:
        raise ModelError(f"{graph.source}: shapes {sizes} are not those of a DeepSpeech graph; export it again")
    return Geometry(n_hidden=n_hidden, n_classes=n_classes, n_input=n_input, n_context=(n_window - 1) // 2)


def read_metadata(graph: FrozenGraph) -> Metadata:
    """The `metadata_*` constants of a graph.

    Raises:
        ModelError: one that the gate needs is missing or damaged.
    """
    numbers = ("version", "sample_rate", "feature_win_len", "feature_win_step", "beam_width")
    try:
        found = constants(graph.graph_def, tuple(f"metadata_{name}" for name in (*numbers, "alphabet", "language")))
    except ModelError as error:
        raise ModelError(f"{graph.source}: {error}") from None
    missing = [f"metadata_{name}" for name in (*numbers, "alphabet") if f"metadata_{name}" not in found]
    if missing:
        raise ModelError(
            f"{graph.source}: no {', '.join(missing)}; DeepSpeech exports these since 0.6 (graph version 5), export it again"
        )
    for name, value in found.items():
        kind = "OS" if name in ("metadata_alphabet", "metadata_language") else "i"
        if value.size != 1 or value.dtype.kind not in kind:
            expected = "one whole number" if kind == "i" else "one text"
            raise ModelError(f"{graph.source}: {name} does not hold {expected}; export it again")
    values = {name: int(np.ravel(found[f"metadata_{name}"])[0]) for name in numbers}
    language = found.get("metadata_language")
    try:
        alphabet = Alphabet.parse(bytes(np.ravel(found["metadata_alphabet"])[0]))
    except ModelError as error:
        raise ModelError(f"{graph.source}: {error}") from None
    text = None if language is None else bytes(np.ravel(language)[0]).decode("utf-8", errors="replace")
    return Metadata(**values, alphabet=alphabet, language=text)
