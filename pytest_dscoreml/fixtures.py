"""The fixtures that tests request, the built-in suite's and users' alike. Heavy imports are late.

Without `--dscoreml-model` there is nothing to give: a test that requests one of them is skipped, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dscoreml.parametrizing import GATE, MEASURED, conversions_of

if TYPE_CHECKING:
    from hypothesis import settings
    from hypothesis.strategies import SearchStrategy

    from pytest_dscoreml.agreement.comparing import Comparison
    from pytest_dscoreml.agreement.tolerances import Tolerances
    from pytest_dscoreml.conversion.convert import Conversion
    from pytest_dscoreml.conversion.variants import ConversionSpec, Variant
    from pytest_dscoreml.engines.protocol import Engine
    from pytest_dscoreml.engines.streaming import Stream
    from pytest_dscoreml.engines.tensorflow import TensorFlowEngine
    from pytest_dscoreml.gate import Gate, Recording
    from pytest_dscoreml.model.loading import GraphFile, Model
    from pytest_dscoreml.speech.transcription import Decoder
    from pytest_dscoreml.strategies import Material

NO_MODEL = "no model to gate: give --dscoreml-model=PATH or --dscoreml-model=demo"


@pytest.fixture(scope="session")
def dscoreml_gate(pytestconfig: pytest.Config) -> Gate:
    """Everything that was opened for this run; the other fixtures are views of it."""
    gate = pytestconfig.stash.get(GATE, None)
    if gate is None:
        pytest.skip(NO_MODEL)
    return gate


@pytest.fixture(scope="session")
def dscoreml_model(dscoreml_gate: Gate) -> Model:
    """The model under test: geometry, metadata, graphs."""
    return dscoreml_gate.model


@pytest.fixture(scope="session")
def dscoreml_graphs(dscoreml_model: Model) -> Mapping[str, GraphFile]:
    """The model's TensorFlow graphs by kind, `static` and `dynamic`."""
    return dscoreml_model.graphs


@pytest.fixture(scope="session")
def dscoreml_reference(dscoreml_gate: Gate) -> TensorFlowEngine:
    """TensorFlow on the dynamic graph: what is expected of every conversion."""
    return dscoreml_gate.reference


@pytest.fixture(scope="session")
def dscoreml_conversion(request: pytest.FixtureRequest, dscoreml_gate: Gate) -> Conversion:
    """A conversion: the test runs once for each that is selected."""
    return dscoreml_gate.conversion(request.param)


@pytest.fixture(scope="session")
def dscoreml_recipe(request: pytest.FixtureRequest, dscoreml_gate: Gate) -> Conversion:
    """A dynamic conversion made as coremltools' documentation has it: the test runs once for each that is selected."""
    return dscoreml_gate.conversion(request.param)


@pytest.fixture(scope="session")
def dscoreml_engine(dscoreml_gate: Gate, dscoreml_conversion: Conversion) -> Engine:
    """The engine that runs `dscoreml_conversion`."""
    return dscoreml_gate.engine(dscoreml_conversion.spec)


@pytest.fixture
def dscoreml_stream(dscoreml_engine: Engine) -> Stream:
    """A streaming recogniser on `dscoreml_engine`, from a state of zeros."""
    from pytest_dscoreml.engines.streaming import Stream

    return Stream(dscoreml_engine)


@pytest.fixture(scope="session")
def dscoreml_variants(request: pytest.FixtureRequest, dscoreml_gate: Gate) -> Mapping[Variant, Engine]:
    """The engines of all variants of one target and precision: the test runs once for each of those."""
    specs: list[ConversionSpec] = request.param
    return {spec.variant: dscoreml_gate.engine(spec) for spec in specs}


@pytest.fixture(scope="session")
def dscoreml_tolerances(dscoreml_gate: Gate, dscoreml_conversion: Conversion) -> Tolerances:
    """The named tolerances of `dscoreml_conversion`'s precision."""
    return dscoreml_gate.tolerances(dscoreml_conversion.spec)


@pytest.fixture
def dscoreml_comparison(
    request: pytest.FixtureRequest, dscoreml_gate: Gate, dscoreml_conversion: Conversion
) -> Comparison:
    """Asserts agreement for `dscoreml_conversion`; what it measures goes into the summary and the report."""
    return _comparison(request.node, dscoreml_gate, dscoreml_conversion.spec)


@pytest.fixture
def dscoreml_comparisons(
    request: pytest.FixtureRequest, dscoreml_gate: Gate, dscoreml_variants: Mapping[Variant, Engine]
) -> Mapping[Variant, Comparison]:
    """As `dscoreml_comparison`, for each of `dscoreml_variants`."""
    return {spec.variant: _comparison(request.node, dscoreml_gate, spec) for spec in conversions_of(request.node)}


