"""Branches and loops in each other, drawn at random, against the same statements in Python: both formats, passes or none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import ReferenceModel

SOME = settings(max_examples=40, deadline=None)
NAMES = ("a", "b", "c")
# Values are whole and stay within this, so that every number is exact.
BOUND = 50
OPS: dict[str, tuple[str, Any]] = {
    "add": ("addBroadcastable", lambda x, y: x + y),
    "sub": ("subtractBroadcastable", lambda x, y: x - y),
    "mul": ("multiplyBroadcastable", lambda x, y: x * y),
    "maximum": ("maxBroadcastable", max),
    "minimum": ("minBroadcastable", min),
}
names = st.sampled_from(NAMES)
starts = st.tuples(*[st.integers(-9, 9)] * len(NAMES))
assignments = st.tuples(st.just("set"), names, st.sampled_from(sorted(OPS)), names, names)


def statements(depth: int, *, jumps: bool, looping: bool = False) -> Any:
    """Assignments, branches (if x > y) and loops (so many times, and while x >= y if these are given)."""
    kinds = [assignments, assignments]
    if depth:
        inner = statements(depth - 1, jumps=jumps, looping=looping)
        kinds.append(st.tuples(st.just("if"), names, names, inner, inner))
        in_loop = statements(depth - 1, jumps=jumps, looping=True)
        test = st.one_of(st.none(), st.tuples(names, names))
        kinds.append(st.tuples(st.just("for"), st.integers(1, 4), test, in_loop))
    if jumps and looping:
        kinds.append(st.tuples(st.sampled_from(["break", "continue"]), names, names))
    return st.lists(st.one_of(kinds), min_size=1, max_size=3)


class Break(Exception):  # noqa: N818
    """Python has no break out of a function that is called in the loop."""


class Continue(Exception):  # noqa: N818
    """Nor this."""


def interpret(body: Any, held: dict[str, int]) -> None:
    for statement in body:
        kind = statement[0]
        if kind == "set":
            _, target, op, x, y = statement
            held[target] = min(max(OPS[op][1](held[x], held[y]), -BOUND), BOUND)
        elif kind == "if":
            _, x, y, first, second = statement
            interpret(first if held[x] > held[y] else second, held)
        elif kind == "for":
            _, times, test, inner = statement
            for _ in range(times):
                if test is not None and held[test[0]] < held[test[1]]:
                    break
                try:
                    interpret(inner, held)
                except Continue:
                    continue
                except Break:
                    break
        elif held[statement[1]] > held[statement[2]]:
            raise Break if kind == "break" else Continue


class ProgramWriter:
    """The statements as operations: variables become new values, which branches and loops hand out."""

    def __init__(self, build: Any) -> None:
        self.program = build.program(
            [(name, "float32", (1,)) for name in NAMES], [(name + "_out", "float32", ()) for name in NAMES]
        )
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def values(self) -> list[tuple[str, str, tuple[int]]]:
        return [(self.new(), "float32", (1,)) for _ in NAMES]

    def write(self, block: Any, body: Any, held: dict[str, str]) -> dict[str, str]:
        for statement in body:
            if statement[0] == "set":
                _, target, op, x, y = statement
                raw, result = self.new(), self.new()
                block.op(op, (raw, "float32", (1,)), x=held[x], y=held[y])
                block.op("clip", (result, "float32", (1,)), x=raw, alpha=np.float32(-BOUND), beta=np.float32(BOUND))
                held = {**held, target: result}
            elif statement[0] == "if":
                held = self.branch(block, statement, held)
            else:
                held = self.loop(block, statement, held)
        return held

    def branch(self, block: Any, statement: Any, held: dict[str, str]) -> dict[str, str]:
        _, x, y, *bodies = statement
        which, results = self.new(), self.values()
        block.op("greater", (which, "bool", (1,)), x=held[x], y=held[y])
        branch = block.op("cond", results, pred=which)
        nested = [self.program.nested(branch) for _ in bodies]
        for inner, body in zip(nested, bodies):
            ends = self.write(inner, body, held)
            inner.block.outputs.extend(ends[name] for name in NAMES)
        return {name: result[0] for name, result in zip(NAMES, results)}

    def loop(self, block: Any, statement: Any, held: dict[str, str]) -> dict[str, str]:
        _, times, test, body = statement
        start, results = self.new(), self.values()
        block.const(start, np.zeros(1, np.float32))
        turn = (self.new(), "float32", (1,))
        loop = block.op("while_loop", [turn, *results], loop_vars=[start, *(held[name] for name in NAMES)])
        carried = [(self.new(), "float32", (1,)), *self.values()]
        inside = {name: value[0] for name, value in zip(NAMES, carried[1:])}
        condition = self.program.nested(loop, carried)
        go = self.new()
        condition.op("less", (go, "bool", (1,)), x=carried[0][0], y=np.array([times], np.float32))
        if test is not None:
            also, both = self.new(), self.new()
            condition.op("greater_equal", (also, "bool", (1,)), x=inside[test[0]], y=inside[test[1]])
            condition.op("logical_and", (both, "bool", (1,)), x=go, y=also)
            go = both
        condition.block.outputs.append(go)
        inner = self.program.nested(loop, carried)
        ends, after = self.write(inner, body, inside), self.new()
        inner.op("add", (after, "float32", (1,)), x=carried[0][0], y=np.array([1], np.float32))
        inner.block.outputs.extend([after, *(ends[name] for name in NAMES)])
        return {name: result[0] for name, result in zip(NAMES, results)}


@pytest.mark.parametrize("passes", [None, ()], ids=["all passes", "no passes"])
@SOME
@given(body=statements(2, jumps=False), start=starts)
def test_programs(build: Any, passes: Any, body: Any, start: Any) -> None:
    writer = ProgramWriter(build)
    ends = writer.write(writer.program, body, {name: name for name in NAMES})
    for name in NAMES:
        writer.program.op("identity", (name + "_out", "float32", (1,)), x=ends[name])
    held = dict(zip(NAMES, start))
    model = ReferenceModel(writer.program.model, passes=passes)
    obtained = model.predict({name: [value] for name, value in held.items()})
    interpret(body, held)
    assert {name: obtained[name + "_out"].tolist() for name in NAMES} == {name: [held[name]] for name in NAMES}


class NetworkWriter:
    """The statements as layers: variables are blobs that are written again, in branches and loops too."""

    def __init__(self, build: Any) -> None:
        self.build = build.network(
            [(name + "_in", "float32", (1,)) for name in NAMES], [(name, "float32", ()) for name in NAMES]
        )
        self.count = 0
        for name in NAMES:
            self.layer(None, "copy", [name + "_in"], name)

    def layer(self, network: Any, kind: str, inputs: Any, output: str = "", **fields: Any) -> Any:
        self.count += 1
        return self.build.layer(kind, f"l{self.count}", inputs, [output] if output else [], network=network, **fields)

    def new(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def write(self, network: Any, body: Any) -> None:
        for kind, *rest in body:
            if kind == "set":
                target, op, x, y = rest
                raw, clipped = self.new(), self.new()
                self.layer(network, OPS[op][0], [x, y], raw)
                self.layer(network, "clip", [raw], clipped, minVal=float(-BOUND), maxVal=float(BOUND))
                self.layer(network, "copy", [clipped], target)
            elif kind == "for":
                times, test, inner = rest
                loop = self.layer(network, "loop", []).loop
                loop.maxLoopIterations = times
                if test is not None:
                    loop.conditionVar = self.new()
                    self.layer(loop.conditionNetwork, "greaterEqual", list(test), loop.conditionVar)
                self.write(loop.bodyNetwork, inner)
            else:
                which = self.new()
                self.layer(network, "greaterThan", list(rest[:2]), which)
                branch = self.layer(network, "branch", [which]).branch
                if kind == "if":
                    self.write(branch.ifBranch, rest[2])
                    self.write(branch.elseBranch, rest[3])
                else:
                    self.layer(branch.ifBranch, f"loop{kind.title()}", [])


@pytest.mark.parametrize("passes", [None, ()], ids=["all passes", "no passes"])
@SOME
@given(body=statements(2, jumps=True), start=starts)
def test_networks(build: Any, passes: Any, body: Any, start: Any) -> None:
    """With breaks and continues, which belong to the innermost loop."""
    writer = NetworkWriter(build)
    writer.write(None, body)
    held = dict(zip(NAMES, start))
    model = ReferenceModel(writer.build.model, passes=passes)
    obtained = model.predict({name + "_in": [value] for name, value in held.items()})
    interpret(body, held)
    assert {name: obtained[name].tolist() for name in NAMES} == {name: [held[name]] for name in NAMES}
