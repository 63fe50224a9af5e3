"""`--dscoreml-compress`: conversions with compressed weights, what they promise, and accuracy against size."""

from __future__ import annotations

import json
import re
import sys

import pytest

#: Both targets in one precision; few examples.
BOTH = ("--dscoreml-variant=dynamic", "--dscoreml-precision=float32", "--dscoreml-max-examples=2")
ONE_TARGET = ("--dscoreml-target=mlprogram", "--dscoreml-precision=float32", "--dscoreml-max-examples=2")
NETWORK = (*BOTH, "--dscoreml-target=neuralnetwork")
PLAIN = ("dynamic-neuralnetwork-float32", "dynamic-mlprogram-float32")
#: Tests of a compressed conversion: one of each promise, and a recording for each of four.
TESTS = 5 + 4
ALONE = ("-k", "test_compression")


def sizes(result):
    """The rows of the table by conversion, as lists of cells."""
    lines = result.outlines
    (start,) = [number for number, line in enumerate(lines) if "dscoreml: accuracy against size" in line]
    (end,) = [
        number for number, line in enumerate(lines) if line.startswith("measured against TensorFlow, not judged: ")
    ]
    rows = [re.split(r"  +", line) for line in lines[start + 1 : end]]
    assert rows[0] == ["conversion", "promises", "kB", "size", "logits", "states", "greedy", "transcriptions", "CER"]
    return {row[0]: row[1:] for row in rows[1:]}


@pytest.fixture
def told(script):
    """A converter that is said to have another scikit-learn than it has."""

    def make(version):
        said = json.dumps(version)
        change = f"""{sys.executable} "$@" | sed 's/"scikit-learn": [^,}}]*/"scikit-learn": {said}/'"""
        script(f'if [ "$2" = --versions ]; then {change}; else exec {sys.executable} "$@"; fi')
        return "--dscoreml-converter=./converter"

    return make


def test_both_targets(gate, pytester, summary):
    """Beside the promises of the uncompressed conversions, and not among them."""
    select = ("-k", "test_compression or test_states", "--dscoreml-report=out")
    result = gate(*select, "--dscoreml-compress=linear8,uniform8", *BOTH, select=())
    # uniform8 gets every recording right too; variants need two of them.
    result.assert_outcomes(passed=2 + 4 * TESTS, skipped=1)
    assert set(summary(result)) == set(PLAIN)
    rows = sizes(result)
    assert list(rows) == [name for plain in PLAIN for name in (plain, f"{plain}-linear8", f"{plain}-uniform8")]
    document = json.loads((pytester.path / "out" / "results.json").read_text())
    assert set(document["conversions"]) == set(PLAIN)
    assert set(document["compressed"]) == set(rows) - set(PLAIN)
    for row in document["accuracy_against_size"]:
        compressed, cells = bool(row["compression"]), rows[row["conversion"]]
        assert cells[0] == (f"{TESTS} of {TESTS} kept" if compressed else "1 of 1 kept")
        assert cells[2] == f"{row['ratio']:.0%}"
        assert row["ratio"] == (pytest.approx(0.33, abs=0.04) if compressed else 1.0)
        if compressed:
            assert cells[5].startswith("0 of 976 / ")
            assert cells[6:] == ["4 of 4 agree", "0.0%"]
            # Far beyond what float32 is held to, and nobody fails for it.
            assert 1e-3 < row["recordings"]["logits"] < 0.1
            assert row["drawn"]["greedy_frames"] > 0


def test_what_takes_too_much_fails_with_an_account(gate):
    result = gate(*ALONE, "--dscoreml-compress=uniform1", "--dscoreml-target=mlprogram", *BOTH, select=())
    result.assert_outcomes(passed=TESTS - 4, failed=4, skipped=1)
    cells = sizes(result)["dynamic-mlprogram-float32-uniform1"]
    assert cells[0] == f"{TESTS - 4} of {TESTS} kept"
    assert cells[6] == "0 of 4 agree"
    assert float(cells[7].rstrip("%")) > 50
    lines = result.outlines
    start = next(
        number for number, line in enumerate(lines) if line.startswith("broken promise: with compressed weights")
    )
    said = lines[start:]
    assert (
        said[0] == "broken promise: with compressed weights the file is smaller, is used as before, and hears the same."
    )
    decoder = r"(ds-ctcdecoder \S+|tf\S+)"
    name = r"dynamic, mlprogram, float32, uniform1, \w+\.wav, decoder"
    assert re.fullmatch(rf"transcription \[{name} {decoder}\] differs:", said[1])
    assert said[2].startswith("  expected '")
    assert said[3].startswith("  obtained '")
    assert set(said[4].strip()) <= set("^v ")
    saved = r"uniform1 made \d+ kB of \d+ \(\d+%\); of \d+ frames \d+ have another most probable class, "
    assert re.match(saved + "probabilities are up to ", said[5])
    assert said[6] == (
        "dynamic-mlprogram-float32, uncompressed, hears what TensorFlow hears: this compression takes too much of this model"
    )
    assert said[7].startswith("repeat with: pytest ")
    assert "first divergence" not in result.stdout.str()


def test_variants_with_the_same_compression_agree(gate):
    options = (*ONE_TARGET, "--dscoreml-variant=static,dynamic", "--dscoreml-compress=linear8")
    result = gate("-k", "test_compressed_variants_agree", *options, select=())
    result.assert_outcomes(passed=1)


def test_workers_tell_the_same(gate):
    tests = "(test_transcription_survives and thats) or test_file_is_smaller"
    quick = ("-k", tests, "--dscoreml-compress=linear8,uniform1", "--dscoreml-max-examples=2")
    parallel, single = gate(*quick, "-n", "2", process=True), gate(*quick)
    for result in (parallel, single):
        result.assert_outcomes(passed=2 + 1, failed=1)
    assert sizes(parallel) == sizes(single)


