"""`--dscoreml-replay`: a bundle in place of a model, where there is neither TensorFlow nor a converter."""

from __future__ import annotations

import json
import os
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_dscoreml.options import OPTIONS
from pytest_dscoreml.replay import MEANT

FOUR = [f"{variant}-{target}-float32" for variant in ("static", "dynamic") for target in ("neuralnetwork", "mlprogram")]
QUICK = ("--dscoreml-variant=static", "--dscoreml-target=neuralnetwork")

WITHOUT = '''
    """Nothing of this is installed here, and no converter is started."""

    import subprocess
    import sys


    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("tensorflow", "python_speech_features"):
                raise ModuleNotFoundError(f"No module named {name!r}")


    sys.meta_path.insert(0, Missing())
    started = subprocess.Popen.__init__


    def start(self, args, *rest, **kwargs):
        assert "conversion/worker.py" not in str(args), "a converter was started"
        started(self, args, *rest, **kwargs)


    subprocess.Popen.__init__ = start
'''


@pytest.fixture
def bare(pytester, monkeypatch):
    """Have new processes do without TensorFlow and converters."""
    site = pytester.path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(textwrap.dedent(WITHOUT))
    path = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))


def reasons(result):
    """Why tests were skipped."""
    return [line.split(": ", 1)[1] for line in result.outlines if line.startswith("SKIPPED")]


def verdicts(result):
    """How many tests passed, failed and so on, without what is not told of by pytest-xdist, or by it alone."""
    return {
        verdict: count for verdict, count in result.parseoutcomes().items() if verdict not in ("deselected", "warnings")
    }


# -- without TensorFlow ------------------------------------------------------------------------------------------------


def test_it_passes_without_tensorflow(replay, bundle, bare, summary, pytester):
    result = replay("-rs", "--dscoreml-report=report", process=True)

    assert result.ret == pytest.ExitCode.OK, result.stdout.str() + result.stderr.str()
    rows = summary(result)
    assert sorted(rows) == sorted(FOUR)
    assert {row["verdict"] for row in rows.values()} == {"passed"}
    assert all(int(row["examples"]) > 40 for row in rows.values())
    manifest = json.loads((bundle / "bundle.json").read_text())
    made_with = re.escape(manifest["converters"][""]["coremltools"])
    made = f"recorded on {manifest['made'][:10]} with coremltools {made_with}"
    result.stdout.re_match_lines(
        [
            rf"dscoreml .+: replaying bundle, {made}; numpy ",
            r"dscoreml engine: reference; decoders: greedy(, ds-ctcdecoder 0\.9\.3)?; features: numpy",
            r"dscoreml model: demo, n_hidden 64, 29 classes, windows 19 x 26, static graph of 16 steps, sha256 ",
        ]
    )
    report = json.loads((pytester.path / "report" / "results.json").read_text())
    assert report["replayed"] == {"directory": "bundle", "made": manifest["made"], "digest": manifest["digest"]}
    assert set(report["conversions"]) == set(FOUR)
    assert [line for line in result.outlines if 'greedy: "that\'s what i said", 4 of 4 conversions agree' in line]


def test_workers_come_to_the_same_verdicts(replay, bundle, bare, summary):
    options = ("--dscoreml-target=mlprogram", "-k", "not test_transcription")
    parallel, single = replay(*options, "-n", "2", process=True), replay(*options)

    assert parallel.ret == single.ret == pytest.ExitCode.OK
    assert verdicts(parallel) == verdicts(single)
    assert summary(parallel) == summary(single)


def test_workers_elsewhere_need_the_bundle_alone(replay, bundle, bare, pytester, tmp_path, monkeypatch):
    """Each in a directory of its own, as on another host: what is in the controller's is not there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # A relative path is that of each process.
    result = replay(*(*QUICK, "--tx", f"2*popen//chdir={elsewhere}", "--dist=load", "--rsyncdir", bundle), process=True)

    assert result.ret == pytest.ExitCode.OK, result.stdout.str() + result.stderr.str()
    assert (elsewhere / "bundle" / "bundle.json").is_file()
    absolute = replay(*QUICK, "--tx", f"popen//chdir={elsewhere}", "--dist=load", bundle=bundle, process=True)
    assert absolute.ret == pytest.ExitCode.OK, absolute.stdout.str() + absolute.stderr.str()
    assert verdicts(absolute) == verdicts(result)


def test_a_worker_without_the_bundle_ends_the_run(replay, bundle, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = replay(*QUICK, "--tx", f"popen//chdir={elsewhere}", "--dist=load", process=True)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in (*result.outlines, *result.errlines) if "worker gw" in line]
    words = (
        "worker gw0: --dscoreml-replay=bundle: no such directory; give a directory that --dscoreml-record has written"
    )
    assert words in line


def test_cores_of_a_mac(replay, bundle, monkeypatch, tmp_path):
    """Apple's engine runs what was recorded, on the compute units that were asked for."""
    import coremltools

    from pytest_dscoreml.engines import choosing, coreml
    from pytest_dscoreml.runtime import ReferenceModel

    opened = []

    class StandIn:
        """`MLModel` as it is on macOS."""

        def __init__(self, path, compute_units):
            opened.append((Path(path).name, compute_units))
            self.predict = ReferenceModel(path).predict

    for module in (choosing, coreml):
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(coremltools.models, "MLModel", StandIn)
    result = replay(*QUICK, "--dscoreml-compute-units=cpu_only")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["dscoreml engine: coreml; *", "*dscoreml: demo on the coreml engine*"])
    assert opened == [("static-neuralnetwork-float32.mlmodel", coremltools.ComputeUnit.CPU_ONLY)]


