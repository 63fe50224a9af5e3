"""Converted models on disk, found again by what went into them; safe when several processes ask, or one is killed.

Imports the standard library, filelock, platformdirs and our `errors` and `files`; knows nothing of converting.

    DIRECTORY/entries/KEY/    model.mlmodel or model.mlpackage, and conversion.json: complete, never changed again
    DIRECTORY/locks/KEY.lock  held by the process that is making KEY
    DIRECTORY/aside/          being made, or found damaged; swept when old

An entry appears by one rename of a finished folder: a process killed at any moment leaves at worst a folder in aside/.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.files import sha256

#: Part of every key: raise it when an entry's layout or meaning changes.
FORMAT = 1
OPTION = "--dscoreml-cache-dir"
RECORD = "conversion.json"
#: Folders in aside/ older than this belong to no process that is still at work (seconds).
STALE_AFTER = 24 * 3600.0
_LOCK_POLL = 2.0


class DamagedEntryError(Exception):
    """An entry whose files are not the ones that were stored; says what is wrong."""


def unusable(directory: Path, error: OSError) -> UsageError:
    """The error to raise when the file system refuses something in the cache directory."""
    reason = error.strerror or error
    return UsageError(f"cannot write to the cache directory {directory}: {reason}; choose another with {OPTION}=DIR")


@dataclass(frozen=True)
class Entry:
    """A stored conversion whose files have been verified."""

    directory: Path
    record: Mapping[str, Any]


def key_of(ingredients: Mapping[str, Any]) -> str:
    """The key of a conversion: sha256 over everything that decides what the converter writes, as canonical JSON."""
    return _digest_of({"format": FORMAT, **ingredients})


def _seal(record: Mapping[str, Any]) -> str:
    """What a record must hold under "seal": it shows that the rest of it is as it was written."""
    return _digest_of({name: value for name, value in record.items() if name != "seal"})


def _digest_of(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()


def files_below(directory: Path) -> dict[str, dict[str, Any]]:
    """Size in bytes and sha256 of every file below a folder, by its path relative to it with forward slashes."""
    return {
        path.relative_to(directory).as_posix(): {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / RECORD
    }


class Cache:
    """The store in `directory`, or in the user's cache folder for pytest-dscoreml if that is None.

    Raises:
        UsageError: if nothing can be written there.
    """

    def __init__(self, directory: Path | None = None) -> None:
        if directory is None:
            import platformdirs

            directory = Path(platformdirs.user_cache_dir("pytest-dscoreml"))
        self.directory = directory.expanduser().absolute()
        self._entries = self.directory / "entries"
        self._locks = self.directory / "locks"
        self._aside = self.directory / "aside"
        try:
            for folder in (self._entries, self._locks, self._aside):
                folder.mkdir(parents=True, exist_ok=True)
                # mkdir of what exists succeeds even where nothing may be written.
                with tempfile.TemporaryFile(dir=folder):
                    pass
        except OSError as error:
            raise unusable(self.directory, error) from None

    def find(self, key: str) -> Entry | None:
        """The entry of that key, its files verified by size and sha256; None if there is none.

        Raises:
            DamagedEntryError: if its files are not those that were stored.
        """
        directory = self._entries / key
        if not directory.exists():
            return None
        try:
            record = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DamagedEntryError(f"{RECORD} is missing") from None
        except (OSError, ValueError) as error:
            raise DamagedEntryError(f"{RECORD} cannot be read ({error})") from None
        if not isinstance(record, dict) or record.get("seal") != _seal(record) or record.get("key") != key:
            raise DamagedEntryError(f"{RECORD} is not the record that was stored")
        stored = record["files"]
        try:
            present = files_below(directory)
        except OSError as error:
            raise DamagedEntryError(f"its files cannot be read ({error})") from None
        for name in sorted({*stored, *present}):
            if name not in present:
                raise DamagedEntryError(f"{name} is missing")
            if stored.get(name) != present[name]:
                raise DamagedEntryError(f"{name} is not the file that was stored")
        return Entry(directory=directory, record=record)

    @contextlib.contextmanager
    def lock(self, key: str, *, waiting: Callable[[float], None]) -> Iterator[None]:
        """Be the only process that makes `key`; the lock goes when the process does, however it ends.

        `waiting` is called every few seconds, with the seconds waited so far, while another process holds it. Whoever
        takes several locks takes them in the order of their keys.
        """
        import filelock

        lock = filelock.FileLock(str(self._locks / f"{key}.lock"))
        begun = time.monotonic()
        while True:
            try:
                lock.acquire(timeout=_LOCK_POLL)
                break
            except filelock.Timeout:
                waiting(time.monotonic() - begun)
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def workspace(self, label: str) -> Iterator[Path]:
        """A fresh folder beside the entries, on the same file system; removed at the end, whatever is left in it."""
        folder = Path(tempfile.mkdtemp(prefix=f"{label}-", dir=self._aside))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, key: str, folder: Path, record: Mapping[str, Any]) -> Entry:
        """Make a finished folder from a workspace the entry of `key`; the key's lock must be held.

        The record gets the key, the size and sha256 of every file, and a seal over all of itself. Everything is on the
        disk before the entry appears.
        """
        files = files_below(folder)
        full: dict[str, Any] = {
            **record,
            "format": FORMAT,
            "key": key,
            "files": files,
            "size": sum(stored["size"] for stored in files.values()),
        }
        full["seal"] = _seal(full)
        (folder / RECORD).write_text(json.dumps(full, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                _flush(path)
        target = self._entries / key
        folder.rename(target)
        _flush(self._entries)
        return Entry(directory=target, record=full)

    def set_aside(self, key: str) -> None:
        """Take a damaged entry out of the way; the key's lock must be held."""
        grave = Path(tempfile.mkdtemp(prefix=f"damaged-{key[:16]}-", dir=self._aside))
        (self._entries / key).rename(grave / key)

    def sweep(self, *, older_than: float = STALE_AFTER) -> None:
        """Remove from aside/ what was left there by killed processes, or damaged, more than that many seconds ago."""
        limit = time.time() - older_than
        for folder in self._aside.iterdir():
            try:
                newest = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
            except OSError:
                continue  # another process is working in it or removing it
            if newest < limit:
                shutil.rmtree(folder, ignore_errors=True)


def _flush(path: Path) -> None:
    """Have the system write a file or folder to the disk; where it cannot, verification on reading remains."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)
