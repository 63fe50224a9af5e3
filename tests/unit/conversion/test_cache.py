"""The store of conversions: found again, verified, never half-written."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from pytest_dscoreml.conversion.cache import Cache, DamagedEntryError, files_below, key_of
from pytest_dscoreml.errors import UsageError

KEY = "a" * 64


def store(cache, key=KEY):
    with cache.workspace("test") as folder:
        made = folder / "made"
        (made / "model.mlpackage").mkdir(parents=True)
        (made / "model.mlpackage" / "weights").write_bytes(b"12345")
        (made / "notes").write_bytes(b"67")
        return cache.publish(key, made, {"seconds": 1.5})


def aside(cache):
    return sorted(path.name for path in (cache.directory / "aside").iterdir())


def test_what_was_stored_is_found(cache):
    stored = store(cache)

    found = cache.find(KEY)

    assert found == stored
    assert (found.directory / "model.mlpackage" / "weights").read_bytes() == b"12345"
    assert {name: found.record[name] for name in ("format", "key", "seconds", "size")} == {
        "format": 1,
        "key": KEY,
        "seconds": 1.5,
        "size": 7,
    }
    assert sorted(found.record["files"]) == ["model.mlpackage/weights", "notes"]
    assert aside(cache) == []


def test_what_was_not_stored_is_not_found(cache):
    store(cache)

    assert cache.find("b" * 64) is None


def edit(path, data):
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda entry: edit(entry / "notes", b"78"), "notes is not the file that was stored"),
        (
            lambda entry: edit(entry / "model.mlpackage" / "weights", b"1234"),
            "model.mlpackage/weights is not the file that was stored",
        ),
        (lambda entry: (entry / "notes").unlink(), "notes is missing"),
        (lambda entry: edit(entry / "more", b""), "more is not the file that was stored"),
        (lambda entry: (entry / "conversion.json").unlink(), "conversion.json is missing"),
        (
            lambda entry: edit(entry / "conversion.json", b"{"),
            "conversion.json cannot be read (Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1))",
        ),
        (
            lambda entry: edit(
                entry / "conversion.json", (entry / "conversion.json").read_bytes().replace(b"1.5", b"1.6")
            ),
            "conversion.json is not the record that was stored",
        ),
        (lambda entry: edit(entry / "conversion.json", b"[]"), "conversion.json is not the record that was stored"),
        (lambda entry: edit(entry / "conversion.json", b"{}"), "conversion.json is not the record that was stored"),
    ],
)
def test_damage_is_told_and_set_aside(cache, damage, message):
    damage(store(cache).directory)

    with pytest.raises(DamagedEntryError) as caught:
        cache.find(KEY)
    assert str(caught.value) == message

    cache.set_aside(KEY)
    assert cache.find(KEY) is None
    assert [name.rsplit("-", 1)[0] for name in aside(cache)] == ["damaged-" + KEY[:16]]
    store(cache)
    assert cache.find(KEY) is not None


def test_a_copy_under_another_key_is_damage(cache):
    shutil.copytree(store(cache).directory, cache.directory / "entries" / ("b" * 64))

    with pytest.raises(DamagedEntryError) as caught:
        cache.find("b" * 64)
    assert str(caught.value) == "conversion.json is not the record that was stored"


def test_a_workspace_is_gone_after_a_failure(cache):
    def fail():
        with cache.workspace("test") as folder:
            (folder / "half").write_text("written")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert aside(cache) == []


def test_sweep_removes_what_nobody_touched_for_long(cache):
    old, young, busy = (cache.directory / "aside" / name for name in ("old", "young", "busy"))
    for folder in (old, young, busy):
        folder.mkdir()
    (busy / "file").write_text("new")
    for folder in (old, busy):
        os.utime(folder, (time.time() - 1000, time.time() - 1000))

    cache.sweep(older_than=500)

    assert aside(cache) == ["busy", "young"]


def test_a_lock_keeps_others_out_until_it_is_released(cache, monkeypatch):
    monkeypatch.setattr("pytest_dscoreml.conversion.cache._LOCK_POLL", 0.05)
    events = []
    waited = threading.Event()

    def second():
        with Cache(cache.directory).lock(KEY, waiting=lambda seconds: waited.set()):
            events.append("second")

    with cache.lock(KEY, waiting=lambda seconds: pytest.fail("nobody else has it")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(10)
        events.append("first")
    thread.join(10)

    assert events == ["first", "second"]


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError) as caught:
        Cache(tmp_path / "file" / "cache")
    assert str(caught.value) == (
        f"cannot write to the cache directory {tmp_path / 'file' / 'cache'}: Not a directory; "
        "choose another with --dscoreml-cache-dir=DIR"
    )


def test_the_default_is_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "home" / name))

    assert Cache().directory == tmp_path / "home" / "pytest-dscoreml"


def test_a_relative_folder_and_a_home_folder_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert Cache(Path("here")).directory == tmp_path / "here"
    assert Cache(Path("~/there")).directory == tmp_path / "there"


def test_a_key_depends_on_every_ingredient_and_not_on_their_order():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert len({key_of(ingredients) for ingredients in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {})}) == 5


def test_files_below_leaves_the_record_out(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "conversion.json").write_text("counts")
    (tmp_path / "conversion.json").write_text("does not count")

    assert list(files_below(tmp_path)) == ["sub/conversion.json"]


def test_an_entry_is_seen_whole_or_not_at_all(cache):
    """However the reader's look falls; with many files, so that anything but one rename would be caught half-way."""
    stop = threading.Event()
    seen = []

    def read():
        while not stop.is_set():
            try:
                seen.append(cache.find(KEY) is not None)
            except DamagedEntryError as damage:
                seen.append(str(damage))

    with cache.workspace("test") as folder:
        made = folder / "made"
        made.mkdir()
        for number in range(100):
            (made / str(number)).write_bytes(b"x" * 1000)
        reader = threading.Thread(target=read)
        reader.start()
        try:
            cache.publish(KEY, made, {})
            begun = len(seen)
            while len(seen) < begun + 3:
                time.sleep(0.001)
        finally:
            stop.set()
            reader.join()

    assert set(seen) == {False, True}
    assert seen == sorted(seen)
