"""Promise: the conversion declares the interface that its users were promised: names, types, and every length admitted."""

from __future__ import annotations

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.variants import Target, Variant
from pytest_dscoreml.gate import Gate
from pytest_dscoreml.inspection import features_only
from pytest_dscoreml.model.frozen import INPUTS, OUTPUTS, read_graph
from pytest_dscoreml.model.loading import Model
from pytest_dscoreml.run import Run

#: Operations whose result has a shape that is known only when it runs; a neural network marks its own by a suffix.
DYNAMIC_OPERATIONS = ("shape", "fill", "range_1d", "non_zero", "getShape", "fillLike", "whereNonZero")
DYNAMIC_SUFFIX = "Dynamic"


def test_names(dscoreml_run: Run, dscoreml_conversion: Conversion) -> None:
    """Exactly the graph's four inputs, and the three outputs that were asked for."""
    interface = dscoreml_run.file(dscoreml_conversion.spec).interface
    for kind, expected, features in (("inputs", INPUTS, interface.inputs), ("outputs", OUTPUTS, interface.outputs)):
        obtained = sorted(feature.name for feature in features)
        if obtained != sorted(expected):
            raise Disagreement(
                f"{kind} [{dscoreml_conversion.spec}]: expected {', '.join(sorted(expected))}, obtained {', '.join(obtained)}"
            )


def test_types(dscoreml_run: Run, dscoreml_conversion: Conversion) -> None:
    """float32 throughout, but that an ML Program takes `input_lengths` as the graph does, as int32."""
    spec = dscoreml_conversion.spec
    lengths = "int32" if spec.target is Target.MLPROGRAM else "float32"
    interface = dscoreml_run.file(spec).interface
    for feature in (*interface.inputs, *interface.outputs):
        expected = lengths if feature.name == "input_lengths" else "float32"
        if feature.dtype != expected:
            raise Disagreement(f"{feature.name} [{spec}]: expected type {expected}, obtained {feature.dtype}")


def test_every_length_is_admitted(dscoreml_run: Run, dscoreml_model: Model, dscoreml_conversion: Conversion) -> None:
    """A dynamic conversion admits 1 to the longest sequence of this run; the others exactly the steps of a chunk."""
    spec, geometry, n_steps = dscoreml_conversion.spec, dscoreml_model.geometry, dscoreml_model.n_steps
    feature = dscoreml_run.file(spec).interface.input("input_node")
    window = (geometry.n_window, geometry.n_input)
    longest = max(dscoreml_run.longest, n_steps + 1)
    expected = range(1, longest + 1) if spec.variant is Variant.DYNAMIC else [n_steps]
    refused = [steps for steps in expected if not feature.admits((1, steps, *window))]
    invited = [
        steps for steps in range(1, longest + 1) if steps not in expected and feature.admits((1, steps, *window))
    ]
    if refused or invited:
        wanted = f"1 to {longest} steps" if spec.variant is Variant.DYNAMIC else f"exactly {n_steps} steps"
        raise Disagreement(
            f"input_node [{spec}]: expected {wanted} of {list(window)}, obtained {feature.describe_shape()}"
            + (f", which refuses {refused[0]} steps" if refused else f", which admits {invited[0]} steps")
        )


def test_state_shapes(dscoreml_run: Run, dscoreml_model: Model, dscoreml_conversion: Conversion) -> None:
    """The states go in with the shape in which they come out, one row of n_hidden; the length is one number."""
    interface, state = dscoreml_run.file(dscoreml_conversion.spec).interface, (1, dscoreml_model.geometry.n_hidden)
    for name, shape in (("previous_state_c", state), ("previous_state_h", state), ("input_lengths", (1,))):
        feature = interface.input(name)
        if not feature.admits(shape) or feature.flexible:
            raise Disagreement(
                f"{name} [{dscoreml_conversion.spec}]: expected shape {shape}, obtained {feature.describe_shape()}"
            )


def test_no_dynamic_operation_in_static_shapes(dscoreml_conversion: Conversion) -> None:
    """Static and pinned: with every shape known, the converter leaves no operation that computes one."""
    if dscoreml_conversion.spec.variant is Variant.DYNAMIC:
        left = [op for op in dscoreml_conversion.op_counts if _is_dynamic(op)]
        if not left:
            raise Disagreement(f"operations [{dscoreml_conversion.spec}]: expected a dynamic operation, obtained none")
        return
    left = [f"{count} {op}" for op, count in sorted(dscoreml_conversion.op_counts.items()) if _is_dynamic(op)]
    if left:
        raise Disagreement(
            f"operations [{dscoreml_conversion.spec}]: expected none of dynamic shape, obtained {', '.join(left)}"
        )


def _is_dynamic(op: str) -> bool:
    return op in DYNAMIC_OPERATIONS or op.endswith(DYNAMIC_SUFFIX)


def test_features_are_left_out(dscoreml_gate: Gate, dscoreml_model: Model, dscoreml_conversion: Conversion) -> None:
    """Naming the three outputs strips the features sub-graph: none of its nodes became an operation."""
    spec = dscoreml_conversion.spec
    graph = read_graph(dscoreml_model.graphs[spec.graph].path)
    stripped = {form for name in features_only(graph) for form in (name, name.replace("/", "_"))}
    left = sorted(
        value.name
        for step in dscoreml_gate.file(spec).program.operations(constants=True)
        for value in step.outputs
        if value.name in stripped
    )
    if left:
        raise Disagreement(f"operations [{spec}]: expected none of the features sub-graph, obtained {', '.join(left)}")