@pytest.fixture(scope="session")
def dscoreml_converters(request: pytest.FixtureRequest, dscoreml_gate: Gate) -> Mapping[str, Engine]:
    """The engines of one conversion as made by each converter of the run, by the converters' labels."""
    specs: list[ConversionSpec] = request.param
    return {spec.converter: dscoreml_gate.engine(spec) for spec in specs}


@pytest.fixture
def dscoreml_converter_comparisons(
    request: pytest.FixtureRequest, dscoreml_gate: Gate, dscoreml_converters: Mapping[str, Engine]
) -> Mapping[str, Comparison]:
    """A comparison for each of `dscoreml_converters`, with another of them: errors against TensorFlow are measured elsewhere."""
    return {spec.converter: _unmeasured(dscoreml_gate, spec) for spec in conversions_of(request.node)}


def _comparison(node: pytest.Item, gate: Gate, spec: ConversionSpec) -> Comparison:
    """A comparison whose measurements are kept with the test."""
    comparison = _unmeasured(gate, spec)
    node.stash.setdefault(MEASURED, {})[spec.name] = comparison.measured
    return comparison


def _unmeasured(gate: Gate, spec: ConversionSpec) -> Comparison:
    """A comparison whose measurements go nowhere."""
    from pytest_dscoreml.agreement.comparing import Comparison

    label = ", ".join(filter(None, [spec.variant, spec.target, spec.precision, spec.converter]))
    return Comparison(label, gate.tolerances(spec), gate.model.metadata.alphabet)


@pytest.fixture(scope="session")
def dscoreml_recording(request: pytest.FixtureRequest, dscoreml_gate: Gate) -> Recording:
    """A recording with its windows: the test runs once for each of the demo's and of `--dscoreml-audio`."""
    index: int = request.param
    return dscoreml_gate.recordings[index]


@pytest.fixture(scope="session")
def dscoreml_decoder(dscoreml_gate: Gate) -> Decoder:
    """The beam search decoder; with the scorer where `--dscoreml-scorer` was given."""
    return dscoreml_gate.decoders[-1]


@pytest.fixture(scope="session")
def dscoreml_material(dscoreml_gate: Gate) -> Material:
    """Makes windows and states of drawn cases."""
    return dscoreml_gate.material


@pytest.fixture(scope="session")
def dscoreml_cases(dscoreml_gate: Gate) -> SearchStrategy[Any]:
    """A Hypothesis strategy of sequences: length (1 to `--dscoreml-max-steps`), features, state."""
    from pytest_dscoreml.strategies import cases

    return cases(dscoreml_gate.model.n_steps, dscoreml_gate.settings.max_steps)


@pytest.fixture(scope="session")
def dscoreml_cut_cases(dscoreml_gate: Gate) -> SearchStrategy[Any]:
    """A Hypothesis strategy of sequences with a way to cut each into pieces."""
    from pytest_dscoreml.strategies import cut_cases

    return cut_cases(dscoreml_gate.model.n_steps, dscoreml_gate.settings.max_steps)


@pytest.fixture(scope="session")
def dscoreml_settings(dscoreml_gate: Gate) -> settings:
    """Hypothesis's settings for the gate.

    Every run draws the same examples, so that the verdict hangs on the conversion alone; `--hypothesis-seed` draws others.
    """
    from hypothesis import Phase, settings

    return settings(
        max_examples=dscoreml_gate.settings.max_examples,
        deadline=None,
        derandomize=dscoreml_gate.settings.seed is None,
        database=None,
        # One cause shows as several errors (a state, then a probability): the first to be shrunk is enough.
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )


@pytest.fixture(scope="session")
def dscoreml_check(dscoreml_settings: settings) -> Callable[[Callable[..., None]], None]:
    """Runs a function decorated with `given` under the gate's settings."""

    def check(holds: Callable[..., None]) -> None:
        dscoreml_settings(holds)()

    return check


@pytest.fixture
def dscoreml_drawn(
    dscoreml_engine: Engine,
    dscoreml_reference: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Any],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> Callable[[Callable[..., None]], None]:
    """Runs `compare(expected=, obtained=, case=)` on drawn sequences: TensorFlow's outputs and `dscoreml_engine`'s."""
    from hypothesis import given

    from pytest_dscoreml.engines.streaming import recognise

    def run(compare: Callable[..., None]) -> None:
        def holds(case: Any) -> None:
            windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
            expected = recognise(dscoreml_reference, windows, state)
            obtained = recognise(dscoreml_engine, windows, state)
            dscoreml_comparison.sequence(expected)
            compare(expected=expected, obtained=obtained, case=case)

        # What Hypothesis draws hangs on the name, when it draws the same in each run: each promise gets its own.
        holds.__name__ = compare.__name__
        dscoreml_check(given(case=dscoreml_cases)(holds))

    return run
