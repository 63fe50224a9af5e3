"""What long work says of itself while it lasts: what is running, how far it is, for how long. Standard library only.

One vocabulary for all of it, the gate and the commands: work opens a task and says where it is; a display shows it.
Nothing is shown of what is over in two seconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Callable, Optional, Protocol, TextIO

#: A task is told of when it has lasted this long, seconds.
FIRST_SECONDS = 2.0
#: Between two lines that stay, as in the log of a CI; and between two states of the line that a terminal rewrites.
LINE_SECONDS, LIVE_SECONDS = 10.0, 1.0
#: How often the thread looks whether something is due: little beside the above, and no load.
_LOOK_SECONDS = 0.25
_ERASE, _UP, _RIGHT = "\x1b[K", "\x1b[A", "\x1b[{}C"


class Task:
    """One piece of long work; opened by `Progress.task`, which gives `moved`: what to call when it is further on."""

    def __init__(self, what: str, total: Optional[int], unit: str, begun: float, moved: Callable[[Task], None]) -> None:
        self.begun, self._unit = begun, f" {unit}" if unit else ""
        self._what, self._number, self._total, self._doing = what, 0, total, ""
        self._moved = moved

    def at(self, number: int = 0, what: Optional[str] = None, *, total: Optional[int] = None, doing: str = "") -> None:
        """Say where it is: at which of `total`, the first is 1; at what, if that is not what it was; and what it does there."""
        self._number, self._doing = number, doing
        self._what = self._what if what is None else what
        self._total = self._total if total is None else total
        self._moved(self)

    @property
    def text(self) -> str:
        """What is running, without for how long."""
        far = f" ({self._number} of {self._total}{self._unit})" if self._number and self._total is not None else ""
        return f"{self._what}{far}{f': {self._doing}' if self._doing else ''}"


class Display(Protocol):
    """Where progress is shown.

    Attributes:
        seconds: to leave between two showings.
    """

    seconds: float

    def show(self, text: str, lasted: str) -> None:
        """Show what is running, and for how long it has been."""

    def over(self) -> None:
        """Nothing is running any more."""

    def give_back(self) -> None:
        """Somebody else is about to write: leave the line as they think it is."""


class Place(Protocol):
    """The line that somebody else, such as pytest, may have left unfinished where a display writes."""

    def width(self) -> int:
        """Columns of the unfinished line; 0 where there is none."""

    def again(self) -> str:
        """What to write so that the line can be gone on with, after lines were written in its middle."""


class Nobody:
    """The place where nobody else writes."""

    def width(self) -> int:
        """Of no line."""
        return 0

    def again(self) -> str:
        """Nothing."""
        return ""


class Lines:
    """Whole lines, as a log keeps them: no escape codes, nothing is rewritten."""

    seconds = LINE_SECONDS

    def __init__(self, stream: TextIO, place: Optional[Place] = None, prefix: str = "") -> None:
        self._stream, self._place, self._prefix = stream, place or Nobody(), prefix
        self._interrupted = False

    def show(self, text: str, lasted: str) -> None:
        """Write a line; one of somebody else's that is not finished is left as it is."""
        if not self._interrupted and self._place.width():
            self._interrupted = True
            self._stream.write("\n")
        self._stream.write(f"{self._prefix}{text}, {lasted}\n")
        self._stream.flush()

    def over(self) -> None:
        """Lines stay."""

    def give_back(self) -> None:
        """Go on with the line that was interrupted, below."""
        if self._interrupted:
            self._interrupted = False
            self._stream.write(self._place.again())
            self._stream.flush()


