"""Convolution and its transpose, exactly: every kind of padding, ranks 1 to 3, strides, gaps, groups, types, both formats."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.kernels.functions import convolution
from pytest_dscoreml.runtime.kernels.nn import records
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_convolution
SOME = settings(max_examples=60, deadline=None)
# Small whole numbers make every sum exact, in whatever order it is taken.
same = np.testing.assert_array_equal
KINDS = ("valid", "same", "same_lower", "custom")
seeds = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


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
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


@st.composite
def geometries(draw: Any, min_rank: int = 1) -> Any:
    """Sizes, kernel, strides, gaps, groups and custom padding, such that at least one window fits any padding."""
    rank = draw(st.integers(min_rank, 3))

    def numbers(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))

    kernel, strides, gaps = numbers(1, 4 if rank < 3 else 3), numbers(1, 3), numbers(1, 2)
    reach = [(size - 1) * gap + 1 for size, gap in zip(kernel, gaps)]
    sizes = tuple(extent + more for extent, more in zip(reach, numbers(0, 6 - rank)))
    return {
        "kernel": kernel,
        "strides": strides,
        "gaps": gaps,
        "reach": reach,
        "sizes": sizes,
        "pads": tuple(zip(numbers(0, 3), numbers(0, 3))),
        "groups": draw(st.integers(1, 3)),
        "channels": (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        "batch": draw(st.integers(1, 2)),
        "seed": draw(seeds),
    }


def padding(kind: str, g: Any) -> list[tuple[int, int]]:
    """The smallest padding for ceil(size / stride) windows, halved, the odd element behind (before, if ``lower``)."""
    if kind == "valid":
        return [(0, 0)] * len(g["sizes"])
    if kind == "custom":
        return list(g["pads"])
    pads = []
    for size, extent, stride in zip(g["sizes"], g["reach"], g["strides"]):
        total, wanted = 0, -(-size // stride)
        while (size + total - extent) // stride + 1 < wanted or size + total < extent:
            total += 1
        smaller = total // 2
        pads.append((smaller, total - smaller) if kind == "same" else (total - smaller, smaller))
    return pads


def flat(pads: Any) -> tuple[int, ...]:
    return tuple(amount for pair in pads for amount in pair)


def convolved(x: Any, w: Any, pads: Any, g: Any) -> Any:
    """sum over c and taps of x[group's c, position * stride + tap * gap - before] w[o, c, tap], in double."""
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    counts = [(size - extent) // step + 1 for size, extent, step in zip(x.shape[2:], g["reach"], g["strides"])]
    result = np.zeros((x.shape[0], w.shape[0], *counts))
    per_out, per_in = w.shape[0] // g["groups"], w.shape[1]
    for output, channel, *tap in np.ndindex(*w.shape):
        at = tuple(
            slice(index * gap, index * gap + (count - 1) * step + 1, step)
            for index, gap, count, step in zip(tap, g["gaps"], counts, g["strides"])
        )
        taken = x[(slice(None), output // per_out * per_in + channel, *at)]
        result[:, output] += taken * float(w[(output, channel, *tap)])
    return result


def spread(x: Any, w: Any, g: Any) -> Any:
    """Each element of x adds its kernel, ``strides`` apart; w [C_in, C_out / groups, *kernel]. Nothing is cut off."""
    sizes = [(size - 1) * step + extent for size, step, extent in zip(x.shape[2:], g["strides"], g["reach"])]
    per_in, per_out = w.shape[0] // g["groups"], w.shape[1]
    result = np.zeros((x.shape[0], per_out * g["groups"], *sizes))
    for position in np.ndindex(*x.shape[2:]):
        at = tuple(
            slice(place * step, place * step + extent, gap)
            for place, step, extent, gap in zip(position, g["strides"], g["reach"], g["gaps"])
        )
        for channel in range(w.shape[0]):
            first = channel // per_in * per_out
            values = x[(slice(None), channel, *position)].astype(np.float64)
            result[(slice(None), slice(first, first + per_out), *at)] += np.multiply.outer(values, w[channel])
    return result


def cut_out(total: Any, before: Any, sizes: Any) -> Any:
    """``sizes`` elements of each spatial axis from ``before`` on, zeros where there are none."""
    room = [(0, max(0, start + size - have)) for start, size, have in zip(before, sizes, total.shape[2:])]
    return np.pad(total, [(0, 0), (0, 0), *room])[
        (slice(None), slice(None), *(slice(start, start + size) for start, size in zip(before, sizes)))
    ]


@SOME
@given(
    g=geometries(), kind=st.sampled_from(KINDS), biased=st.booleans(), dtype=st.sampled_from(["float16", "float32"]),
    most=st.sampled_from([1, 400, 2 << 20]),
)  # fmt: skip
def test_conv(g: Any, kind: str, biased: bool, dtype: str, most: int) -> None:
    """However many bytes of windows are taken at once: each line of them alone, a few, or all."""
    inputs, outputs = (count * g["groups"] for count in g["channels"])
    x = whole(g["seed"], g["batch"], inputs, *g["sizes"], dtype=dtype)
    w = whole(g["seed"] + 1, outputs, g["channels"][0], *g["kernel"], dtype=dtype)
    bias = whole(g["seed"] + 2, outputs, dtype=dtype) if biased else None
    wanted = convolved(x, w, padding(kind, g), g) + (bias.reshape(-1, *(1,) * len(g["sizes"])) if biased else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "_COLUMNS_BYTES", most)
        # Padding that another type than custom ignores.
        obtained = run("conv", x=x, weight=w, bias=bias, strides=g["strides"], dilations=g["gaps"], groups=g["groups"],
                       pad_type=kind, pad=flat(g["pads"]))  # fmt: skip
    assert obtained.dtype == np.float32
    same(obtained, wanted)
    if kind.startswith("same"):
        assert obtained.shape[2:] == tuple(-(-size // step) for size, step in zip(g["sizes"], g["strides"]))


def test_conv_defaults() -> None:
    """No strides, gaps, groups or padding."""
    g = {"strides": (1, 1), "gaps": (1, 1), "reach": (2, 3), "groups": 1}
    x, w = whole(1, 2, 3, 4, 5), whole(2, 4, 3, 2, 3)
    same(run("conv", x=x, weight=w), convolved(x, w, [(0, 0), (0, 0)], g))
    weight = np.swapaxes(w, 0, 1)
    same(run("conv_transpose", x=x, weight=weight), spread(x, weight, g))


@SOME
@given(g=geometries(), kind=st.sampled_from(KINDS), shaped=st.booleans(), biased=st.booleans(), data=st.data())
def test_conv_transpose(g: Any, kind: str, shaped: bool, biased: bool, data: Any) -> None:
    """What a convolution of that padding would have added around its input is cut off the sum.

    ``output_shape`` names one of the inputs that such a convolution brings to x's sizes, else a rule chooses one.
    """
    inputs, outputs = (count * g["groups"] for count in g["channels"])
    rank = len(g["sizes"])
    x = whole(g["seed"], g["batch"], inputs, *g["sizes"])
    w = whole(g["seed"] + 1, inputs, g["channels"][1], *g["kernel"])
    bias = whole(g["seed"] + 2, outputs) if biased else None
    total = spread(x, w, g)
    if kind.startswith("same"):
        sizes = [size * step for size, step in zip(g["sizes"], g["strides"])]
        if shaped:
            # ceil(size / stride) of any of these is x's size.
            sizes = [size - data.draw(st.integers(0, step - 1)) for size, step in zip(sizes, g["strides"])]
        pads = padding(kind, {**g, "sizes": sizes})
    else:
        pads = [(min(a, (n - 1) // 2), min(b, (n - 1) // 2)) for (a, b), n in zip(padding(kind, g), total.shape[2:])]
        sizes = [size - sum(pair) for size, pair in zip(total.shape[2:], pads)]
        if shaped:
            sizes = [size + data.draw(st.integers(0, step - 1)) for size, step in zip(sizes, g["strides"])]
    wanted = cut_out(total, [before for before, _ in pads], sizes)
    obtained = run(
        "conv_transpose",
        x=x,
        weight=w,
        bias=bias,
        strides=g["strides"],
        dilations=g["gaps"],
        groups=g["groups"],
        pad_type=kind,
        pad=flat(pads) if kind == "custom" else None,
        output_shape=(g["batch"], outputs, *sizes) if shaped else None,
    )
    same(obtained, wanted + (bias.reshape(-1, *(1,) * rank) if biased else 0))


@SOME
@given(g=geometries(), kind=st.sampled_from(["same", "valid"]))
def test_both_are_tensorflows(tf: Any, g: Any, kind: str) -> None:
    """Of TensorFlow's convolution, which has no strides and gaps at once, and its gradient, which has no gaps."""
    rank, groups = len(g["sizes"]), 1
    g = {**g, "groups": groups, "gaps": (1,) * rank, "reach": list(g["kernel"])}
    inputs, outputs = g["channels"]
    x, w = whole(g["seed"], g["batch"], inputs, *g["sizes"]), whole(g["seed"] + 1, outputs, inputs, *g["kernel"])
    last, filters = np.moveaxis(x, 1, -1), np.moveaxis(w, (0, 1), (-1, -2))
    options = {"strides": g["strides"], "padding": kind.upper()}
    wanted = tf.nn.convolution(last, filters, **options).numpy()
    obtained = run("conv", x=x, weight=w, strides=g["strides"], pad_type=kind)
    same(np.moveaxis(obtained, 1, -1), wanted)
    fed = whole(g["seed"] + 2, *wanted.shape)
    back = tf.nn.conv_transpose(fed, filters, last.shape, **options).numpy()
    obtained = run("conv_transpose", x=np.moveaxis(fed, -1, 1), weight=w, strides=g["strides"], pad_type=kind,
                   output_shape=x.shape)  # fmt: skip
    same(np.moveaxis(obtained, 1, -1), back)


def edges(pads: Any) -> records.BorderAmounts:
    return records.BorderAmounts(tuple(records.EdgeSizes(*pair) for pair in pads))


@SOME
@given(
    g=geometries(min_rank=2), kind=st.sampled_from(KINDS), transposed=st.booleans(), shaped=st.booleans(),
    biased=st.booleans(),
)  # fmt: skip
def test_layers(g: Any, kind: str, transposed: bool, shaped: bool, biased: bool) -> None:
    """Both layers and both directions; two dimensions have every batch axis, three have no ``same_lower``."""
    rank = len(g["sizes"])
    if rank == 3 and kind == "same_lower":
        kind = "same"
    inputs, outputs = (count * g["groups"] for count in g["channels"])
    lead = (g["batch"], 2) if rank == 2 and g["batch"] == 2 else (g["batch"],)
    images = whole(g["seed"], int(np.prod(lead)), inputs, *g["sizes"])
    columns = (inputs, g["channels"][1]) if transposed else (outputs, g["channels"][0])
    w, bias = whole(g["seed"] + 1, *columns, *g["kernel"]), whole(g["seed"] + 2, outputs)
    sizes: Any = None
    if transposed:
        total = spread(images, w, g)
        if kind.startswith("same"):
            sizes = tuple(size * step for size, step in zip(g["sizes"], g["strides"]))
            pads = padding(kind, {**g, "sizes": sizes})
        else:
            pads = [
                (min(a, (n - 1) // 2), min(b, (n - 1) // 2)) for (a, b), n in zip(padding(kind, g), total.shape[2:])
            ]
            sizes = tuple(size - sum(pair) for size, pair in zip(total.shape[2:], pads))
        wanted = cut_out(total, [before for before, _ in pads], sizes)
    else:
        pads = padding(kind, g)
        wanted = convolved(images, w, pads, g)
    if biased:
        wanted = wanted + bias.reshape(-1, *(1,) * rank)
    fields: dict[str, Any] = {"outputChannels": outputs, "nGroups": g["groups"], "hasBias": biased, "weights": w}
    fields.update(isDeconvolution=transposed, bias=bias)
    if transposed and shaped:
        fields["outputShape"] = sizes
    if rank == 2:
        same_mode = {"same": records.SamePadding(0), "same_lower": records.SamePadding(1)}
        fields.update(kernelSize=g["kernel"], stride=g["strides"], dilationFactor=g["gaps"], kernelChannels=columns[1])
        fields.update({"same": same_mode[kind]} if kind in same_mode else {"valid": records.ValidPadding(edges(pads))})
        obtained = layer("convolution", images.reshape(*lead, *images.shape[1:]), **fields)
        same(obtained, wanted.reshape(*lead, *wanted.shape[1:]))
        return
    for axis, name in enumerate(("Depth", "Height", "Width")):
        fields.update({f"kernel{name}": g["kernel"][axis], f"stride{name}": g["strides"][axis]})
        fields[f"dilation{name}"] = g["gaps"][axis]
    for (start, end), (before, after) in zip((("Front", "Back"), ("Top", "Bottom"), ("Left", "Right")), pads):
        fields.update({f"customPadding{start}": before, f"customPadding{end}": after})
    fields["paddingType"] = {"custom": 0, "valid": 1, "same": 2}[kind]
    same(layer("convolution3d", images, inputChannels=inputs, **fields), wanted)
