"""Finds a model's protobuf and weights, whatever the caller handed in: a path, an ``MLModel``, a ``Model`` message.

Imports only the runtime's protobuf boundary, the words for problems and the errors.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Union

from pytest_dscoreml.errors import LoadError
from pytest_dscoreml.runtime import proto
from pytest_dscoreml.runtime.large_floats import LargeFloats, without_large_floats
from pytest_dscoreml.runtime.problems import shortened

# Of protobuf: it reads no message that takes more bytes.
LARGEST_MESSAGE = (1 << 31) - 1


@dataclass(frozen=True)
class Source:
    """A model's ``Model`` message, where its weights are, and how messages call it.

    ``floats`` knows the large weights of a neural network's file that the message holds only marks for.
    """

    message: Any
    weights_dir: Optional[Path]
    label: str
    floats: Optional[LargeFloats] = None


def open_source(source: Any, weights_dir: Optional[Union[str, os.PathLike[str]]] = None) -> Source:
    """Read ``source``: a ``.mlmodel`` or ``.mlpackage`` path, a coremltools ``MLModel``, or a ``Model`` message."""
    given = None if weights_dir is None else Path(weights_dir)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source), given)
    if proto.is_model(source):
        return Source(source, given, "model")
    if hasattr(source, "get_spec"):
        directory = getattr(source, "weights_dir", None)
        found = Path(directory) if directory is not None else None
        return Source(source.get_spec(), given if given is not None else found, "model")
    raise LoadError(f"expected a path, an MLModel or a Model message, given {type(source).__name__}")


def _open_path(path: Path, weights_dir: Optional[Path]) -> Source:
    if not _holds(path.exists):
        raise LoadError(f"{shortened(str(path))} does not exist")
    if path.is_dir():
        specification = _package_specification(path)
        beside = specification.parent / "weights"
        return Source(_read(specification), weights_dir if weights_dir is not None else beside, path.name)
    if not path.is_file():
        raise LoadError(f"{path} is neither a file nor a package")
    stripped = _without_large_floats(path)
    if stripped is not None:
        return Source(proto.parse_model(stripped[0], str(path)), weights_dir, path.name, stripped[1])
    return Source(_read(path), weights_dir, path.name)


def _without_large_floats(path: Path) -> Optional[tuple[bytes, LargeFloats]]:
    try:
        return without_large_floats(path, proto.model_descriptor())
    except (OSError, ValueError):
        # Reading the file whole tells what is wrong with it.
        return None


def _read(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > LARGEST_MESSAGE:
            raise LoadError(f"{path} has {size} bytes, a Core ML model at most {LARGEST_MESSAGE}: the file is damaged")
        data = path.read_bytes()
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}") from None
    if not data:
        raise LoadError(f"{path} is empty: not a Core ML model")
    return proto.parse_model(data, str(path))


def _holds(test: Callable[[], bool]) -> bool:
    """A path's answer to a question; no, where pathlib raises, for what can be no path at all."""
    try:
        return test()
    except (OSError, ValueError):
        return False


def _package_specification(package: Path) -> Path:
    """The model file that a package's manifest names."""
    manifest = package / "Manifest.json"
    try:
        content = json.loads(manifest.read_bytes())
        entry = content["itemInfoEntries"][content["rootModelIdentifier"]]["path"]
        relative = Path(entry)
    except FileNotFoundError:
        raise LoadError(f"{package}: no Manifest.json, so this directory is not a Core ML package") from None
    except OSError as error:
        raise LoadError(f"{manifest} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LoadError(f"{manifest}: damaged, it does not name the package's model file") from None
    named = shortened(repr(entry))
    if relative.is_absolute() or ".." in relative.parts:
        raise LoadError(f"{manifest}: the model file's path {named} leaves the package")
    specification = package / "Data" / relative
    if not _holds(specification.is_file):
        raise LoadError(f"{package}: the manifest names {named}, which the package does not hold")
    return specification
