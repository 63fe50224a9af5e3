"""Compressed weights and quantised values, exactly: every type of data, scale, offset and table, and coremltools' examples."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_compression
SOME = settings(max_examples=50, deadline=None)
shapes = npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
seeds = st.integers(0, 10**6)
floats = st.sampled_from(["float16", "float32"])
# Integers of fewer bits are read into bytes: their bounds, and the type that holds them.
INTEGERS = {"int4": (-8, 7, "int8"), "uint4": (0, 15, "uint8"), "int8": (-128, 127, "int8"), "uint8": (0, 255, "uint8")}
integers = st.sampled_from(sorted(INTEGERS))
same = np.testing.assert_array_equal


def run(op: str, ios: int, **arguments: Any) -> Any:
    """The kernel's result; float16 arguments are widened first where the executor does so."""
    kernel = mil.find(op, ios)
    assert kernel is not None
    given_arguments = {name: value for name, value in arguments.items() if value is not None}
    return kernel.function(**{name: widen(value) if kernel.wide else value for name, value in given_arguments.items()})


def drawn(seed: int, shape: Any, kind: str) -> Any:
    """Integers of all values, or floats that are multiples of an eighth."""
    random = np.random.default_rng(seed)
    if kind in INTEGERS:
        low, high, dtype = INTEGERS[kind]
        return np.asarray(random.integers(low, high + 1, shape)).astype(dtype)
    return np.asarray(random.integers(-40, 41, shape) / 8).astype(kind)


def scales(seed: int, shape: Any, dtype: str) -> Any:
    return np.asarray(np.random.default_rng(seed).uniform(0.01, 3, shape)).astype(dtype)


def exactly(obtained: Any, expected: Any, dtype: str) -> None:
    """A product of a byte and a scale is exact in double, so that there is one rounding, to the result's type."""
    assert obtained.dtype == dtype
    assert obtained.shape == expected.shape
    same(obtained, expected.astype(dtype))


def along(values: Any, position: Any, axis: int) -> float:
    return float(values if values.ndim == 0 else values[position[axis]])


@SOME
@given(
    shape=shapes, kind=st.sampled_from(["int8", "uint8"]), dtype=floats, vectors=st.tuples(st.booleans(), st.booleans()),
    seed=seeds, data=st.data(),
)  # fmt: skip
def test_affine(shape: Any, kind: str, dtype: str, vectors: Any, seed: int, data: Any) -> None:
    """scale (x - zero), scalars or vectors each on its own, along an axis of either sign."""
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = drawn(seed, shape, kind)
    scale = scales(seed + 1, (shape[axis],) if vectors[0] else (), dtype)
    # The older operation's zero point may be of another type than its data.
    zero_kind = data.draw(st.sampled_from(["int8", "uint8", "float32"]))
    zero, own = (drawn(seed + 2, (shape[axis],) if vectors[1] else (), name) for name in (zero_kind, kind))
    signed = data.draw(st.sampled_from([axis, axis - len(shape)]))
    wanted = np.empty((3, *shape))
    for position in np.ndindex(*shape):
        by = along(scale, position, axis)
        for number, offset in enumerate((zero, own, np.zeros(()))):
            wanted[(number, *position)] = by * (float(x[position]) - along(offset, position, axis))
    old = run("constexpr_affine_dequantize", 16, quantized_data=x, zero_point=zero, scale=scale, axis=signed)
    exactly(old, wanted[0], dtype)
    given_axis = signed if any(vectors) else None
    exactly(run("dequantize", 17, input=x, zero_point=own, scale=scale, axis=given_axis), wanted[1], dtype)
    exactly(run("dequantize", 17, input=x, scale=scale, axis=signed if vectors[0] else None), wanted[2], dtype)


