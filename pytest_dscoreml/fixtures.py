"""The fixtures that tests request, the built-in suite's and users' alike. Heavy imports are late.

Without `--dscoreml-model` there is nothing to give: a test that requests one of them is skipped, and says so. So is, in
a replay, a test that requests what is not in a bundle: TensorFlow, the graphs, what Hypothesis would draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dscoreml.parametrizing import COMPARED, GATE, conversions_of

if TYPE_CHECKING:
    from hypothesis import settings
    from hypothesis.strategies import SearchStrategy

    from pytest_dscoreml.agreement.comparing import Comparison
    from pytest_dscoreml.agreement.tolerances import Tolerances
    from pytest_dscoreml.bundle.cases import Kind, RecordedCase
    from pytest_dscoreml.conversion.convert import Conversion
    from pytest_dscoreml.conversion.variants import ConversionSpec, Variant
    from pytest_dscoreml.engines.protocol import Engine
    from pytest_dscoreml.engines.streaming import Stream
    from pytest_dscoreml.engines.tensorflow import TensorFlowEngine
    from pytest_dscoreml.gate import Gate
    from pytest_dscoreml.model.loading import GraphFile, Model
    from pytest_dscoreml.replay import Replay
    from pytest_dscoreml.run import Recording, Run
    from pytest_dscoreml.speech.transcription import Decoder
    from pytest_dscoreml.strategies import Material

NO_MODEL = "no model to gate: give --dscoreml-model=PATH or --dscoreml-model=demo"
NOT_IN_A_BUNDLE = (
    "a bundle has no TensorFlow, no graphs and nothing for Hypothesis to draw from: give --dscoreml-model in place of "
    "--dscoreml-replay"
)
NO_BUNDLE = "no bundle to replay: give --dscoreml-replay=DIR"
#: How messages call the cases of a bundle.
_KINDS = {"sequence": "drawn sequence", "padded": "padded call", "cut": "cut sequence", "recording": "recording"}


@pytest.fixture(scope="session")
def dscoreml_run(pytestconfig: pytest.Config) -> Run:
    """Everything that was opened for this run, of a model or of a bundle; the other fixtures are views of it."""
    run = pytestconfig.stash.get(GATE, None)
    if run is None:
        pytest.skip(NO_MODEL)
    return run


@pytest.fixture(scope="session")
def dscoreml_gate(dscoreml_run: Run) -> Gate:
    """The run of a model."""
    from pytest_dscoreml.gate import Gate

    if not isinstance(dscoreml_run, Gate):
        pytest.skip(NOT_IN_A_BUNDLE)
    return dscoreml_run


@pytest.fixture(scope="session")
def dscoreml_replay(dscoreml_run: Run) -> Replay:
    """The run of a bundle."""
    from pytest_dscoreml.replay import Replay

    if not isinstance(dscoreml_run, Replay):
        pytest.skip(NO_BUNDLE)
    return dscoreml_run


@pytest.fixture(scope="session")
def dscoreml_recorded(dscoreml_replay: Replay) -> Callable[[Kind], Sequence[RecordedCase]]:
    """The cases of a kind in the bundle, the shortest first; skips the test where there is none."""

    def recorded(kind: Kind) -> Sequence[RecordedCase]:
        cases = dscoreml_replay.cases(kind)
        if not cases:
            pytest.skip(f"nothing to compare: the bundle holds no {_KINDS[kind.value]}")
        return cases

    return recorded


@pytest.fixture(scope="session")
def dscoreml_model(dscoreml_run: Run) -> Model:
    """The model under test: geometry, metadata, graphs."""
    return dscoreml_run.model


@pytest.fixture(scope="session")
def dscoreml_graphs(dscoreml_gate: Gate) -> Mapping[str, GraphFile]:
    """The model's TensorFlow graphs by kind, `static` and `dynamic`."""
    return dscoreml_gate.model.graphs


@pytest.fixture(scope="session")
def dscoreml_reference(dscoreml_gate: Gate) -> TensorFlowEngine:
    """TensorFlow on the dynamic graph: what is expected of every conversion."""
    return dscoreml_gate.reference


@pytest.fixture(scope="session")
def dscoreml_conversion(request: pytest.FixtureRequest, dscoreml_run: Run) -> Conversion:
    """A conversion: the test runs once for each that is selected."""
    return dscoreml_run.conversion(request.param)


