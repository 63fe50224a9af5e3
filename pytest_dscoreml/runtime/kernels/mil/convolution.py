"""ML Program: convolution and transposed convolution."""

from __future__ import annotations

from typing import Optional

from pytest_dscoreml.runtime.kernels.functions import convolution as functions
from pytest_dscoreml.runtime.kernels.functions import windows
from pytest_dscoreml.runtime.registry import Array, Ints, mil


@mil.kernel("conv", wide=True, fresh=True, grows=True)
def conv(
    *,
    x: Array,
    weight: Array,
    bias: Optional[Array] = None,
    strides: Optional[Ints] = None,
    pad_type: str = "valid",
    pad: Optional[Ints] = None,
    dilations: Optional[Ints] = None,
    groups: int = 1,
) -> Array:
    """The convolution of x with ``weight`` [C_out, C_in / groups, *kernel], over 1 to 3 spatial axes."""
    rank = x.ndim - 2
    steps = windows.spatial(strides, rank, "strides")
    gaps = windows.spatial(dilations, rank, "dilations")
    pads = windows.padding(pad_type, pad, x.shape[2:], windows.extents(weight.shape[2:], gaps), steps)
    return functions.convolve(x, weight, bias, strides=steps, pads=pads, dilations=gaps, groups=groups)


@mil.kernel("conv_transpose", wide=True, fresh=True, grows=True)
def conv_transpose(
    *,
    x: Array,
    weight: Array,
    bias: Optional[Array] = None,
    pad: Optional[Ints] = None,
    output_shape: Optional[Ints] = None,
    pad_type: str = "valid",
    strides: Optional[Ints] = None,
    dilations: Optional[Ints] = None,
    groups: int = 1,
) -> Array:
    """The transpose of a convolution, ``weight`` [C_in, C_out / groups, *kernel].

    What a ``same`` or ``custom`` convolution would have padded is cut off; ``output_shape`` says which of the inputs
    that such a convolution brings to x's shape is meant.
    """
    rank = x.ndim - 2
    steps = windows.spatial(strides, rank, "strides")
    gaps = windows.spatial(dilations, rank, "dilations")
    reach = windows.extents(weight.shape[2:], gaps)
    whole = functions.transposed_sizes(x.shape[2:], weight.shape[2:], steps, gaps)
    wanted: Optional[Ints] = None
    if output_shape is not None:
        expected = (x.shape[0], weight.shape[1] * groups)
        if len(output_shape) != x.ndim or output_shape[:2] != expected:
            raise ValueError(f"output_shape {output_shape} does not begin with {expected} or has another rank than x")
        wanted = output_shape[2:]
    if pad_type in ("same", "same_lower"):
        sizes = wanted or tuple(size * step for size, step in zip(x.shape[2:], steps))
        pads = windows.padding(pad_type, None, sizes, reach, steps)
    else:
        pads = windows.padding(pad_type, pad, x.shape[2:], reach, steps)
        sizes = wanted or tuple(size - before - after for size, (before, after) in zip(whole, pads))
    return functions.convolve_transposed(
        x,
        weight,
        bias,
        strides=steps,
        dilations=gaps,
        groups=groups,
        before=[before for before, _ in pads],
        sizes=sizes,
    )