def test_what_cannot_be_compressed_is_skipped_with_the_reason(gate):
    result = gate("-k", "test_interface_is_kept", "--dscoreml-compress=linear8,sparse75", *NETWORK, "-rs", select=())
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "no dynamic-neuralnetwork-float32-sparse75: coremltools prunes ML Programs only",
            "SKIPPED * coremltools prunes ML Programs only",
        ]
    )


def test_nothing_can_be_compressed_like_that(refusal):
    message = refusal("--dscoreml-compress=sparse75,sparse50", "--dscoreml-target=neuralnetwork", *BOTH, select=())
    assert message == (
        "--dscoreml-compress=sparse50,sparse75: nothing can be compressed like that: coremltools prunes ML Programs only"
    )


def test_k_means_without_scikit_learn(gate, refusal, told):
    reason = (
        "k-means needs scikit-learn beside the converter's coremltools: install it there, or take uniform, which spaces its "
        "table evenly"
    )
    converter = told(None)
    result = gate("-k", "test_file_is_smaller", "--dscoreml-compress=linear8,palettize4", converter)
    result.assert_outcomes(passed=1, skipped=1)
    assert f"no dynamic-mlprogram-float32-palettize4: {reason}" in result.outlines
    message = refusal("--dscoreml-compress=palettize4", converter)
    assert message == f"--dscoreml-compress=palettize4: nothing can be compressed like that: {reason}"


def test_k_means(gate):
    pytest.importorskip("sklearn", reason="k-means needs scikit-learn, which is not installed here")
    result = gate(*ALONE, "--dscoreml-compress=palettize8")
    result.assert_outcomes(passed=TESTS, skipped=1)


def test_with_several_converters_each_compresses(gate, script):
    newer = f"""{sys.executable} "$@" | sed 's/"coremltools": "9.0"/"coremltools": "9.1.dev0"/'"""
    script(f'if [ "$2" = --versions ]; then {newer}; else exec {sys.executable} "$@"; fi')
    two = (f"--dscoreml-converter={sys.executable}", "--dscoreml-converter=./converter")
    result = gate("-k", "test_file_is_smaller", "--dscoreml-compress=linear8", *two, "--collect-only", "-q")
    collected = [line.rpartition("::")[2] for line in result.outlines if "::" in line]
    assert collected == [
        f"test_file_is_smaller[dynamic-mlprogram-float32-linear8-{label}]" for label in ("ct9.0", "ct9.1.dev0")
    ]


def test_a_baseline_sees_a_compression_drift(gate, pytester):
    quick = ("-k", "test_transcription_survives and thats", "--dscoreml-compress=linear8")
    gate(*quick, "--dscoreml-write-baseline=b.json").assert_outcomes(passed=1)
    same = gate(*quick, "--dscoreml-baseline=b.json")
    assert same.ret == 0
    assert any(line.startswith("1 of 1 conversions compared with the baseline, none worse") for line in same.outlines)
    file = pytester.path / "b.json"
    document = json.loads(file.read_text())
    (entry,) = document["compressed"].values()
    entry["max_abs_error"]["logits"] /= 100
    file.write_text(json.dumps(document))
    worse = gate(*quick, "--dscoreml-baseline=b.json")
    assert worse.ret == pytest.ExitCode.TESTS_FAILED
    assert any(
        line.startswith("dynamic-mlprogram-float32-linear8: logits drifted from ")
        and line.endswith("more than 2 times")
        for line in worse.outlines
    )


def test_a_bundle_says_that_they_are_not_in_it(gate, pytester):
    select = ("-k", "test_file_is_smaller or test_states", "--dscoreml-compress=linear8,uniform8")
    result = gate(*select, "--dscoreml-record=bundle")
    result.assert_outcomes(passed=3)
    (line,) = [
        line for line in result.outlines if line.startswith("dscoreml: bundle written to bundle: 1 conversions, ")
    ]
    assert line.endswith("; compressed conversions are not in it")
    manifest = json.loads((pytester.path / "bundle" / "bundle.json").read_text())
    assert (list(manifest["conversions"]), manifest["missing"]) == (["dynamic-mlprogram-float32"], {})
    replayed = gate("--dscoreml-replay=bundle", model=(), select=(), cache=None)
    assert replayed.ret == 0
    refused = gate("--dscoreml-replay=bundle", "--dscoreml-compress=linear8", model=(), select=(), cache=None)
    assert "--dscoreml-compress means nothing in a replay" in refused.stderr.str()


def test_tests_of_ones_own(gate, pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.dscoreml(targets="mlprogram")
        def test_mine(dscoreml_compressed, dscoreml_compressed_engine, dscoreml_compressed_comparison):
            assert dscoreml_compressed.spec.name == "dynamic-mlprogram-float32-linear8"
            assert dscoreml_compressed_comparison.label == "dynamic, mlprogram, float32, linear8"
            assert dscoreml_compressed_engine.n_steps is None

        @pytest.mark.dscoreml(variants="static")
        def test_other(dscoreml_compressed):
            assert False, "there is no static one"
        """
    )
    result = gate("--dscoreml-suite=off", "--dscoreml-compress=linear8", "-rs", *BOTH, select=())
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *: no conversion that is selected is compressed (--dscoreml-compress)"])


def test_without_the_option_the_file_of_the_suite_is_not_collected(gate):
    result = gate("--collect-only", "-q", "--dscoreml-suite=only")
    assert "test_compression.py" not in result.stdout.str()
