"""What is replaced in coremltools, all of it at run time and each with its reason. Imports coremltools late.

1. ``coremltools._deps._IS_MACOS``, ``models.utils._is_macos``, ``models.utils._macos_version``: the tests ask these three
   whether to predict at all, and many are skipped by them. They answer "macOS 26". ``sys.platform`` stays what it is.
2. ``_MLModelProxy`` in ``models.model`` (and in ``_compiled_model``, ``compute_plan`` and ``compute_device`` beside it,
   which hold it too): the class through which ``MLModel`` reaches Apple's framework. ``MLModel.predict`` itself is not
   touched, so its checks of the input are tested too.
3. ``numpy.testing.assert_allclose`` is wrapped, not replaced: its verdict stands. Where it is given an array that came out
   of a prediction, the comparison is counted, and a second verdict on float16 is noted.
4. ``testing_utils.compare_backend`` is wrapped to learn how many values a test allows to differ, and
   ``assert_model_is_valid`` to note that its predictions are compared with nothing.
5. ``gc.collect`` as three modules of the converter see it does nothing. A full collection walks every object that
   TensorFlow's import made, several times a conversion; Python's own collections go on.
"""

from __future__ import annotations

import functools
import gc
import importlib
import random
import sys
from types import ModuleType
from typing import Any

import numpy as np

from pytest_dscoreml.coremltools_tests.proxy import Proxy
from pytest_dscoreml.coremltools_tests.records import Output, Recorder
from pytest_dscoreml.coremltools_tests.strict import beyond_float16, judge
from pytest_dscoreml.errors import RuntimeModelError

MACOS_VERSION = (26, 0)
_PROXY_HOLDERS = (
    "coremltools.models.model",
    "coremltools.models._compiled_model",
    "coremltools.models.compute_plan",
    "coremltools.models.compute_device",
)
_COLLECTORS = (
    "coremltools.converters._converters_entry",
    "coremltools.converters.mil.frontend.tensorflow.load",
    "coremltools.converters.mil.frontend.tensorflow.tf_graph_pass.constant_propagation",
)


def prepare(recorder: Recorder) -> None:
    """Do all of the above; must come before the first of coremltools' tests is imported."""
    # Registers the kernels; were one of them broken, it should be told now and not by every test.
    importlib.import_module("pytest_dscoreml.runtime.kernels")
    deps = importlib.import_module("coremltools._deps")
    deps._IS_MACOS = True  # type: ignore[attr-defined]
    _say_macos()
    proxy = type("_MLModelProxy", (Proxy,), {"recorder": recorder})
    for name in _PROXY_HOLDERS:
        importlib.import_module(name)._MLModelProxy = proxy  # type: ignore[attr-defined]
    testing: Any = importlib.import_module("coremltools.converters.mil.testing_utils")
    testing.compare_backend = _admitting(testing.compare_backend, recorder)
    testing.assert_model_is_valid = _unjudged(testing.assert_model_is_valid, recorder)
    np.testing.assert_allclose = _counted(np.testing.assert_allclose, recorder)
    for name in _COLLECTORS:
        _without_collections(name)


def freeze() -> None:
    """Nothing that exists after collecting the tests will die before the end: the collector need not look at it."""
    gc.collect()
    gc.freeze()


def seed(number: int) -> None:
    """Start NumPy's and Python's generators, from which the tests draw their inputs."""
    np.random.seed(number)
    random.seed(number)


def _say_macos() -> None:
    """Replace the two functions wherever a module has imported them by name."""
    utils: Any = importlib.import_module("coremltools.models.utils")
    answers = {utils._is_macos: lambda: True, utils._macos_version: lambda: MACOS_VERSION}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "coremltools" and isinstance(module, ModuleType):
            for attribute in ("_is_macos", "_macos_version"):
                held = vars(module).get(attribute)
                if held in answers:
                    setattr(module, attribute, answers[held])


def _counted(check: Any, recorder: Recorder) -> Any:
    @functools.wraps(check)
    def assert_allclose(
        actual: Any, desired: Any, rtol: float = 1e-07, atol: float = 0, *args: Any, **kwargs: Any
    ) -> Any:
        output, obtained, expected = recorder.output(actual), actual, desired
        if output is None:
            output, obtained, expected = recorder.output(desired), desired, actual
        if output is not None:
            agrees, detail = (
                judge(expected=expected, obtained=obtained, admitted=recorder.admitted) if output.half else (True, "")
            )
            recorder.compared(agrees, detail, half=output.half)
        try:
            return check(actual, desired, rtol, atol, *args, **kwargs)
        except AssertionError:
            if output is not None:
                recorder.failed_comparing(_beyond(output, obtained, expected, rtol, atol))
            raise

    return assert_allclose


def _beyond(output: Output, obtained: Any, expected: Any, rtol: float, atol: float) -> bool:
    if not output.half:
        return False
    try:
        exact = output.in_double()[output.name]
    except RuntimeModelError:
        # A state, for one, is no longer what it was.
        return False
    return beyond_float16(expected=expected, obtained=obtained, exact=exact, rtol=rtol, atol=atol)


def _admitting(compare: Any, recorder: Recorder) -> Any:
    @functools.wraps(compare)
    def compare_backend(*args: Any, **kwargs: Any) -> Any:
        recorder.admitted = kwargs.get("allow_mismatch_ratio", 0.0)
        try:
            return compare(*args, **kwargs)
        finally:
            recorder.admitted = 0.0

    return compare_backend


def _unjudged(check: Any, recorder: Recorder) -> Any:
    @functools.wraps(check)
    def assert_model_is_valid(*args: Any, **kwargs: Any) -> Any:
        with recorder.nobody_judges():
            return check(*args, **kwargs)

    return assert_model_is_valid


class _NoCollections:
    """The ``gc`` module but for ``collect``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(gc, name)

    @staticmethod
    def collect(*_: int) -> int:
        """Nothing."""
        return 0


def _without_collections(name: str) -> None:
    try:
        module: Any = importlib.import_module(name)
    except ImportError:
        return
    module.gc = _NoCollections()
