"""What long work says of itself: when, in which words, in lines or in one that is rewritten, and that it ends in time."""

from __future__ import annotations

import io
import threading
import time

import pytest

from pytest_dscoreml import progress
from pytest_dscoreml.progress import Lines, Live, Progress, can_rewrite, elapsed


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self):
        return self.now


class Line:
    """Somebody else's unfinished line."""

    def __init__(self, text=""):
        self.text = text

    def width(self):
        return len(self.text)

    def again(self):
        return f"<{self.text}>"


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def passing(clock, stream):
    """Let seconds pass, looking each second; gives what was written meanwhile."""

    def wait(running, seconds):
        before = len(stream.getvalue())
        for _ in range(seconds):
            clock.now += 1
            running.look()
        return stream.getvalue()[before:]

    return wait


@pytest.fixture
def lines(stream, clock):
    return Progress(Lines(stream, prefix="ours: "), clock=clock, watched=False)


# -- when, and in which words ------------------------------------------------------------------------------------------


def test_nothing_of_what_is_over_soon(lines, stream, passing):
    with lines.task("short work") as task:
        task.at(1, total=2)
        passing(lines, 1)

    assert stream.getvalue() == ""


def test_a_line_after_two_seconds_then_each_ten(lines, passing):
    with lines.task("long work"):
        assert passing(lines, 1) == ""
        assert passing(lines, 1) == "ours: long work, 2 s\n"
        assert passing(lines, 9) == ""
        assert passing(lines, 15) == "ours: long work, 12 s\nours: long work, 22 s\n"


def test_how_many_of_how_many_and_what_it_does_there(lines, passing):
    with lines.task("reading", total=3) as task:
        assert passing(lines, 2) == "ours: reading, 2 s\n"
        task.at(2, doing="a.wav")
        assert passing(lines, 10) == "ours: reading (2 of 3): a.wav, 12 s\n"
        task.at(3, "writing", total=4, doing="b.wav")
        assert passing(lines, 10) == "ours: writing (3 of 4): b.wav, 22 s\n"
        task.at()
        assert passing(lines, 10) == "ours: writing, 32 s\n"


def test_the_unit_of_a_total(lines, passing):
    with lines.task("running", total=468, unit="steps") as task:
        task.at(16)
        assert passing(lines, 2) == "ours: running (16 of 468 steps), 2 s\n"


def test_saying_where_it_is_shows_what_is_due(lines, clock, stream):
    with lines.task("reading", total=3) as task:
        task.at(1)
        clock.now += 5
        task.at(2)
        task.at(3)

    assert stream.getvalue() == "ours: reading (2 of 3), 5 s\n"


def test_the_innermost_that_has_lasted(lines, passing):
    with lines.task("outer"):
        assert passing(lines, 11) == "ours: outer, 2 s\n"
        with lines.task("inner"):
            assert passing(lines, 1) == "ours: outer, 12 s\n"
            assert passing(lines, 10) == "ours: inner, 11 s\n"
        assert passing(lines, 10) == "ours: outer, 32 s\n"


def test_beside_each_other_the_longest_is_told(stream, clock, passing):
    running = Progress(Lines(stream), parallel=True, clock=clock, watched=False)
    first = running.begin("first")
    assert passing(running, 2) == "first, 2 s\n"
    second = running.begin("second")
    assert passing(running, 10) == "first, and 1 more, 12 s\n"
    running.end(first)
    assert passing(running, 10) == "second, 20 s\n"
    running.end(second)
    assert passing(running, 20) == ""


def test_an_error_ends_a_task(lines, stream, passing):
    with pytest.raises(ValueError, match="no"), lines.task("work"):
        raise ValueError("no")

    passing(lines, 20)
    assert stream.getvalue() == ""


def test_without_a_display_nothing_is_shown_and_no_thread_is_started(passing, clock):
    before = threading.active_count()
    silent = Progress(clock=clock)
    with silent.task("work") as task:
        task.at(1, total=2)
        assert threading.active_count() == before
        assert passing(silent, 20) == ""


def test_muted_for_a_while(lines, passing):
    with lines.task("work"):
        lines.mute(True)
        assert passing(lines, 30) == ""
        lines.mute(False)
        assert passing(lines, 2) == "ours: work, 31 s\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (7384, "2 h 3 min")],
)
def test_elapsed(seconds, words):
    assert elapsed(seconds) == words


# -- lines beside somebody else's --------------------------------------------------------------------------------------


