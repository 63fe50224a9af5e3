"""Why a test failed, as far as the error tells. Imports the proxy's errors and the records."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_dscoreml.coremltools_tests.proxy import FaultError, PlatformError, PredictionError, RefusedError
from pytest_dscoreml.coremltools_tests.records import TestRecord

REFUSED = "refused"
PLATFORM = "platform"
PREDICTION = "prediction failed"
RUNTIME = "error in the runtime"
NUMBERS = "wrong numbers"
HALF = "finer than float16 resolves"
SHAPES = "wrong shape"
ASSERTION = "other assertion after predicting"
LATER = "other error after predicting"
BEFORE = "before any prediction"
CRASHED = "the process died"
CAUSES = (REFUSED, PREDICTION, RUNTIME, NUMBERS, HALF, SHAPES, ASSERTION, LATER, PLATFORM, BEFORE, CRASHED)

_FRAMEWORK = ("CoreML.framework", "libcoremlpython", "Core ML Framework", "coremlcompiler", "xcrun")
_SHOWN = 400


def cause_of(excinfo: pytest.ExceptionInfo[Any], record: TestRecord) -> tuple[str, str]:
    """One of ``CAUSES``, and the error in short."""
    error = excinfo.value
    text = f"{type(error).__name__}: {error}"
    return _cause(error, text, record), _short(text)


def _cause(error: BaseException, text: str, record: TestRecord) -> str:
    chain = _chain(error)
    if any(isinstance(item, RefusedError) for item in chain):
        return REFUSED
    if any(isinstance(item, PlatformError) for item in chain) or any(word in text for word in _FRAMEWORK):
        return PLATFORM
    if any(isinstance(item, FaultError) for item in chain):
        return RUNTIME
    if any(isinstance(item, PredictionError) for item in chain):
        return PREDICTION
    if record.refused:
        # Tests that collect their errors, and those that turn any error into an assertion.
        return REFUSED
    if not record.predictions:
        return BEFORE
    if isinstance(error, AssertionError):
        if "Not equal to tolerance" in text or "not almost equal" in text:
            if "mismatch)" in text and "Mismatched elements" not in text:
                return SHAPES
            return HALF if record.beyond_float16 and record.strict else NUMBERS
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


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."
