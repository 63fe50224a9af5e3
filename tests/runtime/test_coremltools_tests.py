"""The plugin that makes coremltools' own tests compare: what it counts, and that nothing passes for what it is not.

One run of a made-up suite, in which every test does one thing, and one of a few of coremltools' real tests. Both are in
processes of their own, since the plugin changes coremltools for good.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_dscoreml.coremltools_tests.causes import CAUSES
from pytest_dscoreml.coremltools_tests.proxy import refusals
from pytest_dscoreml.coremltools_tests.records import TestRecord
from pytest_dscoreml.coremltools_tests.sampling import in_sample, seed_of
from pytest_dscoreml.coremltools_tests.strict import beyond_float16, judge
from pytest_dscoreml.coremltools_tests.summary import render
from pytest_dscoreml.coremltools_tests.tally import document

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ("-p", "pytest_dscoreml.coremltools_tests", "-p", "no:cacheprovider", "-p", "no:randomly")

SUITE = """
import os
import numpy as np
import PIL.Image
import pytest
import coremltools as ct
from coremltools.converters.mil.mil import Builder as mb, types
from coremltools.converters.mil.testing_utils import assert_model_is_valid, compare_backend

HALF = pytest.mark.parametrize("backend", [("mlprogram", "fp16")])


def double():
    # Anew each time: a conversion writes into the program it is given.
    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 3))], opset_version=ct.target.iOS16)
    def program(x):
        return mb.add(x=x, y=x, name="y")
    return program


def converted(target="mlprogram", precision=ct.precision.FLOAT32):
    options = {"compute_precision": precision, "minimum_deployment_target": ct.target.iOS16} if target == "mlprogram" else {}
    return ct.convert(double(), convert_to=target, compute_units=ct.ComputeUnit.CPU_ONLY, **options)


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_environment():
    assert os.environ["INCLUDE_MIL_FP32_UNIT_TESTS"] == "1"
    assert ct.utils._is_macos() and ct.utils._macos_version() >= (15, 0)


def test_converted_only():
    assert converted().get_spec().specificationVersion >= 6


@pytest.mark.parametrize("target", ["mlprogram", "neuralnetwork"])
def test_right(target):
    compare_backend(converted(target), {"x": X}, {"y": 2 * X})


def test_own_assertion_right():
    assert (converted().predict({"x": X})["y"] == 2 * X).all()


def test_batch():
    assert len(converted().predict([{"x": X}, {"x": X}])) == 2


def test_wrong():
    compare_backend(converted(), {"x": X}, {"y": 2 * X + 1})


def test_own_assertion_wrong():
    assert converted().predict({"x": X})["y"].sum() == 1


def test_wrong_shape():
    np.testing.assert_allclose(converted().predict({"x": X})["y"], np.zeros((3, 2)))


@HALF
def test_half_right(backend):
    compare_backend(converted(precision=ct.precision.FLOAT16), {"x": X}, {"y": 2 * X}, dtype="fp16")


@HALF
def test_half_within_half(backend):
    compare_backend(converted(precision=ct.precision.FLOAT16), {"x": X}, {"y": 2 * X + 0.3}, dtype="fp16")


@HALF
def test_half_some_may_differ(backend):
    compare_backend(converted(precision=ct.precision.FLOAT16), {"x": X}, {"y": np.where(X == 5, 99, 2 * X)}, dtype="fp16",
                    allow_mismatch_ratio=0.2)


@HALF
def test_half_wrong(backend):
    compare_backend(converted(precision=ct.precision.FLOAT16), {"x": X}, {"y": 2 * X + 9}, dtype="fp16")


@pytest.mark.parametrize("beyond", [0.01, 0.1])
@pytest.mark.parametrize("backend", [("mlprogram", "fp32")])
def test_half_in_a_float32_test(backend, beyond):
    compare_backend(converted(precision=ct.precision.FLOAT16), {"x": X}, {"y": 2 * X + beyond}, dtype="fp32")


