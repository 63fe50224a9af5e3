"""Stand-ins for the converter's interpreter, and one batch of real conversions that several tests look at."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from pytest_dscoreml.conversion.cache import Cache
from pytest_dscoreml.conversion.convert import Converter, convert
from pytest_dscoreml.conversion.variants import default_specs
from pytest_dscoreml.progress import Progress

FAKE_VERSIONS = {
    "python": "3.7.0",
    "coremltools": "1.2",
    "tensorflow": "3.4",
    "numpy": "5.6",
    "protobuf": "7.8",
    "fingerprint": "f00d",
}

# What an interpreter does that is handed worker.py, up to the jobs; the body of a test's fake follows.
PRELUDE = """
import json, os, signal, sys, time
if sys.argv[2] == "--versions":
    print(json.dumps({versions!r}))
    sys.exit()
with open(sys.argv[2]) as file:
    request = json.load(file)
answers = open(request["answers"], "a")
def write(text):
    answers.write(text + "\\n")
    answers.flush()
def say(**answer):
    write(json.dumps(answer))
def begin(job):
    say(event="phase", job=job["id"], phase="convert")
def finish(job, **changes):
    if job["file"].endswith(".mlpackage"):
        os.makedirs(job["file"] + "/Data")
        with open(job["file"] + "/Manifest.json", "w") as file:
            file.write("the manifest of " + job["id"])
        with open(job["file"] + "/Data/model.mlmodel", "w") as file:
            file.write("the program of " + job["id"])
    else:
        with open(job["file"], "w") as file:
            file.write("the network of " + job["id"])
    answer = dict(event="done", job=job["id"], route="fake", seconds={{"convert": 0.25}}, warnings=[],
                  interface={{"inputs": [], "outputs": [], "specification_version": 6}}, op_counts={{"linear": 6}})
    answer.update(changes)
    say(**answer)
say(event="started")
say(event="versions", coremltools="1.2", tensorflow="3.4")
"""

# A process of its own, as an xdist worker or a second run is.
ASKER = """
import json, sys
from pathlib import Path
from pytest_dscoreml.conversion.cache import Cache
from pytest_dscoreml.conversion.convert import Converter, convert
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.errors import ConversionError, UsageError

python, cache, folder, *names = sys.argv[1:]
graphs = {name: Path(folder) / f"{name}.pb" for name in ("static", "dynamic")}
try:
    results = convert(
        graphs,
        [ConversionSpec(*name.split("-")) for name in names],
        converter=Converter(Path(python), 30.0),
        cache=Cache(Path(cache)),
        n_steps=16,
        longest=100,
    )
except UsageError as error:
    sys.exit(f"refused: {error}")
