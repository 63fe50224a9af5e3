"""The kernels of both formats; importing this package registers them all.

Every module of ``mil`` and ``nn`` is imported and stands here under its format and name (``mil_linear``).
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from pytest_dscoreml.runtime.kernels import mil, nn

_MODULES: dict[str, ModuleType] = {
    f"{package.__name__.rpartition('.')[2]}_{found.name}": importlib.import_module(f"{package.__name__}.{found.name}")
    for package in (mil, nn)
    for found in pkgutil.iter_modules(package.__path__)
}


def __getattr__(name: str) -> ModuleType:
    if name in _MODULES:
        return _MODULES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
