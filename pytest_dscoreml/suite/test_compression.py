"""Promise: with compressed weights the file is smaller, is used as before, and hears the same.

Collected where `--dscoreml-compress` is given. How far its numbers are from TensorFlow's is measured here and not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.agreement.measurements import Errors
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.variants import Variant
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.errors import ConversionError
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.run import Recording
from pytest_dscoreml.strategies import Case, Material


def test_interface_is_kept(dscoreml_gate: Gate, dscoreml_compressed: Conversion) -> None:
    """Inputs and outputs are declared as in the uncompressed file; Core ML's version may rise for the weights' sake."""
    spec = dscoreml_compressed.spec
    before, now = dscoreml_gate.conversion(spec.uncompressed).interface, dscoreml_compressed.interface
    for kind, expected, obtained in (("input", before.inputs, now.inputs), ("output", before.outputs, now.outputs)):
        wanted, given = ({tensor.name: str(tensor) for tensor in tensors} for tensors in (expected, obtained))
        for name in sorted({*wanted, *given}):
            if wanted.get(name) != given.get(name):
                raise Disagreement(
                    f"{kind} {name} [{spec}]: expected {wanted.get(name, 'nothing')} as without compression, obtained "
                    f"{given.get(name, 'nothing')}"
                )


def test_file_is_smaller(dscoreml_gate: Gate, dscoreml_compressed: Conversion) -> None:
    """Compressing pays."""
    size, before = dscoreml_compressed.size, dscoreml_gate.conversion(dscoreml_compressed.spec.uncompressed).size
    if not size < before:
        raise Disagreement(
            f"size [{dscoreml_compressed.spec}]: expected less than the {before} bytes of the uncompressed file, obtained {size}"
        )


def test_rows_are_distributions(
    dscoreml_gate: Gate,
    dscoreml_compressed_engine: Engine,
    dscoreml_compressed_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """On any features, from any state, every row is finite, not negative, and sums to one; the errors are measured."""

    @given(case=dscoreml_cases)
    def rows_are_distributions(case: Case) -> None:
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        expected = recognise(dscoreml_gate.reference, windows, state)
        obtained = recognise(dscoreml_compressed_engine, windows, state)
        dscoreml_compressed_comparison.measure("drawn", expected=expected, obtained=obtained)
        dscoreml_compressed_comparison.distributions(obtained, case=case)

    dscoreml_check(rows_are_distributions)


def test_any_cut_of_it_gives_the_whole(
    dscoreml_compressed_engine: Engine,
    dscoreml_compressed_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cut_cases: SearchStrategy[tuple[Case, tuple[int, ...]]],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """The conversion agrees with itself, whole and cut, at the tolerances of its precision."""

    @given(drawn=dscoreml_cut_cases)
    def compressed_pieces_give_the_whole(drawn: tuple[Case, tuple[int, ...]]) -> None:
        case, cuts = drawn
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        whole = recognise(dscoreml_compressed_engine, windows, state)
        pieces = recognise(dscoreml_compressed_engine, windows, state, cuts=cuts)
        dscoreml_compressed_comparison.sequence(whole)
        label = f"{case} cut at {list(cuts)}, expected is the same conversion fed whole"
        dscoreml_compressed_comparison.apart.outputs(expected=whole, obtained=pieces, case=label)

    dscoreml_check(compressed_pieces_give_the_whole)


def test_padding_of_it_is_masked(
    dscoreml_gate: Gate,
    dscoreml_compressed_engine: Engine,
    dscoreml_compressed_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """What stands behind the real steps changes nothing: rows and states are those of a padding of zeros."""
    geometry, engine = dscoreml_gate.model.geometry, dscoreml_compressed_engine
    steps = engine.n_steps or dscoreml_gate.model.n_steps

    @given(case=dscoreml_cases, length=st.integers(0, steps - 1))
    def compressed_padding_is_masked(case: Case, length: int) -> None:
        frames = np.resize(dscoreml_material.windows(case), (steps, geometry.n_window, geometry.n_input))
        silent = np.where(np.arange(steps)[:, None, None] < length, frames, np.float32(0.0))
        state = dscoreml_material.state(case)
        expected, obtained = (engine.run(fed, length, state) for fed in (silent, frames))
        dscoreml_compressed_comparison.sequence(expected)
        label = f"{case}, {length} of {steps} steps real, expected is the same conversion with zeros behind them"
        dscoreml_compressed_comparison.apart.outputs(expected=expected, obtained=obtained, case=label)

    dscoreml_check(compressed_padding_is_masked)


def test_compressed_variants_agree(
    dscoreml_compressed_variants: Mapping[Variant, tuple[Engine, Comparison]],
    dscoreml_material: Material,
    dscoreml_cases: SearchStrategy[Case],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """The same weights, compressed in the same way, are the same weights: variants agree at their precision's tolerances."""

    @given(case=dscoreml_cases)
    def compressed_variants_agree(case: Case) -> None:
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        obtained = {
            variant: recognise(engine, windows, state) for variant, (engine, _) in dscoreml_compressed_variants.items()
        }
        for variant, (_, comparison) in dscoreml_compressed_variants.items():
            comparison.sequence(obtained[variant])
        for one, other in combinations(obtained, 2):
            comparison = dscoreml_compressed_variants[other][1]
            drawn = f"{case}, expected is variant {one}"
            comparison.apart.outputs(expected=obtained[one], obtained=obtained[other], case=drawn)

    dscoreml_check(compressed_variants_agree)


