"""`--dscoreml-record`: a bundle of what a run converted, drew and expected."""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pytest

import pytest_dscoreml
from pytest_dscoreml.bundle.cases import Kind
from pytest_dscoreml.bundle.reading import read_bundle

SPEECH = ["converted_model.wav", "jovial_wizard.wav", "sixteen_frames.wav", "thats_what_i_said.wav"]
FOUR = [f"{variant}-{target}-float32" for variant in ("static", "dynamic") for target in ("neuralnetwork", "mlprogram")]


@pytest.fixture(scope="module")
def recorded(recording):
    """The bundle as it is read."""
    return read_bundle(recording[1])


@pytest.fixture(scope="module")
def manifest(recording):
    return json.loads((recording[1] / "bundle.json").read_text())


def said(result):
    """What a run says of its bundle."""
    (line,) = [line for line in result.outlines if re.match(r"dscoreml: (no )?bundle ", line)]
    return line[len("dscoreml: ") :]


def left(directory):
    """Whatever lies in a directory that no bundle has."""
    return [path.name for path in directory.iterdir() if ".recording-" in path.name]


def test_what_the_run_says(recording, manifest):
    result, bundle = recording
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())

    assert result.ret == pytest.ExitCode.OK
    cases = len(manifest["cases"])
    assert said(result) == f"bundle written to {bundle}: 4 conversions, {cases} cases, {size / 1e6:.1f} MB"
    assert [path.name for path in bundle.parent.iterdir()] == ["demo"]


def test_what_it_was_made_of(manifest, demo):
    import hypothesis
    import tensorflow

    assert manifest["version"] == pytest_dscoreml.__version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest["made"])
    here = manifest["here"]
    assert (here["tensorflow"], here["numpy"]) == (tensorflow.__version__, np.__version__)
    assert here["hypothesis"] == hypothesis.__version__
    hashes = {kind: graph["sha256"] for kind, graph in manifest["model"]["graphs"].items()}
    assert hashes == {
        kind: hashlib.sha256((demo / f"{kind}.pb").read_bytes()).hexdigest() for kind in ("static", "dynamic")
    }
    assert manifest["settings"] == {
        "engine": "reference",
        "front_end": "numpy",
        "max_steps": 64,
        "max_examples": 3,
        "seed": None,
        "longest": 468,
        "beam_width": manifest["model"]["metadata"]["beam_width"],
    }
    assert list(manifest["tolerances"]) == ["float32"]
    assert manifest["missing"] == {}


def test_the_conversions_without_those_as_documented(recorded, conversions):
    """Each file is the one in the cache."""
    assert [spec.name for spec in recorded.conversions] == FOUR
    for spec, made in recorded.conversions.items():
        kept = conversions / "entries" / made.key / f"model{spec.suffix}"
        stored = {path.relative_to(kept): path.read_bytes() for path in [kept, *kept.rglob("*")] if path.is_file()}
        copied = [path for path in [made.path, *made.path.rglob("*")] if path.is_file()]
        assert {path.relative_to(made.path): path.read_bytes() for path in copied} == stored


def test_a_case_of_every_kind(recorded, manifest):
    kinds = [case.kind for case in recorded.cases]
    assert set(kinds) == set(Kind)
    # Three of each promise, some of which draw the same; far fewer than four conversions would have drawn.
    assert 3 <= kinds.count(Kind.SEQUENCE) <= 3 * 6
    assert 1 <= kinds.count(Kind.PADDED) <= 3
    assert 1 <= kinds.count(Kind.CUT) <= 3
    assert all(
        re.match(r"Case\(length=\d+, ", case.label) for case in recorded.cases if case.kind is not Kind.RECORDING
    )
    assert all(re.search(r"\) cut at \[\d+", case.label) for case in recorded.cases if case.kind is Kind.CUT)
    assert all(
        re.search(r"\), \d+ of 16 steps real$", case.label) for case in recorded.cases if case.kind is Kind.PADDED
    )


def test_the_recordings_with_all_their_texts(recorded, demo):
    transcripts = {entry["file"]: entry["transcript"] for entry in json.loads((demo / "transcripts.json").read_text())}
    spoken = {case.label: case for case in recorded.cases if case.kind is Kind.RECORDING}
    assert sorted(spoken) == SPEECH
    for name, case in spoken.items():
        decoder, greedy = sorted(case.texts)
        assert greedy == "greedy"
        assert decoder.startswith(("ds-ctcdecoder ", "tf."))
        assert case.transcript == case.texts[decoder] == transcripts[name]


