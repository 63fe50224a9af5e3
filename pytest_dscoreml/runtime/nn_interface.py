"""How a neural network sees its inputs and outputs: shape mappings, image preprocessing, class labels.

Imports only the runtime's interface, images and problems.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_dscoreml.runtime.images import Image, read_preprocessing
from pytest_dscoreml.runtime.interface import DICTIONARY, LABEL, Feature, Interface
from pytest_dscoreml.runtime.interface_reader import map_to_rank5
from pytest_dscoreml.runtime.problems import Problems

# The kinds of models that are neural networks.
NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")

_RANK5_MAPPING = 0


def network_interface(network: Any, interface: Interface, problems: Problems) -> Interface:
    """``interface`` with what the network's own fields say of it; what is wrong goes to ``problems``."""
    for name in ("arrayInputShapeMapping", "imageInputShapeMapping"):
        if getattr(network, name) not in network.DESCRIPTOR.fields_by_name[name].enum_type.values_by_number:
            problems.add(f"the network has an unknown {name} (number {getattr(network, name)})")
    # In front of [channel, height, width]: the batch, and with the old mapping the sequence.
    leading = 2 if network.imageInputShapeMapping == _RANK5_MAPPING else 1
    inputs = tuple(replace(feature, leading=leading) for feature in interface.inputs)
    for message in network.preprocessing:
        name = message.featureName or next((feature.name for feature in inputs if feature.image is not None), "")
        if all(feature.name != name for feature in inputs):
            problems.add(f"the network preprocesses {name!r}, which is no input")
        inputs = tuple(_preprocessed(item, message, problems) if item.name == name else item for item in inputs)
    interface = replace(interface, inputs=inputs, labels=_labels(network))
    if any(item.kind in (LABEL, DICTIONARY) for item in interface.outputs) and not interface.labels:
        problems.add("the model declares a label or probabilities, but the network holds no class labels")
    return map_to_rank5(interface, problems) if network.arrayInputShapeMapping == _RANK5_MAPPING else interface


def _preprocessed(feature: Feature, message: Any, problems: Problems) -> Feature:
    """``feature`` with one more preprocessing step."""
    image = feature.image
    if image is None or feature.shape is None:
        problems.add(f"the network preprocesses {feature.name!r}, which is no image")
        return feature
    shape = (image.channels, *(lower for lower, _ in feature.shape))
    try:
        step = read_preprocessing(message, image.color, shape)
    except ValueError as error:
        problems.add(f"the preprocessing of {feature.name!r}: {error}")
        return feature
    return replace(feature, image=Image(image.color, (*image.preprocessing, step)))


def _labels(network: Any) -> tuple[Any, ...]:
    if "ClassLabels" not in network.DESCRIPTOR.oneofs_by_name:
        return ()
    which = network.WhichOneof("ClassLabels")
    return tuple(getattr(network, which).vector) if which else ()
