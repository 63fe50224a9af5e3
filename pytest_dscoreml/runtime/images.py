"""Images as inputs and outputs: what is admitted, the tensor it becomes, and a neural network's preprocessing.

An image is given as an array [height, width, 3] (red, green, blue; a fourth channel, alpha, is dropped), [height, width]
(gray), or as a PIL image. Imports only NumPy and the errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import InputError

RGB, BGR, GRAY, GRAY_FLOAT16 = "RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"
# ImageFeatureType.ColorSpace
COLOR_SPACES = {10: GRAY, 20: RGB, 30: BGR, 40: GRAY_FLOAT16}
_PIL_MODES = {RGB: ("RGB", "RGBA"), BGR: ("RGB", "RGBA"), GRAY: ("L",), GRAY_FLOAT16: ("F", "L")}


@dataclass(frozen=True, eq=False)
class Scaling:
    """``scale`` x + ``bias``; the bias has one value per channel, in the order of the tensor."""

    scale: float
    bias: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class MeanImage:
    """x - ``mean``, an image [channels, height, width]."""

    mean: NDArray[np.float32]


@dataclass(frozen=True)
class Image:
    """The color space of an image feature and what a neural network does to its tensor first, in order."""

    color: str
    preprocessing: tuple[Any, ...] = ()

    @property
    def channels(self) -> int:
        """3 for color, 1 for gray."""
        return 3 if self.color in (RGB, BGR) else 1

    def pixels(self, name: str, given: Any) -> NDArray[Any]:
        """``given`` as an array [height, width, 3] or [height, width]; InputError when it is no such image."""
        mode: Optional[str] = getattr(given, "mode", None)
        if mode is not None and mode not in _PIL_MODES[self.color]:
            raise InputError(
                f"input {name!r}: an image of mode {mode}, expected {' or '.join(_PIL_MODES[self.color])} "
                f"for {self.color}"
            )
        try:
            array = np.asarray(given)
        except (ValueError, TypeError):
            array = np.empty(0, dtype=object)
        wanted = "[height, width, 3]" if self.channels == 3 else "[height, width]"
        if array.dtype.kind not in "fiub":
            raise InputError(
                f"input {name!r}: expected an image ({self.color}, {wanted}), given {type(given).__name__}"
            )
        if self.channels == 3 and array.ndim == 3 and array.shape[2] in (3, 4):
            return array[:, :, :3]
        if self.channels == 1 and array.ndim == 2:
            return array
        raise InputError(f"input {name!r}: an array of shape {array.shape}, expected an image ({self.color}, {wanted})")

    def tensor(self, pixels: NDArray[Any], leading: int) -> NDArray[np.float32]:
        """The preprocessed tensor, [channels, height, width] behind ``leading`` axes of size 1."""
        planes = pixels[None] if self.channels == 1 else np.moveaxis(pixels, 2, 0)
        if self.color == BGR:
            planes = planes[::-1]
        tensor = np.ascontiguousarray(planes, np.float32)
        for step in self.preprocessing:
            if isinstance(step, Scaling):
                bias = np.array(step.bias, np.float32)[:, None, None]
                tensor = tensor * np.float32(step.scale) + bias
            else:
                tensor = tensor - step.mean
        return tensor.reshape((1,) * leading + tensor.shape)

    def image(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """The image in a result: uint8 [height, width, 3] (red, green, blue) or [height, width], rounded and clipped.

        ValueError when the tensor is not one image.
        """
        if tensor.ndim < 3 or tensor.shape[-3] != self.channels or tensor.size != int(np.prod(tensor.shape[-3:])):
            raise ValueError(f"a tensor of shape {tensor.shape} is no image of {self.channels} channels")
        planes = tensor.reshape(tensor.shape[-3:])
        if self.color == GRAY_FLOAT16:
            return np.asarray(planes[0], np.float16)
        if self.color == BGR:
            planes = planes[::-1]
        rounded = np.clip(np.rint(planes), 0, 255).astype(np.uint8)
        return np.asarray(rounded[0] if self.channels == 1 else np.moveaxis(rounded, 0, 2), order="C")


def read_preprocessing(message: Any, color: str, shape: tuple[int, ...]) -> Any:
    """The step in a ``NeuralNetworkPreprocessing`` for an image [channels, height, width]; ValueError if it is none."""
    which = message.WhichOneof("preprocessor")
    if which == "scaler":
        scaler = message.scaler
        colors = (scaler.redBias, scaler.greenBias, scaler.blueBias)
        bias = {RGB: colors, BGR: colors[::-1]}.get(color, (scaler.grayBias,))
        return Scaling(scaler.channelScale, bias)
    if which == "meanImage":
        mean = np.array(message.meanImage.meanImage, np.float32)
        if mean.size != int(np.prod(shape, dtype=object)):
            raise ValueError(f"its mean image holds {mean.size} values, the image takes {shape}")
        return MeanImage(mean.reshape(shape))
    raise ValueError("it is neither a scaler nor a mean image")