@SOME
@given(
    shape=shapes, kind=st.sampled_from(["int8", "uint8"]), dtype=floats, vector=st.booleans(), powers=st.booleans(),
    seed=seeds, data=st.data(),
)  # fmt: skip
def test_quantize(shape: Any, kind: str, dtype: str, vector: bool, powers: bool, seed: int, data: Any) -> None:
    """clip(round(x / scale) + zero): exactly with scales that are powers of 2, else the nearest but for a rounding."""
    axis = data.draw(st.integers(0, len(shape) - 1))
    size = (shape[axis],) if vector else ()
    x = drawn(seed, shape, dtype) * (8 if data.draw(st.booleans()) else 1)
    zero = drawn(seed + 1, size, kind) if data.draw(st.booleans()) else None
    exponents = np.random.default_rng(seed).integers(-4, 2, size)
    scale = (2.0**exponents).astype(dtype) if powers else scales(seed + 2, size, dtype)
    low, high, _ = INTEGERS[kind]
    signed = data.draw(st.sampled_from([axis, axis - len(shape)])) if vector else None
    obtained = run("quantize", 17, input=x, scale=np.asarray(scale), zero_point=zero, axis=signed, output_dtype=kind)
    assert obtained.dtype == kind
    assert obtained.shape == shape
    for position in np.ndindex(*shape):
        offset = 0 if zero is None else along(zero, position, axis)
        quotient = float(x[position]) / along(np.asarray(scale), position, axis)
        if powers:
            # Python rounds halves to even, too.
            assert obtained[position] == min(max(round(quotient) + offset, low), high)
        else:
            nearest = min(max(quotient + offset, low), high)
            # Divided in single precision, and at most 500.
            assert abs(float(obtained[position]) - nearest) <= 0.5 + 1e-4


def blocks_of(shape: Any, data: Any) -> tuple[int, ...]:
    """A number of blocks along each axis that divides it."""
    return tuple(data.draw(st.sampled_from([n for n in range(1, max(size, 1) + 1) if size % n == 0])) for size in shape)


