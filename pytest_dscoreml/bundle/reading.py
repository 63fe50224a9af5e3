"""Opens a bundle: nothing of it is used before all of it has been found to be what was recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pytest_dscoreml.agreement.tolerances import Tolerances
from pytest_dscoreml.bundle.cases import Kind, RecordedCase
from pytest_dscoreml.bundle.manifest import (
    CASES,
    MANIFEST,
    MODELS,
    SCHEMA,
    conversion_from_json,
    digest_of,
    model_from_json,
    spec_from_json,
    tolerances_from_json,
)
from pytest_dscoreml.bundle.values import MalformedError, Values, shown
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.files import sha256
from pytest_dscoreml.model.loading import Model

OPTION = "--dscoreml-replay"


@dataclass(frozen=True)
class RecordedSettings:
    """What the run was set to that made the bundle.

    Attributes:
        front_end: who computed the features of recordings.
        max_steps: longest sequence that was drawn.
        max_examples: sequences drawn for each promise and conversion.
        seed: of what was drawn; None where every run draws the same.
        longest: steps that a dynamic conversion must admit.
        beam_width: of the decoders.
    """

    front_end: str
    max_steps: int
    max_examples: int
    seed: str | None
    longest: int
    beam_width: int


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file has been verified.

    Attributes:
        directory: where it is.
        digest: SHA-256 of all of it.
        made: date and time, UTC, in ISO 8601.
        model: what was converted; its graphs are not here.
        settings: what the run was set to that made it.
        converters: versions of each converter by its label.
        tolerances: by precision.
        conversions: what is to be run.
        missing: the conversions that were selected and could not be made, with the reason.
        cases: what they are fed, and what is expected: those of a kind together, the shortest first.
    """

    directory: Path
    digest: str
    made: str
    model: Model
    settings: RecordedSettings
    converters: Mapping[str, Mapping[str, str]]
    tolerances: Mapping[str, Tolerances]
    conversions: Mapping[ConversionSpec, Conversion]
    missing: Mapping[ConversionSpec, str]
    cases: tuple[RecordedCase, ...]


def read_bundle(directory: Path) -> Bundle:
    """Open a bundle.

    Raises:
        UsageError: there is none, it is of a newer schema, or anything in it is not what was recorded; names the file.
    """
    try:
        manifest = _manifest(directory)
        _verify_files(directory, manifest)
        return _bundle(directory, manifest)
    except MalformedError as error:
        raise UsageError(f"{OPTION}={directory}: {error}; record it again") from None


def _manifest(directory: Path) -> Values:
    """The manifest, of a schema that is known, its digest verified."""
    path = directory / MANIFEST
    if not directory.is_dir() or not path.exists():
        what = f"there is no {MANIFEST} in it" if directory.is_dir() else "no such directory"
        raise UsageError(f"{OPTION}={directory}: {what}; give a directory that --dscoreml-record has written")
    if path.is_symlink():
        raise MalformedError(f"{MANIFEST} is a symbolic link, which a bundle has none of")
    try:
        manifest = Values.of(json.loads(path.read_text(encoding="utf-8")), MANIFEST)
    except OSError as error:
        raise UsageError(f"{OPTION}={directory}: {MANIFEST} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{MANIFEST} is no JSON, or cut short ({error})") from None
    schema = manifest.data.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        if isinstance(schema, int) and schema > SCHEMA:
            raise UsageError(
                f"{OPTION}={directory}: {MANIFEST} has schema {schema}, which a newer pytest-dscoreml wrote; this one reads "
                f"{SCHEMA}: install a newer one, or record it again with this one"
            )
        raise MalformedError(f"{MANIFEST}: schema must be {SCHEMA}, not {shown(schema)}")
    if manifest.data.get("digest") != digest_of(manifest.data):
        raise MalformedError(f"{MANIFEST} has been changed since it was written: its digest is another")
    return manifest


def _verify_files(directory: Path, manifest: Values) -> None:
    """Every file that is listed, with its hash, and none beside them."""
    listed = manifest.words("files")
    for name in listed:
        if not _is_inside(name):
            raise MalformedError(f"{MANIFEST}: files has {name!r}, which is no path within {MODELS} or {CASES}")
    present = set(_walk(directory, ""))
    for name in sorted(present - set(listed) - {MANIFEST}):
        raise MalformedError(f"{name} is not a file that was recorded")
    for name in sorted(listed):
        if name not in present:
            raise MalformedError(f"{name} is missing")
        try:
            obtained = sha256(directory / name)
        except OSError as error:
            raise MalformedError(f"{name} cannot be read ({error.strerror})") from None
        if obtained != listed[name]:
            raise MalformedError(
                f"{name} has been changed since it was recorded: expected sha256 {listed[name][:12]}, obtained {obtained[:12]}"
            )


