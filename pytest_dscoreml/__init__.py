"""pytest-dscoreml: does the converted DeepSpeech model still hear the same thing?

Nothing heavy is imported here, pytest loads this package wherever it is installed: the public names come when asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_dscoreml.inspection import inspect_inputs, inspect_tf_outputs
    from pytest_dscoreml.runtime import ReferenceModel

__version__ = "0.1.0"

__all__ = ["ReferenceModel", "__version__", "inspect_inputs", "inspect_tf_outputs"]

_HOME = {
    "ReferenceModel": "pytest_dscoreml.runtime",
    "inspect_inputs": "pytest_dscoreml.inspection",
    "inspect_tf_outputs": "pytest_dscoreml.inspection",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