@pytest.mark.parametrize("color, mode, layers", [("RGB", "RGBA", 3), ("BGR", "RGBA", 3), ("GRAYSCALE", "L", 1)])
def test_images(color, mode, layers):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, layers, 4, 5))], opset_version=ct.target.iOS16)
    def brighter(x):
        return mb.add(x=x, y=1.0, name="y")

    layout = ct.colorlayout[color]
    brighter.functions["main"].set_output_types([ct.ImageType(color_layout=layout)])
    model = ct.convert(brighter, convert_to="mlprogram", compute_precision=ct.precision.FLOAT32,
                       inputs=[ct.ImageType(name="x", shape=(1, layers, 4, 5), color_layout=layout)],
                       minimum_deployment_target=ct.target.iOS16)
    pixels = np.arange(20 * layers, dtype=np.uint8).reshape((4, 5, 3) if layers == 3 else (4, 5))
    image = model.predict({"x": PIL.Image.fromarray(pixels)})["y"]
    assert (image.mode, image.size) == (mode, (5, 4))
    shown = np.asarray(image)
    assert (shown if layers == 1 else shown[..., :3]).tolist() == (pixels + 1).tolist()
    assert layers == 1 or (shown[..., 3] == 255).all()


def test_states():
    specs = [mb.TensorSpec((3,), types.fp16), mb.StateTensorSpec((3,), types.fp16)]

    @mb.program(input_specs=specs, opset_version=ct.target.iOS18)
    def total(x, s):
        seen = mb.add(x=mb.read_state(input=s), y=x)
        return mb.identity(x=mb.coreml_update_state(state=s, value=seen), name="y")

    model = ct.convert(total, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS18)
    state = model.make_state()
    x = np.ones(3, np.float32)
    assert [model.predict({"x": x}, state)["y"][0] for _ in range(3)] == [1, 2, 3]
    assert (state.read_state("s") == 3).all()
    state.write_state("s", np.zeros(3, np.float32))
    assert model.predict({"x": x}, state)["y"][0] == 1


def unknown_operation():
    model = converted()
    spec = model.get_spec()
    for block in spec.mlProgram.functions["main"].block_specializations.values():
        for operation in block.operations:
            if operation.type == "add":
                operation.type = "no_such_operation"
    return ct.models.MLModel(spec, weights_dir=model.weights_dir)


def test_refused():
    unknown_operation().predict({"x": X})


def test_refused_and_never_asked():
    unknown_operation()


def test_refused_in_a_list():
    errors = []
    for _ in range(2):
        try:
            unknown_operation().predict({"x": X})
        except Exception as error:
            errors.append(error)
    assert errors == []


def test_admits_no_such_shape():
    with pytest.raises(RuntimeError, match="shape"):
        converted().predict({"x": X.T.copy()})


def test_unadmitted_shape():
    converted().predict({"x": X.T.copy()})


def test_valid_only():
    assert_model_is_valid(double(), {"x": (2, 3)}, backend=("mlprogram", "fp32"), expected_output_shapes={"y": (2, 3)})


def test_of_the_framework():
    converted().get_compiled_model_path()


def test_before():
    raise ValueError("nothing was converted")


def test_after():
    converted().predict({"x": X})
    raise ValueError("something else")


def test_skipped():
    pytest.skip("no reason")


@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    assert converted().predict({"x": X}) is None


@pytest.mark.xfail(strict=True)
def test_passes_unexpectedly():
    pass


@pytest.fixture
def broken():
    raise OSError("no fixture")


def test_setup_fails(broken):
    pass


def test_draws_the_same_alone():
    print("drawn", np.random.rand())
