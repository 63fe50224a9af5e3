"""Which operation loses most: in programs made for it, and in a model that has one spot float16 cannot hold."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_dscoreml.advice.choosing import Chooser
from pytest_dscoreml.advice.names import constant_makers, identified
from pytest_dscoreml.advice.ranking import ranked
from pytest_dscoreml.advice.simulation import Simulation
from pytest_dscoreml.agreement.tolerances import FLOAT16
from pytest_dscoreml.conversion.describe import Selectable
from pytest_dscoreml.engines.protocol import State
from pytest_dscoreml.engines.reference import ReferenceEngine
from pytest_dscoreml.engines.streaming import Fed
from pytest_dscoreml.model.weights import Geometry
from pytest_dscoreml.runtime.mixed import can_be_half

STEPS = 4
GEOMETRY = Geometry(n_input=26, n_context=9, n_hidden=2, n_classes=26)


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """An engine on a program with DeepSpeech's interface, a sum that loses most and an exp that overflows."""
    import coremltools as ct
    from coremltools.converters.mil import Builder

    @Builder.program(input_specs=[Builder.TensorSpec(shape) for shape in ((1, STEPS, 19, 26), (1,), (1, 2), (1, 2))])
    def program(input_node, input_lengths, previous_state_c, previous_state_h):
        means = Builder.reduce_mean(x=input_node, axes=[0, 2], keep_dims=False, name="means")
        high = Builder.add(x=means, y=np.float32(4096.3), name="high")
        back = Builder.sub(x=high, y=np.float32(4096.1), name="back")
        rows = Builder.expand_dims(x=back, axes=[1], name="rows")
        lengths = Builder.mul(x=input_lengths, y=np.float32(0.001), name="lengths")
        huge = Builder.exp(x=Builder.add(x=previous_state_h, y=np.float32(11.5), name="raised"), name="huge")
        return (
            Builder.softmax(x=rows, axis=-1, name="logits"),
            Builder.mul(x=previous_state_c, y=np.float32(0.5), name="new_state_c"),
            Builder.add(x=Builder.log(x=huge, name="lowered"), y=lengths, name="new_state_h"),
        )

    path = tmp_path_factory.mktemp("spots") / "spots.mlpackage"
    ct.convert(program, convert_to="mlprogram", compute_precision=ct.precision.FLOAT32).save(str(path))
    return ReferenceEngine(path, GEOMETRY, STEPS)


def selectable_by_itself(engine):
    """Every operation that may be float16, under its own name."""
    return {
        step.outputs[0].name: Selectable(step.name, step.op, (), (step.outputs[0].name,))
        for step in engine.model.program.operations()
        if can_be_half(step)
    }


def test_the_spots_of_a_program(spots):
    random = np.random.default_rng(1)
    windows = random.normal(size=(2 * STEPS, 19, 26)).astype(np.float32)
    fed = Fed(windows, State(*random.normal(scale=0.2, size=(2, 1, 2)).astype(np.float32)))
    simulation = Simulation(spots, {"noise": fed}, FLOAT16)
    known = selectable_by_itself(spots)
    total = simulation.errors(set(known))
    rows = {row.name: row for row in ranked(simulation, known, {}, {"means": "Mean"}, total)}
    # e^11.5 is 98,716, float16 ends at 65,504: whoever touches it makes it infinite.
    assert list(rows)[:2] == ["huge", "lowered"]
    assert rows["huge"].errors.loss == np.inf
    assert total.loss == np.inf
    assert rows["huge"].share is None
    assert list(rows)[2:4] == ["high", "back"]
    assert rows["high"].errors.logits > 20 * rows["logits"].errors.logits > 0
    assert rows["high"].errors.h == 0
    assert (rows["means"].node, rows["high"].node, rows["high"].loop) == ("Mean", "", "")
    losses = [row.errors.loss for row in rows.values()]
    assert losses == sorted(losses, reverse=True)


@pytest.fixture(scope="module")
def ranking(make, simulate):
    """The ranking of the model with the critical spot, with its simulation and the errors of float16 throughout."""
    simulation = simulate("dynamic")
    program, selectable = simulation.engine.model.program, make("dynamic", kept=())[1]
    known = identified(program, selectable)
    total = simulation.errors(set(known))
    return simulation, total, ranked(simulation, known, constant_makers(program, selectable), {}, total)


def test_the_spot_of_a_model(make, ranking):
    """The loop is left with its small losses, and the converted file is as good as the simulation says."""
    simulation, total, rows = ranking
    assert {row.selector for row in rows[:3]} == {"BiasAdd_4", "raw_logits", "logits"}
    assert total.loss > 1
    assert total.logits > 0.2
    assert all(row.share > 0.2 for row in rows[:3])
    assert all(row.errors.loss < 0.05 for row in rows[3:])
    assert {row.makers for row in rows[:3]} == {(), ("transpose_4",)}

    choice = Chooser(simulation, rows).below(total.loss / 20)
    assert {row.selector for row in choice.kept} == {"BiasAdd_4", "raw_logits", "logits"}
    names = {name for row in choice.kept for name in (row.selector, *row.makers)}
    written = simulation.errors_of(simulation.run(make("dynamic", kept=names)[0]))
    assert written == choice.errors
    assert written.loss < total.loss / 20
    assert written.logits < 0.01
    assert (total.flips > 0, written.flips) == (True, 0)


def test_operations_in_the_loop_lose_in_the_states(ranking):
    _, _, rows = ranking
    inside = [row for row in rows if row.loop]
    assert {row.op for row in inside} >= {"gather", "linear", "split", "sigmoid", "tanh", "mul", "add", "scatter"}
    assert all(row.errors.c > 0 or row.errors.h > 0 for row in inside if row.name != "mul_5")
    behind = [row for row in rows if row.name in ("BiasAdd_3", "Relu_3", "Minimum_3", "BiasAdd_4", "logits")]
    assert [(row.errors.c, row.errors.h) for row in behind] == [(0, 0)] * 5
