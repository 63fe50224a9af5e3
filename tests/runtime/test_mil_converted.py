"""A model per family of operations, built and converted by coremltools, against NumPy's answer or the formula."""

from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np
import pytest

from pytest_dscoreml.runtime import ReferenceModel, kernels
from pytest_dscoreml.runtime.registry import mil

assert kernels.mil_states
X = np.random.default_rng(5).normal(size=(2, 4, 4, 6)).astype(np.float32)
ROWS = X[0, 0]


def erf(x: Any) -> Any:
    return np.vectorize(math.erf)(x.astype(np.float64))


def blocks(x: Any) -> Any:
    """space_to_depth by 2."""
    return np.concatenate([x[:, :, y::2, z::2] for y in (0, 1) for z in (0, 1)], axis=1)


# name, iOS version, what the builder makes of x, what is expected; several outputs are lists
CASES: list[tuple[str, int, Callable[[Any, Any], Any], Callable[[Any], Any]]] = [
    ("unary", 15, lambda mb, x: mb.erf(x=mb.clip(x=x, alpha=-1.0, beta=0.5)), lambda x: erf(x.clip(-1, 0.5))),
    (
        "binary",
        15,
        lambda mb, x: mb.mod(x=mb.real_div(x=x, y=np.full((4, 1), 0.5, np.float32)), y=np.float32(0.7)),
        lambda x: np.mod(x / np.float32(0.5), np.float32(0.7)),
    ),
    (
        "activation",
        15,
        lambda mb, x: mb.softplus_parametric(x=x, alpha=np.arange(1, 5, dtype="f"), beta=np.full(4, 0.5, "f")),
        lambda x: np.arange(1, 5).reshape(4, 1, 1) * np.log1p(np.exp(x.astype(np.float64) / 2)),
    ),
    (
        "reduction",
        15,
        lambda mb, x: [mb.reduce_log_sum_exp(x=x, axes=[-1, 1]), mb.reduce_sum_square(x=x, axes=[0], keep_dims=True)],
        lambda x: [np.log(np.exp(x.astype(np.float64)).sum((1, 3))), np.square(x).sum(0, keepdims=True)],
    ),
    (
        "arg reduction to uint16",
        17,
        lambda mb, x: mb.cast(x=mb.reduce_argmax(x=x, axis=-1, output_dtype="uint16"), dtype="fp32"),
        lambda x: x.argmax(-1),
    ),
    (
        "linear algebra",
        15,
        lambda mb, x: mb.einsum(values=(x, mb.transpose(x=x, perm=[0, 3, 2, 1])), equation="nchw,nwhu->nchu"),
        lambda x: np.einsum("nchw,nwhu->nchu", x, x.transpose(0, 3, 2, 1)),
    ),
    (
        "matmul",
        15,
        lambda mb, x: mb.matmul(x=x, y=x, transpose_y=True),
        lambda x: x @ x.swapaxes(-1, -2),
    ),
    (
        "sorting",
        15,
        lambda mb, x: list(mb.topk(x=x, k=2, axis=1)),
        lambda x: [-np.sort(-x, 1)[:, :2], np.argsort(-x, 1)[:, :2]],
    ),
    (
        "values of the top",
        16,
        lambda mb, x: mb.topk(x=x, k=2, return_indices=False),
        lambda x: -np.sort(-x, -1)[..., :2],
    ),
    (
        "choosing",
        15,
        lambda mb, x: mb.select(cond=mb.greater(x=x, y=0.0), a=x, b=mb.band_part(x=x, lower=0, upper=1)),
        lambda x: np.where(x > 0, x, np.triu(x) - np.triu(x, 2)),
    ),
    (
        "shapes",
        17,
        lambda mb, x: mb.reshape(x=mb.concat(values=[x, x], axis=1, interleave=True), shape=[2, -1, 0]),
        lambda x: np.repeat(x, 2, axis=1).reshape(2, -1, 6),
    ),
    (
        "slices",
        15,
        lambda mb, x: mb.slice_by_index(
            x=x,
            begin=[0, 3, 1, -1],
            end=[0, 0, 4, 0],
            stride=[1, -2, 1, -2],
            begin_mask=[False] * 4,
            end_mask=[False, True, False, False],
            squeeze_mask=[True, False, False, False],
        ),
        lambda x: x[0, 3::-2, 1:4, -1:0:-2],
    ),
    ("blocks", 15, lambda mb, x: mb.space_to_depth(x=x, block_size=2), blocks),
    (
        "padding",
        15,
        lambda mb, x: mb.pad(x=x, pad=[1, 2, 3, 0], mode="reflect"),
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2), (3, 0)], "reflect"),
    ),
    (
        "windows",
        15,
        lambda mb, x: mb.sliding_windows(x=x, axis=-1, size=3, stride=2),
        lambda x: np.stack([x[..., 0:3], x[..., 2:5]], -2),
    ),
    (
        "gather and scatter",
        17,
        lambda mb, x: mb.scatter_nd(
            data=x, indices=[[0, 1], [1, 3]], updates=mb.gather_nd(x=x, indices=[[0, 0], [0, 0]]), mode="mul"
        ),
        lambda x: np.stack(
            [np.stack([x[0, 0], x[0, 1] * x[0, 0], x[0, 2], x[0, 3]]), np.stack([*x[1, :3], x[1, 3] * x[0, 0]])]
        ),
    ),
    (
        "slice update",
        18,
        lambda mb, x: mb.slice_update(
            x=x, update=np.zeros((2, 1, 4, 6), np.float32), begin=[0, 1, 0, 0], end=[2, 2, 4, 6]
        ),
        lambda x: x * (np.arange(4) != 1).reshape(4, 1, 1),
    ),
    (
        "branches",
        15,
        lambda mb, x: mb.cond(
            pred=mb.greater(x=mb.reduce_sum(x=x), y=1e9),
            _true_fn=lambda: mb.identity(x=x),
            _false_fn=lambda: mb.square(x=x),
        ),
        np.square,
    ),
    (
        "quantised values",
        17,
        lambda mb, x: mb.dequantize(
            input=mb.quantize(input=x, scale=np.float32(0.5), zero_point=np.int8(3), output_dtype="int8"),
            scale=np.float32(0.5),
            zero_point=np.int8(3),
        ),
        lambda x: np.rint(x * 2) / 2,
    ),
    (
        "affine weights",
        16,
        lambda mb, x: mb.mul(
            x=x,
            y=mb.constexpr_affine_dequantize(
                quantized_data=np.arange(24, dtype=np.uint8).reshape(4, 6),
                zero_point=np.array([1, 2, 3, 4], np.uint8),
                scale=np.array([0.5, 1, 2, 4], np.float32),
                axis=np.int32(0),
            ),
        ),
        lambda x: x * (np.arange(24).reshape(4, 6) - [[1], [2], [3], [4]]) * [[0.5], [1], [2], [4]],
    ),
    (
        "packed tables",
        16,
        lambda mb, x: mb.mul(
            x=x,
            y=mb.constexpr_lut_to_dense(
                indices=np.array([0b11100100], np.uint8),
                lut=np.array([1, 2, 3, 5], np.float32),
                shape=np.array([4, 1], np.uint32),
            ),
        ),
        lambda x: x * np.array([[1], [2], [3], [5]]),
    ),
    (
        "packed masks",
        16,
        lambda mb, x: mb.mul(
            x=x,
            y=mb.constexpr_sparse_to_dense(
                nonzero_data=np.array([2, 3], np.float32),
                mask=np.array([0b1010], np.uint8),
                shape=np.array([4, 1], np.uint32),
            ),
        ),
        lambda x: x * np.array([[0], [2], [0], [3]]),
    ),
]


