"""Five ways in which a converter could get DeepSpeech wrong, put into a converted file of either format.

Run as the converter's interpreter (`python defects.py DEFECT worker.py ...`) it is a converter with that defect: it
converts as the real one does, and damages each file right after it was saved.
"""

import runpy
import struct
import sys
from pathlib import Path

import numpy as np

DEFECTS = ("swapped-gates", "dropped-state", "early-gather", "dropped-mask", "clip-at-6")
RIGHT_CLIP, WRONG_CLIP = 20.0, 6.0


def damage(path, defect):
    """Put a defect into a saved `.mlmodel` or `.mlpackage`."""
    from coremltools.proto import Model_pb2

    path = Path(path)
    package = path.suffix == ".mlpackage"
    file = path / "Data" / "com.apple.CoreML" / "model.mlmodel" if package else path
    model = Model_pb2.Model()
    model.ParseFromString(file.read_bytes())
    if package:
        _Program(model, file.parent / "weights" / "weight.bin").put(defect)
    else:
        _Network(model).put(defect)
    file.write_bytes(model.SerializeToString())


class _Program:
    """Defects in an ML Program."""

    def __init__(self, model, weights):
        (function,) = model.mlProgram.functions.values()
        self.block = function.block_specializations[function.opset]
        self.weights = weights
        self.hidden = next(
            value.type.multiArrayType.shape[-1] for value in model.description.input if value.name == "previous_state_c"
        )

    def put(self, defect):
        {
            "swapped-gates": self._swap_gates,
            "dropped-state": self._drop_state,
            "early-gather": self._gather_early,
            "dropped-mask": self._drop_mask,
            "clip-at-6": self._clip,
        }[defect]()

    def _only(self, operations, kind):
        (found,) = [operation for operation in operations if operation.type == kind]
        return found

    def _swap_gates(self):
        loop = self._only(self.block.operations, "while_loop")
        body = loop.blocks[1].operations
        name = self._only(body, "linear").inputs["weight"].arguments[0].name
        everything = [*self.block.operations, *body]
        (const,) = [operation for operation in everything if any(out.name == name for out in operation.outputs)]
        entry = const.attributes["val"].blobFileValue.offset
        data = bytearray(self.weights.read_bytes())
        # A blob's header: sentinel, type, size in bytes, offset of the data.
        _, _, size, offset = struct.unpack_from("<IIQQ", data, entry)
        half = const.outputs[0].type.tensorType.dataType == 10  # MILSpec.FLOAT16
        weight = np.frombuffer(data, np.float16 if half else np.float32, size // (2 if half else 4), offset)
        gates = weight.reshape(4, self.hidden, -1).copy()
        data[offset : offset + size] = gates[[1, 0, 2, 3]].tobytes()
        self.weights.write_bytes(data)

    def _constant(self, name, like, values, *, integers=False):
        """Put a constant in front of everything; `like` is a constant of the same element type."""
        const = self.block.operations.add()
        const.CopyFrom(like)
        const.outputs[0].name = name
        const.attributes["name"].immediateValue.tensor.strings.values[:] = [name]
        for tensor_type in (const.outputs[0].type.tensorType, const.attributes["val"].type.tensorType):
            del tensor_type.dimensions[:]
            tensor_type.rank = np.ndim(values)
            for size in np.shape(values):
                tensor_type.dimensions.add().constant.size = size
        const.attributes["val"].ClearField("value")
        tensor = const.attributes["val"].immediateValue.tensor
        (tensor.ints if integers else tensor.floats).values[:] = np.ravel(values).tolist()
        self._move_to_front(const)

    def _move_to_front(self, operation):
        copy = type(operation)()
        copy.CopyFrom(operation)
        rest = list(self.block.operations)[:-1]
        del self.block.operations[:]
        self.block.operations.extend([copy, *rest])

    def _like(self, data_type):
        return next(
            operation
            for operation in self.block.operations
            if operation.type == "const" and operation.outputs[0].type.tensorType.dataType == data_type
        )

    def _rebind(self, old, new, kinds):
        for operation in self.block.operations:
            if operation.type in kinds:
                for argument in operation.inputs.values():
                    for binding in argument.arguments:
                        if binding.name == old:
                            binding.name = new

    def _drop_state(self):
        float32 = 11  # MILSpec.FLOAT32
        like = next(operation for operation in self.block.operations if operation.type == "const")
        for state in ("previous_state_c", "previous_state_h"):
            name = f"no_{state}"
            self._constant(name, like, np.zeros((1, self.hidden)))
            made = self.block.operations[0]
            for tensor_type in (made.outputs[0].type.tensorType, made.attributes["val"].type.tensorType):
                tensor_type.dataType = float32
            self._rebind(state, name, ("expand_dims", "cast"))

    def _gather_early(self):
        int32 = 23  # MILSpec.INT32
        stack = next(operation for operation in self.block.operations if operation.type == "stack")
        self._constant("one", self._like(int32), [1], integers=True)
        position = next(i for i, operation in enumerate(self.block.operations) if operation.type == "stack")
        stack = self.block.operations[position]
        less = type(stack)()
        less.type = "sub"
        less.inputs["x"].arguments.add().name = "input_lengths"
        less.inputs["y"].arguments.add().name = "one"
        less.outputs.add().name = "one_early"
        less.outputs[0].type.tensorType.dataType = int32
        less.outputs[0].type.tensorType.rank = 1
        less.outputs[0].type.tensorType.dimensions.add().constant.size = 1
        self._rebind("input_lengths", "one_early", ("stack",))
        operations = list(self.block.operations)
        del self.block.operations[:]
        self.block.operations.extend([*operations[:position], less, *operations[position:]])

    def _drop_mask(self):
        mask = self._only(self.block.operations, "mul")
        mask.type = "identity"
        del mask.inputs["y"]

    def _clip(self):
        for operation in self.block.operations:
            if operation.type == "const" and operation.outputs[0].name.startswith("Minimum"):
                tensor = operation.attributes["val"].immediateValue.tensor
                if tensor.HasField("bytes"):
                    tensor.bytes.values = np.float16(WRONG_CLIP).tobytes()
                else:
                    assert list(tensor.floats.values) == [RIGHT_CLIP]
                    tensor.floats.values[:] = [WRONG_CLIP]


class _Network:
    """Defects in a neural network."""

    def __init__(self, model):
        self.layers = model.neuralNetwork.layers
        self.hidden = next(
            value.type.multiArrayType.shape[-1] for value in model.description.input if value.name == "previous_state_c"
        )

    def put(self, defect):
        {
            "swapped-gates": self._swap_gates,
            "dropped-state": self._drop_state,
            "early-gather": self._gather_early,
            "dropped-mask": self._drop_mask,
            "clip-at-6": self._clip,
        }[defect]()

    def _swap_gates(self):
        (loop,) = [layer.loop for layer in self.layers if layer.WhichOneof("layer") == "loop"]
        (product,) = [layer for layer in loop.bodyNetwork.layers if layer.WhichOneof("layer") == "innerProduct"]
        weights = product.innerProduct.weights.floatValue
        gates = np.array(weights).reshape(4, self.hidden, -1)
        weights[:] = gates[[1, 0, 2, 3]].ravel().tolist()

    def _insert(self, position, layer):
        layers = list(self.layers)
        del self.layers[:]
        self.layers.extend([*layers[:position], layer, *layers[position:]])

    def _rebind(self, old, new, kinds):
        for layer in self.layers:
            if layer.WhichOneof("layer") in kinds and layer.name != new:
                for index, name in enumerate(layer.input):
                    if name == old:
                        layer.input[index] = new

    def _drop_state(self):
        for state in ("previous_state_c", "previous_state_h"):
            zeros = type(self.layers[0])(name=f"no_{state}", output=[f"no_{state}"])
            zeros.loadConstantND.shape[:] = [1, self.hidden]
            zeros.loadConstantND.data.floatValue[:] = [0.0] * self.hidden
            self._insert(0, zeros)
            self._rebind(state, f"no_{state}", ("expandDims",))

    def _gather_early(self):
        position = next(i for i, layer in enumerate(self.layers) if layer.WhichOneof("layer") == "stack")
        early = type(self.layers[0])(name="one_early", input=["input_lengths"], output=["one_early"])
        early.add.alpha = -1.0
        self._rebind("input_lengths", "one_early", ("stack",))
        self._insert(position, early)

    def _drop_mask(self):
        (mask,) = [layer for layer in self.layers if layer.WhichOneof("layer").startswith("multiply")]
        history = mask.input[0]
        mask.activation.linear.alpha = 1.0
        mask.input[:] = [history]

    def _clip(self):
        clips = [layer for layer in self.layers if layer.name.startswith("Minimum")]
        constants = [layer for layer in clips if layer.WhichOneof("layer") == "loadConstantND"]
        assert constants
        for layer in constants:
            assert list(layer.loadConstantND.data.floatValue) == [RIGHT_CLIP]
            layer.loadConstantND.data.floatValue[:] = [WRONG_CLIP]


def main():
    defect, worker, *rest = sys.argv[1:]
    if "--versions" not in rest:
        import coremltools

        save = coremltools.models.MLModel.save

        def save_damaged(model, path):
            save(model, path)
            damage(path, defect)

        coremltools.models.MLModel.save = save_damaged
    sys.argv = [worker, *rest]
    runpy.run_path(worker, run_name="__main__")


if __name__ == "__main__":
    main()
