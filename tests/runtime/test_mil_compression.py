"""Compressed weights and quantised values against their defining formulas, element by element in double."""

from __future__ import annotations

from typing import Any, Optional

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.blob import packed_bytes, unpack
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_compression
shapes = npst.array_shapes(min_dims=1, max_dims=3, max_side=4)


def run(op: str, ios: int, **arguments: Any) -> Any:
    kernel = mil.find(op, ios)
    assert kernel is not None
    return kernel.function(**arguments)


def packed(values: Any, bits: int) -> Any:
    """Each value's lowest bits, lowest first, one value after the other."""
    flat = [(int(value) >> bit) & 1 for value in np.asarray(values).ravel() for bit in range(bits)]
    flat += [0] * (-len(flat) % 8)
    octets = [sum(bit << place for place, bit in enumerate(flat[at : at + 8])) for at in range(0, len(flat), 8)]
    return np.array(octets, np.uint8)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(["uint1", "uint2", "uint3", "uint4", "uint6", "int4"]), shape=shapes, data=st.data())
def test_packed_integers_are_unpacked(kind: str, shape: tuple[int, ...], data: Any) -> None:
    bits = int(kind.lstrip("uint"))
    low, high = (-8, 7) if kind == "int4" else (0, 2**bits - 1)
    values = data.draw(npst.arrays(np.int8, shape, elements=st.integers(low, high)))
    obtained = unpack(packed(values, bits), kind, shape)
    assert obtained.dtype == (np.int8 if kind == "int4" else np.uint8)
    np.testing.assert_array_equal(obtained, values)
    assert packed_bytes(values.size, kind) == packed(values, bits).size


def test_packed_integers_of_another_size_are_refused() -> None:
    with pytest.raises(LoadError, match=r"^holds 1 bytes, uint4\(3,\) takes 2$"):
        unpack(np.zeros(1, np.uint8), "uint4", (3,))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, dtype=st.sampled_from([np.int8, np.uint8]), half=st.booleans(), data=st.data())
def test_affine(shape: tuple[int, ...], dtype: Any, half: bool, data: Any) -> None:
    """One formula behind constexpr_affine_dequantize and dequantize, and quantize as its inverse."""
    float_type = np.float16 if half else np.float32
    limits = np.iinfo(dtype)
    integers = st.integers(int(limits.min), int(limits.max))
    values = data.draw(npst.arrays(dtype, shape, elements=integers))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    vector = data.draw(st.booleans())
    size = (shape[axis],) if vector else ()
    scale = data.draw(npst.arrays(float_type, size, elements=st.sampled_from([0.25, 0.5, 2.0])))
    zero = data.draw(npst.arrays(dtype, size, elements=integers))
    spread = [1] * len(shape)
    spread[axis] = -1
    wide_scale, wide_zero = (np.reshape(part.astype(np.float64), spread) for part in (scale, zero))
    expected = wide_scale * (values.astype(np.float64) - wide_zero)
    old = run("constexpr_affine_dequantize", 16, quantized_data=values, zero_point=zero, scale=scale, axis=axis)
    given_axis = axis if vector else None
    new = run("dequantize", 17, input=values, zero_point=zero, scale=scale, axis=given_axis)
    for obtained in (old, new):
        assert obtained.dtype == float_type
        assert obtained.shape == shape
        np.testing.assert_array_equal(obtained, expected.astype(float_type))
    back = run(
        "quantize",
        17,
        input=expected.astype(np.float32),
        zero_point=zero,
        scale=scale.astype(np.float32),
        axis=given_axis,
        output_dtype=np.dtype(dtype).name,
    )
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, values)


def test_quantize_rounds_halves_to_even_and_saturates() -> None:
    x = np.array([0.25, 0.75, 1.25, -0.25, 1e6, -1e6], np.float32)
    obtained = run("quantize", 17, input=x, scale=np.float32(0.5), output_dtype="int8")
    assert obtained.tolist() == [0, 2, 2, 0, 127, -128]
    with pytest.raises(ValueError, match=r"^output_dtype 'int32' is neither int8 nor uint8$"):
        run("quantize", 17, input=x, scale=np.float32(0.5), output_dtype="int32")


def test_constexpr_cast() -> None:
    obtained = run("constexpr_cast", 16, source_val=np.array([0.1], np.float16), output_dtype="fp32")
    assert obtained.dtype == np.float32
    assert obtained[0] == np.float32(np.float16(0.1))


@settings(max_examples=60, deadline=None)
@given(bits=st.sampled_from([1, 2, 4, 6, 8]), shape=shapes, data=st.data())
def test_table_with_packed_indices(bits: int, shape: tuple[int, ...], data: Any) -> None:
    table = np.arange(2**bits, dtype=np.float16) * 3 - 1
    indices = data.draw(npst.arrays(np.int64, shape, elements=st.integers(0, 2**bits - 1)))
    obtained = run("constexpr_lut_to_dense", 16, indices=packed(indices, bits), lut=table, shape=shape)
    assert obtained.dtype == np.float16
    np.testing.assert_array_equal(obtained, indices * 3.0 - 1)


