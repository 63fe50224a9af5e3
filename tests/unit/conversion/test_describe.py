"""The declared interface: shown, stored and read back; nonsense is refused."""

from __future__ import annotations

import json

import pytest

from pytest_dscoreml.conversion.describe import DeclaredTensor, Interface, op_counts_from_json
from pytest_dscoreml.errors import ConversionError

INTERFACE = Interface(
    inputs=(
        DeclaredTensor("input_node", "float32", (1, 1, 19, 26), ranges=((1, 1), (1, 2000), (19, 19), (26, 26))),
        DeclaredTensor("open", "float32", (1,), ranges=((1, None),)),
        DeclaredTensor("choice", "int32", (1,), enumerated=((1,), (16,)), optional=True),
    ),
    outputs=(DeclaredTensor("logits", "float16", ()), DeclaredTensor("state", "float32", (1, 128))),
    specification_version=6,
)


def test_shown():
    assert str(INTERFACE) == (
        "specification version 6\n"
        "input  input_node float32 [1, 1..2000, 19, 26]\n"
        "input  open float32 [1..]\n"
        "input  choice int32 [1] or one of [1], [16] optional\n"
        "output logits float16 (no shape declared)\n"
        "output state float32 [1, 128]"
    )


def test_stored_and_read_back():
    assert Interface.from_json(json.loads(json.dumps(INTERFACE.to_json()))) == INTERFACE


def test_by_name():
    assert INTERFACE.input("choice") is INTERFACE.inputs[2]
    assert INTERFACE.output("logits") is INTERFACE.outputs[0]
    assert INTERFACE.input("logits") is None
    assert INTERFACE.output("choice") is None


TENSOR = {"name": "x", "dtype": "float32", "shape": [1], "ranges": [], "enumerated": []}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "an interface is an object, not None"),
        ({"outputs": []}, "inputs is a list, not None"),
        ({"inputs": [7], "outputs": []}, "a declared tensor is an object, not 7"),
        ({"inputs": [], "outputs": []}, "specification_version is a whole number, not None"),
        ({"inputs": [{**TENSOR, "name": 3}]}, "the name of a declared tensor is text, not 3"),
        ({"inputs": [{**TENSOR, "shape": "ab"}]}, "a shape is a list of numbers, not 'ab'"),
        ({"inputs": [{**TENSOR, "shape": [1.5]}]}, "a dimension is a whole number, not 1.5"),
        ({"inputs": [{**TENSOR, "shape": [True]}]}, "a dimension is a whole number, not True"),
        ({"inputs": [{**TENSOR, "ranges": [[1]]}]}, "ranges are a list of pairs, not [[1]]"),
        ({"inputs": [{**TENSOR, "ranges": [["a", 2]]}]}, "a lower bound is a whole number, not 'a'"),
        ({"inputs": [{**TENSOR, "enumerated": 4}]}, "enumerated shapes are a list, not 4"),
    ],
)
def test_nonsense(data, message):
    with pytest.raises(ConversionError) as caught:
        Interface.from_json(data)
    assert str(caught.value) == message


def test_op_counts_come_in_the_order_of_their_names():
    assert list(op_counts_from_json({"tanh": 2, "add": 1}).items()) == [("add", 1), ("tanh", 2)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1], "op counts are an object of numbers, not [1]"),
        ({"add": "two"}, "the count of op 'add' is a whole number, not 'two'"),
    ],
)
def test_nonsense_for_op_counts(data, message):
    with pytest.raises(ConversionError) as caught:
        op_counts_from_json(data)
    assert str(caught.value) == message
