"""What each test did: how often it predicted, with which models, what was refused. Imports nothing of ours."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Optional


@dataclass
class TestRecord:
    """One test.

    ``attempts`` counts calls of ``predict``, ``predictions`` those that gave values. ``compared`` counts the comparisons
    that coremltools' ``compare_backend`` made of them; ``unjudged`` the predictions whose values nobody looks at
    (``assert_model_is_valid`` checks names and shapes only). ``strict`` is the second verdict on float16, ``None``
    where there was nothing to judge.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values, as reports carry them between processes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TestRecord:
        """The reverse of ``to_json``."""
        return cls(**values)


class Recorder:
    """Hands out the record of the test that is running."""

    def __init__(self) -> None:
        self.current = TestRecord("")
        self._wanted_precision = ""
        self._unjudged = 0

    def begin(self, name: str, parameters: dict[str, Any]) -> None:
        """A test starts; its ``backend`` parameter, where it has one, says which precision it is about."""
        self.current = TestRecord(name)
        self._wanted_precision = _precision(parameters.get("backend"))
        self._unjudged = 0

    def attempted(self, backend: str, precision: str, opset: str) -> None:
        """``predict`` was called on a model; the first one names the test's backend."""
        record = self.current
        record.attempts += 1
        if not record.backend:
            record.backend, record.opset = backend, opset
            record.precision = (
                self._wanted_precision if backend == "mlprogram" and self._wanted_precision else precision
            )

    def predicted(self) -> None:
        """Values came back."""
        self.current.predictions += 1
        if self._unjudged:
            self.current.unjudged += 1

    def refused(self, what: list[str], *, asked: bool) -> None:
        """A model was refused at load; ``asked`` when a prediction was wanted of it."""
        names = self.current.refused if asked else self.current.refused_unasked
        names.extend(item for item in what if item not in names)

    def enter_unjudged(self) -> None:
        """Predictions from here on are not compared with anything."""
        self._unjudged += 1

    def leave_unjudged(self) -> None:
        """The reverse of ``enter_unjudged``."""
        self._unjudged -= 1

    def judged_strictly(self, agrees: bool, detail: str) -> None:
        """The second verdict on a float16 comparison; one that fails decides."""
        record = self.current
        record.strict = agrees if record.strict is None else record.strict and agrees
        if not agrees and not record.strict_detail:
            record.strict_detail = detail


def _precision(backend: Any) -> str:
    """Of coremltools' backend parameter, a pair or a ``BackendConfig``; ``""`` when it is neither."""
    if isinstance(backend, tuple) and len(backend) > 1:
        return str(backend[1])
    return str(getattr(backend, "precision", ""))
