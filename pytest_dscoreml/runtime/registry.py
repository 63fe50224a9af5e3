"""The kernel registries, one per format: a decorator registers, a duplicate raises, a signature is the contract.

``@mil.kernel("linear")`` and ``@nn.kernel("innerProduct")`` register a function. Its parameters carry the names of the
Core ML specification and its annotations say what form a value takes:

=====================  ==========================================================================================
``Array``              an array
``Arrays``             a sequence of arrays (``*inputs: Array`` for a neural network layer with any number of inputs)
``int float bool str`` a Python scalar
``Ints Floats Bools``  a tuple of Python scalars
``Values``             a sequence of anything: arrays and strings
``Labels``             a constant list of strings or integers
``TensorList State``   a list of tensors, a state
a record               a message inside the layer's own, as a dataclass made by ``record``; ``tuple[..., ...]`` of them
``Optional[...]``      the same, and the file may leave it out
=====================  ==========================================================================================

An ML Program's kernel takes everything by keyword. A neural network's takes the layer's inputs by position and the
layer's fields by keyword. Imports only NumPy and the runtime's values.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Callable, Optional, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.runtime.values import Labels, State, TensorList

Array = NDArray[Any]
Arrays = Sequence[Array]
Values = Sequence[Any]
Ints = tuple[int, ...]
Floats = tuple[float, ...]
Bools = tuple[bool, ...]

_KINDS: dict[Any, str] = {
    Array: "array",
    Arrays: "arrays",
    int: "int",
    float: "float",
    bool: "bool",
    str: "str",
    Ints: "ints",
    Floats: "floats",
    Bools: "bools",
    Values: "values",
    Labels: "labels",
    TensorList: "list",
    State: "state",
}
_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class")


def record(cls: type[_Class]) -> type[_Class]:
    """Make ``cls`` the form of a nested message: a frozen dataclass whose fields are annotated as parameters are."""
    frozen = dataclass(frozen=True, eq=False, repr=False)(cls)
    # Messages about a failing layer list its fields; those of a record would be pages of weights.
    frozen.__repr__ = lambda self: cls.__name__  # type: ignore[method-assign]
    return frozen


@cache
def record_parameters(form: type) -> dict[str, Parameter]:
    """The fields of a record, described as a kernel's parameters are."""
    hints = typing.get_type_hints(form)
    return {
        item.name: _parameter(item.name, hints[item.name], required=item.default is MISSING) for item in fields(form)
    }


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel: its name, the form of its values, and whether the file must set it.

    ``kind`` ``"record"`` or ``"records"`` goes with the class of the record in ``form``.
    """

    name: str
    kind: str
    required: bool
    form: Optional[type] = None


@dataclass(frozen=True)
class Kernel:
    """A registered function and what the compiler may assume of it.

    ``inputs`` are its positional parameters (a layer's inputs; any number of them if ``variadic``), ``parameters`` its
    keyword ones.

    ``since`` is the first iOS version (15, 16, ...) whose operation it implements. ``wide`` kernels get float16 values
    as float32, so that only their result is rounded. ``fresh`` kernels never return a view of an argument.
    ``overwrites`` names the array parameter that the kernel changes and returns; the executor passes it a copy unless
    nobody else can see that array. ``grows`` kernels make arrays of a size that an argument's value asks for. What a
    kernel that ``casts`` yields is brought to the declared type even where that is of another kind.
    A kernel that is not ``pure`` draws random numbers, or reads or writes a state: it must run each time and where it
    stands, and is never folded, merged, moved or left out.
    """

    op: str
    since: int
    function: Callable[..., Any]
    inputs: tuple[Parameter, ...]
    variadic: bool
    parameters: Mapping[str, Parameter]
    wide: bool
    fresh: bool
    overwrites: Optional[str]
    grows: bool
    pure: bool = True
    casts: bool = False

    @property
    def accepts(self) -> str:
        """The names it takes, for messages."""
        return ", ".join(self.parameters) or "no parameters"


class DuplicateKernelError(TypeError):
    """Two functions claim the same operation: a mistake in the source, raised at import."""


class Registry:
    """The kernels of one format, by operation name and opset."""

    def __init__(self, format: str) -> None:
        self.format = format
        self._kernels: dict[str, dict[int, Kernel]] = {}

    def kernel(
        self,
        op: str,
        *,
        since: int = 0,
        wide: bool = False,
        fresh: bool = False,
        overwrites: Optional[str] = None,
        grows: bool = False,
        pure: bool = True,
        casts: bool = False,
    ) -> Callable[[_Function], _Function]:
        """Register the decorated function as the kernel of ``op``; see ``Kernel`` for the flags."""

        def register(function: _Function) -> _Function:
            versions = self._kernels.setdefault(op, {})
            if since in versions:
                raise DuplicateKernelError(f"{self.format} kernel {op!r} (since {since}) is registered twice")
            inputs, variadic, parameters = _signature(function)
            versions[since] = Kernel(
                op=op,
                since=since,
                function=function,
                inputs=inputs,
                variadic=variadic,
                parameters=parameters,
                wide=wide,
                fresh=fresh,
                overwrites=overwrites,
                grows=grows,
                pure=pure,
                casts=casts,
            )
            return function

        return register

    def find(self, op: str, ios: int) -> Optional[Kernel]:
        """The kernel for ``op`` in the opset of iOS version ``ios``, or ``None``."""
        versions = self._kernels.get(op, {})
        usable = [since for since in versions if since <= ios]
        return versions[max(usable)] if usable else None

    def __iter__(self) -> Iterator[Kernel]:
        for op in sorted(self._kernels):
            yield from (self._kernels[op][since] for since in sorted(self._kernels[op]))


def _signature(function: Callable[..., Any]) -> tuple[tuple[Parameter, ...], bool, dict[str, Parameter]]:
    hints = typing.get_type_hints(function)
    inputs: list[Parameter] = []
    parameters: dict[str, Parameter] = {}
    variadic = False
    for name, parameter in inspect.signature(function).parameters.items():
        described = _parameter(name, hints[name], required=parameter.default is parameter.empty)
        if parameter.kind is parameter.VAR_POSITIONAL:
            variadic = True
        elif parameter.kind is parameter.KEYWORD_ONLY:
            parameters[name] = described
        else:
            inputs.append(described)
    return tuple(inputs), variadic, parameters


def _parameter(name: str, hint: Any, *, required: bool) -> Parameter:
    if typing.get_origin(hint) is Union:
        (hint,) = (item for item in typing.get_args(hint) if item is not type(None))
    if is_dataclass(hint) and hint not in _KINDS:
        return Parameter(name, "record", required, typing.cast(type, hint))
    items = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and is_dataclass(items[0]) and hint not in _KINDS:
        return Parameter(name, "records", required, typing.cast(type, items[0]))
    return Parameter(name, _KINDS[hint], required)


mil = Registry("mlprogram")
nn = Registry("neuralnetwork")


def is_half(value: Any) -> bool:
    """Whether ``value`` is a float16 array."""
    return isinstance(value, np.ndarray) and value.dtype == np.float16