@pytest.fixture(scope="session")
def dscoreml_recipe(request: pytest.FixtureRequest, dscoreml_gate: Gate) -> Conversion:
    """A dynamic conversion made as coremltools' documentation has it: the test runs once for each that is selected."""
    return dscoreml_gate.conversion(request.param)


@pytest.fixture(scope="session")
def dscoreml_engine(dscoreml_run: Run, dscoreml_conversion: Conversion) -> Engine:
    """The engine that runs `dscoreml_conversion`."""
    return dscoreml_run.engine(dscoreml_conversion.spec)


@pytest.fixture
def dscoreml_stream(dscoreml_engine: Engine) -> Stream:
    """A streaming recogniser on `dscoreml_engine`, from a state of zeros."""
    from pytest_dscoreml.engines.streaming import Stream

    return Stream(dscoreml_engine)


@pytest.fixture(scope="session")
def dscoreml_variants(request: pytest.FixtureRequest, dscoreml_run: Run) -> Mapping[Variant, Engine]:
    """The engines of all variants of one target and precision: the test runs once for each of those."""
    specs: list[ConversionSpec] = request.param
    return {spec.variant: dscoreml_run.engine(spec) for spec in specs}


@pytest.fixture(scope="session")
def dscoreml_tolerances(dscoreml_run: Run, dscoreml_conversion: Conversion) -> Tolerances:
    """The named tolerances of `dscoreml_conversion`'s precision."""
    return dscoreml_run.tolerances(dscoreml_conversion.spec)


@pytest.fixture
def dscoreml_comparison(
    request: pytest.FixtureRequest, dscoreml_run: Run, dscoreml_conversion: Conversion
) -> Comparison:
    """Asserts agreement for `dscoreml_conversion`; what it measures goes into the summary and the report."""
    return _comparison(request.node, dscoreml_run, dscoreml_conversion.spec)


@pytest.fixture
def dscoreml_comparisons(
    request: pytest.FixtureRequest, dscoreml_run: Run, dscoreml_variants: Mapping[Variant, Engine]
) -> Mapping[Variant, Comparison]:
    """As `dscoreml_comparison`, for each of `dscoreml_variants`."""
    return {spec.variant: _comparison(request.node, dscoreml_run, spec) for spec in conversions_of(request.node)}


@pytest.fixture(scope="session")
def dscoreml_converters(request: pytest.FixtureRequest, dscoreml_run: Run) -> Mapping[str, Engine]:
    """The engines of one conversion as made by each converter of the run, by the converters' labels."""
    specs: list[ConversionSpec] = request.param
    return {spec.converter: dscoreml_run.engine(spec) for spec in specs}


@pytest.fixture
def dscoreml_converter_comparisons(
    request: pytest.FixtureRequest, dscoreml_run: Run, dscoreml_converters: Mapping[str, Engine]
) -> Mapping[str, Comparison]:
    """A comparison for each of `dscoreml_converters`, with another of them: errors against TensorFlow are measured elsewhere."""
    return {spec.converter: _unmeasured(dscoreml_run, spec) for spec in conversions_of(request.node)}


@pytest.fixture(scope="session")
def dscoreml_compressed(request: pytest.FixtureRequest, dscoreml_run: Run) -> Conversion:
    """A conversion with compressed weights (`--dscoreml-compress`): the test runs once for each that is selected."""
    return dscoreml_run.conversion(request.param)


@pytest.fixture(scope="session")
def dscoreml_compressed_engine(dscoreml_run: Run, dscoreml_compressed: Conversion) -> Engine:
    """The engine that runs `dscoreml_compressed`."""
    return dscoreml_run.engine(dscoreml_compressed.spec)


@pytest.fixture
def dscoreml_compressed_comparison(
    request: pytest.FixtureRequest, dscoreml_run: Run, dscoreml_compressed: Conversion
) -> Comparison:
    """As `dscoreml_comparison`, for `dscoreml_compressed`."""
    return _comparison(request.node, dscoreml_run, dscoreml_compressed.spec)


@pytest.fixture
def dscoreml_compressed_variants(
    request: pytest.FixtureRequest, dscoreml_run: Run
) -> Mapping[Variant, tuple[Engine, Comparison]]:
    """Of one target, precision and compression, the engines of all variants with a comparison for each."""
    specs: list[ConversionSpec] = request.param
    node = request.node
    return {spec.variant: (dscoreml_run.engine(spec), _comparison(node, dscoreml_run, spec)) for spec in specs}


