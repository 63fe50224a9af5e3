"""Opens what `--dscoreml-model` names and makes both graphs of it: what is not given is exported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_dscoreml.errors import ModelError, UsageError
from pytest_dscoreml.files import sha256, write_whole
from pytest_dscoreml.model.checkpoint import checkpoint_prefix, read_checkpoint
from pytest_dscoreml.model.demo import DEMO, demo_graphs
from pytest_dscoreml.model.frozen import (
    FrozenGraph,
    float_arrays,
    read_geometry,
    read_graph,
    read_metadata,
    read_weights,
)
from pytest_dscoreml.model.graph import DYNAMIC_STEPS, STATIC_STEPS, build_graph, check_alphabet
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import Geometry, Weights

#: The two graphs of a model.
STATIC, DYNAMIC = "static", "dynamic"


@dataclass(frozen=True)
class GraphFile:
    """A graph of the model as a file; `exported` tells that our builder made it."""

    path: Path
    sha256: str
    exported: bool


@dataclass(frozen=True)
class Model:
    """A DeepSpeech acoustic model, ready to be converted.

    Attributes:
        name: as reports call it.
        geometry: its sizes.
        metadata: alphabet, sample rate and the like.
        n_steps: steps of the static graph.
        graphs: its two graphs, `static` and `dynamic`.
    """

    name: str
    geometry: Geometry
    metadata: Metadata
    n_steps: int
    graphs: Mapping[str, GraphFile]

    @property
    def hash(self) -> str:
        """SHA-256 over both graphs: two models with the same hash are the same to a converter."""
        return hashlib.sha256("".join(self.graphs[kind].sha256 for kind in sorted(self.graphs)).encode()).hexdigest()

    @property
    def paths(self) -> dict[str, Path]:
        """The graph files by kind."""
        return {kind: graph.path for kind, graph in self.graphs.items()}


def load_model(sources: Sequence[str], *, exports: Path, metadata: Metadata | None = None) -> Model:
    """Open a model.

    Args:
        sources: `demo`; or one frozen graph or checkpoint; or two frozen graphs, one static and one dynamic.
        exports: directory for graphs that have to be built; the file's name is the hash of its content.
        metadata: for a checkpoint, which holds none; English with 16 kHz where it is not given.

    Raises:
        ModelError: nothing usable is there, or two graphs are not of one model.
        UsageError: a built graph cannot be stored.
    """
    if DEMO in sources:
        if len(sources) > 1:
            raise ModelError("--dscoreml-model=demo stands alone; leave the other --dscoreml-model out")
        static, dynamic = demo_graphs()
        return _pair(DEMO, {STATIC: (static, read_graph(static)), DYNAMIC: (dynamic, read_graph(dynamic))})
    paths = [Path(source) for source in sources]
    if len(paths) == 1:
        prefix = checkpoint_prefix(paths[0])
        if prefix is not None:
            weights, metadata = read_checkpoint(prefix), metadata or Metadata()
            check_alphabet(metadata, weights.geometry, source=f"checkpoint {prefix}")
            return _from_weights(paths[0].name, weights, metadata, exports)
    given: dict[str, tuple[Path, FrozenGraph]] = {}
    for path in paths:
        if len(paths) > 1 and checkpoint_prefix(path) is not None:
            raise ModelError(
                f"--dscoreml-model: {path} is a checkpoint, which both graphs are built from; leave the other one out"
            )
        graph = read_graph(_graph_path(path))
        kind = DYNAMIC if graph.is_dynamic else STATIC
        if kind in given:
            raise ModelError(
                f"--dscoreml-model: {given[kind][0]} and {path} are both {kind} graphs; give one of them, or a static and a "
                "dynamic one"
            )
        given[kind] = (path, graph)
    if len(given) == 2:
        return _pair(" + ".join(given[kind][0].name for kind in (STATIC, DYNAMIC)), given)
    return _completed(given, exports)


def _graph_path(path: Path) -> Path:
    """The path of a frozen graph, refusing early what is certainly none."""
    if not path.exists():
        raise ModelError(
            f"model {path}: no such file; give a frozen .pb graph, a TensorFlow checkpoint (prefix or directory), or demo"
        )
    if path.is_dir():
        raise ModelError(
            f"model {path}: a directory without a TensorFlow checkpoint; give a checkpoint or a frozen .pb graph"
        )
    if path.suffix in (".pbmm", ".tflite", ".mlmodel", ".scorer"):
        raise ModelError(
            f"model {path}: a {path.suffix} file, which a converter cannot start from; give the frozen .pb graph or the "
            "checkpoint it was made from"
        )
    return path


def _pair(name: str, given: Mapping[str, tuple[Path, FrozenGraph]]) -> Model:
    """A model of which both graphs are there."""
    (_, static), (_, dynamic) = given[STATIC], given[DYNAMIC]
    metadata, geometry = read_metadata(static), read_geometry(static)
    check_alphabet(metadata, geometry, source=static.source)
    same = read_geometry(dynamic) == geometry and read_metadata(dynamic) == metadata
    if not same or not _same_constants(static, dynamic):
        raise ModelError(
            f"{static.source} and {dynamic.source} are not of one model (geometry, metadata or weights differ); "
            "export both from the same checkpoint"
        )
    files = {kind: GraphFile(path, sha256(path), exported=False) for kind, (path, _) in given.items()}
    return Model(name, geometry, metadata, static.n_steps, files)


def _same_constants(static: FrozenGraph, dynamic: FrozenGraph) -> bool:
    """Whether the float arrays of one graph are the other's: the weights, whatever the layers are called."""
    weights, others = float_arrays(static.graph_def), float_arrays(dynamic.graph_def)
    return weights.keys() == others.keys() and all(np.array_equal(weights[name], others[name]) for name in weights)


