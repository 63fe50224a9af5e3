"""Pooling against loops over its definition: every kind of padding and of window, ceil mode, whole images, both formats."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.kernels.nn import records
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_pooling
SOME = settings(max_examples=80, deadline=None)
seeds = st.integers(0, 10**6)
OPS = ("max_pool", "avg_pool", "l2_pool")
KINDS = ("valid", "same", "same_lower", "custom")
# Sums of small whole numbers are exact; a mean and a square root of them are rounded once.
ROUNDED = 2.0**-23


def run(op: str, **arguments: Any) -> Any:
    """The kernel's result; float16 arguments are widened first, as the executor does."""
    kernel = mil.find(op, 16)
    assert kernel is not None
    assert kernel.wide
    return kernel.function(**{name: widen(value) for name, value in arguments.items() if value is not None})


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


def whole(seed: int, *shape: int, dtype: str = "float32") -> Any:
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def agree(obtained: Any, expected: Any) -> None:
    assert obtained.dtype == np.float32
    assert obtained.shape == expected.shape
    np.testing.assert_allclose(obtained, expected, rtol=ROUNDED, atol=0)


@st.composite
def geometries(draw: Any, min_rank: int = 1, max_rank: int = 3) -> Any:
    """Padding on either side is less than the kernel: no window is all padding."""
    rank = draw(st.integers(min_rank, max_rank))

    def numbers(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))

    kernel, strides = numbers(1, 4), numbers(1, 3)
    sizes = tuple(extent + more for extent, more in zip(kernel, numbers(0, 6 - rank)))
    pads = tuple((draw(st.integers(0, extent - 1)), draw(st.integers(0, extent - 1))) for extent in kernel)
    return {"kernel": kernel, "strides": strides, "sizes": sizes, "pads": pads, "seed": draw(seeds)}


def padding(kind: str, g: Any) -> list[tuple[int, int]]:
    """What makes ceil(size / stride) windows, halved, the odd element behind (before, if ``lower``)."""
    if kind in ("valid", "custom"):
        return list(g["pads"]) if kind == "custom" else [(0, 0)] * len(g["sizes"])
    pads = []
    for size, extent, step in zip(g["sizes"], g["kernel"], g["strides"]):
        total = 0
        while (size + total - extent) // step + 1 < math.ceil(size / step):
            total += 1
        smaller = total // 2
        pads.append((smaller, total - smaller) if kind == "same" else (total - smaller, smaller))
    return pads


