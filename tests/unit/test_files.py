"""Files appear whole or not at all, and are named by their content."""

from __future__ import annotations

import hashlib
import os

import pytest

from pytest_dscoreml import files


def test_a_file_is_written_into_a_directory_that_is_made(tmp_path):
    path = tmp_path / "deep" / "er" / "file.bin"

    files.write_whole(path, b"content")

    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_was_there_is_replaced(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"a longer content before")

    files.write_whole(path, b"")

    assert path.read_bytes() == b""


def test_permissions_are_those_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_whole(tmp_path / "file.bin", b"x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)

    assert (tmp_path / "file.bin").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("moment", ["write", "sync", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_where_it_fails_nothing_is_left(monkeypatch, tmp_path, moment, error):
    path = tmp_path / "file.bin"
    path.write_bytes(b"what was there")

    def fail(*args, **kwargs):
        raise error

    target = {"write": (files.os, "fdopen"), "sync": (files.os, "fsync"), "rename": (files.Path, "replace")}[moment]
    with monkeypatch.context() as patched:
        patched.setattr(*target, fail)
        with pytest.raises(type(error)):
            files.write_whole(path, b"new")

    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"what was there"


def test_a_file_in_the_way_of_the_directory(tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    with pytest.raises(OSError, match="file"):
        files.write_whole(tmp_path / "file" / "below", b"y")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_directory_in_the_way_of_the_file(tmp_path):
    (tmp_path / "name").mkdir()

    with pytest.raises(IsADirectoryError):
        files.write_whole(tmp_path / "name", b"y")
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_the_hash_of_a_file(tmp_path, size):
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * size)

    assert files.sha256(path) == hashlib.sha256(b"x" * size).hexdigest()
