"""Whether a neural network layer's flags and its weights say the same: ``hasBias`` goes with a bias.

A kernel takes no bias where the flag is not set, so that a damaged flag would change the answer without a word. Imports
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Each flag, and how the names end of the weights that it announces.
_ANNOUNCED = {
    "hasBias": "bias",
    "hasBiasVector": "biasVector",
    "hasBiasVectors": "BiasVector",
    "hasPeepholeVectors": "PeepholeVector",
}
# A third input may be a convolution's bias.
_INPUTS_WITH_BIAS = 3


def contradictions(layer: Any, inputs: int) -> Iterator[str]:
    """What is wrong with the flags of a layer's parameters, in words; ``inputs`` is how many inputs the layer has."""
    fields = layer.DESCRIPTOR.fields_by_name
    flags = layer.params if "params" in fields and hasattr(layer.params, "hasBiasVectors") else layer
    holders = [layer]
    if "weightParams" in fields:
        held = layer.weightParams
        # One message, or several of them: newer protobufs do not tell it of the field.
        holders = [held] if hasattr(held, "DESCRIPTOR") else list(held)
    for flag, ending in _ANNOUNCED.items():
        if flag not in flags.DESCRIPTOR.fields_by_name:
            continue
        announced = getattr(flags, flag)
        for holder in holders:
            names = [name for name in holder.DESCRIPTOR.fields_by_name if name.endswith(ending)]
            for name in names:
                given = bool(getattr(holder, name).ByteSize())
                if given and not announced:
                    yield f"holds {name}, and {flag} is not set"
                elif announced and not given and inputs < _INPUTS_WITH_BIAS:
                    yield f"holds no {name}, and {flag} is set"
