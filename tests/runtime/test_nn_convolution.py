"""Neural network: convolution and pooling, with the specification's padding rules, against loops in double."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.kernels.nn import records
from pytest_dscoreml.runtime.registry import nn

assert kernels
FEW = settings(max_examples=30, deadline=None)
Pairs = list[tuple[int, int]]


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


def near(obtained: Any, expected: Any) -> None:
    assert obtained.shape == expected.shape
    np.testing.assert_allclose(obtained, expected, rtol=1e-4, atol=1e-4)


def drawn(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def border(pairs: Pairs) -> records.BorderAmounts:
    return records.BorderAmounts(tuple(records.EdgeSizes(*pair) for pair in pairs))


def same_pads(sizes: Any, reach: Any, strides: Any, top_heavy: bool) -> Pairs:
    """The specification's formula for the padding of ``same``."""
    pairs = []
    for size, extent, stride in zip(sizes, reach, strides):
        total = max(0, (-(-size // stride) - 1) * stride + extent - size)
        half = total // 2
        pairs.append((total - half, half) if top_heavy else (half, total - half))
    return pairs


def convolved(x: Any, w: Any, pads: Pairs, strides: Any, gaps: Any, groups: int) -> Any:
    """The definition, one position after the other; x [n, C, *sizes], w [O, C / groups, *kernel]."""
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    reach = [(k - 1) * gap + 1 for k, gap in zip(w.shape[2:], gaps)]
    counts = [(size - extent) // stride + 1 for size, extent, stride in zip(x.shape[2:], reach, strides)]
    result = np.zeros((x.shape[0], w.shape[0], *counts))
    per_in, per_out = x.shape[1] // groups, w.shape[0] // groups
    for position in np.ndindex(*counts):
        at = tuple(
            slice(p * stride, p * stride + extent, gap)
            for p, stride, extent, gap in zip(position, strides, reach, gaps)
        )
        for group in range(groups):
            part = x[(slice(None), slice(group * per_in, (group + 1) * per_in), *at)]
            kernel = w[group * per_out : (group + 1) * per_out]
            axes = list(range(1, x.ndim))
            result[(slice(None), slice(group * per_out, (group + 1) * per_out), *position)] = np.tensordot(
                part, kernel, (axes, axes)
            )
    return result


def spread(x: Any, w: Any, strides: Any, gaps: Any, groups: int) -> Any:
    """The whole transposed convolution; w [C, O / groups, *kernel]."""
    reach = [(k - 1) * gap + 1 for k, gap in zip(w.shape[2:], gaps)]
    whole = [(size - 1) * stride + extent for size, stride, extent in zip(x.shape[2:], strides, reach)]
    result = np.zeros((x.shape[0], w.shape[1] * groups, *whole))
    per_in, per_out = x.shape[1] // groups, w.shape[1]
    for position in np.ndindex(*x.shape[2:]):
        at = tuple(
            slice(p * stride, p * stride + extent, gap)
            for p, stride, extent, gap in zip(position, strides, reach, gaps)
        )
        for channel in range(x.shape[1]):
            first = channel // per_in * per_out
            value = x[(slice(None), channel, *position)].astype(np.float64)
            result[(slice(None), slice(first, first + per_out), *at)] += np.multiply.outer(value, w[channel])
    return result


geometry = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(5, 8), st.integers(5, 8)),
        "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "gaps": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "groups": st.sampled_from([1, 2]),
        "pads": st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=2),
        "same": st.sampled_from([None, 0, 1]),
        "lead": st.sampled_from([(1,), (2,), (2, 1), (1, 2)]),
        "seed": st.integers(0, 99),
    }
)


def fields_of(g: Any) -> dict[str, Any]:
    padding: dict[str, Any] = (
        {"valid": records.ValidPadding(border(g["pads"]))}
        if g["same"] is None
        else {"same": records.SamePadding(g["same"])}
    )
    return {"kernelSize": g["kernel"], "stride": g["stride"], **padding}


