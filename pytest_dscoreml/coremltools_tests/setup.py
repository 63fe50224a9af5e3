"""What is replaced in coremltools, all of it at run time and each with its reason. Imports coremltools late.

1. ``coremltools._deps._IS_MACOS``, ``models.utils._is_macos``, ``models.utils._macos_version``: the tests ask these three
   whether to predict at all, and many are skipped by them. They answer "macOS 26". ``sys.platform`` stays what it is.
2. ``_MLModelProxy`` in ``models.model`` (and in ``_compiled_model``, ``compute_plan`` and ``compute_device`` beside it,
   which hold it too): the class through which ``MLModel`` reaches Apple's framework. ``MLModel.predict`` itself is not
   touched, so its checks of the input are tested too.
3. ``testing_utils.compare_backend`` is wrapped, not replaced: its verdict stands, and a second one on float16 is noted.
4. ``testing_utils.assert_model_is_valid`` is wrapped to note that its predictions are compared with nothing.
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
from pytest_dscoreml.coremltools_tests.records import Recorder
from pytest_dscoreml.coremltools_tests.strict import judge

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
    deps = importlib.import_module("coremltools._deps")
    deps._IS_MACOS = True  # type: ignore[attr-defined]
    _say_macos()
    proxy = type("_MLModelProxy", (Proxy,), {"recorder": recorder})
    for name in _PROXY_HOLDERS:
        importlib.import_module(name)._MLModelProxy = proxy  # type: ignore[attr-defined]
    testing: Any = importlib.import_module("coremltools.converters.mil.testing_utils")
    testing.compare_backend = _judged(testing.compare_backend, recorder, testing)
    testing.assert_model_is_valid = _unjudged(testing.assert_model_is_valid, recorder)
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


def _judged(compare: Any, recorder: Recorder, testing: Any) -> Any:
    @functools.wraps(compare)
    def compare_backend(
        mlmodel: Any, input_key_values: Any, expected_outputs: Any, dtype: str = "fp32", *args: Any, **kwargs: Any
    ) -> Any:
        caught: dict[str, Any] = {}
        predict = mlmodel.predict

        def remembered(*given: Any, **options: Any) -> Any:
            caught.update(predict(*given, **options))
            return dict(caught)

        mlmodel.predict = remembered
        try:
            return compare(mlmodel, input_key_values, expected_outputs, dtype, *args, **kwargs)
        finally:
            del mlmodel.predict
            if caught and expected_outputs is not None:
                recorder.current.compared += 1
                if dtype == "fp16":
                    recorder.judged_strictly(
                        *judge(expected=expected_outputs, obtained=caught, find=testing._get_coreml_out_from_dict)
                    )

    return compare_backend


def _unjudged(check: Any, recorder: Recorder) -> Any:
    @functools.wraps(check)
    def assert_model_is_valid(*args: Any, **kwargs: Any) -> Any:
        recorder.enter_unjudged()
        try:
            return check(*args, **kwargs)
        finally:
            recorder.leave_unjudged()

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
