"""Promise: TensorFlow, the dynamic model whole, the static model chunked and the pinned model chunked all agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

from hypothesis import given
from hypothesis.strategies import SearchStrategy

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.agreement.tolerances import FLOAT32
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.variants import Variant
from pytest_dscoreml.engines.protocol import Engine, State
from pytest_dscoreml.engines.streaming import Fed, recognise
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.run import Recording, Run
from pytest_dscoreml.strategies import Case, Material


def test_graphs_agree(
    dscoreml_gate: Gate,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """The two TensorFlow graphs agree: without that, no conversion of one could agree with the other."""
    comparison = Comparison("static graph, tensorflow", FLOAT32, dscoreml_gate.model.metadata.alphabet)

    @given(case=dscoreml_cases)
    def graphs_agree(case: Case) -> None:
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        expected = recognise(dscoreml_gate.reference, windows, state)
        obtained = recognise(dscoreml_gate.static_reference, windows, state)
        comparison.outputs(expected=expected, obtained=obtained, case=case)

    dscoreml_check(graphs_agree)


def test_recordings_agree(
    dscoreml_run: Run, dscoreml_conversion: Conversion, dscoreml_recording: Recording, dscoreml_comparison: Comparison
) -> None:
    """On real speech from end to end: probabilities, states and greedy path."""
    expected = dscoreml_run.expected(dscoreml_recording)
    audio, said = dscoreml_recording.utterance.name, dscoreml_recording.utterance.transcript
    dscoreml_run.recorder.recording(audio, dscoreml_recording.windows, expected=expected, transcript=said, texts={})
    obtained = dscoreml_run.obtained(dscoreml_conversion.spec, dscoreml_recording)
    dscoreml_comparison.fed = Fed(dscoreml_recording.windows, State.zeros(dscoreml_run.model.geometry))
    dscoreml_comparison.outputs(expected=expected, obtained=obtained, case=audio)
    dscoreml_comparison.greedy(expected=expected, obtained=obtained, case=audio)


def test_variants_agree(
    dscoreml_gate: Gate,
    dscoreml_variants: Mapping[Variant, Engine],
    dscoreml_comparisons: Mapping[Variant, Comparison],
    dscoreml_reference: Engine,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """On the same sequence, each variant agrees with TensorFlow and with every other variant."""

    @given(case=dscoreml_cases)
    def variants_agree(case: Case) -> None:
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        expected = recognise(dscoreml_reference, windows, state)
        dscoreml_gate.recorder.sequence(windows, state, expected=expected, case=case)
        obtained = {variant: recognise(engine, windows, state) for variant, engine in dscoreml_variants.items()}
        for variant, outputs in obtained.items():
            dscoreml_comparisons[variant].fed = Fed(windows, state)
            dscoreml_comparisons[variant].outputs(expected=expected, obtained=outputs, case=case)
        for one, other in combinations(obtained, 2):
            drawn = f"{case}, expected is variant {one}"
            dscoreml_comparisons[other].outputs(expected=obtained[one], obtained=obtained[other], case=drawn)

    dscoreml_check(variants_agree)
