"""What Hypothesis draws: lengths, features, states, and ways to cut a sequence into pieces.

A drawn case is a few numbers and words, so that a counterexample can be read; `Material` makes the arrays of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from pytest_dscoreml.engines.protocol import Floats, State
from pytest_dscoreml.model.weights import Geometry
from pytest_dscoreml.speech.features import windows

#: Kinds of features, the simplest first, because that is the way Hypothesis shrinks.
FEATURES = ("silence", "speech", "noise", "extreme")
#: Kinds of states to start from.
STATES = ("zeros", "random", "extreme")
#: Magnitude of extreme coefficients. The first of them reaches 40 in loud speech (and -247 in digital silence, which is a
#: kind of its own); the others stay below 15, so this drives every layer far beyond what it was trained on, and no further
#: than float32 can follow: beyond it TensorFlow itself is 1e-5 off what double precision gives.
EXTREME_FEATURE = 30.0
#: Magnitude of every unit of an extreme c; h is at its bounds, -1 and 1.
EXTREME_C = 20.0


@dataclass(frozen=True)
class Case:
    """A sequence and the state before it.

    Attributes:
        length: steps, at least 1.
        features: which kind of features.
        state: which kind of state.
        seed: where in the speech it starts, or of the random numbers.
    """

    length: int
    features: str = FEATURES[0]
    state: str = STATES[0]
    seed: int = 0


@dataclass(frozen=True)
class Material:
    """Makes arrays of cases: real speech to cut from, and the sizes of the model.

    Attributes:
        speech: MFCC frames [N, 26] of real speech, N >= 1.
        silence: the MFCC frame [26] of digital silence.
        geometry: sizes of the model.
    """

    speech: Floats
    silence: Floats
    geometry: Geometry

    def windows(self, case: Case) -> Floats:
        """The context windows [length, 19, 26] of a case."""
        return windows(self._frames(case), n_context=self.geometry.n_context)

    def state(self, case: Case) -> State:
        """The state that a case starts from."""
        shape = (1, self.geometry.n_hidden)
        rng = np.random.default_rng([case.seed, 1])
        if case.state == "zeros":
            return State.zeros(self.geometry)
        if case.state == "random":
            c = rng.normal(size=shape).astype(np.float32)
            return State(c, np.tanh(rng.normal(size=shape)).astype(np.float32))
        signs = rng.choice([-1.0, 1.0], size=(2, *shape)).astype(np.float32)
        return State(signs[0] * np.float32(EXTREME_C), signs[1])

    def _frames(self, case: Case) -> Floats:
        """MFCC frames [length, 26] of a case."""
        shape = (case.length, self.geometry.n_input)
        rng = np.random.default_rng([case.seed, 0])
        if case.features == "silence":
            return np.broadcast_to(self.silence, shape).astype(np.float32)
        if case.features == "speech":
            # Speech is taken round and round, so that any length can start anywhere.
            return np.take(self.speech, case.seed + np.arange(case.length), axis=0, mode="wrap")
        if case.features == "noise":
            return rng.normal(self.speech.mean(axis=0), self.speech.std(axis=0), size=shape).astype(np.float32)
        return rng.uniform(-EXTREME_FEATURE, EXTREME_FEATURE, size=shape).astype(np.float32)


def lengths(n_steps: int, max_steps: int, shortest: int = 1) -> st.SearchStrategy[int]:
    """Lengths from `shortest` to `max_steps`; those beside the edges of chunks come up about half of the time."""
    edges = sorted(
        {
            edge
            for multiple in range(0, max_steps + n_steps, n_steps)
            for edge in (multiple - 1, multiple, multiple + 1)
            if shortest <= edge <= max_steps
        }
        | {max_steps}
    )
    return st.one_of(st.sampled_from(edges), st.integers(shortest, max_steps))


def cases(n_steps: int, max_steps: int) -> st.SearchStrategy[Case]:
    """Sequences of every kind, shrinking towards one step of silence from a state of zeros."""
    return _of_every_kind(lengths(n_steps, max_steps))


def _of_every_kind(length: st.SearchStrategy[int]) -> st.SearchStrategy[Case]:
    """Cases of such a length."""
    return st.builds(
        Case,
        length=length,
        features=st.sampled_from(FEATURES),
        state=st.sampled_from(STATES),
        seed=st.integers(0, 999),
    )


@st.composite
def cut_cases(draw: st.DrawFn, n_steps: int, max_steps: int) -> tuple[Case, tuple[int, ...]]:
    """A case of at least two steps, and the steps before which it is cut: at least one cut, at most five."""
    length = draw(lengths(n_steps, max_steps, shortest=2))
    # Cuts come before the rest of the case: drawn after it, they keep Hypothesis from shrinking it.
    cuts = draw(st.lists(st.integers(1, length - 1), min_size=1, max_size=5, unique=True))
    return draw(_of_every_kind(st.just(length))), tuple(sorted(cuts))
