"""A bundle that is not what was recorded is refused, whatever was done to it: before any test, naming the file."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest

from pytest_dscoreml.bundle.reading import read_bundle
from pytest_dscoreml.errors import UsageError

WEIGHTS = "models/dynamic-mlprogram-float16-ct9.0.mlpackage/Data/weights/weight.bin"
NETWORK = "models/static-neuralnetwork-float32.mlmodel"


@pytest.fixture
def refused(bundle, refusal):
    """What the bundle is refused with, between the option and the advice."""

    def read():
        message = refusal(UsageError, read_bundle, bundle)
        opening, closing = f"--dscoreml-replay={bundle}: ", "; record it again"
        assert message.startswith(opening)
        assert message.endswith(closing), message
        return message[len(opening) : -len(closing)]

    return read


@pytest.fixture
def first_case(bundle):
    """The name of the file of the shorter sequence."""
    words = json.loads((bundle / "bundle.json").read_text())["cases"]
    (key,) = [key for key, case in words.items() if case["label"] == "Case(length=2)"]
    return f"cases/{key}.npz"


# -- files that are not those that were recorded -----------------------------------------------------------------------


@pytest.mark.parametrize("which", [WEIGHTS, NETWORK, "a case"])
def test_a_byte_changed(bundle, refused, first_case, which):
    name = first_case if which == "a case" else which
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)

    assert refused().startswith(f"{name} has been changed since it was recorded: expected sha256 ")


@pytest.mark.parametrize("which", [WEIGHTS, NETWORK, "a case"])
def test_a_file_is_missing(bundle, refused, first_case, which):
    name = first_case if which == "a case" else which
    (bundle / name).unlink()

    assert refused() == f"{name} is missing"


@pytest.mark.parametrize("name", ["notes.txt", "models/other.mlmodel", "cases/deep/more.npz", "models/.DS_Store"])
def test_a_file_more(bundle, refused, name):
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_text("more")

    assert refused() == f"{name} is not a file that was recorded"


@pytest.mark.parametrize("name", [NETWORK, "models/dynamic-mlprogram-float16-ct9.0.mlpackage", "cases", "bundle.json"])
def test_a_link_in_place_of_a_file_or_directory(bundle, refused, name):
    """To the very same content: what it points to may be changed after it was looked at."""
    (bundle / name).rename(bundle.parent / "elsewhere")
    (bundle / name).symlink_to(bundle.parent / "elsewhere")

    assert refused() == f"{name} is a symbolic link, which a bundle has none of"


def test_what_is_no_file(bundle, refused):
    os.mkfifo(bundle / "cases" / "pipe")

    assert refused() == "cases/pipe is neither a file nor a directory"


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "models/../../outside",
        "models//x",
        "./models/x",
        "models/./x",
        "/etc/hostname",
        "C:/models/x",
        "models\\x",
        "models",
        "bundle.json",
        "other/x",
        "",
        "models/a\0b",
    ],
)
def test_a_path_that_leaves_the_bundle(bundle, refused, edit, name):
    edit(lambda manifest: manifest["files"].update({name: "0" * 64}))

    assert refused() == f"bundle.json: files has {name!r}, which is no path within models or cases"


# -- the manifest ------------------------------------------------------------------------------------------------------


def test_an_edited_manifest(refused, edit):
    edit(lambda manifest: manifest["tolerances"]["float32"]["probabilities"].update(atol=1.0), hashes=False)

    assert refused() == "bundle.json has been changed since it was written: its digest is another"


def test_a_manifest_without_digest(refused, edit):
    edit(lambda manifest: manifest.pop("digest"), hashes=False)

    assert refused() == "bundle.json has been changed since it was written: its digest is another"


def test_a_newer_schema(bundle, edit, refusal):
    edit(lambda manifest: manifest.update(schema=2, digest="whatever it is then"), hashes=False)

    assert refusal(UsageError, read_bundle, bundle) == (
        f"--dscoreml-replay={bundle}: bundle.json has schema 2, which a newer pytest-dscoreml wrote; this one reads 1: "
        "install a newer one, or record it again with this one"
    )


@pytest.mark.parametrize("schema", [0, "1", True, None, 1.5])
def test_a_schema_that_never_was(refused, edit, schema):
    edit(lambda manifest: manifest.update(schema=schema))

    assert refused() == f"bundle.json: schema must be 1, not {schema!r}"


@pytest.mark.parametrize("cut", [0, 1, 100, -3])
def test_a_manifest_cut_short(bundle, refused, cut):
    path = bundle / "bundle.json"
    path.write_bytes(path.read_bytes()[:cut])

    assert refused().startswith("bundle.json is no JSON, or cut short (")


@pytest.mark.parametrize("content", [b"[]", b"1", b'"x"', b"null"])
def test_a_manifest_that_is_no_object(bundle, refused, content):
    (bundle / "bundle.json").write_bytes(content)

    assert refused().startswith("bundle.json: expected an object, not ")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000])
def test_a_manifest_that_is_no_json(bundle, refused, content):
    (bundle / "bundle.json").write_bytes(content)

    assert refused().startswith("bundle.json is no JSON, or cut short (")


@pytest.mark.parametrize(
    ("stands", "reason"),
    [(None, "no such directory"), ("file", "no such directory"), ("empty", "there is no bundle.json in it")],
)
def test_no_bundle_at_all(tmp_path, refusal, stands, reason):
    path = tmp_path / "somewhere"
    if stands == "file":
        path.write_text("a file")
    elif stands == "empty":
        path.mkdir()

    assert refusal(UsageError, read_bundle, path) == (
        f"--dscoreml-replay={path}: {reason}; give a directory that --dscoreml-record has written"
    )


def delete(*path):
    def change(manifest):
        for name in path[:-1]:
            manifest = manifest[name]
        del manifest[path[-1]]

    return change


def put(value, *path):
    def change(manifest):
        for name in path[:-1]:
            manifest = manifest[name]
        manifest[path[-1]] = value

    return change


SPEC = "static-neuralnetwork-float32"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (delete("model"), "bundle.json: model must be an object, not nothing"),
        (delete("files"), "bundle.json: files must be an object, not nothing"),
        (put(8.5, "model", "n_hidden"), "bundle.json: model: n_hidden must be a whole number, not 8.5"),
        (put(0, "model", "n_hidden"), "bundle.json: model: n_hidden must be 1 or more, not 0"),
        (put(6, "model", "n_classes"), "bundle.json: model: 6 classes, but an alphabet of 5"),
        (
            put(["a", 1], "model", "metadata", "alphabet", "labels"),
            "bundle.json: model: metadata: alphabet: labels must be a list of texts, not ['a', 1]",
        ),
        (
            put(1, "model", "metadata", "alphabet", "bytes_mode"),
            "bundle.json: model: metadata: alphabet: bytes_mode must be true or false, not 1",
        ),
        (put(True, "settings", "longest"), "bundle.json: settings: longest must be a whole number, not True"),
        (put(7, "settings", "seed"), "bundle.json: settings: seed must be a text, not 7"),
        (delete("settings", "seed"), "bundle.json: settings: seed must be a text, not nothing"),
        (put({}, "conversions"), "bundle.json: conversions has none"),
        (
            delete("converters", "ct9.0"),
            "bundle.json: conversions: dynamic-mlprogram-float16-ct9.0: no converter 'ct9.0' was recorded",
        ),
        (
            delete("tolerances", "float32"),
            f"bundle.json: conversions: {SPEC}: no tolerances for its precision were recorded",
        ),
        (
            delete("tolerances", "float16", "sums", "why"),
            "bundle.json: tolerances: float16: sums: why must be a text, not nothing",
        ),
        (
            put(-1, "tolerances", "float16", "floor"),
            "bundle.json: tolerances: float16: floor must be 0 or more, not -1.0",
        ),
        (
            put("models/../x.mlmodel", "conversions", SPEC, "path"),
            f"bundle.json: conversions: {SPEC}: path must be {NETWORK}, not 'models/../x.mlmodel'",
        ),
        (
            put("sideways", "conversions", SPEC, "variant"),
            f"bundle.json: conversions: {SPEC}: unknown variant 'sideways': choose from static, dynamic, pinned",
        ),
        (
            put("float16", "conversions", SPEC, "precision"),
            f"bundle.json: conversions: {SPEC}: static-neuralnetwork-float16 does not exist: a neuralnetwork is always "
            "converted in float32",
        ),
        (
            put({"inputs": 1}, "conversions", SPEC, "interface"),
            f"bundle.json: conversions: {SPEC}: inputs is a list, not 1",
        ),
        (put({"linear": "x"}, "conversions", SPEC, "op_counts"), "the count of op 'linear' is a whole number, not 'x'"),
        (
            lambda manifest: manifest["conversions"].update(other=manifest["conversions"].pop(SPEC)),
            f"bundle.json: conversions: other is of {SPEC}",
        ),
        (
            lambda manifest: manifest["cases"].pop(next(iter(manifest["cases"]))),
            "bundle.json: cases and the files in cases are not the same ones",
        ),
        (
            lambda manifest: manifest["cases"].update(more={"kind": "sequence", "label": "x"}),
            "bundle.json: cases and the files in cases are not the same ones",
        ),
    ],
)
def test_a_manifest_of_another_form(refused, edit, change, message):
    """Its hashes are right: somebody made it so."""
    edit(change)

    assert refused().endswith(message)


def test_a_conversion_whose_file_is_not_listed(bundle, refused, edit):
    (bundle / NETWORK).unlink()
    edit(delete("files", NETWORK))

    assert refused() == f"bundle.json: conversions: {SPEC}: {NETWORK} is missing"


# -- the cases ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def rewritten(bundle, edit, first_case):
    """Change the arrays of the shorter sequence, and all hashes with them."""

    def change(how):
        path = bundle / first_case
        arrays = dict(np.load(path))
        how(arrays)
        np.savez(path, **arrays)
        edit(lambda manifest: None)
        return first_case

    return change


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "windows",
            np.zeros((2, 19, 25), np.float32),
            "float32 of shape [2, 19, 26], not float32 of shape [2, 19, 25]",
        ),
        (
            "windows",
            np.zeros((2, 19, 26), np.float64),
            "float32 of shape [2, 19, 26], not float64 of shape [2, 19, 26]",
        ),
        ("windows", np.float32(1), "float32 of shape [0, 19, 26], not float32 of shape []"),
        ("previous_state_c", np.zeros(8, np.float32), "float32 of shape [1, 8], not float32 of shape [8]"),
        ("new_state_h", np.zeros((1, 9), np.float32), "float32 of shape [1, 8], not float32 of shape [1, 9]"),
        ("logits", np.zeros((3, 5), np.float32), "float32 of shape [2, 5], not float32 of shape [3, 5]"),
        ("raw_logits", np.zeros((2, 5), np.int32), "float32 of shape [2, 5], not int32 of shape [2, 5]"),
        ("length", np.array([2]), "int64 of shape [], not int64 of shape [1]"),
    ],
)
def test_an_array_of_another_form(refused, rewritten, name, value, message):
    file = rewritten(lambda arrays: arrays.update({name: value}))

    assert refused() == f"{file}: {name} must be {message}"


def test_an_array_is_missing(refused, rewritten):
    file = rewritten(lambda arrays: arrays.pop("raw_logits"))

    assert refused() == f"{file}: no array raw_logits in it"


def test_other_inputs_than_the_name_says(refused, rewritten):
    file = rewritten(lambda arrays: arrays["windows"].__iadd__(1))

    assert refused() == f"{file}: its inputs are not those that its name is the sha256 of"


@pytest.mark.parametrize("length", [1, 3, -1])
def test_a_length_that_a_sequence_has_not(refused, rewritten, length):
    file = rewritten(lambda arrays: arrays.update(length=np.array(length)))

    assert refused() == f"{file}: {length} of 2 steps are real, which no sequence has"


def test_nothing_is_unpickled(refused, rewritten):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    file = rewritten(lambda arrays: arrays.update(logits=np.array(Trap(), object)))

    assert refused().startswith(f"{file}: no .npz of arrays (Object arrays cannot be loaded")


def other_formats():
    lone = io.BytesIO()
    np.save(lone, np.zeros(3))
    return {"empty": b"", "text": b"no archive", "lone": lone.getvalue(), "cut": b"PK\x03\x04cut short"}


@pytest.mark.parametrize("kind", other_formats())
def test_a_file_of_another_format(bundle, refused, edit, first_case, kind):
    (bundle / first_case).write_bytes(other_formats()[kind])
    edit(lambda manifest: None)

    assert refused().startswith(f"{first_case}: no .npz of arrays (")


def of_kind(which, **changes):
    def change(manifest):
        for words in manifest["cases"].values():
            if words["kind"] == which:
                words.update(changes)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_kind("sequence", kind="dream"), ": kind must be one of sequence, padded, cut, recording"),
        (of_kind("cut", cuts=[]), ": 4 steps cannot be cut before []"),
        (of_kind("cut", cuts=[0, 2]), ": 4 steps cannot be cut before [0, 2]"),
        (of_kind("cut", cuts=[4]), ": 4 steps cannot be cut before [4]"),
        (of_kind("cut", cuts=[3, 1]), ": 4 steps cannot be cut before [3, 1]"),
        (of_kind("cut", cuts=["1"]), ": cuts must be a list of whole numbers, not ['1']"),
        (of_kind("cut", cuts=[2]), ": its inputs are not those that its name is the sha256 of"),
        (of_kind("recording", texts={"ds": 1}), ": texts: ds must be a text, not 1"),
        (of_kind("recording", transcript=1), ": transcript must be a text, not 1"),
        (of_kind("sequence", label=None), ": label must be a text, not None"),
        (of_kind("padded", kind="sequence"), ": 0 of 16 steps are real, which no sequence has"),
    ],
)
def test_words_of_another_form(refused, edit, change, message):
    edit(change)

    assert refused().endswith(message)
