"""The converter's side: converts a batch of graphs and answers in JSON lines.

Run by the converter's own interpreter, `PYTHON worker.py REQUEST.json`, Python 3.7 or later. It may import the standard
library, coremltools, TensorFlow and what these bring along; never pytest_dscoreml, which need not be there. That is why
all of it is in one file.

The request is {"answers": PATH, "jobs": [JOB...]}, a job {"id", "graph": path of a frozen .pb, "convert_to",
"precision", "outputs": [name...], "inputs": null | [{"name", "shape": [n | [lower, upper]...]}], "file": path to
write} and, for a float16 ML Program, "float32_operations": [name...] to keep in float32. One whose weights are to be
compressed has "compression": {"method": "linear" | "palettize" | "uniform" | "sparse", "number": bits, or for sparse a
percentage, "threshold": values that a matrix must exceed}; with "model", the path of a file that was converted before, it
starts from that, and has none of the converter's settings; without, its "deployment_target" may name what of `ct.target`
to convert for, and then "inputs" are all of floats, a "shape" null where it is the graph's.

Answers are appended to the file at "answers", because coremltools and TensorFlow write what they like to stdout and
stderr: {"event": "started"}, {"event": "versions", ...}, {"event": "phase", "job", "phase"}, {"event": "done", "job",
...}, {"event": "failed", "job" (null: none of them can be done), "error", "message", "traceback"} and at last {"event":
"finished"}.

`PYTHON worker.py --versions` prints one line of JSON: the versions, found without importing TensorFlow or coremltools,
and a fingerprint of the installed coremltools, which changes when one of its files does.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import importlib.util
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Callable

    Answer = dict[str, Any]
    Say = Callable[[Answer], None]

# What runs a script by its path puts the script's folder first; its neighbours must not pass for top-level modules.
_HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or os.curdir) != _HERE]

TENSORFLOW_DISTRIBUTIONS = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-macos",
    "tensorflow-intel",
    "tensorflow-gpu",
    "tensorflow-cpu-aws",
    "tf-nightly",
    "tf-nightly-cpu",
)
FINGERPRINTED = (".py", ".so", ".dylib", ".pyd")


# --- versions ---------------------------------------------------------------------------------------------------------


def installed_versions() -> dict[str, str | None]:
    """Versions by the packages' metadata, None for what is not there; nothing heavy is imported."""
    return {
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "executable": sys.executable,
        "coremltools": _distribution_version(["coremltools"]) if _package_directory("coremltools") else None,
        "tensorflow": _distribution_version(TENSORFLOW_DISTRIBUTIONS) if _package_directory("tensorflow") else None,
        "numpy": _distribution_version(["numpy"]),
        "protobuf": _distribution_version(["protobuf"]),
        "scikit-learn": _distribution_version(["scikit-learn"]) if _package_directory("sklearn") else None,
        "fingerprint": _fingerprint("coremltools"),
    }


def _distribution_version(names: Iterable[str]) -> str:
    for name in names:
        try:
            if sys.version_info >= (3, 8):
                return str(importlib.import_module("importlib.metadata").version(name))
            return str(importlib.import_module("pkg_resources").get_distribution(name).version)
        except Exception:  # each of the two has its own way to say that there is no such distribution
            continue
    return "unknown"


def _package_directory(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(iter(spec.submodule_search_locations))


def _fingerprint(package: str) -> str | None:
    """Sha256 over name, size and modification time of the package's source and binary files; None without it."""
    top = _package_directory(package)
    if top is None:
        return None
    found = []
    for directory, folders, files in os.walk(top):
        folders[:] = sorted(folder for folder in folders if folder != "__pycache__")
        for name in files:
            if name.endswith(FINGERPRINTED):
                path = os.path.join(directory, name)
                status = os.stat(path)
                found.append([os.path.relpath(path, top), status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps(sorted(found)).encode("utf-8")).hexdigest()


# --- the graph, in a form that this coremltools accepts ---------------------------------------------------------------


class QuietGraphDef:
    """A GraphDef to everyone who asks, except that it prints in a few letters.

    The loader of coremltools 6 to 9 formats its argument into a log line that is rarely shown, and protobuf's text form
    of a full-size DeepSpeech graph (189 MB) takes long: half a minute to three, by its version. What the converter then
    works on are the graph's own nodes.
    """

    def __init__(self, graph_def: Any) -> None:
        self._graph_def = graph_def

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """So that `isinstance(x, GraphDef)` holds, as it would for the graph itself."""
        return type(self._graph_def)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph_def, name)

    def __repr__(self) -> str:
        return "<GraphDef of {} nodes>".format(len(self._graph_def.node))

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)


