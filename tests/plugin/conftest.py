"""A gate to run in a test, and its output in pieces that a test can compare as a whole."""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import textwrap
import wave
from pathlib import Path

import numpy as np
import pytest

import pytest_dscoreml
from pytest_dscoreml.model.demo import demo_directory

#: One conversion, few examples: what is tested here is the plugin.
ONE = (
    "--dscoreml-variant=dynamic",
    "--dscoreml-target=mlprogram",
    "--dscoreml-precision=float32",
    "--dscoreml-max-examples=2",
)
#: What belongs to another process, or is collected by the run inside a test.
_NOT_HERE = (
    "pytest_dscoreml.suite.",
    "pytest_dscoreml.replay_suite.",
    "pytest_dscoreml.__main__",
    "pytest_dscoreml.conversion.worker",
)
_COLUMNS = ("conversion", "verdict", "tests", "examples", "longest", "logits", "states", "greedy", "transcriptions")


@pytest.fixture(scope="session")
def loaded(heavy_imports):
    """Everything a gate imports, once: what a run inside this process imports is unloaded again, and some of it
    (TensorFlow, the kernels that register themselves) can be loaded once only.
    """
    import filelock  # noqa: F401
    import python_speech_features  # noqa: F401

    names = [module.name for module in pkgutil.walk_packages(pytest_dscoreml.__path__, "pytest_dscoreml.")]
    for name in names:
        if not name.startswith(_NOT_HERE) and not name.endswith("_child"):
            importlib.import_module(name)
    return names


@pytest.fixture(scope="session")
def shared(tmp_path_factory, request):
    """A directory that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base


@pytest.fixture(scope="session")
def conversions(shared):
    """The cache of all gates here: each conversion is made once in a run, by whichever worker comes first."""
    return shared / "conversions"


@pytest.fixture(scope="session")
def demo():
    """The directory of the demo's files."""
    return demo_directory()


@pytest.fixture
def gate(loaded, pytester, conversions):
    """Run pytest with a gate, in this process unless isolation is the point; gives pytester's result."""

    def run(*args, model=("demo",), select=ONE, cache=conversions, process=False):
        command = [
            *("-p", "no:cacheprovider"),
            *(f"--dscoreml-model={source}" for source in model),
            *([] if cache is None else [f"--dscoreml-cache-dir={cache}"]),
            *select,
            *map(str, args),
        ]
        if process:
            return pytester.run(sys.executable, "-m", "pytest", *command)
        return pytester.runpytest_inprocess(*command)

    return run


@pytest.fixture
def header(gate):
    """The plugin's lines in the header of a run that collects only."""

    def read(*args, **kwargs):
        result = gate("--collect-only", "-k", "nothing", *args, **kwargs)
        assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED, result.stdout.str() + result.stderr.str()
        return [line for line in result.outlines if line.startswith("dscoreml")]

    return read


def _refused(result):
    """The words of the one error that a run was refused with: nothing else on stderr, exit code 4, no traceback."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR, result.stdout.str() + result.stderr.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    errors = [line for line in result.errlines if line]
    assert errors, result.stdout.str()
    assert errors[0].startswith("ERROR: "), errors
    assert not [line for line in errors[1:] if not line.startswith("  ")], errors
    return "\n".join(errors)[len("ERROR: ") :]


@pytest.fixture
def refusal(gate):
    """Run a gate that is refused; gives the whole message."""
    return lambda *args, **kwargs: _refused(gate(*args, **kwargs))


@pytest.fixture(scope="session")
def refused():
    """The whole message of a result that was refused."""
    return _refused


def _summary(result):
    """The summary's rows, by conversion: a dictionary of the columns. The table must be whole and aligned."""
    lines = result.outlines
    (start,) = [index for index, line in enumerate(lines) if re.fullmatch(r"=+ dscoreml: .+ on the .+ engine =+", line)]
    titles = lines[start + 1]
    assert tuple(titles.split()) == _COLUMNS, titles
    begins = [titles.index(column) for column in _COLUMNS]
    rows = {}
    end = lines.index("logits, states: largest absolute difference; greedy: frames whose most probable class differs")
    for line in lines[start + 2 : end]:
        if re.match(r".+, .+: .+, \d+ of \d+ conversions agree$", line):  # what was heard, below the table
            continue
        cells = [line[begin:end].strip() for begin, end in zip(begins, [*begins[1:], None])]
        rows[cells[0]] = dict(zip(_COLUMNS[1:], cells[1:]))
    return rows


@pytest.fixture(scope="session")
def summary():
    """The rows of the summary of a result."""
    return _summary


