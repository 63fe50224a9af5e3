"""BLAS runs in one thread for products that are too small to share, and in as many as before afterwards."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from pytest_dscoreml.runtime import ReferenceModel, threads
from pytest_dscoreml.runtime.threads import OneThread, one_thread

HIDDEN = 32


def blas() -> list[int]:
    return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def as_many_as_before() -> Any:
    before = blas()
    yield
    assert blas() == before


def test_one_thread_only_when_it_is_wanted() -> None:
    before = blas()
    with one_thread.when(False):
        assert blas() == before
    with one_thread.when(True):
        assert set(blas()) <= {1}
        with one_thread.when(True):
            assert set(blas()) <= {1}
        assert set(blas()) <= {1}
    assert blas() == before


def test_a_failure_gives_the_threads_back() -> None:
    with pytest.raises(ZeroDivisionError), one_thread.when(True):
        raise ZeroDivisionError


class Library:
    """A BLAS with eight threads that notes what it is told."""

    def __init__(self) -> None:
        self.threads = 8
        self.told: list[int] = []

    def get_num_threads(self) -> int:
        return self.threads

    def set_num_threads(self, threads: int) -> None:
        self.threads = threads
        self.told.append(threads)


def test_runs_that_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that ends first does not take the second's single thread away, nor is 1 taken for what was before."""
    library, held = Library(), OneThread()
    monkeypatch.setattr(held, "_found", [library])
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with held.when(True):
            inside.set()
            assert leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    with held.when(True):
        leave.set()
        thread.join()
        assert library.threads == 1
    assert library.told == [1, 8]


@pytest.mark.parametrize(("limit", "told"), [(HIDDEN * HIDDEN, [1, 8]), (HIDDEN * HIDDEN - 1, [])])
def test_loops_with_small_products(build: Any, monkeypatch: pytest.MonkeyPatch, limit: int, told: list[int]) -> None:
    library = Library()
    monkeypatch.setattr(one_thread, "_found", [library])
    monkeypatch.setattr("pytest_dscoreml.runtime.loops.generator.SMALL_PRODUCT", limit)
    outputs = [("out", "float32", (1, HIDDEN))]
    program = build.program([("x", "float32", (1, HIDDEN)), ("n", "int32", (1,))], outputs)
    program.const("t0", np.array([0], np.int32))
    carried = [("t", "int32", (1,)), ("h", "float32", (1, HIDDEN))]
    loop = program.op("while_loop", [("t_end", "int32", (1,)), ("h_end", *carried[1][1:])], loop_vars=["t0", "x"])
    condition = program.nested(loop, carried)
    condition.op("less", ("go", "bool", (1,)), x="t", y="n")
    condition.block.outputs.append("go")
    body = program.nested(loop, carried)
    weight = np.eye(HIDDEN, dtype=np.float32) * np.float32(2)
    body.op("linear", ("h_next", "float32", (1, HIDDEN)), x="h", weight=weight)
    body.op("add", ("next", "int32", (1,)), x="t", y=np.array([1], np.int32))
    body.block.outputs.extend(["next", "h_next"])
    program.op("identity", outputs[0], x="h_end")
    obtained = ReferenceModel(program.model).predict({"x": np.ones((1, HIDDEN), np.float32), "n": [5]})["out"]
    np.testing.assert_array_equal(obtained, np.full((1, HIDDEN), 32, np.float32))
    assert library.told == told


def test_the_limit_is_that_of_the_measurement() -> None:
    assert threads.SMALL_PRODUCT == 128 * 4 * 128
