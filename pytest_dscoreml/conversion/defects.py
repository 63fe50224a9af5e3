"""Known defects of the converter: which promise they break, in which versions and conversions. Read from TOML files.

Imports the standard library, packaging, its neighbour for versions and `pytest_dscoreml.errors` only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Optional

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pytest_dscoreml.conversion.versions import version_of
from pytest_dscoreml.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OPTION = "--dscoreml-xfails"
#: The file that comes with the package.
SHIPPED = Path(__file__).with_name("known_defects.toml")
_TABLE = "defect"
_TEXTS, _OPTIONAL = ("id", "coremltools", "promise", "reason"), ("conversions", "link")


@dataclass(frozen=True)
class KnownDefect:
    """One entry of a file.

    Attributes:
        id: how messages call it; no two entries have the same.
        coremltools: the versions that have it, as PEP 440 specifies them.
        promise: the file of the suite whose tests it breaks, without `test_` and `.py`; or the name of a test in it.
        conversions: patterns of the conversions' names, such as `dynamic-mlprogram-*`.
        reason: what is wrong, in a sentence.
        link: where it is discussed in public.
        file: where the entry stands.
    """

    id: str
    coremltools: SpecifierSet
    promise: str
    conversions: tuple[str, ...]
    reason: str
    link: Optional[str]
    file: Path

    def affects(self, *, coremltools: str, promise: str, test: str, conversion: str) -> bool:
        """Whether a test of a promise is expected to fail on that conversion, made by that version."""
        if self.promise not in (promise, test) or not any(fnmatchcase(conversion, one) for one in self.conversions):
            return False
        return self.coremltools.contains(version_of(coremltools), prereleases=True)

    def __str__(self) -> str:
        return f"known defect {self.id}: {self.reason}" + (f" ({self.link})" if self.link else "")

    @property
    def stale(self) -> str:
        """What to say when its test passes all the same."""
        return (
            f"known defect {self.id} is stale: this passes; narrow its versions (coremltools {self.coremltools}), or "
            f"remove it from {self.file}"
        )


def known_defects(files: Iterable[Path]) -> tuple[KnownDefect, ...]:
    """The entries that come with the package and those of the user's files.

    Raises:
        UsageError: a file cannot be read, or an entry is none; names the file, the entry and what was expected.
    """
    found: dict[str, KnownDefect] = {}
    for file in (SHIPPED, *files):
        for defect in _read(file):
            if defect.id in found:
                raise UsageError(
                    f"{OPTION}={file}: {defect.id!r} stands in {found[defect.id].file} too; give it another id"
                )
            found[defect.id] = defect
    return tuple(found.values())


def _read(file: Path) -> list[KnownDefect]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{OPTION}={file}: {error.strerror or error}; give a TOML file of known defects") from None
    except ValueError as error:  # of TOML and of UTF-8
        raise UsageError(f"{OPTION}={file}: no TOML: {error}") from None
    entries = document.get(_TABLE, [])
    if set(document) - {_TABLE} or not isinstance(entries, list):
        raise UsageError(f"{OPTION}={file}: expected [[{_TABLE}]] tables and nothing else")
    return [_entry(entry, number, file) for number, entry in enumerate(entries, start=1)]


def _entry(entry: Mapping[str, Any], number: int, file: Path) -> KnownDefect:
    place = f"{OPTION}={file}: defect {entry.get('id', f'number {number}')!s}"
    for name in sorted(set(entry) - {*_TEXTS, *_OPTIONAL}):
        raise UsageError(f"{place}: {name!r} is no field of it (they are {', '.join((*_TEXTS, *_OPTIONAL))})")
    for name in (*_TEXTS, *(["link"] if "link" in entry else [])):
        if not isinstance(entry.get(name), str) or not entry[name].strip():
            raise UsageError(f"{place}: {name} must be a text")
    conversions = entry.get("conversions", ["*"])
    if not isinstance(conversions, list) or not conversions or not all(isinstance(one, str) for one in conversions):
        raise UsageError(f'{place}: conversions must be a list of patterns, such as ["dynamic-mlprogram-*"]')
    try:
        versions = SpecifierSet(entry["coremltools"])
    except InvalidSpecifier:
        raise UsageError(
            f"{place}: coremltools must be versions as PEP 440 specifies them, such as '>=7.0,<9.1', not "
            f"{entry['coremltools']!r}"
        ) from None
    return KnownDefect(
        id=entry["id"],
        coremltools=versions,
        promise=entry["promise"],
        conversions=tuple(conversions),
        reason=entry["reason"],
        link=entry.get("link"),
        file=file,
    )
