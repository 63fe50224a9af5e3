"""The late imports of what takes seconds to import. Imports `errors` only, until one of the functions is called."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Any

from pytest_dscoreml.errors import UsageError


def import_tensorflow() -> Any:
    """TensorFlow, told to keep its start-up log lines to itself.

    Raises:
        UsageError: it is not installed, or does not load here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow
    except ImportError as error:
        raise UsageError(
            f"TensorFlow, which runs the reference, cannot be imported ({error}); pip install tensorflow"
        ) from None
    return tensorflow


def tensorflow_version() -> str:
    """The version of TensorFlow here, without importing it: several distributions bring the package."""
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tf-nightly", "tf-nightly-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "(unknown version)"
