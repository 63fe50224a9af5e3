"""Lists of tensors against Python's own, operation after operation: lengths, unwritten elements, types, what is refused."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_lists
indices = st.integers(0, 6)
DTYPES = {"fp16": "float16", "fp32": "float32", "int32": "int32", "bool": "bool"}


def run(op: str, **arguments: Any) -> Any:
    kernel = mil.find(op, 15)
    assert kernel is not None
    return kernel.function(**arguments)


class Lists(RuleBasedStateMachine):
    """Every list ever made stays as it was, whatever is written to a list that was made of it."""

    @initialize(
        length=st.integers(0, 4),
        dynamic=st.booleans(),
        shape=st.lists(st.integers(0, 2), max_size=2).map(tuple),
        dtype=st.sampled_from(sorted(DTYPES)),
        known=st.booleans(),
    )
    def make(self, length: int, dynamic: bool, shape: Any, dtype: str, known: bool) -> None:
        self.dynamic, self.shape, self.dtype = dynamic, shape, DTYPES[dtype]
        # A size that is a string is known once an element is written.
        self.known = known or not shape
        sizes = [np.int32(size) if self.known else f"s{axis}" for axis, size in enumerate(shape)]
        made = run("make_list", elem_shape=sizes, init_length=length, dynamic_length=dynamic, dtype=dtype)
        self.pairs: list[tuple[Any, list[Optional[Any]]]] = [(made, [None] * length)]
        self.count = 0

    def element(self) -> Any:
        self.count += 1
        return np.full(self.shape, self.count % 2 if self.dtype == "bool" else self.count).astype(self.dtype)

    def expected(self, model: list[Optional[Any]], index: int) -> Any:
        item = model[index]
        return np.zeros(self.shape, self.dtype) if item is None else item

    def readable(self, model: list[Optional[Any]], index: int) -> bool:
        return self.known or any(item is not None for item in model)

    def put(self, places: list[int]) -> tuple[Any, list[Optional[Any]]]:
        """The elements, and Python's list with them at ``places``; IndexError where that has no such place."""
        values = [self.element() for _ in places]
        model = list(self.pairs[-1][1])
        for place, value in zip(places, values):
            if place >= len(model) and self.dynamic:
                model += [None] * (place + 1 - len(model))
            model[place] = value
        return values, model

    @rule(index=indices)
    def write(self, index: int) -> None:
        held, _ = self.pairs[-1]
        try:
            values, model = self.put([index])
        except IndexError:
            with pytest.raises(ValueError, match=rf"^index {index} of a list of length {len(held)}$"):
                run("list_write", ls=held, index=index, value=self.element())
            return
        self.pairs.append((run("list_write", ls=held, index=index, value=values[0]), model))

    @rule(places=st.lists(indices, max_size=3))
    def scatter(self, places: list[int]) -> None:
        """Of two values for one place the later stays."""
        held, _ = self.pairs[-1]
        try:
            values, model = self.put(places)
        except IndexError:
            with pytest.raises(ValueError, match=r"^index \d of a list of length"):
                run(
                    "list_scatter",
                    ls=held,
                    indices=np.array(places, np.int32),
                    value=np.zeros((len(places), *self.shape), self.dtype),
                )
            return
        stacked = np.stack(values) if values else np.zeros((0, *self.shape), self.dtype)
        self.pairs.append((run("list_scatter", ls=held, indices=np.array(places, np.int32), value=stacked), model))

    @rule(index=indices)
    def read(self, index: int) -> None:
        held, model = self.pairs[-1]
        if index >= len(model) or not self.readable(model, index):
            with pytest.raises(ValueError, match=r"of a list of length|never written, and its shape"):
                run("list_read", ls=held, index=index)
            return
        obtained = run("list_read", ls=held, index=index)
        assert isinstance(obtained, np.ndarray)
        assert (obtained.dtype, obtained.shape) == (self.dtype, self.shape)
        np.testing.assert_array_equal(obtained, self.expected(model, index))
        # What was read is the reader's: changing it changes no list.
        obtained[...] = 0

    @precondition(lambda self: self.pairs[-1][1])
    @rule(data=st.data())
    def gather(self, data: Any) -> None:
        held, model = self.pairs[-1]
        places = data.draw(st.lists(st.integers(0, len(model) - 1), max_size=4))
        if not all(self.readable(model, place) for place in places):
            return
        obtained = run("list_gather", ls=held, indices=np.array(places, np.int32))
        assert obtained.dtype == self.dtype
        assert len(obtained) == len(places)
        for found, place in zip(obtained, places):
            np.testing.assert_array_equal(found, self.expected(model, place))
        if self.known:
            assert obtained.shape == (len(places), *self.shape)

    @rule()
    def refuse(self) -> None:
        """An element of another shape, and another number of values than of indices."""
        held, _ = self.pairs[-1]
        with pytest.raises(ValueError, match=r"^the element written has shape"):
            run("list_write", ls=held, index=0, value=np.zeros((*self.shape, 1), self.dtype))
        with pytest.raises(ValueError, match=r"^1 values for 2 indices$"):
            run("list_scatter", ls=held, indices=np.zeros(2, np.int32), value=np.zeros((1, *self.shape), self.dtype))

    @invariant()
    def every_list_is_as_it_was(self) -> None:
        for held, model in getattr(self, "pairs", ()):
            length = run("list_length", ls=held)
            assert length.dtype == np.int32
            assert int(length) == len(model)
            for index, item in enumerate(model):
                if item is not None:
                    np.testing.assert_array_equal(run("list_read", ls=held, index=index), item)


TestLists = Lists.TestCase
TestLists.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
