"""Makes a bundle of what was staged: collects the cases, copies the models, hashes everything, renames it into place."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_dscoreml.bundle.manifest import CASES, MANIFEST, MODELS, SCHEMA, conversion_to_json, digest_of, model_file
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.files import sha256, write_whole

OPTION = "--dscoreml-record"


@dataclass(frozen=True)
class Written:
    """A bundle that was written: how much is in it, and its size in bytes."""

    conversions: int
    cases: int
    size: int


def check_target(directory: Path) -> None:
    """Refuse a directory that a bundle may not replace.

    Raises:
        UsageError: it holds something that is no bundle.
    """
    if not directory.exists():
        return
    refused = UsageError(f"{OPTION}={directory}: is neither empty nor a bundle, which alone is replaced; give another")
    try:
        names = {path.name for path in directory.iterdir()}
        if not names:
            return
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise refused from None
    if not isinstance(manifest, dict) or not {"schema", "digest"} <= set(manifest) or names - {MANIFEST, MODELS, CASES}:
        raise refused


def make_staging(directory: Path) -> Path:
    """A fresh folder beside where the bundle will be, on its file system, with a folder for cases in it.

    Raises:
        UsageError: nothing can be written there.
    """
    target = directory.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.recording-", dir=target.parent))
        (staging / CASES).mkdir()
    except OSError as error:
        raise unwritable(directory, error) from None
    return staging


def unwritable(directory: Path, error: OSError) -> UsageError:
    """The error to raise where the bundle cannot go."""
    return UsageError(f"{OPTION}={directory}: cannot be written ({error.strerror}); give another")


def write_bundle(
    directory: Path, staging: Path, facts: Mapping[str, Any], conversions: Iterable[Conversion]
) -> Written:
    """Make a bundle of what is staged and put it in place; what was there before goes only when it is complete.

    `facts` are the fields of the manifest that are told of neither files nor cases.

    Raises:
        UsageError: it cannot be written, or something else has come to stand there.
    """
    try:
        return _write(directory, staging, facts, list(conversions))
    except OSError as error:
        raise unwritable(directory, error) from None


def _write(directory: Path, staging: Path, facts: Mapping[str, Any], conversions: list[Conversion]) -> Written:
    made = staging / "bundle"
    (made / MODELS).mkdir(parents=True)
    for conversion in conversions:
        copy = made / model_file(conversion.spec)
        if conversion.path.is_dir():
            shutil.copytree(conversion.path, copy, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(conversion.path, copy)
    cases = _words(staging / CASES)
    (made / CASES).mkdir()
    for key in cases:
        (staging / CASES / f"{key}.npz").rename(made / CASES / f"{key}.npz")
    files = {path.relative_to(made).as_posix(): path for path in sorted(made.rglob("*")) if path.is_file()}
    manifest = {
        "schema": SCHEMA,
        **facts,
        "conversions": {conversion.spec.name: conversion_to_json(conversion) for conversion in conversions},
        "cases": cases,
        "files": {name: sha256(path) for name, path in files.items()},
    }
    manifest["digest"] = digest_of(manifest)
    text = json.dumps(manifest, indent=1, allow_nan=False)
    write_whole(made / MANIFEST, text.encode() + b"\n")
    size = sum(path.stat().st_size for path in files.values())
    _put_in_place(made, directory, staging / "replaced")
    return Written(len(conversions), len(cases), size + len(text) + 1)


def _words(folder: Path) -> dict[str, dict[str, Any]]:
    """The words of every staged case by its key, in the order of the keys.

    Who drew the same inputs may have called them otherwise, and not everyone decodes a recording: the first of the
    shortest labels is taken, and all of the texts, so that it does not matter who was first.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        key = path.stem.partition("-")[0]
        words = json.loads(path.read_text(encoding="utf-8"))
        other = found.setdefault(key, words)
        if "texts" in words:
            other["texts"] = dict(sorted({**other["texts"], **words["texts"]}.items()))
        other["label"] = min(other["label"], words["label"], key=lambda label: (len(label), label))
    return found


def _put_in_place(made: Path, directory: Path, replaced: Path) -> None:
    """Rename a finished bundle to where it belongs."""
    check_target(directory)
    target = directory.resolve()
    if target.exists():
        target.rename(replaced)
    try:
        made.rename(target)
    except OSError:
        if replaced.exists():
            replaced.rename(target)
        raise