def _comparison(node: pytest.Item, run: Run, spec: ConversionSpec) -> Comparison:
    """A comparison whose measurements are kept with the test."""
    comparison = _unmeasured(run, spec)
    node.stash.setdefault(COMPARED, {})[spec.name] = comparison
    return comparison


def _unmeasured(run: Run, spec: ConversionSpec) -> Comparison:
    """A comparison whose measurements go nowhere."""
    from pytest_dscoreml.agreement.comparing import Comparison

    label = ", ".join(filter(None, [spec.variant, spec.target, spec.precision, spec.compression, spec.converter]))
    return Comparison(label, run.tolerances(spec), run.model.metadata.alphabet)


@pytest.fixture(scope="session")
def dscoreml_recording(request: pytest.FixtureRequest, dscoreml_run: Run) -> Recording:
    """A recording with its windows: the test runs once for each of the demo's and of `--dscoreml-audio`."""
    index: int = request.param
    return dscoreml_run.recordings[index]


@pytest.fixture(scope="session")
def dscoreml_decoder(dscoreml_run: Run) -> Decoder:
    """The beam search decoder; with the scorer where `--dscoreml-scorer` was given."""
    return dscoreml_run.decoders[-1]


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
        # For the command that repeats a failure.
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )


@pytest.fixture(scope="session")
def dscoreml_check(dscoreml_gate: Gate, dscoreml_settings: settings) -> Callable[..., None]:
    """Runs a function decorated with `given`, or the class of a state machine, under the gate's settings and what it adds.

    With `--dscoreml-reproduce`, on that one example.
    """
    from hypothesis import settings
    from hypothesis.stateful import run_state_machine_as_test

    def check(holds: Callable[..., None], **more: Any) -> None:
        chosen, blob = settings(dscoreml_settings, **more), dscoreml_gate.settings.reproduce
        if blob is not None:
            from pytest_dscoreml.reproducing import reproduce

            reproduce(blob, holds, chosen)
        elif isinstance(holds, type):
            run_state_machine_as_test(holds, settings=chosen)
        else:
            chosen(holds)()

    return check


@pytest.fixture
def dscoreml_drawn(
    request: pytest.FixtureRequest,
    dscoreml_run: Run,
    dscoreml_conversion: Conversion,
    dscoreml_engine: Engine,
    dscoreml_comparison: Comparison,
) -> Callable[[Callable[..., None]], None]:
    """Runs `compare(expected=, obtained=, case=)` on drawn sequences: TensorFlow's outputs and `dscoreml_engine`'s.

    In a replay, on those that were drawn when the bundle was recorded.
    """
    if dscoreml_run.replayed is not None:
        return _recorded_before(
            request.getfixturevalue("dscoreml_replay"),
            request.getfixturevalue("dscoreml_recorded"),
            dscoreml_conversion.spec,
            dscoreml_comparison,
        )
    from hypothesis import given

    from pytest_dscoreml.engines.streaming import Fed, recognise

    reference: Engine = request.getfixturevalue("dscoreml_reference")
    material: Material = request.getfixturevalue("dscoreml_material")
    cases: SearchStrategy[Any] = request.getfixturevalue("dscoreml_cases")
    check: Callable[[Callable[..., None]], None] = request.getfixturevalue("dscoreml_check")

    def run(compare: Callable[..., None]) -> None:
        def holds(case: Any) -> None:
            windows, state = material.windows(case), material.state(case)
            expected = recognise(reference, windows, state)
            dscoreml_run.recorder.sequence(windows, state, expected=expected, case=case)
            obtained = recognise(dscoreml_engine, windows, state)
            dscoreml_comparison.fed = Fed(windows, state)
            dscoreml_comparison.sequence(expected)
            compare(expected=expected, obtained=obtained, case=case)

        # What Hypothesis draws hangs on the name, when it draws the same in each run: each promise gets its own.
        holds.__name__ = compare.__name__
        check(given(case=cases)(holds))

    return run


def _recorded_before(
    replay: Replay,
    recorded: Callable[[Kind], Sequence[RecordedCase]],
    spec: ConversionSpec,
    comparison: Comparison,
) -> Callable[[Callable[..., None]], None]:
    """What `dscoreml_drawn` is in a replay."""
    from pytest_dscoreml.bundle.cases import Kind

    def run(compare: Callable[..., None]) -> None:
        for case in recorded(Kind.SEQUENCE):
            obtained = replay.fed(spec, case)
            comparison.sequence(case.expected)
            compare(expected=case.expected, obtained=obtained, case=case.label)

    return run