def block_at(position: Any, shape: Any, blocks: Any) -> tuple[int, ...]:
    return tuple(at * count // size for at, size, count in zip(position, shape, blocks))


@SOME
@given(
    shape=shapes, kind=st.one_of(integers, floats), dtype=floats, shift=st.sampled_from(["none", "own", "float"]),
    seed=seeds, data=st.data(),
)  # fmt: skip
def test_blocks_of_scales(shape: Any, kind: str, dtype: str, shift: str, seed: int, data: Any) -> None:
    """Dense, and of sparse values alone, which then lie where they lay before."""
    blocks = blocks_of(shape, data)
    x, scale = drawn(seed, shape, kind), scales(seed + 1, blocks, dtype)
    offset = {"none": None, "own": drawn(seed + 2, blocks, kind), "float": drawn(seed + 2, blocks, dtype)}[shift]
    mask = np.random.default_rng(seed).integers(0, 2, shape).astype(np.uint8)
    wanted = np.empty(shape)
    for position in np.ndindex(*shape):
        block = block_at(position, shape, blocks)
        wanted[position] = float(scale[block]) * (float(x[position]) - (0 if offset is None else float(offset[block])))
    exactly(run("constexpr_blockwise_shift_scale", 18, data=x, scale=scale, offset=offset), wanted, dtype)
    kept, values = run(
        "constexpr_sparse_blockwise_shift_scale",
        18,
        data_mask=mask,
        nonzero_data=x[mask == 1],
        scale=scale,
        offset=offset,
    )
    same(kept, mask)
    dense = run("constexpr_sparse_to_dense", 18, nonzero_data=values, mask=kept)
    exactly(dense, np.where(mask == 1, wanted, 0), dtype)


@SOME
@given(
    shape=npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    bits=st.sampled_from([1, 2, 3, 4, 6, 8]),
    vector=st.integers(1, 3),
    kind=st.sampled_from(["int8", "uint8", "float16", "float32"]),
    seed=seeds,
    data=st.data(),
)
def test_tables(shape: Any, bits: int, vector: int, kind: str, seed: int, data: Any) -> None:
    """One table for each block; a vector's elements go one after the other along an axis of either sign."""
    blocks = blocks_of(shape, data)
    axis = data.draw(st.integers(0, len(shape) - 1))
    indices = np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.uint8)
    mask = np.random.default_rng(seed + 1).integers(0, 2, shape).astype(np.uint8)
    tables = drawn(seed + 2, (*blocks, 2**bits, vector), kind)
    size = [count * vector if number == axis else count for number, count in enumerate(shape)]
    wanted, wanted_mask = np.empty(size, kind), np.empty(size, np.uint8)
    for position in np.ndindex(*size):
        at = (*position[:axis], position[axis] // vector, *position[axis + 1 :])
        wanted[position] = tables[(*block_at(at, shape, blocks), indices[at], position[axis] % vector)]
        wanted_mask[position] = mask[at]
    along_axis = (
        None if vector == 1 and data.draw(st.booleans()) else data.draw(st.sampled_from([axis, axis - len(shape)]))
    )
    exactly(run("constexpr_lut_to_dense", 18, indices=indices, lut=tables, vector_axis=along_axis), wanted, kind)
    kept, values = run(
        "constexpr_lut_to_sparse",
        18,
        indices_mask=mask,
        indices_nonzero_data=indices[mask == 1],
        lut=tables,
        vector_axis=along_axis,
    )
    same(kept, wanted_mask)
    exactly(values, wanted[wanted_mask == 1], kind)


@SOME
@given(
    shape=shapes,
    bits=st.sampled_from([1, 2, 4, 6, 8]),
    kind=st.sampled_from(["int8", "uint8", "float16", "float32"]),
    seed=seeds,
)
def test_packed_bits(shape: Any, bits: int, kind: str, seed: int) -> None:
    """Indices and masks of the older operations lie in one long number, whose lowest bits come first."""
    indices = np.random.default_rng(seed).integers(0, 2**bits, shape)
    table = drawn(seed, 2**bits, kind)
    number = sum(int(index) << (bits * place) for place, index in enumerate(indices.ravel()))
    octets = np.frombuffer(number.to_bytes(math.ceil(indices.size * bits / 8), "little"), np.uint8)
    exactly(run("constexpr_lut_to_dense", 16, indices=octets, lut=table, shape=shape), table[indices], kind)
    if bits == 1:
        values = drawn(seed + 1, int(indices.sum()), kind)
        dense = np.zeros(shape, kind)
        dense.ravel()[np.flatnonzero(indices)] = values
        exactly(run("constexpr_sparse_to_dense", 16, nonzero_data=values, mask=octets, shape=shape), dense, kind)


@SOME
@given(shape=shapes, seed=seeds)
def test_cast(shape: Any, seed: int) -> None:
    x = np.asarray(np.random.default_rng(seed).normal(size=shape)).astype(np.float16)
    exactly(run("constexpr_cast", 16, source_val=x, output_dtype="fp32"), x.astype(np.float64), "float32")


def test_the_examples_of_the_documentation() -> None:
    indices = np.array([2, 3, 3, 0, 1, 0, 3, 0, 2, 1, 0, 3], np.uint8).reshape(6, 2)
    lut = np.array([1.0, 5.0, 9.0, 13.0, 2.0, 10.0, 18.0, 26.0], np.float16).reshape(2, 1, 4, 1)
    wanted = [[9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]]
    assert run("constexpr_lut_to_dense", 18, indices=indices, lut=lut).tolist() == wanted
    indices = np.array([[[0, 0], [1, 0]], [[1, 1], [0, 0]]], np.uint8)
    # The vectors (a0, a1, a2) and (b0, b1, b2).
    lut = np.array([1, 2, 3, 4, 5, 6], np.int8).reshape(1, 1, 1, 2, 3)
    assert run("constexpr_lut_to_dense", 18, indices=indices, lut=lut, vector_axis=1).tolist() == [
        [[1, 1], [2, 2], [3, 3], [4, 1], [5, 2], [6, 3]],
        [[4, 4], [5, 5], [6, 6], [1, 1], [2, 2], [3, 3]],
    ]
    assert run("constexpr_lut_to_dense", 18, indices=indices, lut=lut, vector_axis=2).tolist() == [
        [[1, 2, 3, 1, 2, 3], [4, 5, 6, 1, 2, 3]],
        [[4, 5, 6, 4, 5, 6], [1, 2, 3, 1, 2, 3]],
    ]
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]], np.uint8)
    kept, values = run(
        "constexpr_sparse_blockwise_shift_scale",
        18,
        data_mask=mask,
        nonzero_data=np.array([10, 11, 3, 4, 5, 6, 7, 8, 9], np.uint8),
        scale=np.array([[0.1, 0.2, 0.3, 0.4]], np.float32),
        offset=np.array([[1, 2, 3, 4]], np.uint8),
    )
    same(kept, mask)
    assert values.tolist() == pytest.approx([0.9, 1.8, 0.2, 0.4, 0.6, 0.9, 1.2, 0.7, 1.4])
