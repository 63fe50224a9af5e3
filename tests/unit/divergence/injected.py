"""Ten defects for each format, half of them in the loop: each changes one operation of a converted file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

#: By name, the result that TensorFlow's own name or the converter's number gives to the operation that is changed.
DEFECTS = {
    "weights of the first layer": "BiasAdd",
    "another clip": "Minimum_1",
    "tanh in place of relu": "Relu_2",
    "no mask": "mul",
    "the last layer's bias": "BiasAdd_4",
    "tanh in place of sigmoid": "sigmoid_3",
    "add in place of mul": "mul_4",
    "c in place of h": "gather_4",
    "h before x": "concat_4",
    "swapped gates": "linear_1",
}
IN_LOOP = ("tanh in place of sigmoid", "add in place of mul", "c in place of h", "h before x", "swapped gates")


def inject(path, defect):
    """Put a defect into a converted `.mlmodel` or `.mlpackage`."""
    from coremltools.proto import Model_pb2

    package = path.suffix == ".mlpackage"
    file = path / "Data" / "com.apple.CoreML" / "model.mlmodel" if package else path
    model = Model_pb2.Model()
    model.ParseFromString(file.read_bytes())
    made = _Program(model, file.parent / "weights" / "weight.bin") if package else _Network(model)
    made.put(defect, DEFECTS[defect])
    file.write_bytes(model.SerializeToString())


class _Program:
    def __init__(self, model, weights: Path):
        (function,) = model.mlProgram.functions.values()
        self.block = function.block_specializations[function.opset]
        (loop,) = [one for one in self.block.operations if one.type == "while_loop"]
        self.body = loop.blocks[1]
        self.weights = weights

    def operation(self, name):
        (found,) = [
            one
            for one in (*self.block.operations, *self.body.operations)
            for out in one.outputs
            if one.type != "const"
            and (out.name == name or out.name.endswith(f"_{name}"))
            and not out.name.startswith("slice")
        ]
        return found

    def put(self, defect, name):
        operation = self.operation(name)
        if defect == "another clip":
            self._constant(operation, "y").attributes["val"].immediateValue.tensor.floats.values[:] = [0.5]
        elif defect in ("tanh in place of relu", "tanh in place of sigmoid"):
            operation.type = "tanh"
        elif defect == "no mask":
            operation.type = "identity"
            del operation.inputs["y"]
        elif defect == "add in place of mul":
            operation.type = "add"
        elif defect == "c in place of h":
            other = self.operation("gather_5")
            operation.inputs["x"].CopyFrom(other.inputs["x"])
        elif defect == "h before x":
            arguments = operation.inputs["values"].arguments
            first, second = arguments[0].name, arguments[1].name
            arguments[0].name, arguments[1].name = second, first
        elif defect == "weights of the first layer":
            self._rewrite(self._constant(operation, "weight"), lambda values: values * 1.5)
        elif defect == "the last layer's bias":
            self._rewrite(self._constant(operation, "bias"), lambda values: values[::-1])
        else:
            assert defect == "swapped gates"
            self._rewrite(
                self._constant(operation, "weight"), lambda values: values.reshape(4, -1)[[0, 1, 3, 2]].ravel()
            )

    def _constant(self, operation, parameter):
        name = operation.inputs[parameter].arguments[0].name
        (found,) = [
            one
            for one in (*self.block.operations, *self.body.operations)
            if any(out.name == name for out in one.outputs)
        ]
        return found

    def _rewrite(self, const, change):
        value = const.attributes["val"]
        if value.WhichOneof("value") == "immediateValue":
            floats = value.immediateValue.tensor.floats.values
            floats[:] = change(np.array(floats, np.float32)).tolist()
            return
        data = bytearray(self.weights.read_bytes())
        # A blob's header: sentinel, type, size in bytes, offset of the data.
        _, _, size, offset = struct.unpack_from("<IIQQ", data, value.blobFileValue.offset)
        values = np.frombuffer(bytes(data), np.float32, size // 4, offset)
        data[offset : offset + size] = change(values).astype(np.float32).tobytes()
        self.weights.write_bytes(data)


class _Network:
    def __init__(self, model):
        self.layers = model.neuralNetwork.layers
        (loop,) = [layer.loop for layer in self.layers if layer.WhichOneof("layer") == "loop"]
        self.body = loop.bodyNetwork.layers

    def layer(self, name):
        (found,) = [
            one
            for one in (*self.layers, *self.body)
            if any(out == name or out.endswith(f"/{name}") for out in one.output)
        ]
        return found

    def put(self, defect, name):
        layer = self.layer(name)
        if defect == "another clip":
            self.layer(layer.input[1]).loadConstantND.data.floatValue[:] = [0.5]
        elif defect in ("tanh in place of relu", "tanh in place of sigmoid"):
            layer.activation.tanh.SetInParent()
        elif defect == "no mask":
            history = layer.input[0]
            layer.activation.linear.alpha = 1.0
            layer.input[:] = [history]
        elif defect == "add in place of mul":
            layer.add.SetInParent()
        elif defect == "c in place of h":
            layer.input[0] = self.layer("gather_5").input[0]
        elif defect == "h before x":
            layer.input[:] = [layer.input[1], layer.input[0]]
        elif defect == "weights of the first layer":
            self._rewrite(layer.innerProduct.weights, lambda values: values * 1.5)
        elif defect == "the last layer's bias":
            self._rewrite(layer.innerProduct.bias, lambda values: values[::-1])
        else:
            assert defect == "swapped gates"
            self._rewrite(layer.innerProduct.weights, lambda values: values.reshape(4, -1)[[0, 1, 3, 2]].ravel())

    def _rewrite(self, weights, change):
        weights.floatValue[:] = change(np.array(weights.floatValue, np.float32)).tolist()