def test_a_line_that_is_not_finished_is_left_and_gone_on_with_below(stream, clock, passing):
    place = Line("test_x.py ..")
    running = Progress(Lines(stream, place), clock=clock, watched=False)
    with running.task("work"):
        assert passing(running, 12) == "\nwork, 2 s\nwork, 12 s\n"
        running.give_back()
        running.give_back()
        assert passing(running, 0) == ""
    assert stream.getvalue().endswith("work, 12 s\n<test_x.py ..>")


def test_between_finished_lines_nothing_is_added(stream, clock, passing):
    running = Progress(Lines(stream, Line()), clock=clock, watched=False)
    with running.task("work"):
        assert passing(running, 2) == "work, 2 s\n"
        running.give_back()
    assert stream.getvalue() == "work, 2 s\n"


def test_who_writes_next_is_given_a_moment(stream, clock):
    running = Progress(Lines(stream), clock=clock, watched=False)
    with running.task("work"):
        clock.now += 5
        running.give_back()
        clock.now += 0.5
        running.look()
        assert stream.getvalue() == ""
        clock.now += 1
        running.look()
        assert stream.getvalue() == "work, 6 s\n"


# -- one line, rewritten -----------------------------------------------------------------------------------------------


def test_one_line_each_second_and_gone_at_the_end(stream, clock, passing):
    running = Progress(Live(stream, columns=lambda: 80), clock=clock, watched=False)
    with running.task("work"):
        assert passing(running, 1) == ""
        assert passing(running, 2) == "\rwork, 2 s\x1b[K\rwork, 3 s\x1b[K"
    assert stream.getvalue().endswith("3 s\x1b[K\r\x1b[K")
    running.give_back()
    assert stream.getvalue().endswith("3 s\x1b[K\r\x1b[K")


def test_nothing_shown_nothing_cleared(stream, clock, passing):
    running = Progress(Live(stream), clock=clock, watched=False)
    with running.task("work"):
        passing(running, 1)
    assert stream.getvalue() == ""


def test_below_a_line_that_is_not_finished_and_back_to_its_end(stream, clock, passing):
    running = Progress(Live(stream, Line("test_x.py .."), columns=lambda: 80), clock=clock, watched=False)
    with running.task("work"):
        assert passing(running, 2) == "\n\rwork, 2 s\x1b[K"
        running.give_back()
        assert stream.getvalue().endswith("\r\x1b[K\x1b[A\x1b[12C")
        assert passing(running, 2).startswith("\n\rwork, ")


@pytest.mark.parametrize("columns", [1, 5, 12, 20])
def test_never_wider_than_the_terminal(stream, clock, passing, columns):
    running = Progress(Live(stream, columns=lambda: columns), clock=clock, watched=False)
    with running.task("a rather long piece of work"):
        written = passing(running, 2)
    shown = written[len("\r") : -len("\x1b[K")]
    assert len(shown) == max(columns - 1, 1)
    # How long it has been is what changes, and stays.
    assert columns < 12 or shown.endswith(", 2 s")


# -- the thread --------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """A hundredth of the seconds."""
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(progress, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(Lines, "seconds", 0.02)


def test_a_single_long_call_is_told_of_and_nothing_after_its_end(quick, stream):
    running = Progress(Lines(stream))
    for _ in range(5):
        before = threading.active_count()
        with running.task("one call"):
            assert threading.active_count() == before + 1
            with running.task("inside"):
                assert threading.active_count() == before + 1
                time.sleep(0.1)
        assert threading.active_count() == before
        written = stream.getvalue()
        assert "inside, 0 s\n" in written
        time.sleep(0.05)
        assert stream.getvalue() == written


class Gone(io.StringIO):
    """A stream whose reader has left."""

    def write(self, text):
        raise BrokenPipeError


def test_a_stream_that_is_gone_ends_the_showing_not_the_work(quick):
    running = Progress(Lines(Gone()))
    with running.task("work"):
        time.sleep(0.1)
    with running.task("more work") as task:
        task.at(1, total=2)
        time.sleep(0.05)
    assert "progress" not in [thread.name for thread in threading.enumerate()]


# -- terminals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terminal", "kind", "expected"),
    [(True, "xterm", True), (False, "xterm", False), (True, "dumb", False), (True, None, False)],
)
def test_what_can_be_rewritten(monkeypatch, terminal, kind, expected):
    monkeypatch.setattr(progress.os, "name", "posix")
    if kind is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", kind)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert can_rewrite(stream) is expected