@pytest.fixture(scope="module")
def coremltools() -> Any:
    import coremltools

    return coremltools


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize(("name", "ios", "build", "formula"), CASES, ids=[case[0] for case in CASES])
def test_family(coremltools: Any, name: str, ios: int, build: Any, formula: Any, precision: str) -> None:
    mb = coremltools.converters.mil.Builder
    target = coremltools.target[f"iOS{ios}"]

    @mb.program(input_specs=[mb.TensorSpec(X.shape)], opset_version=target)
    def program(x: Any) -> Any:
        result = build(mb, x)
        return tuple(result) if isinstance(result, list) else result

    names = [output.name for output in program.functions["main"].outputs]
    model = coremltools.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=coremltools.precision[precision.upper()],
        skip_model_load=True,
    )
    x = X.astype(precision).astype(np.float32)
    outputs = ReferenceModel(model).predict({"x": x})
    obtained = [outputs[output] for output in names]
    expected = formula(x)
    expected = expected if isinstance(expected, list) else [expected]
    assert len(obtained) == len(expected)
    # float16 rounds each result to 11 bits; the sums here have up to 24 terms and values up to 100.
    relative, absolute = (1e-5, 1e-5) if precision == "float32" else (4e-3, 1e-2)
    if name == "binary" and precision == "float16":
        # A remainder jumps where its argument passes a multiple: only the distance on the circle means anything.
        distance = np.abs(obtained[0] - expected[0])
        assert np.minimum(distance, 0.7 - distance).max() < 1e-2
        return
    for found, wanted in zip(obtained, expected):
        assert found.shape == np.shape(wanted)
        np.testing.assert_allclose(found, wanted, rtol=relative, atol=absolute)


