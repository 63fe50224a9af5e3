"""Reads an ML Program's protobuf into a ``Program``; weights stay views of the weight file.

A value that cannot be read is noted as a problem and stands as an undefined name's stead, so that all problems of a
file are told at once. Imports only the runtime's own forms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime import proto
from pytest_dscoreml.runtime.blob import WeightFile, unpack
from pytest_dscoreml.runtime.problems import Place, Problems
from pytest_dscoreml.runtime.program import (
    MLPROGRAM,
    NO_NUMBERS,
    OPSETS,
    SUB_BYTE,
    UNREADABLE,
    Block,
    Constant,
    Operand,
    Program,
    Ref,
    Step,
    TensorType,
    Value,
    is_numeric,
)
from pytest_dscoreml.runtime.shaped import shaped

# Of the program's form.
VERSION = 1
_MODEL_WEIGHTS = "@model_path/weights/"
_IMMEDIATE_FIELDS = {"floats": "f", "doubles": "f", "ints": "iu", "longInts": "iu", "bools": "b"}


def read_program(message: Any, *, weights_dir: Optional[Path], function: str, problems: Problems) -> Program:
    """The function ``function`` of a ``MILSpec.Program``; what is wrong with it goes to ``problems``."""
    functions = message.functions
    if function not in functions:
        problems.add(f"the ML Program has no function {function!r} (it has {', '.join(sorted(functions)) or 'none'})")
        problems.raise_if_any()
    main = functions[function]
    opset = main.opset
    if opset not in main.block_specializations:
        problems.add(f"function {function!r} has no block for its opset {opset!r}")
        problems.raise_if_any()
    if opset not in OPSETS:
        problems.add(f"function {function!r} is of opset {opset!r}, which is not known (known are {', '.join(OPSETS)})")
        problems.raise_if_any()
    reader = _Reader(opset, weights_dir, problems)
    # 0 is a version that is not set.
    if message.version not in (0, VERSION):
        problems.add(f"the ML Program is of version {message.version}, which is not known (known is {VERSION})")
    if main.block_specializations[opset].inputs:
        problems.add(f"function {function!r} has a block with inputs of its own, which is not supported")
    block = reader.block(main.block_specializations[opset], function, reader.values(main.inputs, None))
    return Program(MLPROGRAM, opset, block, {name: name for name in block.outputs})


class _Reader:
    def __init__(self, opset: str, weights_dir: Optional[Path], problems: Problems) -> None:
        self._opset = opset
        self._weights_dir = weights_dir
        self._problems = problems
        self._files: dict[str, Union[WeightFile, str]] = {}

    def block(self, message: Any, location: str, inputs: tuple[Value, ...]) -> Block:
        steps = tuple(self._step(operation, location) for operation in message.operations)
        return Block(inputs, steps, tuple(message.outputs))

    def values(self, messages: Any, place: Optional[Place]) -> tuple[Value, ...]:
        return tuple(Value(item.name, self._type(item.type, place)) for item in messages)

    def _step(self, message: Any, location: str) -> Step:
        op = message.type
        name = message.outputs[0].name if message.outputs else "unnamed"
        if "name" in message.attributes:
            name = next(iter(message.attributes["name"].immediateValue.tensor.strings.values), name)
        place = Place("operation", op, name, location, self._opset)
        operands: tuple[Operand, ...] = ()
        parameters: dict[str, Operand] = {}
        # A protobuf map has no order of its own; messages and tests want one.
        for key in sorted(message.inputs):
            operand = self._argument(message.inputs[key], place, key)
            if op == "while_loop" and key == "loop_vars":
                operands = operand if isinstance(operand, tuple) else (operand,)
            else:
                parameters[key] = operand
        for key in sorted(message.attributes):
            # Before iOS 18 an operation on compressed weights has all its arguments here, later as inputs.
            if key != "name":
                parameters[key] = self._value(message.attributes[key], place, key)
        if op == "const":
            self._check_constant(message, parameters, place)
        blocks = []
        for index, nested in enumerate(message.blocks):
            inside = f"{location}/{name}[{index}]"
            blocks.append(self.block(nested, inside, self.values(nested.inputs, place)))
        return Step(op, name, location, operands, parameters, self.values(message.outputs, place), tuple(blocks))

    def _check_constant(self, message: Any, parameters: dict[str, Operand], place: Place) -> None:
        """A const's value must have the type of its output."""
        value = parameters.get("val")
        if not isinstance(value, Constant) or len(message.outputs) != 1:
            return
        declared = self._type(message.outputs[0].type, place)
        if declared is None:
            return
        if not isinstance(value.value, np.ndarray):
            if declared.dtype not in NO_NUMBERS:
                self._problems.add(place.says(f"holds {value.value!r}, its output is declared {declared}"))
        elif declared.stored != value.value.dtype.name or not declared.admits(value.value.shape):
            held = TensorType(value.value.dtype.name, value.value.shape)
            self._problems.add(place.says(f"holds {held}, its output is declared {declared}"))

    def _argument(self, message: Any, place: Place, key: str) -> Operand:
        items: list[Union[Ref, Constant]] = []
        for binding in message.arguments:
            if binding.WhichOneof("binding") == "name":
                items.append(Ref(binding.name))
            else:
                items.append(self._value(binding.value, place, key))
        return items[0] if len(items) == 1 else tuple(items)

    def _type(self, message: Any, place: Optional[Place]) -> Optional[TensorType]:
        """The type of a value; ``None`` for a tuple."""
        kind = message.WhichOneof("type")
        if kind == "listType":
            return TensorType("list", element=self._type(message.listType.type, place))
        if kind == "stateType":
            return TensorType("state", element=self._type(message.stateType.wrappedType, place))
        if kind == "dictionaryType":
            return TensorType("dictionary")
        if kind != "tensorType":
            return None
        return self._tensor_type(message.tensorType, place)

    def _tensor_type(self, tensor: Any, place: Optional[Place]) -> TensorType:
        dtype = proto.mil_data_types().get(tensor.dataType, f"data type number {tensor.dataType}")
        shape: list[Optional[int]] = []
        variadic = False
        for dimension in tensor.dimensions:
            kind = dimension.WhichOneof("dimension")
            if kind is None:
                self._says("declares a dimension that is neither known nor unknown", place)
            variadic = variadic or (kind == "unknown" and dimension.unknown.variadic)
            shape.append(int(dimension.constant.size) if kind == "constant" else None)
        # -1 says that the rank is not known.
        if tensor.rank == -1 and (variadic or not shape):
            return TensorType(dtype)
        if tensor.rank != len(shape):
            self._says(f"declares rank {tensor.rank} with {len(shape)} dimensions", place)
        return TensorType(dtype) if variadic else TensorType(dtype, tuple(shape))

    def _says(self, text: str, place: Optional[Place]) -> None:
        self._problems.add(place.says(text) if place else f"an input of the program {text}")

    def _value(self, message: Any, place: Place, key: str) -> Union[Ref, Constant]:
        try:
            return self._read_value(message, place)
        except LoadError as error:
            self._problems.add(place.says(f"has an unreadable {key}: {error}"))
            return UNREADABLE

    def _read_value(self, message: Any, place: Place) -> Constant:
        if message.type.WhichOneof("type") == "listType":
            return self._read_list(message, place)
        kind = self._type(message.type, place)
        if kind is None or kind.shape is None or None in kind.shape:
            raise LoadError("a constant must be a tensor of known shape")
        shape = tuple(size for size in kind.shape if size is not None)
        if message.WhichOneof("value") == "blobFileValue":
            self._numeric(kind.dtype)
            blob = message.blobFileValue
            return Constant(self._file(blob.fileName).read(blob.offset, dtype=kind.dtype, shape=shape))
        if message.WhichOneof("value") != "immediateValue" or message.immediateValue.WhichOneof("value") != "tensor":
            raise LoadError("only tensors are supported as constants")
        return _immediate(message.immediateValue.tensor, kind.dtype, shape)

    def _read_list(self, message: Any, place: Place) -> Constant:
        """A list of strings or integers, such as a classifier's labels."""
        if message.WhichOneof("value") != "immediateValue" or message.immediateValue.WhichOneof("value") != "list":
            raise LoadError("a list must be written in the program's text")
        items = [self._read_value(item, place).value for item in message.immediateValue.list.values]
        if not all(_is_label(item) for item in items):
            raise LoadError("a constant list must hold strings or integers")
        return Constant(tuple(item if isinstance(item, str) else int(item.reshape(())) for item in items))

    @staticmethod
    def _numeric(dtype: str) -> None:
        if not is_numeric(SUB_BYTE.get(dtype, dtype)):
            raise LoadError(f"constants of type {dtype} are not supported")

    def _file(self, name: str) -> WeightFile:
        if name not in self._files:
            try:
                self._files[name] = WeightFile(self._resolve(name))
            except LoadError as error:
                self._files[name] = str(error)
        found = self._files[name]
        if isinstance(found, str):
            raise LoadError(found)
        return found

    def _resolve(self, name: str) -> Path:
        if not name.startswith(_MODEL_WEIGHTS) or ".." in name:
            raise LoadError(f"weight file name {name!r} does not begin with {_MODEL_WEIGHTS!r}")
        if self._weights_dir is None:
            raise LoadError(f"weights are in {name!r}, and no weights_dir was given")
        return self._weights_dir / name[len(_MODEL_WEIGHTS) :]