class Live:
    """One line of a terminal, rewritten in place, and gone when the work is over."""

    seconds = LIVE_SECONDS

    def __init__(
        self,
        stream: TextIO,
        place: Optional[Place] = None,
        prefix: str = "",
        columns: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._stream, self._place, self._prefix, self._columns = stream, place or Nobody(), prefix, columns
        self._shown = False
        self._above: Optional[int] = None

    def show(self, text: str, lasted: str) -> None:
        """Rewrite the line; below one of somebody else's that is not finished."""
        # A line that fills the last column would move on to the next, and could not be rewritten.
        columns = max(self._columns() - 1, 1)
        if not self._shown and self._place.width():
            self._above = self._place.width() % (columns + 1)
            self._stream.write("\n")
        self._shown = True
        ending = f", {lasted}"
        line = self._prefix + text
        if len(line + ending) > columns:
            line = line[: max(columns - len(ending) - 3, 0)] + "..."
        self._stream.write(f"\r{(line + ending)[:columns]}{_ERASE}")
        self._stream.flush()

    def over(self) -> None:
        """Clear the line, and go back to the end of the one above that was not finished."""
        if not self._shown:
            return
        self._shown = False
        back = "" if self._above is None else _UP + (_RIGHT.format(self._above) if self._above else "")
        self._above = None
        self._stream.write(f"\r{_ERASE}{back}")
        self._stream.flush()

    def give_back(self) -> None:
        """As when it is over: the next showing writes the line anew."""
        self.over()


class Progress:
    """The tasks that are running, shown now and then: the innermost that has lasted long enough.

    While any is running, a thread looks whether something is due, so that a single long call is told of too; it has ended
    when the last task has.

    Args:
        display: None: nothing is ever shown.
        parallel: the tasks run beside each other: the first of them is shown, and how many more there are.
        clock: seconds.
        watched: False: nothing is shown but when a task says where it is, or `look` is called.
    """

    def __init__(
        self,
        display: Optional[Display] = None,
        *,
        parallel: bool = False,
        clock: Callable[[], float] = time.monotonic,
        watched: bool = True,
    ) -> None:
        self._display, self._parallel, self._clock, self._watched = display, parallel, clock, watched
        self._tasks: list[Task] = []
        self._due = 0.0
        self._muted = False
        self._lock = threading.RLock()
        self._end = threading.Event()
        self._thread: Optional[threading.Thread] = None

    @contextlib.contextmanager
    def task(self, what: str, *, total: Optional[int] = None, unit: str = "") -> Iterator[Task]:
        """A task for as long as the block lasts; `total`: how many things, of which `unit`, it is at one after the other."""
        task = self.begin(what, total=total, unit=unit)
        try:
            yield task
        finally:
            self.end(task)

    def begin(self, what: str, *, total: Optional[int] = None, unit: str = "") -> Task:
        """A task until `end`, for work that is no block."""
        task = Task(what, total, unit, self._clock(), self.moved)
        with self._lock:
            self._tasks.append(task)
            if self._thread is None and self._watched and self._display is not None:
                self._end = threading.Event()
                self._thread = threading.Thread(target=self._watch, args=(self._end,), name="progress", daemon=True)
                self._thread.start()
        return task

    def end(self, task: Task) -> None:
        """The task is over; nothing is written of it after this."""
        with self._lock:
            self._tasks.remove(task)
            thread = None
            if not self._tasks:
                self._write(lambda display: display.over())
                thread, self._thread = self._thread, None
                self._end.set()
        # Outside of the lock, for which the thread may be waiting.
        if thread is not None:
            thread.join()

    def moved(self, task: Task) -> None:
        """A task is further on."""
        self.look()

    def look(self) -> None:
        """Show what is running, if it is due."""
        with self._lock:
            now = self._clock()
            old = [task for task in self._tasks if now - task.begun >= FIRST_SECONDS]
            if self._display is None or self._muted or not old or now < self._due:
                return
            task = old[0] if self._parallel else old[-1]
            more = f", and {len(old) - 1} more" if self._parallel and len(old) > 1 else ""
            self._due = now + self._display.seconds
            self._write(lambda display: display.show(task.text + more, elapsed(now - task.begun)))

    def give_back(self) -> None:
        """Somebody else is about to write where this is shown; they are given a moment."""
        with self._lock:
            self._write(lambda display: display.give_back())
            self._due = max(self._due, self._clock() + LIVE_SECONDS)

    def mute(self, muted: bool) -> None:
        """Show nothing for a while, or go on."""
        with self._lock:
            self.give_back()
            self._muted = muted

    def _write(self, what: Callable[[Display], None]) -> None:
        """Have the display write; a stream that is gone ends the showing, not the work."""
        if self._display is not None:
            try:
                what(self._display)
            except (OSError, ValueError):
                self._display = None

    def _watch(self, end: threading.Event) -> None:
        while not end.wait(_LOOK_SECONDS):
            self.look()


def elapsed(seconds: float) -> str:
    """A duration in words: seconds, from a minute on minutes and seconds, from an hour on hours and minutes."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def can_rewrite(stream: TextIO) -> bool:
    """Whether a stream is a terminal that knows the escape codes of `Live`."""
    return os.name != "nt" and os.environ.get("TERM") not in (None, "", "dumb") and stream.isatty()


def on_stderr() -> Progress:
    """The progress of a command, beside what it prints."""
    return Progress(Live(sys.stderr) if can_rewrite(sys.stderr) else Lines(sys.stderr))
