"""Builds small Core ML models message by message, so that these tests need neither the converter nor TensorFlow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Optional

import numpy as np
import pytest

from pytest_dscoreml.runtime import proto

MIL_TYPES = {"bool": 1, "string": 2, "float16": 10, "float32": 11, "int32": 23}
ARRAY_TYPES = {"float32": 65568, "float64": 65600, "int32": 131104, "float16": 65552}


def set_type(message: Any, dtype: str, shape: tuple[Optional[int], ...]) -> None:
    message.tensorType.dataType = MIL_TYPES[dtype]
    message.tensorType.rank = len(shape)
    for size in shape:
        dimension = message.tensorType.dimensions.add()
        if size is None:
            dimension.unknown.variadic = False
        else:
            dimension.constant.size = size


def describe(feature: Any, name: str, dtype: str, shape: tuple[Any, ...]) -> None:
    """``shape`` holds sizes, or (lower, upper) pairs with upper -1 for unbounded."""
    feature.name = name
    array = feature.type.multiArrayType
    array.dataType = ARRAY_TYPES[dtype]
    array.shape.extend(item[0] if isinstance(item, tuple) else item for item in shape)
    if any(isinstance(item, tuple) for item in shape):
        for item in shape:
            low, high = item if isinstance(item, tuple) else (item, item)
            array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)


class BlockBuilder:
    """Fills one block of an ML Program."""

    def __init__(self, block: Any) -> None:
        self.block = block

    def const(self, name: str, value: Any) -> str:
        operation = self.block.operations.add(type="const")
        operation.attributes["name"].immediateValue.tensor.strings.values.append(name)
        held = operation.attributes["val"]
        output = operation.outputs.add(name=name)
        if isinstance(value, str):
            set_type(held.type, "string", ())
            set_type(output.type, "string", ())
            held.immediateValue.tensor.strings.values.append(value)
            return name
        array = np.asarray(value)
        set_type(held.type, array.dtype.name, array.shape)
        set_type(output.type, array.dtype.name, array.shape)
        tensor = held.immediateValue.tensor
        if array.dtype == np.float16:
            tensor.bytes.values = array.tobytes()
        else:
            fields = {"f": tensor.floats, "i": tensor.ints, "b": tensor.bools}
            field = fields[array.dtype.kind]
            field.SetInParent()
            field.values.extend(array.ravel().tolist())
        return name

    def blob(self, name: str, dtype: str, shape: tuple[int, ...], offset: int, file: str = "weight.bin") -> str:
        operation = self.block.operations.add(type="const")
        operation.attributes["name"].immediateValue.tensor.strings.values.append(name)
        held = operation.attributes["val"]
        set_type(held.type, dtype, shape)
        held.blobFileValue.fileName = f"@model_path/weights/{file}"
        held.blobFileValue.offset = offset
        set_type(operation.outputs.add(name=name).type, dtype, shape)
        return name

    def op(self, kind: str, outputs: Any, **inputs: Any) -> Any:
        """``outputs`` is (name, dtype, shape) or a list of them; inputs are names, lists of names, or constants."""
        operation = self.block.operations.add(type=kind)
        listed = [outputs] if isinstance(outputs, tuple) else outputs
        first = listed[0][0]
        operation.attributes["name"].immediateValue.tensor.strings.values.append(first)
        for key, value in inputs.items():
            if isinstance(value, list):
                names = value
            elif isinstance(value, str) and not value.startswith("'"):
                names = [value]
            else:
                constant = value[1:-1] if isinstance(value, str) else value
                position = len(self.block.operations) - 1
                names = [self.const(f"{first}_{key}_0", constant)]
                # The constant goes in front of the operation that reads it.
                moved = self.block.operations.pop(len(self.block.operations) - 1)
                self.block.operations.insert(position, moved)
                operation = self.block.operations[position + 1]
            for name in names:
                operation.inputs[key].arguments.add(name=name)
        for name, dtype, shape in listed:
            set_type(operation.outputs.add(name=name).type, dtype, shape)
        return operation

    def nested(self, operation: Any, inputs: Any = ()) -> BlockBuilder:
        block = operation.blocks.add()
        for name, dtype, shape in inputs:
            set_type(block.inputs.add(name=name).type, dtype, shape)
        return BlockBuilder(block)


class ProgramBuilder(BlockBuilder):
    """Builds an ML Program model: inputs and outputs are (name, dtype, shape), shapes with pairs for ranges."""

    def __init__(self, inputs: Any = (), outputs: Any = (), opset: str = "CoreML5") -> None:
        self.model = proto._module("Model_pb2").Model(specificationVersion=6)
        self.function = self.model.mlProgram.functions["main"]
        self.function.opset = opset
        super().__init__(self.function.block_specializations[opset])
        for name, dtype, shape in inputs:
            describe(self.model.description.input.add(), name, dtype, shape)
            known = tuple(None if isinstance(item, tuple) else item for item in shape)
            set_type(self.function.inputs.add(name=name).type, dtype, known)
        for name, dtype, shape in outputs:
            describe(self.model.description.output.add(), name, dtype, shape)
            self.block.outputs.append(name)


class NetworkBuilder:
    """Builds a neural network model with exact array mapping."""

    def __init__(self, inputs: Any = (), outputs: Any = ()) -> None:
        self.model = proto._module("Model_pb2").Model(specificationVersion=4)
        self.network = self.model.neuralNetwork
        self.network.arrayInputShapeMapping = 1
        for name, dtype, shape in inputs:
            describe(self.model.description.input.add(), name, dtype, shape)
        for name, dtype, shape in outputs:
            describe(self.model.description.output.add(), name, dtype, shape)

    def layer(self, kind: str, name: str, inputs: Any, outputs: Any, network: Any = None, **fields: Any) -> Any:
        """Add a layer; a field is a scalar, a list, or an array for WeightParams."""
        layer = (self.network if network is None else network).layers.add(name=name, input=inputs, output=outputs)
        params = layer
        for part in kind.split("."):
            params = getattr(params, part)
            params.SetInParent()
        for key, value in fields.items():
            if isinstance(value, np.ndarray):
                getattr(params, key).floatValue.extend(value.ravel().tolist())
            elif isinstance(value, list):
                getattr(params, key).extend(value)
            else:
                setattr(params, key, value)
        return layer


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """The builders: ``build.program(...)`` and ``build.network(...)``."""
    return SimpleNamespace(program=ProgramBuilder, network=NetworkBuilder, set_type=set_type)


@pytest.fixture(scope="session")
def history(build: SimpleNamespace) -> Any:
    """A recurrent loop as coremltools writes it: c[t + 1] = tanh(x[t] + c[t]), scattered into a history.

    ``history(reader=...)`` adds what reads the history inside the loop, and returns the model.
    """

    def make(*, dtype: str = "float32", reader: Any = None, extra: Any = ()) -> Any:
        outputs = [("out", "float32", ()), *extra]
        program = build.program([("x", dtype, ((1, 500), 1, 2)), ("c0", dtype, (1, 1, 2))], outputs)
        shape = (None, 1, 2)
        program.op("shape", ("size", "int32", (3,)), x="x")
        program.op(
            "slice_by_index",
            ("steps", "int32", (1,)),
            x="size",
            begin=np.array([0], np.int32),
            end=np.array([1], np.int32),
        )
        program.op("fill", ("zeros", dtype, shape), shape="size", value=np.zeros((), dtype))
        program.op("concat", ("start", dtype, shape), values=["c0", "zeros"], axis=np.int32(0), interleave=False)
        program.const("t0", np.array([0], np.int32))
        carried = [("t", "int32", (1,)), ("h", dtype, shape)]
        loop = program.op("while_loop", [("t_end", "int32", (1,)), ("h_end", dtype, shape)], loop_vars=["t0", "start"])
        condition = program.nested(loop, carried)
        condition.op("less", ("go", "bool", (1,)), x="t", y="steps")
        condition.block.outputs.append("go")
        body = program.nested(loop, carried)
        row = (1, 1, 2)
        body.op("gather", ("x_t", dtype, row), x="x", indices="t", axis=np.int32(0))
        body.op("gather", ("c_t", dtype, row), x="h", indices="t", axis=np.int32(0))
        body.op("add", ("s_t", dtype, row), x="x_t", y="c_t")
        body.op("tanh", ("y_t", dtype, row), x="s_t")
        body.op("add", ("next", "int32", (1,)), x="t", y=np.array([1], np.int32))
        body.op(
            "scatter",
            ("h_next", dtype, shape),
            data="h",
            indices="next",
            updates="y_t",
            axis=np.int32(0),
            mode="'update'",
        )
        if reader is not None:
            reader(body)
        body.block.outputs.extend(["next", "h_next"])
        program.op("cast", ("out", "float32", shape), x="h_end", dtype="'fp32'")
        return program

    return make