@FEW
@given(g=geometry, dynamic=st.booleans())
def test_convolution(g: Any, dynamic: bool) -> None:
    x = drawn(g["seed"], *g["lead"], 4, *g["size"])
    w, bias = drawn(1, 6, 4 // g["groups"], *g["kernel"]), drawn(2, 6)
    reach = [(k - 1) * gap + 1 for k, gap in zip(g["kernel"], g["gaps"])]
    pads = g["pads"] if g["same"] is None else same_pads(g["size"], reach, g["stride"], g["same"] == 1)
    expected = convolved(x.reshape(-1, *x.shape[-3:]), w, pads, g["stride"], g["gaps"], g["groups"])
    fields = {**fields_of(g), "nGroups": g["groups"], "dilationFactor": g["gaps"], "outputChannels": 6}
    if dynamic:
        obtained = layer("convolution", x, w, **fields)
    else:
        obtained = layer("convolution", x, weights=w, hasBias=True, bias=bias, **fields)
        expected = expected + bias.reshape(-1, 1, 1)
    near(obtained, expected.reshape(*g["lead"], *expected.shape[1:]))


@FEW
@given(g=geometry, more=st.sampled_from([None, (0, 0), (1, 2)]))
def test_deconvolution(g: Any, more: Optional[tuple[int, int]]) -> None:
    x, w = drawn(g["seed"], *g["lead"], 4, *g["size"]), drawn(1, 4, 3, *g["kernel"])
    whole = spread(x.reshape(-1, *x.shape[-3:]), w, g["stride"], (1, 1), g["groups"])
    if g["same"] is None:
        before = [pair[0] for pair in g["pads"]]
        sizes = [size - sum(pair) for size, pair in zip(whole.shape[2:], g["pads"])]
    else:
        sizes = [size * stride for size, stride in zip(g["size"], g["stride"])]
        totals = [max(0, have - size) for have, size in zip(whole.shape[2:], sizes)]
        before = [total - total // 2 if g["same"] == 1 else total // 2 for total in totals]
    fields: dict[str, Any] = {**fields_of(g), "nGroups": g["groups"], "isDeconvolution": True}
    if more is not None and g["same"] is None:
        sizes = [size + extra for size, extra in zip(sizes, more)]
        fields["outputShape"] = tuple(sizes)
    padded = np.pad(whole, [(0, 0), (0, 0), (0, 9), (0, 9)])
    expected = padded[:, :, before[0] : before[0] + sizes[0], before[1] : before[1] + sizes[1]]
    near(layer("convolution", x, weights=w, **fields), expected.reshape(*g["lead"], *expected.shape[1:]))


@settings(max_examples=12, deadline=None)
@given(
    padding=st.integers(0, 2), stride=st.integers(0, 2), gap=st.integers(0, 2), groups=st.sampled_from([0, 2]),
    deconvolution=st.booleans(),
)  # fmt: skip
def test_convolution_in_three_dimensions(padding: int, stride: int, gap: int, groups: int, deconvolution: bool) -> None:
    x, kernel = drawn(3, 1, 2, 5, 6, 5), (2, 3, 2)
    pads = [(1, 0), (0, 1), (1, 1)]
    steps, gaps = (stride or 1,) * 3, (gap or 1,) * 3
    reach = [(k - 1) * (gap or 1) + 1 for k in kernel]
    fields: dict[str, Any] = {"paddingType": padding, "nGroups": groups, "isDeconvolution": deconvolution}
    for name, size in zip(("Depth", "Height", "Width"), kernel):
        fields.update({f"kernel{name}": size, f"stride{name}": stride, f"dilation{name}": gap})
    for (start, end), (before, after) in zip((("Front", "Back"), ("Top", "Bottom"), ("Left", "Right")), pads):
        fields.update({f"customPadding{start}": before, f"customPadding{end}": after})
    chosen = {0: pads, 1: [(0, 0)] * 3, 2: same_pads(x.shape[2:], reach, steps, False)}[padding]
    if not deconvolution:
        w = drawn(1, 4, 2 // (groups or 1), *kernel)
        near(layer("convolution3d", x, weights=w, **fields), convolved(x, w, chosen, steps, gaps, groups or 1))
        return
    w = drawn(1, 2, 3, *kernel)
    whole = spread(x, w, steps, gaps, groups or 1)
    if padding == 2:
        sizes = [size * step for size, step in zip(x.shape[2:], steps)]
        before = [max(0, have - size) // 2 for have, size in zip(whole.shape[2:], sizes)]
    else:
        before = [pair[0] for pair in chosen]
        sizes = [size - sum(pair) for size, pair in zip(whole.shape[2:], chosen)]
    cut = tuple(slice(start, start + size) for start, size in zip(before, sizes))
    near(layer("convolution3d", x, weights=w, **fields), whole[(slice(None), slice(None), *cut)])


def pooled(x: Any, kind: int, kernel: Any, strides: Any, pads: Pairs, counts: Any, exclude: bool) -> Any:
    """The definition; padding counts in an average unless ``exclude``, what lies beyond it never does."""
    wide = x.astype(np.float64)
    result = np.zeros((*x.shape[:-2], *counts))
    for row, column in np.ndindex(*counts):
        bounds = []
        members = 1
        for place, axis in ((row, 0), (column, 1)):
            start = place * strides[axis] - pads[axis][0]
            size = x.shape[-2 + axis]
            first, last = max(0, start), min(size, start + kernel[axis])
            counted = (first, last) if exclude else (start, min(start + kernel[axis], size + pads[axis][1]))
            members *= counted[1] - counted[0]
            bounds.append(slice(first, last))
        part = wide[(..., *bounds)]
        values = {
            0: lambda v=part: v.max((-2, -1), initial=-np.inf),
            1: lambda v=part, m=members: v.sum((-2, -1)) / m,
            2: lambda v=part: np.sqrt(np.square(v).sum((-2, -1))),
        }[kind]()
        result[..., row, column] = values
    return result


@settings(max_examples=60, deadline=None)
@given(g=geometry, kind=st.integers(0, 2), exclude=st.booleans())
def test_pooling(g: Any, kind: int, exclude: bool) -> None:
    x = drawn(g["seed"], *g["lead"], 2, *g["size"])
    pads = [(min(a, k - 1), min(b, k - 1)) for (a, b), k in zip(g["pads"], g["kernel"])]
    if g["same"] is not None:
        pads = same_pads(g["size"], g["kernel"], g["stride"], g["same"] == 1)
    counts = [
        (size + sum(pair) - k) // stride + 1 for size, pair, k, stride in zip(g["size"], pads, g["kernel"], g["stride"])
    ]
    expected = pooled(x, kind, g["kernel"], g["stride"], pads, counts, exclude)
    fields = fields_of({**g, "pads": pads})
    near(layer("pooling", x, type=kind, avgPoolExcludePadding=exclude, **fields), expected)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(4, 8), st.integers(4, 8)), kernel=st.integers(2, 3), stride=st.integers(1, 3),
    pad=st.integers(0, 1), kind=st.integers(0, 2), exclude=st.booleans(),
)  # fmt: skip
def test_pooling_that_includes_the_last_pixel(
    size: Any, kernel: int, stride: int, pad: int, kind: int, exclude: bool
) -> None:
    x = drawn(4, 1, 2, *size)
    counts = []
    for length in size:
        number = -(-(length + 2 * pad - kernel) // stride) + 1
        if pad and (number - 1) * stride >= length + pad:
            number -= 1
        counts.append(number)
    if not pad and any((number - 1) * stride >= length for number, length in zip(counts, size)):
        # The formula asks for a window that has no pixel.
        with pytest.raises(ValueError, match=r"^ceil_mode makes a window"):
            layer(
                "pooling",
                x,
                kernelSize=(kernel,) * 2,
                stride=(stride,) * 2,
                includeLastPixel=records.ValidCompletePadding(),
            )
        return
    expected = pooled(x, kind, (kernel,) * 2, (stride,) * 2, [(pad, pad)] * 2, counts, exclude)
    obtained = layer(
        "pooling",
        x,
        type=kind,
        kernelSize=(kernel,) * 2,
        stride=(stride,) * 2,
        includeLastPixel=records.ValidCompletePadding((pad, pad)),
        avgPoolExcludePadding=exclude,
    )
    near(obtained, expected)


def test_global_pooling() -> None:
    x = drawn(5, 2, 3, 4, 5)
    wide = x.astype(np.float64)
    near(layer("pooling", x, type=0, globalPooling=True), wide.max((-2, -1), keepdims=True))
    near(layer("pooling", x, type=1, globalPooling=True), wide.mean((-2, -1), keepdims=True))
    near(layer("pooling", x, type=2, globalPooling=True), np.sqrt(np.square(wide).sum((-2, -1), keepdims=True)))
    deep = drawn(5, 1, 2, 3, 4, 5)
    near(layer("globalPooling3d", deep, type=0), deep.max((2, 3, 4), keepdims=True))
    near(layer("globalPooling3d", deep, type=1), deep.astype(np.float64).mean((2, 3, 4), keepdims=True))


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_pooling_in_three_dimensions(padding: int, kind: int, exclude: bool) -> None:
    x, kernel, steps = drawn(6, 1, 2, 4, 5, 6), (2, 3, 2), (2, 1, 2)
    pads = {0: [(1, 0), (1, 1), (0, 1)], 1: [(0, 0)] * 3, 2: same_pads(x.shape[2:], kernel, steps, False)}[padding]
    fields: dict[str, Any] = {"type": kind, "paddingType": padding, "countExcludePadding": exclude}
    for name, size, step in zip(("Depth", "Height", "Width"), kernel, steps):
        fields.update({f"kernel{name}": size, f"stride{name}": step})
    if padding == 0:
        for (start, end), (before, after) in zip((("Front", "Back"), ("Top", "Bottom"), ("Left", "Right")), pads):
            fields.update({f"customPadding{start}": before, f"customPadding{end}": after})
    filled = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads], constant_values=-np.inf if kind == 0 else 0)
    ones = np.pad(np.ones(x.shape[2:]), pads, constant_values=0 if exclude else 1)
    counts = [(size - k) // step + 1 for size, k, step in zip(filled.shape[2:], kernel, steps)]
    expected = np.zeros((1, 2, *counts))
    for position in np.ndindex(*counts):
        at = tuple(slice(p * step, p * step + k) for p, step, k in zip(position, steps, kernel))
        part = filled[(slice(None), slice(None), *at)]
        value = part.max((2, 3, 4)) if kind == 0 else part.sum((2, 3, 4)) / ones[at].sum()
        expected[(slice(None), slice(None), *position)] = value
    near(layer("pooling3d", x, **fields), expected)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"^an input of rank 3, expected 4 or more$"):
        layer("pooling", drawn(1, 2, 3, 3))
    with pytest.raises(ValueError, match=r"^weights of shape \(1, 2, 3, 3\) and a kernelSize \(2, 2\)$"):
        layer("convolution", drawn(1, 1, 2, 4, 4), weights=drawn(1, 1, 2, 3, 3), kernelSize=(2, 2))
    with pytest.raises(ValueError, match=r"^one input and no weights$"):
        layer("convolution", drawn(1, 1, 2, 4, 4))