told = {
    spec.name: str(made) if isinstance(made, ConversionError) else [made.key, made.cached]
    for spec, made in results.items()
}
print(json.dumps(told))
"""


@pytest.fixture
def script(tmp_path):
    """Make an executable Python program of the given text; returns its path."""

    def make(text, name="converter"):
        path = tmp_path / name
        # Without site-packages, which the stand-ins do not need: that starts in a third of the time.
        path.write_text(f"#!{sys.executable} -IS\n{textwrap.dedent(text)}", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


@pytest.fixture
def fake(script):
    """An interpreter that tells FAKE_VERSIONS and then, for a batch, runs the given body."""

    def make(body, **versions):
        return script(PRELUDE.format(versions={**FAKE_VERSIONS, **versions}) + textwrap.dedent(body))

    return make


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """Put stand-ins for tensorflow and coremltools before the real ones, for the real worker in this interpreter."""

    def make(*, tensorflow="", coremltools=""):
        for name, text in (("tensorflow", tensorflow), ("coremltools", coremltools)):
            package = tmp_path / "stubs" / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text(textwrap.dedent(text), encoding="utf-8")
        ours = [str(tmp_path / "stubs"), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entry for entry in ours if entry))
        return tmp_path / "stubs"

    return make


@pytest.fixture
def ended():
    """Whether a process is gone, or dead and only not yet collected by whoever took it over."""

    def look(number):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{number}/stat")
        return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"

    return look


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def graphs(tmp_path):
    """Two files that pass for graphs where a fake converts them."""
    for name in ("static", "dynamic"):
        (tmp_path / f"{name}.pb").write_text(f"the {name} graph")
    return {name: tmp_path / f"{name}.pb" for name in ("static", "dynamic")}


class Told(Progress):
    """Keeps all that the tasks say of where they are."""

    def __init__(self, lines):
        super().__init__()
        self.lines = lines

    def moved(self, task):
        self.lines.append(task.text)


@pytest.fixture(scope="session")
def told():
    """Makes a progress that appends to a list all that it is told."""
    return Told


@pytest.fixture
def lines():
    """Where it is told what is converted."""
    return []


@pytest.fixture
def run(cache, graphs, lines):
    """Convert with the given interpreter; returns the results by name of the spec."""

    def go(python, *, specs=None, timeout_seconds=30.0, **options):
        results = convert(
            graphs,
            specs if specs is not None else default_specs(),
            converter=Converter(python, timeout_seconds),
            cache=cache,
            **{"progress": Told(lines), "n_steps": 16, "longest": 100, **options},
        )
        return {spec.name: outcome for spec, outcome in results.items()}

    return go


@pytest.fixture
def ask(cache, tmp_path, graphs):
    """Start a process that converts the named specs; the caller waits for it or kills it.

    `before` is the beginning of the command line: a program that runs another one.
    """
    started = []

    def start(python, names, *, before=(), **options):
        command = [*before, sys.executable, "-c", ASKER, str(python), str(cache.directory), str(tmp_path), *names]
        # In a folder without a pytest_dscoreml of its own; the package is found as it was found here.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path, text=True, **options
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def whole(cache):
    """Look that every entry there is, is whole; returns their keys."""

    def look():
        entries = [path.name for path in (cache.directory / "entries").iterdir()]
        assert all(cache.find(key) is not None for key in entries)
        return entries

    return look


@pytest.fixture
def until():
    """Wait until a condition holds."""

    def wait(condition, seconds=20.0):
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < seconds, "it did not happen"
            time.sleep(0.005)

    return wait


@pytest.fixture(scope="session")
def tiny_graphs(tmp_path_factory):
    """A DeepSpeech of 8 hidden units with random weights, as static and dynamic graph."""
    from pytest_dscoreml.model.alphabet import Alphabet
    from pytest_dscoreml.model.graph import build_graph
    from pytest_dscoreml.model.metadata import Metadata
    from pytest_dscoreml.model.weights import LSTM_BIAS, LSTM_KERNEL, Weights

    hidden = 8
    alphabet = Alphabet(labels=(" ", "a", "b", "c"))
    sizes = {"layer_1": (494, hidden), "layer_6": (hidden, len(alphabet.labels) + 1)}
    random = np.random.default_rng(1)
    shapes = {LSTM_KERNEL: (2 * hidden, 4 * hidden), LSTM_BIAS: (4 * hidden,)}
    for layer in ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6"):
        rows, columns = sizes.get(layer, (hidden, hidden))
        shapes.update({f"{layer}/weights": (rows, columns), f"{layer}/bias": (columns,)})
    weights = Weights({name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()})
    folder = tmp_path_factory.mktemp("graphs")
    for name, n_steps in (("static", 16), ("dynamic", -1)):
        graph = build_graph(weights, Metadata(alphabet=alphabet), n_steps=n_steps)
        (folder / f"{name}.pb").write_bytes(graph.SerializeToString())
    return {name: folder / f"{name}.pb" for name in ("static", "dynamic")}


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory):
    return Cache(tmp_path_factory.mktemp("real") / "cache")


@pytest.fixture(scope="session")
def real_progress():
    return []


@pytest.fixture(scope="session")
def real(tiny_graphs, real_cache, real_progress):
    """All nine conversions of the tiny graphs by the coremltools that is installed here, by name of the spec."""
    results = convert(
        tiny_graphs,
        default_specs(),
        converter=Converter(),
        cache=real_cache,
        n_steps=16,
        longest=3500,
        progress=Told(real_progress),
    )
    return {spec.name: outcome for spec, outcome in results.items()}