def _is_label(value: Any) -> bool:
    """Whether a constant is a string or an integer."""
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iu")


def _immediate(tensor: Any, dtype: str, shape: tuple[int, ...]) -> Constant:
    """The value written in the program's text."""
    field = tensor.WhichOneof("value")
    count = int(np.prod(shape, dtype=object))
    if dtype == "string":
        if field != "strings" or len(tensor.strings.values) != count:
            raise LoadError(f"expected {count} strings")
        values = tuple(tensor.strings.values)
        return Constant(values[0] if shape == () else values)
    _Reader._numeric(dtype)
    numpy_type = np.dtype(SUB_BYTE.get(dtype, dtype))
    if field == "bytes":
        data = tensor.bytes.values
        if dtype in SUB_BYTE:
            return Constant(unpack(np.frombuffer(data, np.uint8), dtype, shape))
        if len(data) != count * numpy_type.itemsize:
            raise LoadError(f"holds {len(data)} bytes, {dtype}{shape} takes {count * numpy_type.itemsize}")
        return Constant(shaped(np.frombuffer(data, numpy_type.newbyteorder("<")), shape))
    if field not in _IMMEDIATE_FIELDS or numpy_type.kind not in _IMMEDIATE_FIELDS[field]:
        raise LoadError(f"a {dtype} value is stored as {field}")
    stored = getattr(tensor, field).values
    if len(stored) != count:
        raise LoadError(f"holds {len(stored)} values, {dtype}{shape} takes {count}")
    if numpy_type.kind in "iu" and stored and not _within(stored, np.iinfo(numpy_type)):
        raise LoadError(f"holds values outside the range of {dtype}")
    return Constant(shaped(np.array(stored, dtype=numpy_type), shape))


def _within(stored: Any, limits: Any) -> bool:
    return bool(limits.min <= min(stored) and max(stored) <= limits.max)