def _is_inside(name: str) -> bool:
    """Whether a name is a plain relative path to something that a bundle has."""
    path = PurePosixPath(name)
    plain = str(path) == name and ".." not in path.parts and "\\" not in name and "\0" not in name
    return plain and not PureWindowsPath(name).drive and len(path.parts) > 1 and path.parts[0] in (MODELS, CASES)


def _walk(directory: Path, prefix: str) -> Iterator[str]:
    """The relative paths of all files below a directory; no link is followed, each is an error."""
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{prefix}{entry.name}"
            if entry.is_symlink():
                raise MalformedError(f"{name} is a symbolic link, which a bundle has none of")
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(directory / entry.name, f"{name}/")
            elif entry.is_file(follow_symlinks=False):
                yield name
            else:
                raise MalformedError(f"{name} is neither a file nor a directory")


def _bundle(directory: Path, manifest: Values) -> Bundle:
    """What a manifest says whose files are all there."""
    model = model_from_json(manifest.part("model"))
    converters = {label: _versions(versions) for label, versions in manifest.parts("converters").items()}
    tolerances = {precision: tolerances_from_json(values) for precision, values in manifest.parts("tolerances").items()}
    conversions = {}
    for name, values in manifest.parts("conversions").items():
        made = conversion_from_json(values, directory)
        _require(made.spec.name == name, f"{values.where} is of {made.spec.name}")
        _require(
            made.spec.converter in converters, f"{values.where}: no converter {made.spec.converter!r} was recorded"
        )
        _require(
            made.spec.precision.value in tolerances, f"{values.where}: no tolerances for its precision were recorded"
        )
        path = values.text("path")
        files = manifest.part("files").data
        _require(
            any(file == path or file.startswith(f"{path}/") for file in files), f"{values.where}: {path} is missing"
        )
        conversions[made.spec] = made
    _require(bool(conversions), f"{MANIFEST}: conversions has none")
    return Bundle(
        directory=directory,
        digest=manifest.text("digest"),
        made=manifest.text("made"),
        model=model,
        settings=_settings(manifest.part("settings")),
        converters=converters,
        tolerances=tolerances,
        conversions=conversions,
        missing={spec_from_json(values): values.text("reason") for values in manifest.parts("missing").values()},
        cases=_cases(directory, manifest, model),
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise MalformedError(otherwise)


def _versions(values: Values) -> dict[str, str]:
    """The versions of a converter, those among them that every header shows."""
    for name in ("python", "coremltools", "tensorflow", "numpy"):
        values.text(name)
    return {name: values.text(name) for name in values.data}


def _settings(values: Values) -> RecordedSettings:
    return RecordedSettings(
        front_end=values.text("front_end"),
        max_steps=values.whole("max_steps", 1),
        max_examples=values.whole("max_examples", 1),
        seed=values.optional_text("seed"),
        longest=values.whole("longest", 1),
        beam_width=values.whole("beam_width", 1),
    )


def _cases(directory: Path, manifest: Values, model: Model) -> tuple[RecordedCase, ...]:
    """All cases, their arrays loaded; those of a kind together, the shortest first, whoever drew them."""
    words, files = manifest.parts("cases"), manifest.part("files").data
    listed = {PurePosixPath(name).stem for name in files if PurePosixPath(name).parts[0] == CASES}
    _require(listed == set(words), f"{MANIFEST}: cases and the files in {CASES} are not the same ones")
    found: list[tuple[Any, RecordedCase]] = []
    for key, values in words.items():
        path = directory / CASES / f"{key}.npz"
        _require(f"{CASES}/{key}.npz" in files, f"{MANIFEST}: case {key} has no file")
        case = RecordedCase.read(values, path, model.geometry)
        _require(case.key == key, f"{CASES}/{path.name}: its inputs are not those that its name is the sha256 of")
        padded = case.kind is Kind.PADDED
        _require(
            not padded or len(case.windows) == model.n_steps,
            f"{CASES}/{path.name}: a call of {len(case.windows)} steps, expected {model.n_steps}",
        )
        found.append(((case.kind.value, case.length, len(case.windows), len(case.label), case.label, key), case))
    return tuple(case for _, case in sorted(found, key=lambda entry: entry[0]))