@pytest.fixture
def script(pytester):
    """Make an executable shell script; gives its path."""

    def make(text, name="converter"):
        path = pytester.path / name
        path.write_text(f"#!/bin/sh\n{textwrap.dedent(text)}", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def wav(pytester):
    """Write a WAV file of noise; gives its path."""

    def write(name="noise.wav", *, seconds=0.5, rate=16000, channels=1, width=2):
        samples = np.random.default_rng(0).integers(-3000, 3000, int(seconds * rate) * channels)
        with wave.open(str(pytester.path / name), "wb") as file:
            file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
            file.writeframes(samples.astype({1: np.uint8, 2: np.int16}[width]).tobytes())
        return pytester.path / name

    return write


def _left_behind(cache):
    """What lies in a cache that is no finished entry, and the entries that lack their record."""
    entries = [entry for entry in (cache / "entries").iterdir() if not (entry / "conversion.json").is_file()]
    return [*entries, *(cache / "aside").iterdir()]


@pytest.fixture(scope="session")
def left_behind():
    """Lists what is half-written in a cache directory."""
    return _left_behind


@pytest.fixture(scope="session")
def demo_run(shared, conversions):
    """The run with nothing configured, in an empty directory: all nine conversions; with the report.

    Gives the result, and the report's directory. All workers share the one run.
    """
    report = shared / "demo report" / "made by the gate"
    options = ("--dscoreml-max-examples=4", f"--dscoreml-cache-dir={conversions}", f"--dscoreml-report={report}")
    return _run_once(shared, "demo", options), report


def _run_once(shared, name, options):
    """The result of a gate on the demo in an empty directory, which all workers share."""
    import filelock

    kept = shared / f"{name}.json"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--dscoreml-model=demo", *options]
    with filelock.FileLock(str(shared / f"{name}.lock")):
        if not kept.exists():
            folder = shared / f"{name} is run here"
            folder.mkdir()
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            kept.write_text(json.dumps([done.returncode, done.stdout.splitlines(), done.stderr.splitlines()]))
    return pytest.RunResult(*json.loads(kept.read_text()), 0.0)


@pytest.fixture(scope="session")
def demo_report(demo_run):
    """The report of the demo's run as plain values."""
    _, report = demo_run
    return json.loads((report / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, loaded):
    """A TensorFlow 1 checkpoint of a tiny model of four labels, random weights; gives its prefix."""
    import tensorflow as tf

    from pytest_dscoreml.model.weights import LSTM_BIAS, LSTM_KERNEL

    hidden, classes = 8, 5
    random = np.random.default_rng(3)
    shapes = {LSTM_KERNEL: (2 * hidden, 4 * hidden), LSTM_BIAS: (4 * hidden,)}
    for layer in ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6"):
        columns = classes if layer == "layer_6" else hidden
        shapes[f"{layer}/weights"] = (19 * 26 if layer == "layer_1" else hidden, columns)
        shapes[f"{layer}/bias"] = (columns,)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [
            tf.compat.v1.get_variable(name, initializer=random.normal(0, 0.3, shape).astype(np.float32))
            for name, shape in shapes.items()
        ]
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(variables, save_relative_paths=True)
        folder = tmp_path_factory.mktemp("checkpoint")
        return Path(saver.save(session, str(folder / "train"), global_step=100, write_meta_graph=False))


@pytest.fixture
def converter_with(script, shared):
    """The converter with a defect (see defects.py), and a cache for what it makes: it looks like the right one's."""

    def make(defect):
        path = script(f'exec {sys.executable} {Path(__file__).with_name("defects.py")} {defect} "$@"', defect)
        return path, shared / f"conversions-{defect}"

    return make


@pytest.fixture(scope="session")
def recording(shared, conversions):
    """A run of the demo that records a bundle of four conversions: the result, and the bundle's directory.

    All workers share the one run.
    """
    bundle = shared / "bundles" / "demo"
    options = (
        *("--dscoreml-max-examples=3", "--dscoreml-variant=static,dynamic", "--dscoreml-precision=float32"),
        *(f"--dscoreml-cache-dir={conversions}", f"--dscoreml-record={bundle}"),
    )
    return _run_once(shared, "recording", options), bundle


@pytest.fixture
def bundle(recording, pytester):
    """A copy of the recorded bundle that a test may change: `bundle` in the working directory."""
    return Path(shutil.copytree(recording[1], pytester.path / "bundle"))


@pytest.fixture
def edit(bundle):
    """Change the bundle's manifest, and make all hashes right again."""
    from pytest_dscoreml.bundle.manifest import digest_of

    def change(how=lambda manifest: None):
        path = bundle / "bundle.json"
        manifest = json.loads(path.read_text())
        how(manifest)
        names = [found.relative_to(bundle).as_posix() for found in bundle.rglob("*") if found.is_file()]
        hashes = {name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in names}
        manifest["files"] = {name: digest for name, digest in hashes.items() if name != "bundle.json"}
        manifest["digest"] = digest_of(manifest)
        path.write_text(json.dumps(manifest))

    return change


@pytest.fixture
def replay(gate):
    """Run pytest with a bundle in place of a model; gives pytester's result."""
    return lambda *args, bundle="bundle", **kwargs: gate(
        f"--dscoreml-replay={bundle}", *args, **{"model": (), "select": (), "cache": None, **kwargs}
    )
