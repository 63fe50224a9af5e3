"""Keeps NumPy's BLAS to one thread while a loop multiplies by small weights. Imports threadpoolctl, late, and nothing else.

Two threads that meet after each of these products gain nothing on an idle machine, and on one whose cores are busy (as
pytest-xdist's are) each waits for the other to be given a core: 636 steps of 128 x 512 weights, 7.1 ms with one thread,
took 8.9 to 11 ms with two.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

#: In values. Measured on two cores: from 192 x 768 weights on two threads are faster (7.8 us against 9.8).
SMALL_PRODUCT = 1 << 16


class OneThread:
    """Holds BLAS at one thread while anybody asks for it.

    The number of threads belongs to the process, so one object of this class does too: ``one_thread``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._found: Optional[list[Any]] = None
        self._before: list[int] = []

    @contextmanager
    def when(self, wanted: bool) -> Iterator[None]:
        """``with one_thread.when(True)``: one thread inside, and again as many as before when the last one has left."""
        if not wanted:
            yield
            return
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if not self._running:
                self._before = [library.get_num_threads() for library in self._libraries()]
                for library in self._libraries():
                    library.set_num_threads(1)
            self._running += 1

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                for library, threads in zip(self._libraries(), self._before):
                    library.set_num_threads(threads)

    def _libraries(self) -> list[Any]:
        """The BLAS libraries that were loaded when this was first asked: NumPy's is."""
        if self._found is None:
            from threadpoolctl import ThreadpoolController

            self._found = ThreadpoolController().select(user_api="blas").lib_controllers
        return self._found


one_thread = OneThread()
