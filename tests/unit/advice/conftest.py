"""The tiny model whose last layer float16 cannot hold, its conversions, and what they are fed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from converting import converted

from pytest_dscoreml.advice.simulation import Simulation
from pytest_dscoreml.agreement.tolerances import FLOAT16
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.engines.protocol import State
from pytest_dscoreml.engines.streaming import Fed
from pytest_dscoreml.model.loading import serialized_graph
from pytest_dscoreml.model.weights import Weights

#: Added to each of the last layer's outputs, it changes no probability; but float16 has steps of 4 up there.
OFFSET = 6000.0


@pytest.fixture(scope="package")
def critical_graphs(tmp_path_factory, tiny_weights, tiny_metadata):
    arrays = dict(tiny_weights.arrays)
    # The tiny model is sure of nothing; one that is has something to lose.
    arrays["layer_6/weights"] = 8 * arrays["layer_6/weights"]
    arrays["layer_6/bias"] = arrays["layer_6/bias"] + np.float32(OFFSET)
    folder = tmp_path_factory.mktemp("critical")
    paths = {}
    for kind, n_steps in (("static", 16), ("dynamic", -1)):
        paths[kind] = folder / f"{kind}.pb"
        paths[kind].write_bytes(serialized_graph(Weights(arrays), tiny_metadata, n_steps=n_steps))
    return paths


@pytest.fixture(scope="package")
def geometry(tiny_weights):
    return tiny_weights.geometry


@pytest.fixture(scope="package")
def make(tmp_path_factory, critical_graphs, geometry):
    """An engine on a conversion of that model, with the operations the converter chose from; each is made once."""
    folder = tmp_path_factory.mktemp("conversions")
    made = {}

    def of(variant, precision="float16", kept=None):
        spec = ConversionSpec(variant, "mlprogram", precision)
        spec = dataclasses.replace(spec, float32_operations=None if kept is None else tuple(sorted(kept)))
        if spec not in made:
            made[spec] = converted(critical_graphs, spec, geometry, folder)
        return made[spec]

    return of


@pytest.fixture(scope="package")
def sequences(geometry):
    random = np.random.default_rng(4)
    windows = random.normal(scale=2.0, size=(21, geometry.n_window, geometry.n_input)).astype(np.float32)
    c, h = random.normal(size=(2, 1, geometry.n_hidden)).astype(np.float32)
    return {"noise": Fed(windows, State(c, np.tanh(h))), "a few": Fed(windows[:5], State.zeros(geometry))}


@pytest.fixture(scope="package")
def simulate(make, sequences):
    """A simulation of a variant."""
    return lambda variant: Simulation(make(variant, "float32")[0], sequences, FLOAT16)