def test_what_is_expected_is_tensorflows(recorded, demo):
    from pytest_dscoreml.engines.streaming import recognise
    from pytest_dscoreml.engines.tensorflow import TensorFlowEngine

    engine = TensorFlowEngine(demo / "dynamic.pb")
    for case in recorded.cases:
        if case.kind is Kind.PADDED:
            obtained = engine.run(case.windows, case.length, case.state)
        else:
            obtained = recognise(engine, case.windows, case.state)
        for one, other in (
            (case.expected.logits, obtained.logits),
            (case.expected.raw_logits, obtained.raw_logits),
            (case.expected.state.c, obtained.state.c),
            (case.expected.state.h, obtained.state.h),
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


# -- when there is one -------------------------------------------------------------------------------------------------

STATES = ("-k", "test_states or test_names")


def test_tests_that_fail_do_not_keep_it_from_being_written(gate, pytester):
    pytester.makepyfile(test_mine="def test_mine(dscoreml_model):\n    assert False\n")
    result = gate(
        "test_mine.py", "--dscoreml-suite=on", "--dscoreml-record=deep/bundle", "-k", "test_mine or test_states"
    )

    result.assert_outcomes(passed=1, failed=1)
    assert said(result).startswith("bundle written to deep/bundle: 1 conversions, ")
    assert said(result).endswith("; tests failed, what it expects is TensorFlow's all the same")
    assert len(read_bundle(pytester.path / "deep" / "bundle").cases) > 0
    assert left(pytester.path / "deep") == []


@pytest.mark.parametrize(
    ("test", "args"),
    [("raise KeyboardInterrupt", ()), ("assert False", ("-x",)), ("import pytest; pytest.exit('so')", ())],
)
def test_a_run_that_was_stopped_writes_none(gate, pytester, test, args):
    pytester.makepyfile(test_mine=f"def test_mine(dscoreml_model):\n    {test}\n")
    # In a process of its own: the interrupt would be this one's too.
    result = gate("test_mine.py", "--dscoreml-record=bundle", *args, process=True)

    assert said(result) == "no bundle was written: the run was stopped before its end"
    assert not (pytester.path / "bundle").exists()
    assert left(pytester.path) == []


def test_a_run_of_no_test_writes_none(gate, pytester):
    result = gate("-k", "nothing_is_called_that", "--dscoreml-record=bundle")

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert said(result) == "no bundle was written: no test was run"
    assert left(pytester.path) == []


def test_collecting_alone_writes_nothing_and_says_nothing(gate, pytester):
    result = gate("--collect-only", "--dscoreml-record=bundle")

    assert result.ret == pytest.ExitCode.OK
    assert not [line for line in result.outlines if line.startswith("dscoreml: ")]
    assert list(pytester.path.iterdir()) == []


def test_no_conversion_no_bundle(gate, script, pytester, tmp_path):
    import sys

    script(f'[ "$2" = --versions ] && exec {sys.executable} "$@"\nexit 3')
    options = ("--dscoreml-converter=./converter", "--dscoreml-record=bundle", "-k", "test_names")
    result = gate(*options, cache=tmp_path / "cache")

    assert said(result) == "no bundle was written: no conversion was made"
    assert not (pytester.path / "bundle").exists()


def test_what_is_no_bundle_is_refused_before_the_run(refusal, pytester):
    (pytester.path / "mine").mkdir()
    (pytester.path / "mine" / "notes.txt").write_text("mine")

    assert refusal("--dscoreml-record=mine") == (
        "--dscoreml-record=mine: is neither empty nor a bundle, which alone is replaced; give another"
    )
    assert refusal("--dscoreml-record=mine/notes.txt/bundle").startswith(
        "--dscoreml-record=mine/notes.txt/bundle: cannot be written ("
    )
    assert [path.name for path in pytester.path.iterdir()] == ["mine"]


def test_a_place_that_was_taken_meanwhile_is_said_at_the_end(gate, pytester):
    pytester.makepyfile(
        test_mine="""
        from pathlib import Path

        def test_mine(dscoreml_model):
            Path("bundle").mkdir()
            Path("bundle/notes.txt").write_text("mine")
        """
    )
    result = gate("test_mine.py", "--dscoreml-record=bundle")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said(result).startswith("no bundle was written: --dscoreml-record=bundle: is neither empty nor a bundle")
    assert [path.name for path in (pytester.path / "bundle").iterdir()] == ["notes.txt"]
    assert left(pytester.path) == []


# -- pytest-xdist ------------------------------------------------------------------------------------------------------


def test_workers_make_the_same_bundle(recording, pytester, conversions, gate):
    """But for its date, and the digest that goes with it; and every case's file is the same to the byte."""
    result = gate(
        *("-n", "2", "--dscoreml-max-examples=3", "--dscoreml-variant=static,dynamic", "--dscoreml-precision=float32"),
        "--dscoreml-record=bundle",
        select=(),
        process=True,
    )

    assert result.ret == pytest.ExitCode.OK
    one, other = (
        {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
        for bundle in (recording[1], pytester.path / "bundle")
    )
    manifests = [json.loads(files.pop("bundle.json")) for files in (one, other)]
    for manifest in manifests:
        del manifest["made"], manifest["digest"]
    assert manifests[0] == manifests[1]
    assert one == other
    assert said(result).split(": ")[1] == said(recording[0]).split(": ")[1]
    assert left(pytester.path) == []


def test_a_worker_that_does_not_reach_the_controllers_folder(tmp_path):
    """One on another host."""
    from types import SimpleNamespace

    from pytest_dscoreml.errors import UsageError
    from pytest_dscoreml.model.alphabet import ENGLISH
    from pytest_dscoreml.record import record

    config = SimpleNamespace(workerinput={"workerid": "gw3", "dscoreml_staging": str(tmp_path / "there")})
    gate = SimpleNamespace(model=SimpleNamespace(metadata=SimpleNamespace(alphabet=ENGLISH)))
    with pytest.raises(UsageError) as caught:
        record(config, gate, tmp_path / "bundle")

    assert str(caught.value) == (
        f"--dscoreml-record={tmp_path / 'bundle'}: worker gw3 cannot reach {tmp_path / 'there' / 'cases'}; record with workers "
        "on one host"
    )