def test_blockwise_and_sparse_weights_of_four_bits(coremltools: Any) -> None:
    """int4 data, one scale for two columns, only where a mask of one bit is set; stored packed in the weight file."""
    from coremltools.converters.mil.mil import types

    mb = coremltools.converters.mil.Builder
    mask = (np.arange(256).reshape(16, 16) % 3 > 0).astype(np.uint8)
    count = int(mask.sum())
    values = (np.arange(count) % 16 - 8).astype(np.int8)
    scale = np.arange(1, 9, dtype=np.float32).reshape(1, 8) / 4

    @mb.program(input_specs=[mb.TensorSpec((3, 16))], opset_version=coremltools.target.iOS18)
    def program(x: Any) -> Any:
        kept, scaled = mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=mask.astype(types.np_uint1_dtype),
            nonzero_data=values.astype(types.np_int4_dtype),
            scale=scale,
            offset=np.ones((1, 8), np.int8).astype(types.np_int4_dtype),
        )
        weight = mb.constexpr_sparse_to_dense(nonzero_data=scaled, mask=kept)
        return mb.linear(x=x, weight=weight, name="y")

    model = coremltools.convert(
        program,
        minimum_deployment_target=coremltools.target.iOS18,
        compute_precision=coremltools.precision.FLOAT32,
        skip_model_load=True,
    )
    dense = np.zeros((16, 16))
    dense[mask == 1] = values
    weight = np.where(mask, (dense - 1) * np.repeat(scale, 2, axis=1), 0)
    x = X.reshape(-1)[:48].reshape(3, 16)
    np.testing.assert_allclose(ReferenceModel(model).predict({"x": x})["y"], x @ weight.T, rtol=1e-5, atol=1e-4)


def test_classifier(coremltools: Any) -> None:
    mb = coremltools.converters.mil.Builder

    @mb.program(input_specs=[mb.TensorSpec((1, 3))], opset_version=coremltools.target.iOS15)
    def program(x: Any) -> Any:
        return mb.softmax(x=x, axis=-1)

    labels = ["a", "b", "c"]
    model = coremltools.convert(
        program,
        minimum_deployment_target=coremltools.target.iOS15,
        compute_precision=coremltools.precision.FLOAT32,
        classifier_config=coremltools.ClassifierConfig(labels),
        skip_model_load=True,
    )
    outputs = ReferenceModel(model).predict({"x": [[0.0, 1.0, -1.0]]})
    (probabilities,) = (value for value in outputs.values() if isinstance(value, dict))
    assert outputs["classLabel"] == "b"
    assert list(probabilities) == labels
    powers = np.exp([0.0, 1.0, -1.0])
    np.testing.assert_allclose(list(probabilities.values()), powers / powers.sum(), rtol=1e-6)


def test_classes_may_be_integers_and_must_be_as_many_as_probabilities() -> None:
    # coremltools 9.0 cannot write integer labels to an ML Program, so this one is not converted.
    kernel = mil.find("classify", 15)
    assert kernel is not None
    label, probabilities = kernel.function(probabilities=np.array([[0.25, 0.75]], np.float32), classes=(7, 8))
    assert (label, probabilities) == (8, {7: 0.25, 8: 0.75})
    with pytest.raises(ValueError, match=r"^2 probabilities for 1 classes$"):
        kernel.function(probabilities=np.array([0.25, 0.75], np.float32), classes=(7,))