def major_version(text: object) -> int:
    """`9.0b1` -> 9; a version that begins with no number counts as newest."""
    digits = ""
    for letter in str(text):
        if not letter.isdigit():
            break
        digits += letter
    return int(digits) if digits else sys.maxsize


def graph_routes(tf: Any, ct: Any, graph_def: Any, outputs: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield (name, what to hand to ct.convert), best first; a later one is tried only when the one before it failed.

    With TensorFlow 1, every coremltools takes a tf.Graph. With TensorFlow 2, coremltools 5 takes a concrete function
    only, 6 and later a GraphDef.
    """
    if major_version(tf.__version__) < 2:
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(graph_def, name="")
        yield "tf.Graph", graph
    elif major_version(ct.__version__) < 6:
        yield "concrete function", [concrete_function(tf, graph_def, outputs)]
    else:
        yield "GraphDef, quiet", QuietGraphDef(graph_def)
        # Whatever went wrong, the verdict is the plain graph's: a converter under review must not fail for our wrapper.
        yield "GraphDef", graph_def


def concrete_function(tf: Any, graph_def: Any, outputs: list[str]) -> Any:
    """The part of the graph that computes `outputs`, as a function of the placeholders it needs."""
    needed = tf.compat.v1.graph_util.extract_sub_graph(graph_def, list(outputs))
    placeholders = [node.name + ":0" for node in needed.node if node.op == "Placeholder"]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(needed, name=""), [])
    element = wrapped.graph.as_graph_element
    return wrapped.prune([element(name) for name in placeholders], [element(name + ":0") for name in outputs])


# --- one conversion ---------------------------------------------------------------------------------------------------


def convert_options(ct: Any, job: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of ct.convert for this job, as far as this coremltools has them."""
    options: dict[str, Any] = {"source": "tensorflow", "outputs": list(job["outputs"])}
    if job.get("deployment_target"):
        return later_options(ct, job, options)
    if job["inputs"] is not None:
        options["inputs"] = [ct.TensorType(name=i["name"], shape=_shape(ct, i["shape"])) for i in job["inputs"]]
    if major_version(ct.__version__) < 5:
        # Version 4 knows none of the options below and writes neural networks.
        if job["convert_to"] != "neuralnetwork":
            raise NotImplementedError("coremltools {} does not write ML Programs".format(ct.__version__))
        return options
    options["convert_to"] = job["convert_to"]
    if job["convert_to"] == "mlprogram":
        options["compute_precision"] = getattr(ct.precision, job["precision"].upper())
        if job.get("float32_operations") is not None:
            selector = PrecisionSelector(job["float32_operations"])
            options["compute_precision"] = ct.transform.FP16ComputePrecision(op_selector=selector)
    options["skip_model_load"] = True  # on macOS, loading would compile the model, which nobody asked for here
    return options


def later_options(ct: Any, job: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The same for an ML Program of a later system, with inputs and outputs in float32, as they are for an earlier one."""
    inputs = [
        (one["name"], {} if one["shape"] is None else {"shape": _shape(ct, one["shape"])}) for one in job["inputs"]
    ]
    return {
        **options,
        "convert_to": job["convert_to"],
        "inputs": [ct.TensorType(name=name, dtype=ct.converters.mil.mil.types.fp32, **shape) for name, shape in inputs],
        "outputs": [ct.TensorType(name=name, dtype=ct.converters.mil.mil.types.fp32) for name in job["outputs"]],
        "compute_precision": getattr(ct.precision, job["precision"].upper()),
        "minimum_deployment_target": getattr(ct.target, job["deployment_target"]),
        "skip_model_load": True,
    }


def _shape(ct: Any, sizes: list[Any]) -> tuple[Any, ...]:
    return tuple(ct.RangeDim(size[0], size[1]) if isinstance(size, list) else size for size in sizes)


class PrecisionSelector:
    """Tells coremltools which operations become float16, all but the kept ones, and notes which it was asked about.

    Names are those at the time of asking: later passes rename operations, and the file knows no `/`.
    """

    def __init__(self, kept: Iterable[str]) -> None:
        self._kept = frozenset(kept)
        self._asked: dict[str, Answer] = {}

    def __call__(self, op: Any) -> bool:
        """Whether an operation becomes float16."""
        inputs = [
            var for value in op.inputs.values() for var in (value if isinstance(value, (list, tuple)) else [value])
        ]
        # What an operation on constants yields becomes a constant itself.
        if op.op_type != "const":
            self._asked[op.name] = {
                "name": op.name,
                "type": op.op_type,
                "inputs": [var.name for var in inputs],
                "outputs": [var.name for var in op.outputs],
            }
        return op.name not in self._kept

    def asked(self) -> list[Answer]:
        """The operations it was asked about; LookupError where one to keep is not among them, and so was not kept."""
        missing = sorted(self._kept - set(self._asked))
        if missing:
            raise LookupError(
                "the converter chose no precision for {}, which should stay float32; it did for {}".format(
                    ", ".join(missing), ", ".join(sorted(self._asked)) or "nothing"
                )
            )
        return list(self._asked.values())


class CollectedWarnings:
    """While active, notes warnings and log records of level warning and above, each message once."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def __enter__(self) -> CollectedWarnings:
        def note(text: object) -> None:
            line = " ".join(str(text).split())[:500]
            if line not in self.messages:
                self.messages.append(line)

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                note("{}: {}".format(record.name, record.getMessage()))

        self._handler = Handler(level=logging.WARNING)
        # coremltools' and TensorFlow's loggers do not pass their records on to the root logger.
        self._loggers = [logging.getLogger(name) for name in ("", "coremltools", "tensorflow")]
        for logger in self._loggers:
            logger.addHandler(self._handler)
        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.simplefilter("always")

        def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
            # Deprecations are between the libraries and say nothing of this model.
            if not issubclass(
                category, (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
            ):
                note("{}: {}".format(category.__name__, message))

        warnings.showwarning = show
        return self

    def __exit__(self, *failure: Any) -> None:
        self._catch.__exit__(*failure)
        for logger in self._loggers:
            logger.removeHandler(self._handler)


class Phases:
    """Says which phase a job is in, and notes the seconds that each of them took."""

    def __init__(self, job: str, say: Say) -> None:
        self.seconds: dict[str, float] = {}
        self._job = job
        self._say = say
        self._name = ""
        self._begun = 0.0

    def __call__(self, name: str) -> Phases:
        """To be entered: `with phase("convert"):`."""
        self._name = name
        return self

    def __enter__(self) -> None:
        self._say({"event": "phase", "job": self._job, "phase": self._name})
        self._begun = time.time()

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self.seconds[self._name] = round(time.time() - self._begun, 3)


def convert_job(tf: Any, ct: Any, job: dict[str, Any], say: Say) -> Answer:
    """Convert one graph, or take the file it was converted to, compress it if asked to, and write what comes of it.

    Returns what there is to say about it.
    """
    phase = Phases(job["id"], say)
    with CollectedWarnings() as collected:
        if job.get("model") is not None:
            route = "the converted file"
            selectable: list[Answer] = []
            with phase("load"):
                model = load_model(ct, job["model"])
        else:
            model, route, selectable = convert_graph(tf, ct, job, phase)
        if job.get("compression") is not None:
            with phase("compress"):
                model = compress(ct, model, **job["compression"])
        with phase("save"):
            save(ct, model, job["file"])
        with phase("describe"):
            interface, op_counts = describe(spec_of(model))
    return {
        "event": "done",
        "job": job["id"],
        "route": route,
        "seconds": phase.seconds,
        "interface": interface,
        "op_counts": op_counts,
        "selectable": selectable,
        "warnings": collected.messages,
    }


def convert_graph(tf: Any, ct: Any, job: dict[str, Any], phase: Phases) -> tuple[Any, str, list[Answer]]:
    """The model that coremltools makes of the job's graph, by which route, and what the selector was asked about, if any."""
    with phase("load"):
        graph_def = tf.compat.v1.GraphDef()
        with open(job["graph"], "rb") as file:
            graph_def.ParseFromString(file.read())
    options = convert_options(ct, job)
    failure: Exception | None = None
    for name, source in graph_routes(tf, ct, graph_def, job["outputs"]):
        try:
            with phase("convert"):
                model = ct.convert(source, **options)
        except Exception as error:
            failure = error
        else:
            selector = getattr(options.get("compute_precision"), "op_selector", None)
            return model, name, selector.asked() if isinstance(selector, PrecisionSelector) else []
    raise failure or RuntimeError("there is no way to hand over the graph")


# --- compressing the weights of a model that was converted ------------------------------------------------------------


def load_model(ct: Any, path: str) -> Any:
    """A converted model from its file, without having macOS compile it where coremltools can do without."""
    options = {} if major_version(ct.__version__) < 5 else {"skip_model_load": True}
    return ct.models.MLModel(path, **options)


def spec_of(model: Any) -> Any:
    """The Model protobuf of a model; quantizing a neural network gives the bare protobuf where nothing could run it."""
    return model.get_spec() if hasattr(model, "get_spec") else model


def save(ct: Any, model: Any, file: str) -> None:
    """Write a model, or a neural network's protobuf."""
    if hasattr(model, "save"):
        model.save(file)
    else:
        ct.models.utils.save_spec(model, file)


def compress(ct: Any, model: Any, method: str, number: int, threshold: int) -> Any:
    """The model with compressed weights, by coremltools' own optimiser for its kind, in that optimiser's default mode."""
    if spec_of(model).WhichOneof("Type") == "neuralNetwork":
        compressed, count = compress_network(ct, model, method, number, threshold)
    else:
        compressed = compress_program(ct, model, method, number, threshold)
        operations = describe(spec_of(compressed))[1]
        count = sum(operations[name] for name in operations if name.startswith("constexpr_"))
    if not count:
        raise ValueError("nothing was compressed: no matrix of it has more than {} values".format(threshold))
    return compressed


def compress_network(ct: Any, model: Any, method: str, number: int, threshold: int) -> tuple[Any, int]:
    """A neural network with quantized matrices, and how many they are.

    Left alone, coremltools quantizes every constant, such as a shape or the number that a loop counts up by, which then is
    no whole number any more. The selector has it take what it takes in an ML Program: matrices above the threshold.
    """
    quantization = importlib.import_module("coremltools.models.neural_network.quantization_utils")
    chosen = []

    class Matrices(quantization.QuantizedLayerSelector):  # type: ignore[name-defined, misc]
        def do_quantize(self, layer: Any, weight_param: str = "", **_: Any) -> bool:
            kind = layer.WhichOneof("layer")
            if kind in ("loop", "branch"):
                return True
            if weight_param == "bias" or kind not in ("innerProduct", "batchedMatmul"):
                return False
            if kind == "innerProduct":
                size = layer.innerProduct.inputChannels * layer.innerProduct.outputChannels
            else:
                matmul = layer.batchedMatmul
                size = matmul.weightMatrixFirstDimension * matmul.weightMatrixSecondDimension
            if size > threshold and layer.name not in chosen:
                chosen.append(layer.name)
            return bool(size > threshold)

    mode = {"linear": "linear", "palettize": "kmeans_lut", "uniform": "linear_lut"}[method]
    return quantization.quantize_weights(model, number, mode, selector=Matrices()), len(chosen)


def compress_program(ct: Any, model: Any, method: str, number: int, threshold: int) -> Any:
    """An ML Program with compressed matrices: by `ct.optimize` from coremltools 7 on, by `compression_utils` in 6."""
    if major_version(ct.__version__) < 7:
        utils = importlib.import_module("coremltools.models.ml_program.compression_utils")

        def chosen(constant: Any) -> bool:
            value = constant.val.val
            return bool(value.ndim > 1 and value.size > threshold)

        if method == "linear":
            return utils.affine_quantize_weights(model, op_selector=chosen)
        if method == "sparse":
            percentile = number / 100.0
            return utils.sparsify_weights(model, "percentile_based", target_percentile=percentile, op_selector=chosen)
        mode = {"palettize": "kmeans", "uniform": "uniform"}[method]
        return utils.palettize_weights(model, nbits=number, mode=mode, op_selector=chosen)

    optimize = importlib.import_module("coremltools.optimize.coreml")
    if method == "linear":
        dtype: dict[str, Any] = {} if number == 8 else {"dtype": "int{}".format(number)}
        settings = optimize.OpLinearQuantizerConfig(weight_threshold=threshold, **dtype)
        way = optimize.linear_quantize_weights
    elif method == "sparse":
        settings = optimize.OpMagnitudePrunerConfig(target_sparsity=number / 100.0, weight_threshold=threshold)
        way = optimize.prune_weights
    else:
        mode = {"palettize": "kmeans", "uniform": "uniform"}[method]
        settings = optimize.OpPalettizerConfig(nbits=number, mode=mode, weight_threshold=threshold)
        way = optimize.palettize_weights
    return way(model, optimize.OptimizationConfig(global_config=settings))


# --- what the written model says of itself ----------------------------------------------------------------------------


def describe(spec: Any) -> tuple[dict[str, Any], dict[str, int]]:
    """(interface, op counts) of a Model protobuf, as JSON."""
    kind = spec.WhichOneof("Type")
    counts: dict[str, int] = {}
    if kind == "mlProgram":
        for function in spec.mlProgram.functions.values():
            for block in function.block_specializations.values():
                _count_operations(block, counts)
    elif kind == "neuralNetwork":
        _count_layers(spec.neuralNetwork.layers, counts)
    else:
        raise ValueError("the converter wrote a model of type {}, not a neural network or ML Program".format(kind))
    interface = {
        "inputs": [_declared(feature) for feature in spec.description.input],
        "outputs": [_declared(feature) for feature in spec.description.output],
        "specification_version": int(spec.specificationVersion),
    }
    return interface, counts


def _count_operations(block: Any, counts: dict[str, int]) -> None:
    for operation in block.operations:
        counts[operation.type] = counts.get(operation.type, 0) + 1
        for nested in operation.blocks:
            _count_operations(nested, counts)


def _count_layers(layers: Iterable[Any], counts: dict[str, int]) -> None:
    for layer in layers:
        kind = layer.WhichOneof("layer")
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "loop":
            _count_layers(layer.loop.conditionNetwork.layers, counts)
            _count_layers(layer.loop.bodyNetwork.layers, counts)
        elif kind == "branch":
            _count_layers(layer.branch.ifBranch.layers, counts)
            _count_layers(layer.branch.elseBranch.layers, counts)


def _declared(feature: Any) -> dict[str, Any]:
    kind = feature.type.WhichOneof("Type")
    entry: dict[str, Any] = {
        "name": feature.name,
        "dtype": str(kind),
        "shape": [],
        "ranges": [],
        "enumerated": [],
        "optional": bool(feature.type.isOptional),
    }
    if kind == "multiArrayType":
        array = feature.type.multiArrayType
        entry["dtype"] = array.ArrayDataType.Name(array.dataType).lower()
        entry["shape"] = [int(size) for size in array.shape]
        flexibility = array.WhichOneof("ShapeFlexibility")
        if flexibility == "shapeRange":
            # An upper bound below zero is how Core ML writes "unbounded".
            entry["ranges"] = [
                [int(size.lowerBound), int(size.upperBound) if size.upperBound >= 0 else None]
                for size in array.shapeRange.sizeRanges
            ]
        elif flexibility == "enumeratedShapes":
            entry["enumerated"] = [[int(size) for size in shape.shape] for shape in array.enumeratedShapes.shapes]
    return entry


# --- the batch --------------------------------------------------------------------------------------------------------


def end_with_parent() -> None:
    """End this process when the one that started it is gone.

    The parent holds the other end of stdin and first writes a line into it: without that line (a wrapper script may
    have put something else there) nothing is watched. A read that then returns nothing means that the parent is gone.
    """

    def watch() -> None:
        try:
            if not os.read(0, 64):
                return
            while os.read(0, 64):
                pass
        except OSError:
            return
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def failure_of(error: Exception, job: str | None) -> Answer:
    """The answer to a job that cannot be done."""
    lines = traceback.format_exc().strip().splitlines()
    return {
        "event": "failed",
        "job": job,
        "error": type(error).__name__,
        "message": str(error)[:4000],
        "traceback": "\n".join(lines[-12:])[:8000],
    }


def run(request: dict[str, Any], say: Say) -> None:
    """Do all jobs of a request, one after another; a job that fails is answered and does not stop the others."""
    say({"event": "started"})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import coremltools as ct
        import tensorflow as tf
    except Exception as error:
        say(failure_of(error, None))
        return
    # coremltools collects garbage several times per conversion. Sparing it the walk over what these imports have made
    # and will keep brings a small conversion from 1.6 s to 0.5 s; what it converts is not touched.
    gc.collect()
    gc.freeze()
    say({"event": "versions", "coremltools": str(ct.__version__), "tensorflow": str(tf.__version__)})
    for job in request["jobs"]:
        # coremltools keeps a copy of each ML Program in the temporary folder till its process ends, for ever if killed.
        scratch = job["file"] + ".tmp"
        try:
            os.mkdir(scratch)
            tempfile.tempdir = scratch
            answer = convert_job(tf, ct, job, say)
        except Exception as error:
            answer = failure_of(error, job["id"])
        finally:
            tempfile.tempdir = None
            shutil.rmtree(scratch, ignore_errors=True)
        gc.collect()
        say(answer)
    say({"event": "finished"})


def main(arguments: list[str]) -> int:
    """Run as a program; returns the exit status."""
    if arguments == ["--versions"]:
        print(json.dumps(installed_versions(), sort_keys=True))
        return 0
    if len(arguments) != 1:
        print("usage: worker.py REQUEST.json | --versions", file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        request = json.load(file)
    end_with_parent()
    with open(request["answers"], "a", encoding="utf-8") as answers:

        def say(answer: Answer) -> None:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        run(request, say)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