# -- what it finds -----------------------------------------------------------------------------------------------------


def test_a_damaged_model_fails_in_the_usual_words(replay, bundle, edit):
    """Its hash is right: somebody else's converter made it so."""
    from coremltools.models.utils import load_spec

    path = bundle / "models" / "static-neuralnetwork-float32.mlmodel"
    spec = load_spec(str(path))
    layers = [getattr(layer, layer.WhichOneof("layer")) for layer in spec.neuralNetwork.layers]
    weights = next(
        layer.weights.floatValue for layer in layers if hasattr(layer, "weights") and layer.weights.floatValue
    )
    negated = [-value for value in weights]
    del weights[:]
    weights.extend(negated)
    path.write_bytes(spec.SerializeToString())
    edit()
    result = replay(*QUICK, "-k", "not transcription")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.re_match_lines_random(
        [
            r"broken promise: the probabilities are TensorFlow's, after the softmax and before it\.",
            r"probabilities \(logits\) \[static, neuralnetwork, float32, T=\d+\] differ: ",
            r"tolerance float32-probabilities \(atol 1e-05: ",
            r"case Case\(length=\d+, features=",
            r"repeat with: pytest .*--dscoreml-replay=bundle .*-k 'test_probabilities_agree and static-neuralnetwork-float32'",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_another_interface_than_was_recorded(replay, bundle, edit):
    def change(manifest):
        inputs = manifest["conversions"]["static-neuralnetwork-float32"]["interface"]["inputs"]
        (feature,) = [feature for feature in inputs if feature["name"] == "previous_state_c"]
        feature["shape"] = [1, 65]

    edit(change)
    result = replay(*QUICK, "-k", "test_interface_is_the_recorded_one")

    result.assert_outcomes(failed=1)
    (line,) = [line for line in result.outlines if line.startswith("inputs [static-neuralnetwork-float32]: expected ")]
    assert line.endswith("; what differs: previous_state_c float32 [1, 64]; previous_state_c float32 [1, 65]")


def test_recorded_tolerances_decide(replay, bundle, edit):
    edit(lambda manifest: manifest["tolerances"]["float32"]["state_c"].update(name="mine", atol=0.0, rtol=0.0))
    result = replay(*QUICK, "-k", "test_states")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["tolerance mine (: *; here it allows 0"])


def test_a_promise_without_a_case_is_skipped(replay, bundle, edit):
    for path in (bundle / "cases").iterdir():
        path.unlink()
    edit(lambda manifest: manifest["cases"].clear())
    result = replay("--dscoreml-variant=static", "-rs", "-k", "not test_interface")

    assert result.ret == pytest.ExitCode.OK
    assert set(result.parseoutcomes()) == {"skipped", "deselected"}
    assert {reason for reason in reasons(result) if "variants" not in reason} == {
        *(
            f"nothing to compare: the bundle holds no {kind}"
            for kind in ("drawn sequence", "padded call", "cut sequence")
        ),
        "the bundle holds no recording; record it again with --dscoreml-audio",
    }


def test_decoders_that_are_not_here_are_skipped(replay, bundle, edit):
    here = {}

    def change(manifest):
        for words in manifest["cases"].values():
            if words["kind"] == "recording":
                (name,) = set(words["texts"]) - {"greedy"}
                here[name] = words["texts"].pop(name)
                for other in ("ds-ctcdecoder 0.1", "ds-ctcdecoder 0.9.3 with big.scorer", "tf.nn.something"):
                    words["texts"][other] = "never"

    edit(change)
    result = replay(*QUICK, "-rs", "-k", "test_transcription_agrees and thats")

    result.assert_outcomes(passed=1, skipped=3)
    assert "; decoders: greedy; " in result.stdout.str()
    found = sorted(reasons(result))
    assert found[0].startswith("ds-ctcdecoder 0.1 is not installed here")
    assert found[1:] == [
        "ds-ctcdecoder 0.9.3 with big.scorer: the scorer is not in the bundle",
        "tf.nn.something is not used in a replay, which does without TensorFlow",
    ]


def test_conversions_that_could_not_be_recorded_are_told_of(replay, bundle, edit):
    gone = {"variant": "pinned", "target": "neuralnetwork", "precision": "float32", "converter": ""}
    missing = {"pinned-neuralnetwork-float32": {**gone, "reason": "it failed when recorded: a crash"}}
    edit(lambda manifest: manifest.update(missing=missing))
    result = replay("--dscoreml-target=neuralnetwork", "-k", "test_names", "-rs")

    result.assert_outcomes(passed=2, skipped=1)
    assert reasons(result) == ["it failed when recorded: a crash"]
    result.stdout.fnmatch_lines(["no pinned-neuralnetwork-float32: it failed when recorded: a crash"])


# -- tests of one's own ------------------------------------------------------------------------------------------------


def test_users_tests_run_as_far_as_a_bundle_goes(replay, bundle, pytester, bare):
    pytester.makepyfile(
        test_mine="""
        from pytest_dscoreml.engines.streaming import recognise


        def test_engine(dscoreml_engine, dscoreml_recording, dscoreml_decoder, dscoreml_model):
            outputs = recognise(dscoreml_engine, dscoreml_recording.windows)
            assert dscoreml_decoder.decode(outputs.logits).text == dscoreml_recording.utterance.transcript
            assert sorted(dscoreml_model.graphs) == ["dynamic", "static"]


        def test_drawn(dscoreml_drawn, dscoreml_comparison):
            dscoreml_drawn(dscoreml_comparison.states)


        def test_reference(dscoreml_reference):
            raise AssertionError


        def test_graphs(dscoreml_graphs):
            raise AssertionError


        def test_cases(dscoreml_engine, dscoreml_cases, dscoreml_material):
            raise AssertionError
        """
    )
    result = replay(*QUICK, "test_mine.py", "-rs", process=True)

    result.assert_outcomes(passed=5, skipped=3)
    assert set(reasons(result)) == {
        "a bundle has no TensorFlow, no graphs and nothing for Hypothesis to draw from: give --dscoreml-model in place of "
        "--dscoreml-replay"
    }


def test_a_test_of_a_bundle_is_skipped_where_there_is_a_model(gate, pytester):
    pytester.makepyfile(test_mine="def test_mine(dscoreml_replay):\n    raise AssertionError\n")
    result = gate("test_mine.py", "-rs")

    result.assert_outcomes(skipped=1)
    assert reasons(result) == ["no bundle to replay: give --dscoreml-replay=DIR"]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.fixture
def refusal_of(replay, refused):
    return lambda *args, **kwargs: refused(replay(*args, **kwargs))


VALUES = {
    "compress": "linear8",
    "reproduce": "6.100.0:AAEB",
    **dict.fromkeys(("converter-timeout", "lm-alpha", "lm-beta", "beam-width", "max-steps", "max-examples"), 9),
    "model": "demo",
    "decoder": "auto",
    "front-end": "numpy",
}


@pytest.mark.parametrize(
    "option", [option for option in OPTIONS if option not in MEANT], ids=lambda option: option.name
)
def test_an_option_that_means_nothing_in_a_replay(refusal_of, option):
    assert refusal_of(f"{option.flag}={VALUES.get(option.name, 'x')}") == (
        f"--dscoreml-replay=bundle: {option.flag} means nothing in a replay, which takes it from the bundle or does without; "
        f"leave it out, on the command line and as {option.ini} in the ini file"
    )


def test_an_option_that_means_nothing_in_the_ini_file(refusal_of, pytester):
    pytester.makeini("[pytest]\ndscoreml_max_examples = 5\n")

    assert "--dscoreml-max-examples means nothing in a replay" in refusal_of()


def test_no_bundle(refusal_of):
    assert refusal_of() == (
        "--dscoreml-replay=bundle: no such directory; give a directory that --dscoreml-record has written"
    )


def test_a_wrong_hash(refusal_of, bundle):
    (path,) = bundle.glob("models/static-*.mlmodel")
    path.write_bytes(path.read_bytes() + b"\0")

    message = refusal_of()
    name = f"models/{path.name}"
    assert message.startswith(
        f"--dscoreml-replay=bundle: {name} has been changed since it was recorded: expected sha256 "
    )
    assert message.endswith("; record it again")


@pytest.mark.parametrize(
    ("option", "has"),
    [
        (
            "--dscoreml-variant=static,pinned",
            "--dscoreml-variant=pinned: bundle has no such conversion, only dynamic, static",
        ),
        ("--dscoreml-precision=float16", "--dscoreml-precision=float16: bundle has no such conversion, only float32"),
    ],
)
def test_what_is_asked_for_by_name_must_be_there(refusal_of, bundle, option, has):
    assert refusal_of(option) == f"{has}; choose among these, or record it again"


def test_nothing_selected(refusal_of, bundle, edit):
    def change(manifest):
        for name in ("static-mlprogram-float32", "dynamic-neuralnetwork-float32"):
            del manifest["conversions"][name]

    edit(change)
    assert refusal_of("--dscoreml-variant=static", "--dscoreml-target=mlprogram") == (
        "--dscoreml-replay=bundle: none of its conversions is selected (--dscoreml-variant, --dscoreml-target, "
        "--dscoreml-precision); it has static-neuralnetwork-float32, dynamic-mlprogram-float32"
    )
