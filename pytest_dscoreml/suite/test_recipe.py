"""Promise: the documented recipe, the dynamic graph and the names of its outputs, admits every length that the graph admits."""

from __future__ import annotations

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.model.loading import Model


def test_recipe_admits_every_length(dscoreml_gate: Gate, dscoreml_model: Model, dscoreml_recipe: Conversion) -> None:
    """From one step to the longest sequence of this run, with no `inputs` given to the converter."""
    geometry = dscoreml_model.geometry
    feature = dscoreml_gate.file(dscoreml_recipe.spec).interface.input("input_node")
    lengths = range(1, max(dscoreml_gate.longest, dscoreml_model.n_steps + 1) + 1)
    refused = [steps for steps in lengths if not feature.admits((1, steps, geometry.n_window, geometry.n_input))]
    if refused:
        raise Disagreement(
            f"input_node [{dscoreml_recipe.spec}]: expected 1 to {lengths[-1]} steps, as the graph takes, obtained "
            f"{feature.describe_shape()}, which refuses {refused[0]} steps"
        )
