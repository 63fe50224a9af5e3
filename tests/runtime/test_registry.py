"""The registries: what a signature says, versions, and duplicates."""

from __future__ import annotations

from typing import Optional

import numpy as np
import pytest

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.registry import Array, Arrays, DuplicateKernelError, Ints, Registry, mil, nn

assert kernels.mil_linear


def test_a_duplicate_raises() -> None:
    registry = Registry("mlprogram")

    @registry.kernel("twice")
    def first(*, x: Array) -> Array:
        return x

    with pytest.raises(DuplicateKernelError) as caught:
        registry.kernel("twice")(first)
    assert str(caught.value) == "mlprogram kernel 'twice' (since 0) is registered twice"


def test_the_signature_is_read() -> None:
    registry = Registry("neuralnetwork")

    @registry.kernel("layer", overwrites="data")
    def layer(data: Array, extra: Optional[Array] = None, *, axes: Ints = (), mode: str, parts: Arrays = ()) -> Array:
        return data

    (kernel,) = registry
    assert [(item.name, item.kind, item.required) for item in kernel.inputs] == [
        ("data", "array", True),
        ("extra", "array", False),
    ]
    assert [(item.name, item.kind, item.required) for item in kernel.parameters.values()] == [
        ("axes", "ints", False),
        ("mode", "str", True),
        ("parts", "arrays", False),
    ]
    assert kernel.accepts == "axes, mode, parts"
    assert kernel.overwrites == "data"
    assert not kernel.variadic


def test_the_newest_version_that_is_old_enough_is_found() -> None:
    assert [mil.find("gather", ios).since for ios in (15, 16, 17, 18)] == [0, 16, 17, 17]  # type: ignore[union-attr]
    assert mil.find("fill_like", 15) is None
    assert mil.find("nothing", 18) is None


def test_wide_kernels_of_ml_programs_give_float32_for_float32() -> None:
    """A kernel that gives double for float32 would hide the rounding that the format asks for."""
    x = np.full((1, 1, 2, 2), 0.5, np.float32)
    for kernel in mil:
        if set(kernel.parameters) == {"x"} and kernel.op not in ("logical_not", "non_zero", "shape", "erf"):
            assert kernel.function(x=x).dtype == np.float32, kernel.op
    for kernel in nn:
        if (
            len(kernel.inputs) == 1
            and not kernel.parameters
            and kernel.op not in ("logicalNot", "fillDynamic", "erf", "acosh", "whereNonZero")
        ):
            assert kernel.function(x).dtype == np.float32, kernel.op


def test_fresh_kernels_return_memory_of_their_own() -> None:
    x = np.full((1, 2, 2), 0.5, np.float32)
    checked = 0
    for registry in (mil, nn):
        for kernel in registry:
            required = [item for item in (*kernel.inputs, *kernel.parameters.values()) if item.required]
            if not kernel.fresh or any(item.kind != "array" for item in required) or "indices" in str(required):
                continue
            arguments = {item.name: x for item in required if item.name not in ("weight", "weights", "shape")}
            if len(arguments) != len(required):
                continue
            values = [arguments[item.name] for item in kernel.inputs if item.name in arguments]
            named = {name: value for name, value in arguments.items() if name in kernel.parameters}
            if kernel.variadic:
                values = [x]
            try:
                with np.errstate(all="ignore"):
                    result = kernel.function(*values, **named)
            except ValueError:
                continue
            assert not np.shares_memory(result, x), f"{registry.format} {kernel.op}"
            checked += 1
    assert checked > 80
