"""What is recorded is what is read; and how a bundle comes to stand where it belongs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_dscoreml.agreement.tolerances import BY_PRECISION
from pytest_dscoreml.bundle.cases import Kind
from pytest_dscoreml.bundle.reading import RecordedSettings, read_bundle
from pytest_dscoreml.bundle.recorder import Recorder, Staging
from pytest_dscoreml.bundle.writing import Written, check_target, make_staging
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.errors import UsageError


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other))


def test_everything_comes_back(bundle, model, conversions, windows, state, outputs):
    read = read_bundle(bundle)

    assert read.directory == bundle
    assert read.made == "2024-05-06T07:08:09+00:00"
    assert read.model == model
    assert read.settings == RecordedSettings("graph", 64, 3, None, 100, 500)
    assert read.tolerances == BY_PRECISION
    assert read.converters[""]["coremltools"] == "9.0"
    assert read.missing == {ConversionSpec("pinned", "mlprogram", "float32"): "it failed when recorded: a crash"}
    assert list(read.conversions) == [conversion.spec for conversion in conversions]
    for conversion in conversions:
        found = read.conversions[conversion.spec]
        name = f"models/{conversion.spec.name}{conversion.path.suffix}"
        assert vars(found) == {**vars(conversion), "path": bundle / name}
    assert (
        bundle / "models" / "dynamic-mlprogram-float16-ct9.0.mlpackage" / "Data" / "weights" / "weight.bin"
    ).is_file()
    cut, padded, spoken, short, long = read.cases
    assert [case.kind for case in read.cases] == [Kind.CUT, Kind.PADDED, Kind.RECORDING, Kind.SEQUENCE, Kind.SEQUENCE]
    assert (short.label, long.label) == ("Case(length=2)", "Case(length=5)")
    assert (cut.cuts, padded.length, len(padded.windows)) == ((1, 3), 0, 16)
    assert spoken.transcript == "ab"
    assert spoken.texts["ds"] == "a b"
    assert sorted(spoken.texts) == ["ds", "greedy"]
    assert not spoken.state.c.any()
    assert np.array_equal(long.windows, windows(5))
    assert same(long.state, state)
    assert same(long.expected.state, outputs(5).state)
    assert np.array_equal(long.expected.logits, outputs(5).logits)
    assert np.array_equal(long.expected.raw_logits, outputs(5).raw_logits)


def test_the_same_content_makes_the_same_bundle(tmp_path, record):
    written = [record(tmp_path / name) for name in ("one", "other")]

    assert written[0] == written[1]
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "other")
    )
    assert one == other
    assert written[0] == Written(2, 5, sum(map(len, one.values())))


def test_nothing_is_left_beside_it(bundle):
    aside = [path for path in bundle.parent.iterdir() if path.name.startswith(".") and any(path.rglob("*.npz"))]

    assert aside == []


def test_the_recorder_of_other_runs_keeps_nothing(windows, state, outputs):
    def never():
        raise AssertionError("computed in vain")

    recorder = Recorder()
    recorder.sequence(windows(1), state, expected=outputs(1), case="")
    recorder.padded(windows(16), 1, state, expected=outputs(16), case="")
    recorder.cut(windows(2), state, (1,), expected=never, case="")
    recorder.recording("a.wav", windows(1), expected=outputs(1), transcript=None, texts={})


def test_who_draws_the_same_makes_one_case(tmp_path, windows, state, outputs, model):
    """Whoever comes first, the shortest label and all of the texts are kept."""
    from pytest_dscoreml.bundle.writing import _words

    def staged(name, order):
        folder = tmp_path / name
        folder.mkdir()
        for number in order:
            recorder = Staging(folder, model.metadata.alphabet)
            label = ["Case(seed=10)", "Case(seed=9)", "Case(seed=8)"][number]
            recorder.sequence(windows(2), state, expected=outputs(2), case=label)
            texts = [{}, {"ds": "a"}, {"tf": "b"}][number]
            recorder.recording("a.wav", windows(2), expected=outputs(2), transcript=None, texts=texts)
        assert len(list(folder.glob("*.npz"))) == 2
        return _words(folder)

    first, second = staged("first", [0, 1, 2]), staged("second", [2, 1, 0])
    assert list(first.items()) == list(second.items())
    sequence, recording = sorted(first.values(), key=lambda words: words["kind"], reverse=True)
    assert sequence["label"] == "Case(seed=8)"
    assert list(recording["texts"]) == ["ds", "greedy", "tf"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": Kind.CUT, "cuts": (1,)},
        {"kind": Kind.PADDED, "length": 2},
        {"kind": Kind.RECORDING},
        {"seed": 1},
        {"steps": 4},
    ],
)
def test_other_inputs_are_another_case(case, change):
    assert case(**change).key != case().key


def test_the_label_of_a_drawn_case_does_not_make_it_another(case):
    assert case(label="Case(seed=3)").key == case().key
    assert case(kind=Kind.RECORDING, label="a.wav").key != case(kind=Kind.RECORDING, label="b.wav").key


# -- where it goes -----------------------------------------------------------------------------------------------------


def test_a_bundle_is_replaced_by_the_new_one(bundle, record):
    before = read_bundle(bundle)
    record(bundle, cases=False)

    after = read_bundle(bundle)
    assert (len(before.cases), len(after.cases)) == (5, 0)
    assert list((bundle / "cases").iterdir()) == []


def test_an_empty_directory_is_taken(tmp_path, record):
    (tmp_path / "empty").mkdir()
    record(tmp_path / "empty")

    assert read_bundle(tmp_path / "empty").model.name == "tiny"


@pytest.mark.parametrize("stands", ["file", "other files", "a bundle and more", "a manifest of another kind"])
def test_anything_else_is_refused(tmp_path, bundle, record, refusal, stands):
    target = tmp_path / "target"
    if stands == "file":
        target.write_text("mine")
    elif stands == "a bundle and more":
        target = bundle
        (bundle / "notes.txt").write_text("mine")
    else:
        target.mkdir()
        name = "bundle.json" if stands == "a manifest of another kind" else "notes.txt"
        (target / name).write_text(json.dumps({"schema": 1}))
    before = sorted(tmp_path.rglob("*"))

    words = f"--dscoreml-record={target}: is neither empty nor a bundle, which alone is replaced; give another"
    assert refusal(UsageError, check_target, target) == words
    assert sorted(tmp_path.rglob("*")) == before
    # And once more at the end, where somebody may have put something there meanwhile.
    assert refusal(UsageError, record, target).endswith("which alone is replaced; give another")


def test_a_bundle_that_cannot_be_made_leaves_the_old_one(bundle, record, conversions, refusal):
    conversions[0].path.unlink()

    assert refusal(UsageError, record, bundle) == (
        f"--dscoreml-record={bundle}: cannot be written (No such file or directory); give another"
    )
    assert len(read_bundle(bundle).cases) == 5


def test_where_nothing_can_be_written(tmp_path, refusal):
    (tmp_path / "file").write_text("in the way")

    assert refusal(UsageError, make_staging, tmp_path / "file" / "bundle").startswith(
        f"--dscoreml-record={tmp_path / 'file' / 'bundle'}: cannot be written ("
    )


def test_a_staging_folder_that_went_away(tmp_path, windows, state, outputs, model, refusal):
    (tmp_path / "file").write_text("in the way")
    recorder = Staging(tmp_path / "file", model.metadata.alphabet)

    message = refusal(UsageError, recorder.sequence, windows(1), state, expected=outputs(1), case="")
    assert message.startswith(f"--dscoreml-record: a case cannot be kept in {tmp_path / 'file'} (")
