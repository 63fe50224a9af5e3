"""Whole neural networks: shape mappings, images, classifiers, quantized weights, jumps, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import ExecutionError, InputError, LoadError
from pytest_dscoreml.runtime import ReferenceModel

RGB, BGR, GRAY, GRAY_HALF = 20, 30, 10, 40


def problem(model: Any) -> str:
    with pytest.raises(LoadError) as caught:
        ReferenceModel(model)
    return str(caught.value)


def drawn(*shape: int) -> Any:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def rank5(build: Any, shape: Any, output: Any = (), kind: str = "activation.linear", **fields: Any) -> Any:
    network = build.network([("x", "float32", shape)], [("y", "float32", output)])
    network.network.arrayInputShapeMapping = 0
    network.layer(kind, "f", ["x"], ["y"], **(fields or {"alpha": 2.0}))
    return network


@pytest.mark.parametrize(
    ("declared", "given", "output", "obtained"),
    [
        ((3,), (3,), (), (3,)),
        ((3,), (3,), (3,), (3,)),
        ((3,), (4, 2, 3), (), (4, 2, 3, 1, 1)),
        ((3,), (4, 2, 3), (3,), (4, 2, 3, 1, 1)),
        ((2, 3, 4), (2, 3, 4), (), (2, 3, 4)),
        ((2, 3, 4), (2, 3, 4), (24,), (24,)),
        ((2, 3, 4), (5, 6, 2, 3, 4), (), (5, 6, 2, 3, 4)),
        ((2, 1, 1), (2, 1, 1), (), (2,)),
        ((2, 1, 1), (2, 1, 1), (2, 1, 1), (2, 1, 1)),
    ],
)
def test_rank5_mapping(build: Any, declared: Any, given: Any, output: Any, obtained: Any) -> None:
    x = drawn(*given)
    y = ReferenceModel(rank5(build, declared, output).model).predict({"x": x})["y"]
    assert y.shape == obtained
    np.testing.assert_array_equal(y.ravel(), 2 * x.ravel())


def test_layers_see_rank5(build: Any) -> None:
    network = build.network([("x", "float32", (3,))], [("y", "float32", ())])
    network.network.arrayInputShapeMapping = 0
    network.layer("getShape", "s", ["x"], ["y"])
    assert ReferenceModel(network.model).predict({"x": [1, 2, 3]})["y"].tolist() == [1, 1, 3, 1, 1]


def test_rank5_inputs_of_other_shapes(build: Any) -> None:
    model = ReferenceModel(rank5(build, (3,)).model)
    with pytest.raises(InputError) as caught:
        model.predict({"x": drawn(2, 3)})
    assert str(caught.value) == "model: input 'x': shape (2, 3) is not admitted, declared is (3,)"
    with pytest.raises(ExecutionError) as failed:
        ReferenceModel(rank5(build, (3,), (4,)).model).predict({"x": drawn(3)})
    assert str(failed.value) == "model: output 'y' has shape (3,), declared is (4,)"


def image_network(build: Any, color: int, width: int = 3, height: int = 2) -> Any:
    network = build.network([("x", "float32", (1,))], [("y", "float32", ())])
    image = network.model.description.input[0].type.imageType
    image.colorSpace, image.width, image.height = color, width, height
    network.layer("activation.linear", "f", ["x"], ["y"], alpha=1.0)
    return network


PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize("mapping", [0, 1])
@pytest.mark.parametrize(("color", "expected"), [(RGB, PIXELS), (BGR, PIXELS[:, :, ::-1])])
def test_color_images(build: Any, color: int, expected: Any, mapping: int) -> None:
    network = image_network(build, color)
    network.network.imageInputShapeMapping = mapping
    planes = np.moveaxis(expected, 2, 0)
    wanted = planes[None] if mapping else planes[None, None]
    model = ReferenceModel(network.model)
    np.testing.assert_array_equal(model.predict({"x": PIXELS})["y"], wanted)
    with_alpha = np.concatenate((PIXELS, PIXELS[:, :, :1]), 2)
    np.testing.assert_array_equal(model.predict({"x": with_alpha})["y"], wanted)


def test_preprocessing(build: Any) -> None:
    network = image_network(build, BGR)
    first = network.network.preprocessing.add(featureName="x")
    scaler = first.scaler
    scaler.channelScale, scaler.redBias, scaler.greenBias, scaler.blueBias = 0.5, 1, 2, 3
    mean = np.arange(18, dtype=np.float32)
    network.network.preprocessing.add().meanImage.meanImage.extend(mean.tolist())
    obtained = ReferenceModel(network.model).predict({"x": PIXELS})["y"]
    planes = np.moveaxis(PIXELS[:, :, ::-1], 2, 0) * 0.5 + np.array([3, 2, 1]).reshape(3, 1, 1)
    np.testing.assert_array_equal(obtained, (planes - mean.reshape(3, 2, 3))[None, None])


@pytest.mark.parametrize("color", [GRAY, GRAY_HALF])
def test_gray_images(build: Any, color: int) -> None:
    network = image_network(build, color)
    network.network.preprocessing.add(featureName="x").scaler.channelScale = 2
    network.network.preprocessing[0].scaler.grayBias = -1
    obtained = ReferenceModel(network.model).predict({"x": PIXELS[:, :, 0]})["y"]
    np.testing.assert_array_equal(obtained, PIXELS[None, None, None, :, :, 0] * 2.0 - 1)


class Picture:
    """What is asked of a PIL image: its mode, and its pixels as an array."""

    def __init__(self, mode: str, pixels: Any) -> None:
        self.mode = mode
        self._pixels = pixels

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self._pixels, dtype)


def test_images_that_do_not_fit(build: Any) -> None:
    model = ReferenceModel(image_network(build, RGB).model)
    assert model.predict({"x": Picture("RGB", PIXELS)})["y"].shape == (1, 1, 3, 2, 3)
    for unfit, text in [
        (Picture("L", PIXELS[:, :, 0]), "an image of mode L, expected RGB or RGBA for RGB"),
        (PIXELS[:, :, 0], "an array of shape (2, 3), expected an image (RGB, [height, width, 3])"),
        ("a", "expected an image (RGB, [height, width, 3]), given str"),
        (PIXELS[:1], "an image of (1, 3) (height, width) is not admitted, declared is (2, 3)"),
    ]:
        with pytest.raises(InputError) as caught:
            model.predict({"x": unfit})
        assert str(caught.value) == f"model: input 'x': {text}"


def test_image_sizes(build: Any) -> None:
    network = image_network(build, GRAY)
    ranges = network.model.description.input[0].type.imageType.imageSizeRange
    ranges.heightRange.lowerBound, ranges.heightRange.upperBound = 1, -1
    ranges.widthRange.lowerBound, ranges.widthRange.upperBound = 2, 3
    model = ReferenceModel(network.model)
    assert model.interface.input("x").describe_shape() == "(1.., 2..3)"
    assert model.predict({"x": np.zeros((9, 2))})["y"].shape == (1, 1, 1, 9, 2)
    sizes = network.model.description.input[0].type.imageType.enumeratedSizes.sizes
    sizes.add(height=4, width=5)
    assert ReferenceModel(network.model).predict({"x": np.zeros((4, 5))})["y"].shape == (1, 1, 1, 4, 5)


def test_preprocessing_that_does_not_fit(build: Any) -> None:
    network = image_network(build, GRAY)
    network.network.preprocessing.add(featureName="x").meanImage.meanImage.append(1)
    assert problem(network.model) == (
        "model: the preprocessing of 'x': its mean image holds 1 values, the image takes (1, 2, 3)"
    )
    network.network.preprocessing[0].featureName = "z"
    assert problem(network.model) == "model: the network preprocesses 'z', which is no input"
    other = rank5(build, (3,))
    other.network.preprocessing.add(featureName="x").scaler.channelScale = 1
    assert problem(other.model) == "model: the network preprocesses 'x', which is no image"


@pytest.mark.parametrize(("color", "shape"), [(RGB, (2, 3, 3)), (BGR, (2, 3, 3)), (GRAY, (2, 3)), (GRAY_HALF, (2, 3))])
def test_image_outputs(build: Any, color: int, shape: Any) -> None:
    network = image_network(build, color)
    output = network.model.description.output[0].type.imageType
    output.colorSpace, output.width, output.height = color, 3, 2
    network.network.layers[0].activation.linear.beta = 0.4
    pixels = np.arange(int(np.prod(shape)), dtype=np.uint8).reshape(shape)
    y = ReferenceModel(network.model).predict({"x": pixels})["y"]
    if color == GRAY_HALF:
        assert y.dtype == np.float16
        np.testing.assert_allclose(y, pixels + 0.4, rtol=1e-3)
    else:
        assert y.dtype == np.uint8
        np.testing.assert_array_equal(y, pixels)


def classifier(build: Any, labels: Any, named: str = "") -> Any:
    network = build.network([("x", "float32", (3,))], [])
    network.model.neuralNetworkClassifier.CopyFrom(
        type(network.model.neuralNetworkClassifier)(arrayInputShapeMapping=1)
    )
    held = network.model.neuralNetworkClassifier
    network.network = held
    network.layer("softmaxND", "soft", ["x"], ["p"], axis=-1)
    if named:
        network.layer("activation.linear", "other", ["p"], ["q"], alpha=-1.0)
        held.labelProbabilityLayerName = named
    texts = isinstance(labels[0], str)
    (held.stringClassLabels if texts else held.int64ClassLabels).vector.extend(labels)
    description = network.model.description
    description.predictedFeatureName, description.predictedProbabilitiesName = "label", "chances"
    label, chances = description.output.add(name="label"), description.output.add(name="chances")
    (label.type.stringType if texts else label.type.int64Type).SetInParent()
    chances.type.dictionaryType.stringKeyType.SetInParent()
    return network


@pytest.mark.parametrize("labels", [["a", "b", "c"], [5, 6, 7]])
@pytest.mark.parametrize("named", ["", "p"])
def test_classifiers(build: Any, labels: Any, named: str) -> None:
    outputs = ReferenceModel(classifier(build, labels, named).model).predict({"x": [1, 3, 2]})
    assert outputs["label"] == labels[1]
    powers = np.exp([1, 3, 2])
    assert list(outputs["chances"]) == labels
    np.testing.assert_allclose(list(outputs["chances"].values()), powers / powers.sum(), rtol=1e-6)


def test_classifiers_whose_labels_do_not_fit(build: Any) -> None:
    network = classifier(build, ["a", "b"])
    with pytest.raises(ExecutionError) as caught:
        ReferenceModel(network.model).predict({"x": [1, 3, 2]})
    assert str(caught.value) == "model: output 'label': there are 3 probabilities for 2 labels"
    network.network.ClearField("stringClassLabels")
    assert problem(network.model) == (
        "model: the model declares a label or probabilities, but the network holds no class labels"
    )


def test_regressors(build: Any) -> None:
    network = build.network([("x", "float32", (3,))], [])
    network.model.neuralNetworkRegressor.arrayInputShapeMapping = 1
    network.network = network.model.neuralNetworkRegressor
    network.layer("reduceSum", "sum", ["x"], ["total"], reduceAll=True)
    network.model.description.predictedFeatureName = "price"
    network.model.description.output.add(name="price").type.doubleType.SetInParent()
    price = ReferenceModel(network.model).predict({"x": [1, 3, 2]})["price"]
    assert (price.dtype, price.tolist()) == (np.float64, [6.0])


def packed(numbers: Any, bits: int) -> bytes:
    """The numbers bit by bit, the highest first, as text."""
    text = "".join(format(int(number), f"0{bits}b") for number in np.ravel(numbers))
    text += "0" * (-len(text) % 8)
    return bytes(int(text[start : start + 8], 2) for start in range(0, len(text), 8))


def quantized(build: Any, bits: int, numbers: Any) -> Any:
    network = build.network([("x", "float32", (3,))], [("y", "float32", ())])
    layer = network.layer("innerProduct", "ip", ["x"], ["y"], inputChannels=3, outputChannels=5)
    weights = layer.innerProduct.weights
    weights.rawValue = packed(numbers, bits)
    weights.quantization.numberOfBits = bits
    return network, weights


@settings(max_examples=40, deadline=None)
@given(bits=st.integers(1, 8), channels=st.booleans(), seed=st.integers(0, 99))
def test_quantized_weights(build: Any, bits: int, channels: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    numbers = random.integers(0, 1 << bits, (5, 3))
    network, weights = quantized(build, bits, numbers)
    scale, bias = random.normal(size=(2, 5 if channels else 1, 1)).astype(np.float32)
    weights.quantization.linearQuantization.scale.extend(scale.ravel().tolist())
    weights.quantization.linearQuantization.bias.extend(bias.ravel().tolist())
    x = drawn(3)
    obtained = ReferenceModel(network.model).predict({"x": x})["y"]
    np.testing.assert_allclose(obtained, (numbers * scale.astype(np.float64) + bias) @ x, rtol=1e-4, atol=1e-3)
    weights.quantization.ClearField("linearQuantization")
    table = random.normal(size=1 << bits).astype(np.float32)
    weights.quantization.lookupTableQuantization.floatValue.extend(table.tolist())
    obtained = ReferenceModel(network.model).predict({"x": x})["y"]
    np.testing.assert_allclose(obtained, table[numbers] @ x, rtol=1e-5, atol=1e-5)


def test_quantized_deconvolutions_have_scales_for_their_second_axis(build: Any) -> None:
    network = build.network([("x", "float32", (1, 2, 1, 1))], [("y", "float32", ())])
    layer = network.layer(
        "convolution", "c", ["x"], ["y"], isDeconvolution=True, kernelChannels=2, outputChannels=3, kernelSize=[1, 1]
    )
    weights = layer.convolution.weights
    weights.rawValue = bytes(range(6))
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.extend([1, 10, 100])
    weights.quantization.linearQuantization.bias.extend([0, 0, 1])
    obtained = ReferenceModel(network.model).predict({"x": np.ones((1, 2, 1, 1))})["y"]
    assert obtained.ravel().tolist() == [0 + 3, 10 + 40, 200 + 500 + 2]


def test_integer_weights(build: Any) -> None:
    network = build.network([("x", "float32", (2,))], [("y", "float32", ())])
    layer = network.layer(
        "innerProduct", "ip", ["x"], ["y"], inputChannels=2, outputChannels=1, int8DynamicQuantize=True
    )
    weights = layer.innerProduct.weights
    weights.int8RawValue = np.array([-3, 5], np.int8).tobytes()
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.append(0.5)
    obtained = ReferenceModel(network.model).predict({"x": [127, -127]})["y"]
    np.testing.assert_allclose(obtained, [-1.5 * 127 - 2.5 * 127])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda w: setattr(w, "rawValue", b"123"), "holds 3 bytes, 15 values of 2 bits take 4"),
        (lambda w: setattr(w.quantization, "numberOfBits", 9), "is quantized to 9 bits, expected 1 to 8"),
        (
            lambda w: w.ClearField("rawValue"),
            "is stored as quantization: expected quantization and one of rawValue, int8RawValue",
        ),
        (lambda w: w.quantization.linearQuantization.scale.append(1), "has 2 values of scale, expected 1 or 5"),
        (
            lambda w: w.quantization.ClearField("linearQuantization"),
            "is quantized by None, which is not supported for these values",
        ),
        (
            lambda w: w.quantization.lookupTableQuantization.floatValue.extend([1, 2]),
            "has a look-up table of 2 values, 2 bits take 4",
        ),
        (
            lambda w: w.ClearField("quantization"),
            "is stored as rawValue, which is not supported (expected floatValue, float16Value, or rawValue or "
            "int8RawValue with quantization)",
        ),
    ],
)  # fmt: skip
def test_quantized_weights_that_do_not_fit(build: Any, change: Any, text: str) -> None:
    network, weights = quantized(build, 2, np.zeros((5, 3)))
    weights.quantization.linearQuantization.scale.append(1)
    change(weights)
    assert problem(network.model) == (
        f"model: layer 'ip': innerProduct has an unreadable weights: {text} [main, specification 4]"
    )


def jumping_loop(build: Any, kind: str, at: float, *, limit: int = 6, after: bool = True) -> Any:
    """i counts passes, y those that were not jumped over; the jump is taken when i is ``at``."""
    network = build.network([("x", "float32", (1,))], [("y", "float32", ()), ("i", "float32", ())])
    network.layer("copy", "i_in", ["x"], ["i"])
    network.layer("copy", "y_in", ["x"], ["y"])
    loop = network.layer("loop", "times", [], [])
    loop.loop.maxLoopIterations = limit
    body = loop.loop.bodyNetwork
    network.layer("add", "step", ["i"], ["i_next"], network=body, alpha=1.0)
    network.layer("copy", "i_out", ["i_next"], ["i"], network=body)
    network.layer("equal", "test", ["i"], ["now"], network=body, alpha=at)
    branch = network.layer("branch", "which", ["now"], [], network=body)
    network.layer(kind, "jump", [], [], network=branch.branch.ifBranch)
    if after:
        network.layer("add", "more", ["y"], ["y_next"], network=body, alpha=1.0)
        network.layer("copy", "y_out", ["y_next"], ["y"], network=body)
    return network


@pytest.mark.parametrize("passes", [None, ()])
@pytest.mark.parametrize(
    ("kind", "at", "limit", "y", "i"),
    [
        ("loopBreak", 3, 6, 2, 3),
        ("loopBreak", 1, 6, 0, 1),
        ("loopBreak", 9, 6, 6, 6),
        ("loopBreak", 4, 0, 3, 4),
        ("loopContinue", 3, 6, 5, 6),
        ("loopContinue", 9, 6, 6, 6),
    ],
)
def test_jumps(build: Any, kind: str, at: float, limit: int, y: int, i: int, passes: Any) -> None:
    network = jumping_loop(build, kind, at, limit=limit)
    obtained = ReferenceModel(network.model, passes=passes).predict({"x": 0})
    assert (obtained["y"].tolist(), obtained["i"].tolist()) == ([y], [i])


def test_a_jump_belongs_to_the_innermost_loop(build: Any) -> None:
    """Two passes, each of an inner loop that breaks in its second pass."""
    network = build.network([("x", "float32", (1,))], [("y", "float32", ())])
    network.layer("copy", "y_in", ["x"], ["y"])
    outer = network.layer("loop", "times", [], [])
    outer.loop.maxLoopIterations = 2
    body = outer.loop.bodyNetwork
    network.layer("loadConstantND", "zero", [], ["zero"], network=body, shape=[1], data=np.zeros(1, np.float32))
    network.layer("copy", "k_in", ["zero"], ["k"], network=body)
    inner = network.layer("loop", "times", [], [], network=body)
    inner.loop.maxLoopIterations = 9
    nested = inner.loop.bodyNetwork
    network.layer("add", "step", ["k"], ["k_next"], network=nested, alpha=1.0)
    network.layer("copy", "k_out", ["k_next"], ["k"], network=nested)
    network.layer("equal", "test", ["k"], ["now"], network=nested, alpha=2.0)
    branch = network.layer("branch", "which", ["now"], [], network=nested)
    network.layer("loopBreak", "jump", [], [], network=branch.branch.ifBranch)
    network.layer("copy", "kept", ["k"], ["other"], network=branch.branch.elseBranch)
    network.layer("addBroadcastable", "more", ["y", "other"], ["y_next"], network=nested)
    network.layer("copy", "y_out", ["y_next"], ["y"], network=nested)
    for passes in (None, ()):
        assert ReferenceModel(network.model, passes=passes).predict({"x": 0})["y"].tolist() == [2]


def test_break_and_continue_in_one_loop(build: Any) -> None:
    network = jumping_loop(build, "loopContinue", 2, after=False)
    body = network.network.layers[-1].loop.bodyNetwork
    network.layer("equal", "last", ["i"], ["end"], network=body, alpha=5.0)
    branch = network.layer("branch", "ends", ["end"], [], network=body)
    network.layer("loopBreak", "break", [], [], network=branch.branch.ifBranch)
    network.layer("add", "more", ["y"], ["y_next"], network=body, alpha=1.0)
    network.layer("copy", "y_out", ["y_next"], ["y"], network=body)
    for passes in (None, ()):
        obtained = ReferenceModel(network.model, passes=passes).predict({"x": 0})
        assert (obtained["y"].tolist(), obtained["i"].tolist()) == ([3], [5])


def test_a_jump_outside_of_loops_is_refused(build: Any) -> None:
    network = build.network([("x", "float32", (1,))], [("y", "float32", ())])
    network.layer("copy", "c", ["x"], ["y"])
    network.layer("loopBreak", "jump", [], [])
    assert problem(network.model) == "model: layer 'jump': loopBreak is not in a loop [main, specification 4]"


def test_custom_layers_are_refused(build: Any) -> None:
    network = build.network([("x", "float32", (1,))], [("y", "float32", ())])
    layer = network.layer("custom", "own", ["x"], ["y"], className="Swish")
    layer.custom.parameters["beta"].doubleValue = 1
    layer.custom.weights.add().floatValue.append(1)
    assert problem(network.model) == (
        "model: layer 'own': custom.Swish is not supported by the runtime [main, specification 4]"
    )


def test_nested_fields_that_no_kernel_takes(build: Any) -> None:
    network = build.network([("x", "float32", (1, 1, 1, 1))], [("y", "float32", ())])
    layer = network.layer("padding", "pad", ["x"], ["y"])
    layer.padding.constant.value = 1
    for _ in range(3):
        layer.padding.paddingAmounts.borderAmounts.add(startEdgeSize=1)
    with pytest.raises(ExecutionError) as caught:
        ReferenceModel(network.model).predict({"x": np.zeros((1, 1, 1, 1))})
    assert str(caught.value) == (
        "model: layer 'pad': padding failed: 3 border amounts, expected 2: height and width (with x float32(1, 1, 1, 1), "
        "constant PaddingConstant, paddingAmounts BorderAmounts) [main, specification 4]"
    )


def test_optional_inputs(build: Any) -> None:
    network = build.network([("x", "float32", (2,)), ("h", "float32", (2,))], [("y", "float32", ())])
    network.layer("addBroadcastable", "sum", ["x", "h"], ["y"])
    optional = network.model.description.input[1].type
    optional.isOptional = True
    assert ReferenceModel(network.model).predict({"x": [1, 2]})["y"].tolist() == [1, 2]
    optional.multiArrayType.floatDefaultValue = 0.5
    model = ReferenceModel(network.model)
    assert model.predict({"x": [1, 2]})["y"].tolist() == [1.5, 2.5]
    assert model.predict({"x": [1, 2], "h": [3, 4]})["y"].tolist() == [4, 6]
    network.network.arrayInputShapeMapping = 0
    assert ReferenceModel(network.model).predict({"x": [1, 2]})["y"].tolist() == [1.5, 2.5]
