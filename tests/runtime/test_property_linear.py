"""Products of matrices against TensorFlow and loops over their definition: ranks, broadcasting, empty axes, types."""

from __future__ import annotations

import itertools
import os
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import ReferenceModel, kernels
from pytest_dscoreml.runtime.bind import widen
from pytest_dscoreml.runtime.kernels.functions.few_rows import MOST_OUTPUTS, few_rows
from pytest_dscoreml.runtime.registry import mil, nn

assert kernels.mil_linear
SOME = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 10**6)
side = st.integers(0, 3)
DTYPES = ("float16", "float32", "int32")
same = np.testing.assert_array_equal


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


def run(op: str, **arguments: Any) -> Any:
    """The kernel's result; float16 arguments are widened first, as the executor does."""
    kernel = mil.find(op, 15)
    assert kernel is not None
    assert kernel.wide
    return kernel.function(
        **{
            name: [widen(item) for item in value] if isinstance(value, list) else widen(value)
            for name, value in arguments.items()
        }
    )


def layer(name: str, *inputs: Any, **fields: Any) -> Any:
    kernel = nn.find(name, 0)
    assert kernel is not None
    return kernel.function(*inputs, **fields)


def whole(seed: int, shape: Any, dtype: str) -> Any:
    """Small whole numbers, so that sums of products are exact in every type."""
    return np.asarray(np.random.default_rng(seed).integers(-6, 7, shape), dtype)


@SOME
@given(
    batches=npst.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=2, min_side=0, max_side=3),
    sizes=st.tuples(side, side, side),
    transposed=st.tuples(st.booleans(), st.booleans()),
    dtype=st.sampled_from(DTYPES),
    seed=seeds,
)
def test_matmul(tf: Any, batches: Any, sizes: Any, transposed: Any, dtype: str, seed: int) -> None:
    rows, inner, columns = sizes
    shapes = [
        (*batches.input_shapes[0], *((inner, rows) if transposed[0] else (rows, inner))),
        (*batches.input_shapes[1], *((columns, inner) if transposed[1] else (inner, columns))),
    ]
    x, y = (whole(seed + index, shape, dtype) for index, shape in enumerate(shapes))
    wanted = tf.matmul(x.astype(np.float64), y.astype(np.float64), *transposed).numpy()
    obtained = run("matmul", x=x, y=y, transpose_x=transposed[0], transpose_y=transposed[1])
    assert obtained.shape == (*batches.result_shape, rows, columns)
    assert obtained.dtype == ("int32" if dtype == "int32" else "float32")
    same(obtained, wanted)
    if dtype == "float32":
        same(layer("batchedMatmul", x, y, transposeA=transposed[0], transposeB=transposed[1]), wanted)


@SOME
@given(batch=npst.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3), sizes=st.tuples(side, side), seed=seeds)
def test_matmul_of_a_vector(tf: Any, batch: Any, sizes: Any, seed: int) -> None:
    inner, other = sizes
    vector, matrix = whole(seed, inner, "float32"), whole(seed + 1, (*batch, inner, other), "float32")
    first = tf.linalg.matvec(matrix, vector, transpose_a=True).numpy()
    same(run("matmul", x=vector, y=matrix), first)
    flipped = np.swapaxes(matrix, -1, -2)
    second = tf.linalg.matvec(flipped, vector).numpy()
    same(run("matmul", x=flipped, y=vector), second)
    # The layer keeps the axis of size 1 that makes a matrix of the vector.
    same(layer("batchedMatmul", vector, matrix), first[..., None, :])
    same(layer("batchedMatmul", flipped, vector), second[..., None])
    product = sum(float(a) * float(b) for a, b in zip(vector, vector))
    obtained = run("matmul", x=vector, y=vector)
    assert obtained.shape == ()
    assert obtained == product


@SOME
@given(
    leading=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    sizes=st.tuples(side, side),
    biased=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    seed=seeds,
)
def test_linear(tf: Any, leading: Any, sizes: Any, biased: bool, dtype: str, seed: int) -> None:
    inputs, outputs = sizes
    x, weight = whole(seed, (*leading, inputs), dtype), whole(seed + 1, (outputs, inputs), dtype)
    bias = whole(seed + 2, outputs, dtype) if biased else None
    wanted = tf.tensordot(x.astype(np.float64), weight.T.astype(np.float64), 1).numpy()
    wanted = wanted + (0.0 if bias is None else bias)
    obtained = run("linear", x=x, weight=weight, bias=bias)
    assert obtained.dtype == ("int32" if dtype == "int32" else "float32")
    assert obtained.shape == (*leading, outputs)
    same(obtained, wanted)
    if dtype == "float32":
        fields = {"inputChannels": inputs, "outputChannels": outputs, "weights": weight, "bias": bias}
        if len(leading) < 3:
            same(layer("innerProduct", x, hasBias=biased, **fields), wanted)
        # Of rank 4 and 5 the last three axes are the channels.
        images = x.reshape(*leading, inputs, 1, 1)
        if images.ndim in (4, 5):
            same(layer("innerProduct", images, hasBias=biased, **fields), wanted[..., None, None])