def test_tables_and_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^a table of 3 entries$"):
        run("constexpr_lut_to_dense", 16, indices=packed([0], 2), lut=np.zeros(3), shape=(1,))
    with pytest.raises(ValueError, match=r"^1 bytes hold no 9 integers of 1 bits$"):
        run("constexpr_sparse_to_dense", 16, nonzero_data=np.zeros(1), mask=packed([1], 1), shape=(3, 3))
    with pytest.raises(ValueError, match=r"asks for more than 2 GiB$"):
        run("constexpr_sparse_to_dense", 16, nonzero_data=np.zeros(1), mask=packed([1], 1), shape=(2**20, 2**20))
    with pytest.raises(ValueError, match=r"^\(1,\) values for a mask with 2 set$"):
        run("constexpr_sparse_to_dense", 18, nonzero_data=np.zeros(1), mask=np.array([1, 1], np.uint8))
    with pytest.raises(ValueError, match=r"^index 2 into tables of 2 entries$"):
        run("constexpr_lut_to_dense", 18, indices=np.array([2], np.uint8), lut=np.zeros((1, 2, 1)))
    with pytest.raises(ValueError, match=r"^3 elements cannot be cut into 2 blocks$"):
        run("constexpr_blockwise_shift_scale", 18, data=np.zeros(3, np.int8), scale=np.ones(2, np.float32))


@settings(max_examples=40, deadline=None)
@given(mask=npst.arrays(np.uint8, shapes, elements=st.integers(0, 1)))
def test_sparse(mask: Any) -> None:
    nonzero = np.arange(1, 1 + int(mask.sum()), dtype=np.int8)
    old = run("constexpr_sparse_to_dense", 16, nonzero_data=nonzero, mask=packed(mask, 1), shape=mask.shape)
    new = run("constexpr_sparse_to_dense", 18, nonzero_data=nonzero, mask=mask)
    remaining = iter(nonzero.tolist())
    expected = np.array([next(remaining) if bit else 0 for bit in mask.ravel()], np.int8).reshape(mask.shape)
    for obtained in (old, new):
        assert obtained.dtype == np.int8
        np.testing.assert_array_equal(obtained, expected)


def blocks_of(shape: tuple[int, ...], data: Any) -> tuple[int, ...]:
    """A number of blocks along each axis that divides it."""
    return tuple(data.draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0])) for size in shape)


def block_at(position: tuple[int, ...], shape: tuple[int, ...], blocks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(at * count // size for at, size, count in zip(position, shape, blocks))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, offset=st.sampled_from([None, np.int8, np.float32]), data=st.data())
def test_blockwise_dense_and_sparse(shape: tuple[int, ...], offset: Any, data: Any) -> None:
    blocks = blocks_of(shape, data)
    values = data.draw(npst.arrays(np.int8, shape, elements=st.integers(-128, 127)))
    mask = data.draw(npst.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    scale = data.draw(npst.arrays(np.float32, blocks, elements=st.sampled_from([0.25, 0.5, 3.0])))
    shift: Optional[Any] = None
    if offset is not None:
        shift = data.draw(npst.arrays(offset, blocks, elements=st.integers(-128, 127).map(offset)))
    expected = np.empty(shape)
    for position in np.ndindex(*shape):
        block = block_at(position, shape, blocks)
        expected[position] = float(scale[block]) * (
            float(values[position]) - (0 if shift is None else float(shift[block]))
        )
    arguments = {"scale": scale, **({} if shift is None else {"offset": shift})}
    dense = run("constexpr_blockwise_shift_scale", 18, data=values, **arguments)
    assert dense.dtype == np.float32
    np.testing.assert_array_equal(dense, expected)
    kept, nonzero = run(
        "constexpr_sparse_blockwise_shift_scale", 18, data_mask=mask, nonzero_data=values[mask == 1], **arguments
    )
    np.testing.assert_array_equal(kept, mask)
    np.testing.assert_array_equal(nonzero, expected[mask == 1])


@settings(max_examples=80, deadline=None)
@given(shape=shapes, bits=st.sampled_from([1, 2, 3]), vector=st.integers(1, 3), data=st.data())
def test_blockwise_tables_dense_and_sparse(shape: tuple[int, ...], bits: int, vector: int, data: Any) -> None:
    blocks = blocks_of(shape, data)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    indices = data.draw(npst.arrays(np.uint8, shape, elements=st.integers(0, 2**bits - 1)))
    mask = data.draw(npst.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    tables = np.arange(int(np.prod(blocks)) * 2**bits * vector, dtype=np.float16).reshape(*blocks, 2**bits, vector)
    vector_axis = None if vector == 1 and data.draw(st.booleans()) else axis

    def element(position: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        whole = list(position)
        inside = whole[axis] % vector
        whole[axis] //= vector
        return tuple(whole), inside

    size = list(shape)
    size[axis] *= vector
    expected, expected_mask = np.empty(size), np.empty(size, np.uint8)
    for position in np.ndindex(*size):
        at, inside = element(position)
        expected[position] = tables[(*block_at(at, shape, blocks), indices[at], inside)]
        expected_mask[position] = mask[at]
    dense = run("constexpr_lut_to_dense", 18, indices=indices, lut=tables, vector_axis=vector_axis)
    assert dense.dtype == np.float16
    np.testing.assert_array_equal(dense, expected)
    kept, nonzero = run(
        "constexpr_lut_to_sparse",
        18,
        indices_mask=mask,
        indices_nonzero_data=indices[mask == 1],
        lut=tables,
        vector_axis=vector_axis,
    )
    np.testing.assert_array_equal(kept, expected_mask)
    np.testing.assert_array_equal(nonzero, expected[expected_mask == 1])
