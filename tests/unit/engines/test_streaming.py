"""Feeding sequences: no frame lost, none invented, the state carried, whatever the length and the cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dscoreml.engines import streaming
from pytest_dscoreml.engines.protocol import Outputs, State
from pytest_dscoreml.engines.streaming import Stream, recognise
from pytest_dscoreml.model.weights import Geometry

GEOMETRY = Geometry(n_hidden=2, n_classes=3)
#: None takes any length; at 16 there are edges within the lengths drawn.
N_STEPS = (None, 1, 5, 16)
LENGTHS = st.one_of(st.sampled_from([0, 1, 15, 16, 17, 31, 32, 33]), st.integers(0, 50))


class Adder:
    """A model that adds up what it hears: each row holds the sum so far, so an order or a frame lost shows at once.

    Rows of the padding hold -1, which may not come out of a stream.
    """

    name = "adder"
    geometry = GEOMETRY

    def __init__(self, n_steps, *, raw=True):
        self.n_steps = n_steps
        self.raw = raw
        self.calls = []

    def run(self, windows, length, state):
        self.calls.append((windows, length, state))
        values = windows[:length, 0, 0].astype(np.float64)
        # Twice what was there and the new value: another order of the same frames gives another sum.
        sums = []
        total = float(state.c[0, 0])
        for value in values:
            total = (2 * total + value) % 1009
            sums.append(total)
        rows = np.full((len(windows), GEOMETRY.n_classes), -1, np.float32)
        rows[:length] = np.array(sums, np.float32).reshape(-1, 1)
        after = State(np.full((1, 2), total, np.float32), np.full((1, 2), length, np.float32))
        return Outputs(rows, after, 10 * rows if self.raw else None)


def sequence(length):
    """Windows that hold the number of their frame, counted from 1."""
    windows = np.zeros((length, 19, 26), np.float32)
    windows[:, 0, 0] = np.arange(1, length + 1)
    return windows


def whole(length, start=0.0):
    """The rows that the adder's model gives, and its sum behind the last."""
    rows, total = [], start
    for value in range(1, length + 1):
        total = (2 * total + value) % 1009
        rows.append([total] * 3)
    return np.array(rows, np.float32).reshape(length, 3), total


@pytest.mark.parametrize("n_steps", N_STEPS)
@given(length=LENGTHS, start=st.integers(0, 9))
def test_every_frame_is_heard_once_and_in_order(n_steps, length, start):
    engine = Adder(n_steps)
    state = State(np.full((1, 2), start, np.float32), np.zeros((1, 2), np.float32))

    outputs = recognise(engine, sequence(length), state)

    rows, total = whole(length, start)
    np.testing.assert_array_equal(outputs.logits, rows)
    np.testing.assert_array_equal(outputs.state.c, np.full((1, 2), total))
    assert sum(call_length for _, call_length, _ in engine.calls) == length


@pytest.mark.parametrize("n_steps", N_STEPS[1:])
@given(length=LENGTHS)
def test_calls_are_chunks_and_the_last_is_padded_with_zeros(n_steps, length):
    engine = Adder(n_steps)

    recognise(engine, sequence(length))

    assert len(engine.calls) == -(-length // n_steps)
    for number, (windows, call_length, _) in enumerate(engine.calls):
        last = number == len(engine.calls) - 1
        assert (windows.shape, windows.dtype) == ((n_steps, 19, 26), np.float32)
        assert call_length == (length - number * n_steps if last else n_steps)
        np.testing.assert_array_equal(windows[:call_length], sequence(length)[number * n_steps :][:call_length])
        assert not windows[call_length:].any()


@given(length=LENGTHS)
def test_an_engine_of_any_length_gets_one_call(length):
    engine = Adder(None)

    recognise(engine, sequence(length))

    assert [(windows.shape, call_length) for windows, call_length, _ in engine.calls] == (
        [((length, 19, 26), length)] if length else []
    )


@given(data=st.data(), n_steps=st.sampled_from(N_STEPS), length=LENGTHS)
def test_any_cuts_give_the_same(data, n_steps, length):
    """A cut may be at either end, and twice at one place: then there is a piece with nothing in it."""
    cuts = sorted(data.draw(st.lists(st.integers(0, length), max_size=6)))

    uncut, cut = (recognise(Adder(n_steps), sequence(length), cuts=places) for places in ((), cuts))

    np.testing.assert_array_equal(cut.logits, uncut.logits)
    np.testing.assert_array_equal(cut.raw_logits, uncut.raw_logits)
    np.testing.assert_array_equal(cut.state.c, uncut.state.c)


def test_each_call_starts_where_the_one_before_ended():
    engine = Adder(5)
    stream = Stream(engine)

    stream.feed(sequence(7))

    first, second = engine.calls
    np.testing.assert_array_equal(first[2].c, np.zeros((1, 2)))
    np.testing.assert_array_equal(second[2].c, np.full((1, 2), whole(5)[1]))
    np.testing.assert_array_equal(stream.state.c, np.full((1, 2), whole(7)[1]))


def test_a_call_on_nothing_runs_nothing():
    engine = Adder(16)
    stream = Stream(engine)

    rows = stream.feed(sequence(0))

    assert (rows.shape, rows.dtype, engine.calls) == ((0, 3), np.float32, [])
    assert stream.outputs.logits.shape == (0, 3)
    assert stream.outputs.raw_logits is None
    np.testing.assert_array_equal(stream.outputs.state.h, np.zeros((1, 2)))


def test_rows_come_as_soon_as_they_are_there():
    engine = Adder(5)
    chunks = Stream(engine).feed_chunks(sequence(12))

    lengths = []
    for outputs in chunks:
        lengths.append((len(outputs.logits), len(outputs.raw_logits), len(engine.calls)))

    assert lengths == [(5, 5, 1), (5, 5, 2), (2, 2, 3)]


@given(before=st.integers(0, 20), length=st.integers(0, 20), n_steps=st.sampled_from(N_STEPS))
def test_a_reset_forgets_everything(before, length, n_steps):
    initial = State(np.full((1, 2), 3, np.float32), np.zeros((1, 2), np.float32))
    stream = Stream(Adder(n_steps), initial)
    stream.feed(sequence(before))

    stream.reset()
    rows = stream.feed(sequence(length))

    np.testing.assert_array_equal(rows, whole(length, 3)[0])
    np.testing.assert_array_equal(stream.outputs.logits, rows)


def test_raw_logits_are_joined_and_cut_as_the_rows():
    outputs = recognise(Adder(16), sequence(20))

    np.testing.assert_array_equal(outputs.raw_logits, 10 * outputs.logits)


def test_raw_logits_are_none_where_the_engine_shows_none():
    assert recognise(Adder(16, raw=False), sequence(20)).raw_logits is None


def test_what_was_fed_is_not_written_to():
    windows = sequence(20)
    windows.flags.writeable = False

    assert len(recognise(Adder(16), windows).logits) == 20


@pytest.mark.parametrize(("n_steps", "calls"), [(None, 1), (16, 3), (5, 8)])
def test_timed_is_the_fastest_of_the_rounds_after_one_that_warms_up(monkeypatch, n_steps, calls):
    engine, clock = Adder(n_steps), iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])
    monkeypatch.setattr(streaming.time, "perf_counter", lambda: next(clock))

    assert streaming.timed(engine, sequence(40)) == streaming.Timing(calls, 2.0)
    assert len(engine.calls) == 4 * calls