"""


def run(folder, *arguments, without=("tensorflow", "torch")):
    """A pytest process in ``folder``; packages of no use there are hidden, which saves their import."""
    hidden = folder / "hidden"
    hidden.mkdir(exist_ok=True)
    for name in without:
        (hidden / f"{name}.py").write_text("raise ImportError('hidden')\n")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(hidden), str(ROOT)]))
    environment.pop("INCLUDE_MIL_FP32_UNIT_TESTS", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        *PLUGIN,
        "--rootdir",
        str(folder),
        "-c",
        os.devnull,
        *map(str, arguments),
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made-up")
    (folder / "test_suite.py").write_text(SUITE)
    return folder


@pytest.fixture(scope="session")
def outcome(made_up):
    """(The finished process, its JSON report) of the whole made-up suite."""
    report = made_up / "report.json"
    done = run(made_up, "test_suite.py", "-rA", f"--coremltools-tests-report={report}")
    assert report.exists(), done.stdout + done.stderr
    return done, json.loads(report.read_text())


@pytest.fixture(scope="session")
def records(outcome):
    return {test["name"].partition("::")[2]: test for test in outcome[1]["tests"]}


@pytest.mark.parametrize(
    ("name", "result", "cause", "attempts", "predictions"),
    [
        ("test_environment", "passed", "", 0, 0),
        ("test_converted_only", "passed", "", 0, 0),
        ("test_right[mlprogram]", "passed", "", 1, 1),
        ("test_right[neuralnetwork]", "passed", "", 1, 1),
        ("test_own_assertion_right", "passed", "", 1, 1),
        ("test_batch", "passed", "", 2, 2),
        ("test_wrong", "failed", "wrong numbers", 1, 1),
        ("test_own_assertion_wrong", "failed", "other assertion after predicting", 1, 1),
        ("test_wrong_shape", "failed", "wrong shape", 1, 1),
        ("test_half_in_a_float32_test[backend0-0.01]", "failed", "finer than float16 resolves", 1, 1),
        ("test_half_in_a_float32_test[backend0-0.1]", "failed", "wrong numbers", 1, 1),
        ("test_images[RGB-RGBA-3]", "passed", "", 1, 1),
        ("test_images[BGR-RGBA-3]", "passed", "", 1, 1),
        ("test_images[GRAYSCALE-L-1]", "passed", "", 1, 1),
        ("test_states", "passed", "", 4, 4),
        ("test_refused", "failed", "refused", 1, 0),
        ("test_refused_and_never_asked", "passed", "", 0, 0),
        ("test_refused_in_a_list", "failed", "refused", 2, 0),
        ("test_admits_no_such_shape", "passed", "", 1, 0),
        ("test_unadmitted_shape", "failed", "prediction failed", 1, 0),
        ("test_valid_only", "passed", "", 1, 1),
        ("test_of_the_framework", "failed", "platform", 0, 0),
        ("test_before", "failed", "before any prediction", 0, 0),
        ("test_after", "failed", "other error after predicting", 1, 1),
        ("test_skipped", "skipped", "", 0, 0),
        ("test_expected_to_fail", "xfailed", "", 1, 1),
        ("test_passes_unexpectedly", "failed", "unexpected pass", 0, 0),
        ("test_setup_fails", "failed", "before any prediction", 0, 0),
    ],
)
def test_what_each_test_did_is_recorded(records, name, result, cause, attempts, predictions):
    record = records[name]

    obtained = (record["outcome"], record["cause"], record["attempts"], record["predictions"])
    assert obtained == (result, cause, attempts, predictions), record["detail"]


def test_the_backend_is_that_of_the_model(records):
    def backend(name):
        return tuple(records[name][part] for part in ("backend", "precision", "opset"))

    assert backend("test_right[mlprogram]") == ("mlprogram", "fp32", "iOS16")
    assert backend("test_right[neuralnetwork]") == ("neuralnetwork", "fp32", "iOS14")
    assert backend("test_half_right[backend0]") == ("mlprogram", "fp16", "iOS16")
    assert backend("test_converted_only") == ("", "", "")


@pytest.mark.parametrize(
    ("name", "result", "strict"),
    [
        ("test_half_right[backend0]", "passed", True),
        ("test_half_within_half[backend0]", "passed", False),
        ("test_half_some_may_differ[backend0]", "passed", True),
        ("test_half_wrong[backend0]", "failed", False),
        ("test_right[mlprogram]", "passed", None),
    ],
)
def test_float16_gets_a_second_verdict(records, name, result, strict):
    assert (records[name]["outcome"], records[name]["strict"]) == (result, strict)
    assert bool(records[name]["strict_detail"]) == (strict is False)


def test_refused_operations_are_named(outcome, records):
    assert records["test_refused"]["refused"] == ["no_such_operation"]
    assert "no_such_operation is not supported" in records["test_refused"]["detail"]
    assert outcome[1]["refused"] == {"no_such_operation": 2}
    assert outcome[1]["refused_unasked"] == {"no_such_operation": 3}


def test_totals_are_those_of_the_records(outcome, records):
    total = outcome[1]["total"]

    reached = [r for r in records.values() if r["attempts"] and r["outcome"] in ("passed", "failed")]
    passed = [r for r in reached if r["outcome"] == "passed"]
    assert total["tests"] == len(records)
    assert total["reached_prediction"] == len(reached)
    assert total["passed"] == len(passed)
    assert total["rate"] == round(len(passed) / len(reached), 4)
    assert total["unjudged_only"] == 1
    assert total["passed_comparing"] == sum(1 for r in passed if r["compared"]) == 5
    assert total["passed_without_values"] == 1
    assert total["converted_only"] == 4
    assert total["failed_before_prediction"] == 4
    assert (total["skipped"], total["xfailed"]) == (1, 1)
    assert (total["float16_strict"], total["float16_strict_passed"]) == (4, 2)
    assert set(outcome[1]["causes"]) <= {*CAUSES, "unexpected pass"}


def test_the_summary_says_what_was_not_predicted_and_what_was_refused(outcome):
    lines = outcome[0].stdout.splitlines()

    assert any(line.startswith("mlprogram fp16 iOS16") for line in lines)
    assert any(line.split()[:1] == ["2"] and line.split()[1:] == ["no_such_operation"] for line in lines)
    assert any(
        line.startswith("of the 13 passed: 5 gave") and "1 looked at names and shapes" in line and "1 wanted" in line
        for line in lines
    ), outcome[0].stdout
    assert any("fp16 strict" in line and "only converted" in line for line in lines)


def test_failures_fail_the_run(outcome):
    assert outcome[0].returncode == 1


def test_a_test_draws_the_same_numbers_alone(made_up, outcome):
    def drawn(done):
        return [line for line in done.stdout.splitlines() if line.startswith("drawn ")]

    alone = run(made_up, "test_suite.py", "-rA", "-k", "draws")

    assert len(drawn(alone)) == 1
    assert drawn(alone) == drawn(outcome[0])


def test_processes_of_xdist_are_merged(made_up, outcome):
    report = made_up / "parallel.json"

    done = run(made_up, "test_suite.py", "-n", "2", f"--coremltools-tests-report={report}")

    assert done.returncode == 1, done.stdout + done.stderr

    def settled(document):
        return [{**test, "seconds": 0, "detail": ""} for test in document["tests"]]

    assert settled(json.loads(report.read_text())) == settled(outcome[1])


def test_coremltools_own_tests_compare(tmp_path):
    """Tests that say nothing off macOS: einsum against its formula, for both back ends and both precisions."""
    report = tmp_path / "report.json"
    module = "coremltools.converters.mil.mil.ops.tests.iOS14.test_linear"

    done = run(
        tmp_path,
        "--pyargs",
        module,
        "-k",
        "TestEinsum and test_builder_to_backend_smoke",
        f"--coremltools-tests-report={report}",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(report.read_text())
    assert set(written["backends"]) == {"mlprogram fp16", "mlprogram fp32", "neuralnetwork fp32"}
    assert written["total"]["passed"] == written["total"]["reached_prediction"] == 3
    assert all(test["compared"] for test in written["tests"])
    assert list(written["folders"]) == ["converters/mil/mil/ops/tests/iOS14"]


def test_the_front_end_of_tensorflow_compares(tmp_path):
    """A file of graphs, converted and compared with what TensorFlow itself computes."""
    report = tmp_path / "report.json"
    module = "coremltools.converters.mil.frontend.tensorflow.test.test_graphs"

    done = run(tmp_path, "--pyargs", module, f"--coremltools-tests-report={report}", without=("torch",))

    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(report.read_text())
    assert set(written["backends"]) == {"mlprogram fp16", "mlprogram fp32", "neuralnetwork fp32"}
    assert written["total"]["passed"] == written["total"]["reached_prediction"] >= 3
    assert all(test["compared"] for test in written["tests"])


def test_a_sample_is_the_same_each_time_and_about_as_large_as_asked(made_up):
    first, second = (run(made_up, "test_suite.py", "--co", "-q", "--coremltools-tests-sample=3") for _ in range(2))

    chosen = [line for line in first.stdout.splitlines() if "::" in line]
    assert chosen == [line for line in second.stdout.splitlines() if "::" in line]
    assert 0 < len(chosen) < 20


def test_the_share_of_a_sample():
    names = [f"test_ops.py::TestAdd::test[{backend}-{rank}]" for backend in "abc" for rank in range(2000)]

    assert sum(in_sample(name, 10) for name in names) == pytest.approx(600, rel=0.15)
    assert all(in_sample(name, 1) for name in names)


def test_addresses_in_a_name_do_not_matter():
    assert seed_of("test[<function f at 0x7f01>]") == seed_of("test[<function f at 0x7f99>]")
    assert seed_of("test[a]") != seed_of("test[b]")


@pytest.mark.parametrize("value", ["0", "-1", "x"])
def test_a_sample_must_be_a_whole_number_from_one(tmp_path, value):
    done = run(tmp_path, f"--coremltools-tests-sample={value}")

    assert done.returncode == 4
    assert "--coremltools-tests-sample" in done.stderr


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("m.mlmodel: operation 'a': einsum is not supported by the runtime [main, CoreML5]", ["einsum"]),
        (
            "m: 3 problems:\n  - layer 'a': tile is not supported by the runtime [main, specification 4]\n"
            "  - layer 'b': tile is not supported by the runtime [main, specification 4]\n"
            "  - layer 'c [x]': conv sets bias, which the kernel does not take [main, specification 4]",
            ["tile", "conv: sets bias, which the kernel does not take"],
        ),
        (
            "m: input 'x' is of type imageType, which is not supported",
            ["input '...' is of type imageType, which is not supported"],
        ),
        ("nothing known", ["nothing known"]),
    ],
)
def test_refusals_are_read_from_the_error(message, what):
    assert refusals(message) == what


@pytest.mark.parametrize(
    ("obtained", "expected", "admitted", "agrees"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0, True),
        ([1.0, 2.0], [1.0, 2.035], 0.0, True),
        ([1.0, 2.0], [1.0, 2.05], 0.0, False),
        ([1.0, 2.0], [1.0, 9.0], 0.5, True),
        ([np.nan, np.inf], [np.nan, np.inf], 0.0, True),
        ([np.nan], [1.0], 0.0, False),
        ([1.0, 2.0], [1.0, 2.0, 3.0], 0.0, False),
        ([], [], 0.0, True),
        (["a"], ["b"], 0.0, True),
    ],
)
def test_the_strict_verdict(obtained, expected, admitted, agrees):
    verdict, detail = judge(expected=np.array(expected), obtained=np.array(obtained), admitted=admitted)

    assert verdict is agrees
    assert bool(detail) is not agrees


def test_a_rate_of_nothing_is_no_rate():
    summary = document([TestRecord("a/test_x.py::test_y")], sample=1)

    assert summary["total"]["rate"] is None
    assert summary["total"]["converted_only"] == 1
    assert any(line.split()[:4] == ["a", "0", "0", "-"] for line in render(summary))


@pytest.mark.parametrize(
    ("expected", "obtained", "exact", "beyond"),
    [
        # 0.528 lies 1.7e-4 from the nearest float16.
        pytest.param([0.528], np.float16([0.528]), [0.528], True, id="no float16 value passes"),
        pytest.param([0.528], np.float32(np.float16([0.528])), [0.528], True, id="float16 in a float32 array"),
        pytest.param([0.5], np.float16([0.501]), [0.5], False, id="a float16 value would pass"),
        pytest.param([0.5], np.float16([0.501]), [0.501], True, id="the program in double is as far off"),
        pytest.param([0.528], np.float32([0.529]), [0.529], True, id="float16 weights, computed in float32"),
        pytest.param([0.528], np.float32([0.529]), [0.528], False, id="computed badly in float32"),
        pytest.param(np.float16([1.2617]), np.float32([1.261963]), [1.261963], True, id="expected was rounded"),
        pytest.param(np.float16([1.2617]), np.float32([1.26301]), [1.2617], False, id="expected is another value"),
        pytest.param([0.528], np.float16([[0.528]]), [[0.528]], False, id="other shapes"),
        pytest.param([1], np.float16([2]), [2.0], False, id="integers"),
    ],
)
def test_beyond_float16(expected: Any, obtained: Any, exact: Any, beyond: bool) -> None:
    found = beyond_float16(expected=np.array(expected), obtained=obtained, exact=exact, rtol=1e-5, atol=1e-4)
    assert found is beyond
