"""What a network does to its images before its first layer, pixel by pixel: order of colours, scale, bias, mean image."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.runtime import ReferenceModel

SOME = settings(max_examples=40, deadline=None)
# FeatureTypes' colour spaces, and the colours of a pixel in the order in which a network sees them.
COLORS = {10: ("gray",), 20: ("red", "green", "blue"), 30: ("blue", "green", "red"), 40: ("gray",)}
GRAYS = (10, 40)
sides = st.integers(1, 4)
seeds = st.integers(0, 10**6)


def image_input(model: Any, name: str, color: int, height: int, width: int) -> None:
    feature = next((item for item in model.description.input if item.name == name), None)
    if feature is None:
        feature = model.description.input.add(name=name)
    image = feature.type.imageType
    image.colorSpace, image.height, image.width = color, height, width


def pixels(seed: int, color: int, height: int, width: int) -> Any:
    """[height, width] or [height, width, red green blue], as a user hands it in."""
    shape = (height, width) if color in GRAYS else (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def plane(given_pixels: Any, name: str) -> Any:
    if name == "gray":
        return given_pixels.astype(np.float64)
    return given_pixels[:, :, ("red", "green", "blue").index(name)].astype(np.float64)


@SOME
@given(
    color=st.sampled_from(sorted(COLORS)),
    size=st.tuples(sides, sides),
    kinds=st.lists(st.sampled_from(["scaler", "meanImage"]), max_size=3),
    named=st.booleans(),
    mapping=st.integers(0, 1),
    seed=seeds,
)
def test_preprocessing(build: Any, color: int, size: Any, kinds: Any, named: bool, mapping: int, seed: int) -> None:
    """One after the other, exactly: numbers are quarters. A scale goes before its bias, each colour has its own."""
    height, width = size
    random = np.random.default_rng(seed)
    network = build.network([("x", "float32", (1,))], [("y", "float32", ())])
    network.network.imageInputShapeMapping = mapping
    image_input(network.model, "x", color, height, width)
    network.layer("activation.linear", "same", ["x"], ["y"], alpha=1.0)
    picture = pixels(seed, color, height, width)
    planes = {name: plane(picture, name) for name in COLORS[color]}
    for kind in kinds:
        step = network.network.preprocessing.add(featureName="x" if named else "")
        if kind == "scaler":
            step.scaler.channelScale = float(random.integers(-4, 5) or 1) / 4
            for name in ("red", "green", "blue", "gray"):
                bias = float(random.integers(-9, 10)) / 4
                setattr(step.scaler, f"{name}Bias", bias)
                if name in planes:
                    planes[name] = planes[name] * step.scaler.channelScale + bias
        else:
            mean = random.integers(0, 9, (len(planes), height, width)) / 4
            step.meanImage.meanImage.extend(mean.ravel().tolist())
            planes = {name: values - mean[index] for index, (name, values) in enumerate(planes.items())}
    wanted = np.stack(list(planes.values()))[None]
    obtained = ReferenceModel(network.model).predict({"x": picture})["y"]
    assert obtained.shape == (wanted.shape if mapping else (1, *wanted.shape))
    np.testing.assert_array_equal(obtained.reshape(wanted.shape), wanted)


@settings(max_examples=15, deadline=None)
@given(
    colors=st.tuples(st.sampled_from([10, 20, 30]), st.sampled_from([10, 20, 30])),
    size=st.tuples(sides, sides),
    seed=seeds,
)
def test_each_image_has_its_own(build: Any, colors: Any, size: Any, seed: int) -> None:
    network = build.network(
        [("x", "float32", (1,)), ("z", "float32", (1,))], [("y", "float32", ()), ("w", "float32", ())]
    )
    network.network.imageInputShapeMapping = 1
    given_pixels = {}
    for index, (name, output) in enumerate((("x", "y"), ("z", "w"))):
        image_input(network.model, name, colors[index], *size)
        network.layer("activation.linear", f"same_{name}", [name], [output], alpha=1.0)
        scaler = network.network.preprocessing.add(featureName=name).scaler
        scaler.channelScale = index + 0.5
        given_pixels[name] = pixels(seed + index, colors[index], *size)
    obtained = ReferenceModel(network.model).predict(given_pixels)
    for index, (name, output) in enumerate((("x", "y"), ("z", "w"))):
        wanted = [plane(given_pixels[name], color) * (index + 0.5) for color in COLORS[colors[index]]]
        np.testing.assert_array_equal(obtained[output], np.stack(wanted)[None])
