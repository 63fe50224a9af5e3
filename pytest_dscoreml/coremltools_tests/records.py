"""What each test did: how often it predicted, with which models, what was refused. Imports NumPy only."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Optional

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ModelKind:
    """A model in coremltools' words: ``mlprogram``, ``fp16``, ``iOS17``."""

    backend: str = ""
    precision: str = ""
    opset: str = ""


#: Makes a prediction again, in double.
InDouble = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Output:
    """An array that came out of a prediction, as long as the test holds it.

    ``half``: computed in float16, or predicted in a test about it.
    """

    name: str
    array: weakref.ref[NDArray[Any]]
    half: bool
    in_double: InDouble


@dataclass
class TestRecord:
    """One test.

    ``attempts`` counts calls of ``predict``, ``predictions`` those that gave values. ``compared`` counts the
    comparisons of predicted arrays by ``assert_allclose`` (tests have other ways too); ``unjudged`` the predictions
    whose values nobody looks at (``assert_model_is_valid`` checks names and shapes only). ``strict`` is the second
    verdict on what was computed in float16, ``None`` where nothing was. ``beyond_float16`` says that a comparison failed for
    what float16 cannot resolve, and none for another reason. ``refused`` names what was refused when a prediction
    was asked for, ``refused_unasked`` what was refused of models that were only made.
    """

    __test__ = False

    name: str
    outcome: str = "passed"
    cause: str = ""
    detail: str = ""
    seconds: float = 0.0
    attempts: int = 0
    predictions: int = 0
    compared: int = 0
    unjudged: int = 0
    backend: str = ""
    opset: str = ""
    precision: str = ""
    refused: list[str] = field(default_factory=list)
    refused_unasked: list[str] = field(default_factory=list)
    strict: Optional[bool] = None
    strict_detail: str = ""
    beyond_float16: Optional[bool] = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, as reports carry them between processes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TestRecord:
        """The reverse of ``to_json``."""
        return cls(**values)


class Recorder:
    """Hands out the record of the test that is running, and is told what happens in it.

    ``admitted`` is the share of values that the comparison under way allows to differ.
    """

    def __init__(self) -> None:
        self.current = TestRecord("")
        self.admitted = 0.0
        self._wanted_precision = ""
        self._unjudged = False
        self._outputs: list[Output] = []

    def begin(self, name: str, parameters: dict[str, Any]) -> None:
        """A test starts; its ``backend`` parameter, where it has one, says which precision it is about."""
        self.current = TestRecord(name)
        self._wanted_precision = _precision(parameters.get("backend"))
        self._outputs.clear()

    def asked(self, kind: ModelKind) -> None:
        """Something was asked of a model that only a loaded one can give; the first model names the test's backend."""
        record = self.current
        if not record.backend:
            record.backend, record.opset = kind.backend, kind.opset
            record.precision = self._precision_of(kind)

    def predicted(self, kind: ModelKind, outputs: Mapping[str, Any], in_double: InDouble) -> None:
        """Values came back. They are remembered while the test holds them, so that comparisons of them are recognised.

        A test may predict thousands of times on inputs of a gigabyte: what it has let go of is forgotten here too.
        """
        self.current.predictions += 1
        self.current.unjudged += self._unjudged
        half = "fp16" in (kind.precision, self._precision_of(kind))
        self._outputs = [output for output in self._outputs if output.array() is not None] + [
            Output(name, weakref.ref(value), half, in_double)
            for name, value in outputs.items()
            if isinstance(value, np.ndarray)
        ]

    def output(self, value: Any) -> Optional[Output]:
        """What there is to know of an array that came out of a prediction; ``None`` if it did not."""
        for output in reversed(self._outputs):
            if output.array() is value:
                return output
        return None

    def compared(self, agrees: bool, detail: str, *, half: bool) -> None:
        """A prediction was compared; with float16, the second verdict counts, and one that fails decides."""
        record = self.current
        record.compared += 1
        if half:
            record.strict = agrees if record.strict is None else record.strict and agrees
            record.strict_detail = record.strict_detail or detail

    def failed_comparing(self, beyond_float16: bool) -> None:
        """The test's own comparison of a prediction failed."""
        record = self.current
        record.beyond_float16 = beyond_float16 and record.beyond_float16 is not False

    def refused(self, what: Iterable[str], *, asked: bool) -> None:
        """A model was refused at load; ``asked`` when a prediction was wanted of it."""
        names = self.current.refused if asked else self.current.refused_unasked
        names.extend(item for item in what if item not in names)

    @contextmanager
    def nobody_judges(self) -> Iterator[None]:
        """Predictions made in here are not compared with anything."""
        before, self._unjudged = self._unjudged, True
        try:
            yield
        finally:
            self._unjudged = before

    def _precision_of(self, kind: ModelKind) -> str:
        return self._wanted_precision if kind.backend == "mlprogram" and self._wanted_precision else kind.precision


def _precision(backend: Any) -> str:
    """Of coremltools' backend parameter, a pair or a ``BackendConfig``; ``""`` when it is neither."""
    if isinstance(backend, tuple) and len(backend) > 1:
        return str(backend[1])
    return str(getattr(backend, "precision", ""))