def _completed(given: Mapping[str, tuple[Path, FrozenGraph]], exports: Path) -> Model:
    """A model of which one graph is there; the other is built from its weights."""
    ((kind, (path, graph)),) = given.items()
    metadata, weights = read_metadata(graph), read_weights(graph)
    check_alphabet(metadata, weights.geometry, source=graph.source)
    geometry = read_geometry(graph)
    if geometry != weights.geometry:
        raise ModelError(
            f"{graph.source}: its tensors are of {geometry}, its weights of {weights.geometry}; export it again"
        )
    n_steps = STATIC_STEPS if graph.is_dynamic else graph.n_steps
    other = STATIC if graph.is_dynamic else DYNAMIC
    files = {
        kind: GraphFile(path, sha256(path), exported=False),
        other: _export(weights, metadata, n_steps if other == STATIC else DYNAMIC_STEPS, exports),
    }
    return Model(path.name, weights.geometry, metadata, n_steps, files)


def _from_weights(name: str, weights: Weights, metadata: Metadata, exports: Path) -> Model:
    """A model of which only the weights are there."""
    files = {
        STATIC: _export(weights, metadata, STATIC_STEPS, exports),
        DYNAMIC: _export(weights, metadata, DYNAMIC_STEPS, exports),
    }
    return Model(name, weights.geometry, metadata, STATIC_STEPS, files)


def _export(weights: Weights, metadata: Metadata, n_steps: int, exports: Path) -> GraphFile:
    """Build a graph and store it under its hash."""
    data = serialized_graph(weights, metadata, n_steps=n_steps)
    digest = hashlib.sha256(data).hexdigest()
    path = exports / f"{digest}.pb"
    if not (path.is_file() and sha256(path) == digest):
        try:
            write_whole(path, data)
        except OSError as error:
            raise UsageError(
                f"cannot write to the cache directory {exports}: {error.strerror}; choose another with --dscoreml-cache-dir=DIR"
            ) from None
    return GraphFile(path, digest, exported=True)


def serialized_graph(weights: Weights, metadata: Metadata, *, n_steps: int) -> bytes:
    """The built graph as the content of a `.pb` file, the same bytes each time."""
    data: bytes = build_graph(weights, metadata, n_steps=n_steps).SerializeToString(deterministic=True)
    return data