@st.composite
def equations(draw: Any) -> Any:
    """An equation of two terms, and the shapes of both, where a size of 1 may stand for any other."""
    letters = "abcde"
    terms = [draw(st.lists(st.sampled_from(letters), min_size=1, max_size=4, unique=True)) for _ in range(2)]
    sizes = {letter: draw(st.integers(0, 3)) for letter in letters}
    shapes = [tuple(1 if draw(st.integers(0, 5)) == 0 else sizes[letter] for letter in term) for term in terms]
    present = sorted({*terms[0], *terms[1]})
    result = draw(st.permutations(present))[: draw(st.integers(0, len(present)))]
    return terms, shapes, list(result)


@SOME
@given(equation=equations(), spaced=st.booleans(), dtype=st.sampled_from(DTYPES), seed=seeds)
def test_einsum(equation: Any, spaced: bool, dtype: str, seed: int) -> None:
    terms, shapes, result = equation
    x, y = (whole(seed + index, shape, dtype) for index, shape in enumerate(shapes))
    sizes: dict[str, int] = {}
    for letter, size in zip(itertools.chain(*terms), itertools.chain(*shapes)):
        sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]
    letters = sorted(sizes)
    wanted = np.zeros([sizes[letter] for letter in result])
    for position in np.ndindex(*(sizes[letter] for letter in letters)):
        at = dict(zip(letters, position))
        first, second = (
            item[tuple(0 if size == 1 else at[letter] for letter, size in zip(term, item.shape))]
            for item, term in ((x, terms[0]), (y, terms[1]))
        )
        wanted[tuple(at[letter] for letter in result)] += float(first) * float(second)
    text = f"{''.join(terms[0])},{''.join(terms[1])}->{''.join(result)}"
    obtained = run("einsum", values=[x, y], equation=text.replace(",", ", ") if spaced else text)
    assert obtained.shape == wanted.shape
    same(obtained, wanted)


@settings(max_examples=20, deadline=None)
@given(shape=npst.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=3), outputs=side, seed=seeds)
def test_products_of_eight_bits(shape: Any, outputs: int, seed: int) -> None:
    """x is rounded to multiples of its greatest magnitude / 127; what it is then multiplied with stays as it is."""
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    inner = shape[-1] if len(shape) < 4 else int(np.prod(shape[-3:]))
    weight = whole(seed, (outputs, inner), "float32")
    step = max((abs(float(value)) for value in x.ravel()), default=0.0) / 127
    rows = x.reshape(*shape[: -3 if len(shape) > 3 else -1], inner).astype(np.float64)
    rounded = np.round(rows / step) * step if step else rows
    wanted = np.zeros((*rows.shape[:-1], outputs))
    for position in np.ndindex(*wanted.shape):
        wanted[position] = sum(a * float(b) for a, b in zip(rounded[position[:-1]], weight[position[-1]]))
    obtained = layer(
        "innerProduct", x, inputChannels=inner, outputChannels=outputs, weights=weight, int8DynamicQuantize=True
    )
    np.testing.assert_allclose(
        obtained, wanted[..., None, None] if len(shape) > 3 else wanted, rtol=1e-5, atol=1e-5 * max(step * 127, 1)
    )


@pytest.mark.parametrize("rows", [1, 8, 16, 23, 24, 63])
@pytest.mark.parametrize("outputs", [2 * MOST_OUTPUTS, 2 * MOST_OUTPUTS + 4])
@pytest.mark.parametrize("apart", [False, True])
def test_few_rows_and_many_weights(rows: int, outputs: int, apart: bool) -> None:
    """Taken in blocks, of all sizes, from weights that stand beside others too; whole numbers, so that sums are exact."""
    held = whole(rows, (outputs, 600), "float32")
    weight = held[:, 100:400] if apart else held[:, :300].copy()
    x = whole(rows + 1, (rows, 300), "float32")
    assert few_rows(x, weight)
    same(run("linear", x=x, weight=weight), x.astype(np.float64) @ weight.T.astype(np.float64))


@pytest.mark.parametrize("constant", ["float16", "float32", "int32"])
@pytest.mark.parametrize("given_", ["float16", "float32", "int32"])
@pytest.mark.parametrize("first", [True, False])
def test_matmul_of_two_types(build: Any, constant: str, given_: str, first: bool) -> None:
    """From iOS 17 on a constant may be of another type; the product has the type of what is no constant."""
    x, weight = whole(1, (2, 3), given_), whole(2, (3, 2), constant)
    program = build.program([("x", given_, (2, 3))], [("out", given_, (2, 2) if first else (3, 3))], opset="CoreML7")
    factors = {"x": "x", "y": weight} if first else {"x": weight, "y": "x"}
    program.op("matmul", ("out", given_, (2, 2) if first else (3, 3)), transpose_x=False, transpose_y=False, **factors)
    obtained = ReferenceModel(program.model).predict({"x": x})["out"]
    wanted = x.astype(np.int64) @ weight.astype(np.int64) if first else weight.astype(np.int64) @ x.astype(np.int64)
    assert obtained.dtype == given_
    same(obtained, wanted)
