"""Promise: the state carries a sequence over any cut: pieces give what the whole gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import SearchStrategy

from pytest_dscoreml.agreement.comparing import Comparison
from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.engines.protocol import Engine, Floats, State
from pytest_dscoreml.engines.streaming import Fed, Stream, recognise
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.strategies import Case, Material

#: Pieces of a conversation in one stateful example.
PIECES = 8


def test_any_cut_gives_the_whole(
    dscoreml_gate: Gate,
    dscoreml_engine: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_cut_cases: SearchStrategy[tuple[Case, tuple[int, ...]]],
    dscoreml_check: Callable[[Callable[..., None]], None],
) -> None:
    """The conversion agrees with itself, whole and cut."""

    @given(drawn=dscoreml_cut_cases)
    def pieces_give_the_whole(drawn: tuple[Case, tuple[int, ...]]) -> None:
        case, cuts = drawn
        windows, state = dscoreml_material.windows(case), dscoreml_material.state(case)
        label = f"{case} cut at {list(cuts)}"
        dscoreml_gate.recorder.cut(
            windows, state, cuts, expected=lambda: recognise(dscoreml_gate.reference, windows, state), case=label
        )
        whole = recognise(dscoreml_engine, windows, state)
        pieces = recognise(dscoreml_engine, windows, state, cuts=cuts)
        dscoreml_comparison.fed = Fed(windows, state, cuts=cuts)
        dscoreml_comparison.outputs(expected=whole, obtained=pieces, case=label)

    dscoreml_check(pieces_give_the_whole)


def test_feed_cut_reset_resume(
    dscoreml_gate: Gate,
    dscoreml_engine: Engine,
    dscoreml_reference: Engine,
    dscoreml_comparison: Comparison,
    dscoreml_material: Material,
    dscoreml_check: Callable[..., None],
) -> None:
    """A stream that is fed in pieces, reset, and resumed from a state kept aside, agrees with TensorFlow throughout."""

    pieces = st.integers(1, 2 * dscoreml_gate.model.n_steps + 1)

    class Conversation(RuleBasedStateMachine):
        """The conversion's stream beside everything that was fed since the state it started from."""

        def __init__(self) -> None:
            super().__init__()
            self.fed: list[Floats] = []

        @initialize(state=st.sampled_from(["zeros", "random"]), length=pieces, seed=st.integers(0, 999))
        def begin(self, state: str, length: int, seed: int) -> None:
            """The first piece is fed at once: a conversation of nothing but resets would compare nothing."""
            self.start = dscoreml_material.state(Case(1, state=state, seed=seed))
            self.stream = Stream(dscoreml_engine, self.start)
            self.feed(length, seed)

        @rule(length=pieces, seed=st.integers(0, 999))
        def feed(self, length: int, seed: int) -> None:
            piece = dscoreml_material.windows(Case(length, "speech", seed=seed))
            self.stream.feed(piece)
            self.fed.append(piece)

        @rule()
        def reset(self) -> None:
            self.stream.reset()
            self.fed = []

        @rule()
        def resume(self) -> None:
            """Go on in a new stream from the state of the old one."""
            self.start = self.stream.state
            self.stream = Stream(dscoreml_engine, self.start)
            self.fed = []

        @invariant()
        def agrees(self) -> None:
            if self.fed:
                windows = np.concatenate(self.fed)
                cuts = np.cumsum([len(piece) for piece in self.fed])[:-1].tolist()
                dscoreml_comparison.fed = Fed(windows, self.start, cuts=cuts)
                expected = recognise(dscoreml_reference, windows, self.start)
                case = f"fed {[len(piece) for piece in self.fed]}"
                dscoreml_comparison.outputs(expected=expected, obtained=self.stream.outputs, case=case)

    dscoreml_check(Conversation, stateful_step_count=PIECES)


def test_carried_state_matters(
    dscoreml_gate: Gate, dscoreml_conversion: Conversion, dscoreml_engine: Engine, dscoreml_material: Material
) -> None:
    """Two states that TensorFlow tells apart are told apart: a conversion that ignores the state would carry nothing."""
    windows = dscoreml_material.windows(Case(1, "speech"))
    states = [State.zeros(dscoreml_gate.model.geometry), dscoreml_material.state(Case(1, state="random"))]
    apart = [
        float(np.abs(np.subtract(*(recognise(engine, windows, state).state.c for state in states))).max())
        for engine in (dscoreml_gate.reference, dscoreml_engine)
    ]
    if not apart[1] > apart[0] / 2:
        raise Disagreement(
            f"state [{dscoreml_conversion.spec}] is ignored: two states leave new_state_c {apart[1]:.3g} apart after a step, "
            f"expected {apart[0]:.3g}"
        )