def test_transcription_survives(
    dscoreml_gate: Gate,
    dscoreml_compressed: Conversion,
    dscoreml_recording: Recording,
    dscoreml_compressed_comparison: Comparison,
) -> None:
    """Real speech is transcribed to the letter as TensorFlow's probabilities are; the errors on it are measured."""
    expected = dscoreml_gate.expected(dscoreml_recording)
    obtained = dscoreml_gate.obtained(dscoreml_compressed.spec, dscoreml_recording)
    errors = dscoreml_compressed_comparison.measure("recordings", expected=expected, obtained=obtained)
    lost = []
    for decoder in dscoreml_gate.decoders:
        try:
            dscoreml_compressed_comparison.transcript(
                audio=dscoreml_recording.utterance.name,
                decoder=decoder.name,
                expected=dscoreml_gate.expected_text(dscoreml_recording, decoder),
                obtained=dscoreml_gate.text(obtained.logits, decoder),
            )
        except Disagreement as difference:
            lost.append(str(difference))
    if lost:
        account = _account(dscoreml_gate, dscoreml_compressed, dscoreml_recording, errors)
        raise Disagreement("\n".join([*lost, *account]))


def _account(gate: Gate, made: Conversion, recording: Recording, errors: Errors) -> list[str]:
    """What the compression saved and cost, and whether it is to blame."""
    plain = made.spec.uncompressed
    before = gate.conversion(plain).size
    lines = [
        f"{made.spec.compression} made {made.size / 1000:.0f} kB of {before / 1000:.0f} ({made.size / before:.0%}); of "
        f"{errors.greedy_frames} frames {errors.greedy_mismatches} have another most probable class, probabilities are up to "
        f"{errors.logits:.2g} off"
    ]
    try:
        rows = gate.obtained(plain, recording).logits
    except ConversionError as error:
        return [*lines, f"whether {plain} hears it cannot be told: {error}"]
    texts = [(gate.text(rows, one), gate.expected_text(recording, one)) for one in gate.decoders]
    wrong = next((given for given, wanted in texts if given != wanted), None)
    if wrong is not None:
        return [*lines, f"it is not the compression alone: {plain}, uncompressed, obtained {wrong!r}"]
    return [
        *lines,
        f"{plain}, uncompressed, hears what TensorFlow hears: this compression takes too much of this model",
    ]