def counts(g: Any, pads: Any, *, ceil: bool) -> list[int]:
    """How many windows there are; -1 for an axis whose last one would begin after everything."""
    numbers = []
    for size, extent, step, (before, after) in zip(g["sizes"], g["kernel"], g["strides"], pads):
        room = size + before + after - extent
        number = (-(-room // step) if ceil else room // step) + 1
        if ceil and (number - 1) * step >= size + before:
            number = number - 1 if before + after else -1
        numbers.append(number)
    return numbers


def pooled(op: str, x: Any, g: Any, pads: Any, numbers: Any, *, exclude: bool) -> Any:
    """Window by window; the padding counts in a mean unless ``exclude``, what lies beyond it never does."""
    rank = len(numbers)
    result = np.empty((*x.shape[: x.ndim - rank], *numbers))
    for position in np.ndindex(*numbers):
        inside, members = [], 1
        for place, step, extent, size, (before, after) in zip(position, g["strides"], g["kernel"], g["sizes"], pads):
            taps = range(place * step - before, place * step - before + extent)
            real = [tap for tap in taps if 0 <= tap < size]
            members *= len(real) if exclude else sum(1 for tap in taps if tap < size + after)
            inside.append(slice(real[0], real[-1] + 1))
        part = x[(Ellipsis, *inside)].astype(np.float64)
        axes = tuple(range(x.ndim - rank, x.ndim))
        result[(Ellipsis, *position)] = {
            "max_pool": lambda part=part, axes=axes: part.max(axes),
            "avg_pool": lambda part=part, axes=axes, members=members: part.sum(axes) / members,
            "l2_pool": lambda part=part, axes=axes: np.sqrt((part * part).sum(axes)),
        }[op]()
    return result


@SOME
@given(
    g=geometries(),
    op=st.sampled_from(OPS),
    kind=st.sampled_from(KINDS),
    exclude=st.booleans(),
    dtype=st.sampled_from(["float16", "float32"]),
    capital=st.booleans(),
)
def test_pool(g: Any, op: str, kind: str, exclude: bool, dtype: str, capital: bool) -> None:
    x = whole(g["seed"], 2, 2, *g["sizes"], dtype=dtype)
    pads = padding(kind, g)
    arguments: dict[str, Any] = {"kernel_sizes": g["kernel"], "strides": g["strides"]}
    if op == "avg_pool":
        arguments["exclude_padding_from_average"] = exclude
    if set(g["strides"]) == {1}:
        arguments["strides"] = None
    # Padding that another type than custom ignores.
    amounts = tuple(amount for pair in g["pads"] for amount in pair)
    obtained = run(op, x=x, pad_type=kind.upper() if capital else kind, pad=amounts, **arguments)
    agree(obtained, pooled(op, x, g, pads, counts(g, pads, ceil=False), exclude=exclude))


@SOME
@given(
    g=geometries(max_rank=2), op=st.sampled_from(OPS), kind=st.sampled_from(["valid", "custom"]), exclude=st.booleans()
)
def test_ceil_mode(g: Any, op: str, kind: str, exclude: bool) -> None:
    """Both formats have it, for one and two dimensions, with the same padding on both sides."""
    pads = [(pair[0], pair[0]) for pair in padding(kind, g)]
    numbers = counts(g, pads, ceil=True)
    assume(-1 not in numbers)
    x = whole(g["seed"], 1, 2, *g["sizes"])
    wanted = pooled(op, x, g, pads, numbers, exclude=exclude)
    options = {"exclude_padding_from_average": exclude} if op == "avg_pool" else {}
    obtained = run(
        op,
        x=x,
        kernel_sizes=g["kernel"],
        strides=g["strides"],
        pad_type=kind,
        pad=tuple(amount for pair in pads for amount in pair) if kind == "custom" else None,
        ceil_mode=True,
        **options,
    )
    agree(obtained, wanted)
    if len(numbers) == 2:
        last = records.ValidCompletePadding(tuple(before for before, _ in pads) if kind == "custom" else ())
        fields = {"kernelSize": g["kernel"], "stride": g["strides"], "includeLastPixel": last}
        agree(layer("pooling", x, type=OPS.index(op), avgPoolExcludePadding=exclude, **fields), wanted)


@SOME
@given(
    g=geometries(min_rank=2), op=st.sampled_from(OPS), kind=st.sampled_from(KINDS), exclude=st.booleans(),
    lead=npst.array_shapes(min_dims=1, max_dims=2, max_side=2),
)  # fmt: skip
def test_layers(g: Any, op: str, kind: str, exclude: bool, lead: Any) -> None:
    """Two dimensions with any number of batch axes; three, which have neither L2 nor ``same_lower``."""
    rank = len(g["sizes"])
    if rank == 3:
        lead, op, kind = lead[:1], op.replace("l2", "avg"), kind.replace("_lower", "")
    pads = padding(kind, g)
    x = whole(g["seed"], *lead, 2, *g["sizes"])
    wanted = pooled(op, x, g, pads, counts(g, pads, ceil=False), exclude=exclude)
    fields: dict[str, Any] = {"type": OPS.index(op)}
    if rank == 2:
        border = records.BorderAmounts(tuple(records.EdgeSizes(*pair) for pair in pads))
        fields.update(kernelSize=g["kernel"], stride=g["strides"], avgPoolExcludePadding=exclude)
        if kind.startswith("same"):
            fields["same"] = records.SamePadding(int(kind == "same_lower"))
        else:
            fields["valid"] = records.ValidPadding(border if kind == "custom" else None)
        agree(layer("pooling", x, **fields), wanted)
        return
    for axis, name in enumerate(("Depth", "Height", "Width")):
        fields.update({f"kernel{name}": g["kernel"][axis], f"stride{name}": g["strides"][axis]})
    for (start, end), (before, after) in zip((("Front", "Back"), ("Top", "Bottom"), ("Left", "Right")), g["pads"]):
        fields.update({f"customPadding{start}": before, f"customPadding{end}": after})
    fields.update(paddingType={"custom": 0, "valid": 1, "same": 2}[kind], countExcludePadding=exclude)
    agree(layer("pooling3d", x, **fields), wanted)


@SOME
@given(shape=npst.array_shapes(min_dims=4, max_dims=6, max_side=5), op=st.sampled_from(OPS), seed=seeds)
def test_whole_images(shape: Any, op: str, seed: int) -> None:
    """Global pooling of two dimensions with any number of batch axes, of three with one, and one window that is as large."""
    x = whole(seed, *shape)
    for rank, name in ((2, "pooling"), (3, "globalPooling3d")):
        if rank == 3 and (len(shape) != 5 or op == "l2_pool"):
            continue
        sizes = shape[len(shape) - rank :]
        g = {"kernel": sizes, "strides": (1,) * rank, "sizes": sizes}
        wanted = pooled(op, x, g, [(0, 0)] * rank, [1] * rank, exclude=False)
        fields: dict[str, Any] = {"globalPooling": True} if rank == 2 else {}
        agree(layer(name, x, type=OPS.index(op), **fields), wanted)
        if len(shape) == rank + 2:
            agree(run(op, x=x, kernel_sizes=sizes, pad_type="valid"), wanted)
