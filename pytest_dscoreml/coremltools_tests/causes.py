"""Why a test failed, as far as the error tells. Imports the proxy's errors and the records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_dscoreml.coremltools_tests.proxy import PlatformError, PredictionError, RefusedError
from pytest_dscoreml.coremltools_tests.records import TestRecord

REFUSED = "refused"
PLATFORM = "platform"
PREDICTION = "prediction failed"
RUNTIME = "error in the runtime"
NUMBERS = "wrong numbers"
SHAPES = "wrong shape"
ASSERTION = "other assertion after predicting"
LATER = "other error after predicting"
BEFORE = "before any prediction"
CAUSES = (REFUSED, PREDICTION, RUNTIME, NUMBERS, SHAPES, ASSERTION, LATER, PLATFORM, BEFORE)

_FRAMEWORK = ("CoreML.framework", "libcoremlpython", "Core ML Framework", "coremlcompiler", "xcrun")
_OURS = Path(__file__).resolve().parent.parent
_SHOWN = 400


def cause_of(excinfo: pytest.ExceptionInfo[Any], record: TestRecord) -> tuple[str, str]:
    """One of ``CAUSES``, and the error in short."""
    error = excinfo.value
    text = f"{type(error).__name__}: {error}"
    return _cause(error, text, excinfo, record), _short(text)


def _cause(error: BaseException, text: str, excinfo: pytest.ExceptionInfo[Any], record: TestRecord) -> str:
    chain = _chain(error)
    if any(isinstance(item, RefusedError) for item in chain):
        return REFUSED
    if any(isinstance(item, PlatformError) for item in chain) or any(word in text for word in _FRAMEWORK):
        return PLATFORM
    if any(isinstance(item, PredictionError) for item in chain):
        return PREDICTION
    if _raised_by_us(excinfo):
        return RUNTIME
    if record.refused:
        # Tests that collect their errors, and those that turn any error into an assertion.
        return REFUSED
    if not record.predictions:
        return BEFORE
    if isinstance(error, AssertionError):
        if "Not equal to tolerance" in text or "not almost equal" in text:
            return SHAPES if "shapes" in text and "mismatch)" in text and "Mismatched elements" not in text else NUMBERS
        if "shape" in text:
            return SHAPES
        return ASSERTION
    return LATER


def _chain(error: BaseException) -> list[BaseException]:
    found = [error]
    while True:
        following = found[-1].__cause__ or found[-1].__context__
        if following is None or following in found:
            return found
        found.append(following)


def _raised_by_us(excinfo: pytest.ExceptionInfo[Any]) -> bool:
    """Whether the error came out of the runtime without being one of its own."""
    own = Path(__file__).resolve().parent
    paths = [Path(str(entry.path)) for entry in excinfo.traceback]
    return any(_OURS in path.parents and own not in path.parents for path in paths)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."
