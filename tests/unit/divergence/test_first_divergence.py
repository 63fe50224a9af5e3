"""The first divergence names the operation that was changed, or its direct consumer; and none where nothing was."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from injected import DEFECTS, IN_LOOP, inject

from pytest_dscoreml.agreement.tolerances import BY_PRECISION
from pytest_dscoreml.conversion.cache import Cache
from pytest_dscoreml.conversion.convert import convert
from pytest_dscoreml.conversion.process import Converter
from pytest_dscoreml.conversion.variants import ConversionSpec, default_specs
from pytest_dscoreml.divergence.expected import Graph
from pytest_dscoreml.divergence.finding import first_departure
from pytest_dscoreml.divergence.locating import Locator
from pytest_dscoreml.divergence.text import lines
from pytest_dscoreml.engines.protocol import Outputs, State
from pytest_dscoreml.engines.reference import ReferenceEngine
from pytest_dscoreml.engines.streaming import Fed
from pytest_dscoreml.model.demo import demo_graphs

STEPS = 16
#: What the BlockLSTM has where the loop departs.
QUANTITIES = {
    "tanh in place of sigmoid": "gate i",
    "add in place of mul": "f * c of the step before",
    "c in place of h": "x and h joined",
    "h before x": "x and h joined",
    "swapped gates": "all gates before their activation",
}


@pytest.fixture(scope="module")
def graphs():
    return dict(zip(("static", "dynamic"), map(Graph, demo_graphs())))


@pytest.fixture(scope="module")
def conversions(tmp_path_factory):
    made = convert(
        dict(zip(("static", "dynamic"), demo_graphs())),
        default_specs(),
        converter=Converter(),
        cache=Cache(tmp_path_factory.mktemp("cache")),
        n_steps=STEPS,
        longest=100,
    )
    return {spec.name: conversion for spec, conversion in made.items()}


@pytest.fixture(scope="module")
def fed(graphs):
    """A sequence of 37 steps from a state of its own, the numbers such as speech gives."""
    geometry = graphs["dynamic"].engine.geometry
    rng = np.random.default_rng(3)
    windows = rng.normal(scale=2.0, size=(37, geometry.n_window, geometry.n_input)).astype(np.float32)
    c, h = (rng.normal(size=(1, geometry.n_hidden)).astype(np.float32) for _ in range(2))
    return Fed(windows, State(c, np.tanh(h)))


def padded(fed, steps=STEPS, length=9):
    return Fed(fed.windows[:steps], fed.state, length)


@pytest.fixture
def locate(graphs, conversions, tmp_path):
    """The divergence of a conversion, with a defect or without."""

    def run(name, sequence, defect=None):
        conversion = conversions[name]
        path = conversion.path
        if defect is not None:
            path = tmp_path / conversion.path.name
            (shutil.copytree if conversion.path.is_dir() else shutil.copyfile)(conversion.path, path)
            inject(path, defect)
        graph = graphs[conversion.spec.graph]
        n_steps = None if conversion.spec.variant == "dynamic" else STEPS
        engine = ReferenceEngine(path, graph.engine.geometry, n_steps)
        return Locator(graph, path, engine, BY_PRECISION[conversion.spec.precision.value]).find(sequence)

    return run


def is_named(departure, result):
    """Whether the operation itself is named, or one that reads its result."""
    own = departure.result == result or departure.result.replace("/", "_").endswith(f"_{result}")
    return own or any(ref.name.split("@")[0].startswith(result) for ref in departure.step.references())


@pytest.mark.parametrize("target", ["mlprogram", "neuralnetwork"])
@pytest.mark.parametrize("variant", ["static", "dynamic"])
@pytest.mark.parametrize("defect", DEFECTS)
def test_the_operation_that_was_changed_is_named(locate, fed, target, variant, defect):
    sequence = padded(fed) if defect == "no mask" else fed
    found = locate(f"{variant}-{target}-float32", sequence, defect)
    assert found is not None
    assert found.converter
    departure = found.departure
    assert departure is not None
    assert is_named(departure, DEFECTS[defect]), departure
    assert bool(departure.loop) == (defect in IN_LOOP)
    assert not departure.match.agrees
    if defect in IN_LOOP:
        assert departure.match.source.endswith(f"BlockLSTM, {QUANTITIES[defect]}")


@pytest.mark.parametrize("spec", default_specs(), ids=str)
def test_where_nothing_was_changed_nothing_departs(locate, fed, spec: ConversionSpec):
    assert locate(spec.name, fed) is None
    assert locate(spec.name, padded(fed)) is None


def test_a_call_without_a_real_step(locate, fed):
    """The state after it is the state before it; the padding's rows are compared all the same."""
    found = locate("dynamic-neuralnetwork-float32", padded(fed, length=0), "no mask")
    assert found is not None
    assert found.departure is not None
    assert found.departure.result.endswith("/mul")
    assert locate("dynamic-neuralnetwork-float32", padded(fed, length=0)) is None


class _Device:
    """An engine that runs a file, and rounds the state away."""

    def __init__(self, engine):
        self._engine = engine
        self.name, self.geometry, self.n_steps = "a device", engine.geometry, engine.n_steps

    def run(self, windows, length, state):
        outputs = self._engine.run(windows, length, state)
        return Outputs(outputs.logits, State(np.round(outputs.state.c), outputs.state.h))


def test_a_device_that_departs_where_the_file_is_right(graphs, conversions, fed):
    conversion = conversions["static-mlprogram-float32"]
    graph, path = graphs["static"], conversion.path
    device = _Device(ReferenceEngine(path, graph.engine.geometry, STEPS))
    found = Locator(graph, path, device, BY_PRECISION["float32"]).find(fed)
    assert (found.converter, found.departure) == (False, None)
    assert lines(found, graph, device.name) == [
        "first divergence: none in the file; the reference engine makes of steps 0 to 15 what TensorFlow does, a device does "
        "not: the device is at fault, not the converter"
    ]


def test_the_step_of_the_loop_in_which_it_begins(graphs, conversions, fed):
    """A history that is read one step late agrees in the first pass and departs in the second."""
    conversion = conversions["dynamic-mlprogram-float32"]
    graph = graphs["dynamic"]
    engine = ReferenceEngine(conversion.path, graph.engine.geometry, None)
    expected = graph.run(fed.windows, len(fed.windows), fed.state)
    inner = engine.inner(fed.windows, len(fed.windows), fed.state)
    changed = {**inner, "mul_4": np.concatenate([inner["mul_4"][:5], inner["mul_4"][5:] + 1])}
    changed["add_2"] = inner["mul_3"] + changed["mul_4"]
    departure = first_departure(engine.model.program, changed, expected, BY_PRECISION["float32"].state_c)
    assert (departure.result, departure.match.departs) == ("mul_4", 5)
