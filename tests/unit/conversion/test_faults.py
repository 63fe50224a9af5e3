"""A converter that crashes, hangs, lies or is none: one clear error each, the other conversions are made all the same."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from pytest_dscoreml.conversion.convert import Converter
from pytest_dscoreml.conversion.variants import select
from pytest_dscoreml.errors import ConversionError, UsageError
from pytest_dscoreml.progress import Lines, Progress

STATIC = select(["static"], ["neuralnetwork", "mlprogram"], ["float32", "float16"])
NETWORK, PROGRAM, HALF = (spec.name for spec in STATIC)


def check(results, *, python, message, failed=PROGRAM):
    """One conversion failed with that message, the others were made, and nothing half-written is left."""
    assert list(results) == [NETWORK, PROGRAM, HALF]
    error = results.pop(failed)
    assert isinstance(error, ConversionError)
    assert str(error) == f"{failed}: the converter (coremltools 1.2, {python}) {message}"
    for name, conversion in results.items():
        assert conversion.spec.name == name
        assert conversion.path.exists()


@pytest.fixture(autouse=True)
def nothing_is_left(cache):
    yield
    assert list((cache.directory / "aside").iterdir()) == []
    for entry in (cache.directory / "entries").iterdir():
        assert cache.find(entry.name) is not None


MIDDLE = """
for job in request["jobs"]:
    begin(job)
    if job["id"] == "static-mlprogram-float32":
        {fault}
    finish(job)
say(event="finished")
"""


def test_crash(fake, run, cache):
    python = fake(MIDDLE.format(fault='print("one\\rtwo\\n\\nthree", file=sys.stderr, flush=True); sys.exit(3)'))

    check(
        run(python, specs=STATIC),
        python=python,
        message=(
            "ended with exit status 3 in static-mlprogram-float32 (convert); its last output:\n    two\n    three"
        ),
    )


def test_the_last_lines_of_much_output(fake, run):
    python = fake(MIDDLE.format(fault='print("\\n".join(map(str, range(1000))), flush=True); sys.exit(1)'))

    check(
        run(python, specs=STATIC),
        python=python,
        message="ended with exit status 1 in static-mlprogram-float32 (convert); its last output:"
        + "".join(f"\n    {number}" for number in range(985, 1000)),
    )


def test_killed(fake, run):
    python = fake(MIDDLE.format(fault="os.kill(os.getpid(), signal.SIGKILL)"))

    check(
        run(python, specs=STATIC),
        python=python,
        message="was killed by SIGKILL in static-mlprogram-float32 (convert)",
    )


def test_crash_in_the_middle_of_an_answer(fake, run):
    python = fake(MIDDLE.format(fault='answers.write("{\\"event\\": \\"do"); answers.flush(); os._exit(1)'))

    check(
        run(python, specs=STATIC),
        python=python,
        message="ended with exit status 1 in static-mlprogram-float32 (convert)",
    )


def test_hang(fake, run, tmp_path, ended):
    # What hangs may well be a child of the interpreter's, as under a wrapper script: the whole group must go.
    child = tmp_path / "child"
    fault = f"""
        import subprocess
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        with open({str(child)!r}, "w") as file:
            file.write(str(process.pid))
        print("stuck", flush=True)
        time.sleep(100)
    """
    python = fake(MIDDLE.format(fault=fault.strip()))

    check(
        run(python, specs=STATIC, timeout_seconds=1.5),
        python=python,
        message=(
            "gave no sign for 1.5 s in static-mlprogram-float32 (convert) and was stopped; its last output:\n    stuck"
        ),
    )
    assert ended(int(child.read_text()))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('write("Converting... 50%")', "Converting... 50% is not JSON"),
        ('write("[1, 2]")', "[1, 2] is none of its answers"),
        ('write("x" * 500)', "x" * 117 + "... is not JSON"),
        ('say(event="won")', '{"event": "won"} is none of its answers'),
        ('say(event="done", job="other")', "it speaks of a job 'other' that it was not given"),
        ('say(event="phase", job=job["id"], phase=7)', "phase is 7, not text"),
        (
            'say(event="done", job=job["id"], seconds={}, warnings=[])',
            "it says that it wrote model.mlpackage, which is not there",
        ),
        (
            'say(event="done", job="static-neuralnetwork-float32")',
            "it speaks of static-neuralnetwork-float32 after it was done with it",
        ),
        ("finish(job, seconds=[1])", "seconds [1] are not numbers by phase"),
        ('finish(job, seconds={"convert": "1 s"})', "seconds {'convert': '1 s'} are not numbers by phase"),
        ("finish(job, warnings=None)", "warnings None are not a list of texts"),
        ("finish(job, interface=None)", "an interface is an object, not None"),
        ("finish(job, op_counts={'add': -1.5})", "the count of op 'add' is a whole number, not -1.5"),
        ("finish(job, route=None)", "route is None, not text"),
        ('say(event="failed", job=job["id"], error="E", message=None)', "message is None, not text"),
    ],
)
def test_nonsense(fake, run, said, message):
    python = fake(MIDDLE.format(fault=f"{said}; time.sleep(100)"))

    check(
        run(python, specs=STATIC),
        python=python,
        message=f"answered nonsense in static-mlprogram-float32 (convert): {message}",
    )


def test_a_refused_graph(fake, run):
    refusal = (
        'say(event="failed", job=job["id"], error="ValueError", message="no", traceback="line 1\\nValueError: no")'
    )
    python = fake(MIDDLE.format(fault=f"{refusal}; continue"))

    check(
        run(python, specs=STATIC),
        python=python,
        message="refused it (convert): ValueError: no\n  the end of its traceback:\n    line 1\n    ValueError: no",
    )


def all_fail(results, *, python, message):
    assert {name: str(error) for name, error in results.items()} == {
        name: f"{name}: the converter (coremltools 1.2, {python}) {message}" for name in (NETWORK, PROGRAM, HALF)
    }
    assert all(isinstance(error, ConversionError) for error in results.values())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "ended without an answer"),
        ('print("good bye")', "ended without an answer; its last output:\n    good bye"),
        ('say(event="finished")', "finished without answering this job"),
        ("sys.exit(4)", "ended with exit status 4"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ('write("hello"); time.sleep(100)', "answered nonsense: hello is not JSON"),
        (
            'say(event="failed", job=None, error="ImportError", message="libfoo.so", traceback="ImportError: libfoo.so")',
            "cannot be used: ImportError: libfoo.so\n  the end of its traceback:\n    ImportError: libfoo.so",
        ),
    ],
)
def test_fault_outside_of_any_conversion(fake, run, body, message):
    python = fake(body)

    all_fail(run(python, specs=STATIC), python=python, message=message)


def test_a_hang_before_the_first_conversion(fake, run):
    python = fake("time.sleep(100)")

    all_fail(
        run(python, specs=STATIC, timeout_seconds=1.0), python=python, message="gave no sign for 1 s and was stopped"
    )


def test_the_next_run_works(fake, run):
    run(fake(MIDDLE.format(fault="os._exit(1)")), specs=STATIC)

    results = run(fake(MIDDLE.format(fault="pass")), specs=STATIC)

    assert {name: conversion.cached for name, conversion in results.items()} == {
        NETWORK: True,
        PROGRAM: False,
        HALF: True,
    }


def test_a_fresh_process_for_the_rest(fake, run, lines):
    python = fake(MIDDLE.format(fault="os._exit(1)"))

    run(python, specs=STATIC)

    assert lines == [
        f"starting the converter (coremltools 1.2, {python})",
        "the converter imports TensorFlow and coremltools",
        f"converting {NETWORK} (1 of 3): convert",
        f"converting {PROGRAM} (2 of 3): convert",
        f"starting the converter (coremltools 1.2, {python})",
        "the converter imports TensorFlow and coremltools",
        f"converting {HALF} (1 of 1): convert",
    ]


BETWEEN = """
for job in request["jobs"]:
    begin(job)
    finish(job)
    if job["id"] != "static-mlprogram-float16":
        {fault}
say(event="finished")
"""


@pytest.mark.parametrize(
    "fault", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", 'write("hello"); time.sleep(100)']
)
def test_a_fault_between_two_conversions_costs_neither(fake, run, lines, fault):
    """Nobody was at work: what is left goes to a fresh process, as long as each does something."""
    results = run(fake(BETWEEN.format(fault=fault)), specs=STATIC)

    assert [conversion.cached for conversion in results.values()] == [False] * 3
    assert [line for line in lines if line.startswith("converting")] == [
        f"converting {NETWORK} (1 of 3): convert",
        f"converting {PROGRAM} (1 of 2): convert",
        f"converting {HALF} (1 of 1): convert",
    ]


def test_a_sign_of_life_while_it_takes_long(fake, run, monkeypatch):
    """The converter says nothing for a second."""
    monkeypatch.setattr("pytest_dscoreml.progress.FIRST_SECONDS", 0.5)
    stream = io.StringIO()
    display = Lines(stream)
    display.seconds = 0.0
    python = fake(MIDDLE.format(fault="time.sleep(1)"))

    results = run(python, specs=STATIC, timeout_seconds=20, progress=Progress(display))

    assert results[PROGRAM].cached is False
    beats = [line for line in stream.getvalue().splitlines() if PROGRAM in line]
    assert beats
    assert all(re.fullmatch(rf"converting {PROGRAM} \(2 of 3\): convert, \d s", line) for line in beats)


# --- no converter at all ----------------------------------------------------------------------------------------------


def refusal(python, timeout_seconds=20.0):
    with pytest.raises(UsageError) as caught:
        Converter(python, timeout_seconds).versions()
    return str(caught.value)


def test_missing_interpreter(tmp_path):
    assert refusal(tmp_path / "none") == (
        f"--dscoreml-converter: there is no {tmp_path / 'none'}; "
        "name a Python interpreter that has coremltools and TensorFlow"
    )


def test_a_directory(tmp_path):
    assert refusal(tmp_path) == (
        f"--dscoreml-converter: {tmp_path} is a directory; name the Python interpreter in it, such as bin/python"
    )


def test_not_executable(tmp_path):
    (tmp_path / "file").write_text("")

    assert refusal(tmp_path / "file") == (
        f"--dscoreml-converter: {tmp_path / 'file'} is not executable; name a Python interpreter"
    )


def test_not_a_program(tmp_path):
    (tmp_path / "file").write_bytes(b"\x7fELF and nothing more")
    (tmp_path / "file").chmod(0o755)

    assert refusal(tmp_path / "file") == f"--dscoreml-converter: cannot run {tmp_path / 'file'}: Exec format error"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("print('hello')", "ended with exit status 0; its last output:\n    hello"),
        ("", "ended with exit status 0"),
        ("import sys; sys.exit('no such file')", "ended with exit status 1; its last output:\n    no such file"),
        ("print('{\"python\": 3}')", 'ended with exit status 0; its last output:\n    {"python": 3}'),
        ("print('[]')", "ended with exit status 0; its last output:\n    []"),
    ],
)
def test_not_a_python(script, text, message):
    python = script(text)

    assert refusal(python) == (
        f"--dscoreml-converter: {python} is not a Python 3.7 or later: asked for its versions, it {message}"
    )


def test_a_program_that_does_not_answer(script):
    python = script("import time; time.sleep(100)")

    assert refusal(python, timeout_seconds=0.5) == (
        f"--dscoreml-converter: {python} did not tell its versions within 0.5 s; is it a Python interpreter?"
    )


@pytest.mark.parametrize("package", ["coremltools", "tensorflow"])
def test_a_python_that_lacks_a_package(fake, package):
    python = fake("", **{package: None})

    assert refusal(python) == (
        f"--dscoreml-converter: {python} (Python 3.7.0) has no {package}; install it there, or name another interpreter"
    )


def test_the_real_worker_in_a_python_without_coremltools(script):
    # -S leaves out site-packages: a bare Python that runs the real worker.
    python = script(f"import os, sys; os.execv({sys.executable!r}, [{sys.executable!r}, '-I', '-S', *sys.argv[1:]])")
    version = ".".join(str(part) for part in sys.version_info[:3])

    assert refusal(python) == (
        f"--dscoreml-converter: {python} (Python {version}) has no coremltools; "
        "install it there, or name another interpreter"
    )


def test_a_name_is_looked_up_on_the_path(fake, monkeypatch):
    python = fake("")
    monkeypatch.setenv("PATH", str(python.parent), prepend=":")

    assert Converter(Path("converter")).python == python


def test_versions_after_what_a_startup_file_printed(script):
    python = script("""print('welcome'); print('{"python": "3.7.1", "coremltools": "4.0", "tensorflow": "1.15.4"}')""")

    assert Converter(python).versions() == {
        "python": "3.7.1",
        "coremltools": "4.0",
        "tensorflow": "1.15.4",
        "numpy": "None",
        "protobuf": "None",
    }


def test_the_environment_of_another_python(script, monkeypatch):
    """This Python's module path is of no use to another one; the terminal's stdin is nobody's."""
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    python = script("""
        import json, os, sys
        names = ("PYTHONPATH", "PYTHONHOME", "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")
        told = " ".join(str(os.environ.get(name)) for name in names) + " " + repr(sys.stdin.read())
        print(json.dumps({"python": told, "coremltools": "", "tensorflow": ""}))
    """)
    # The stand-in starts by its own first line, without PYTHONHOME; only what it is given counts.
    assert Converter(python).versions()["python"] == "None None 3 -1 ''"


# --- bad requests -----------------------------------------------------------------------------------------------------


def test_a_graph_that_was_not_given(fake, run, graphs):
    del graphs["dynamic"]

    with pytest.raises(UsageError) as caught:
        run(fake(""), specs=select(["pinned"], ["mlprogram"], ["float16"]))
    assert str(caught.value) == "pinned-mlprogram-float16 starts from the dynamic graph, which was not given"


def test_a_graph_that_is_missing(fake, run, graphs):
    graphs["static"].unlink()

    with pytest.raises(UsageError) as caught:
        run(fake(""), specs=STATIC)
    assert str(caught.value) == f"cannot read the static graph {graphs['static']}: No such file or directory"


def test_a_full_disk(fake, run, cache, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "publish", full)
    results = run(fake(MIDDLE.format(fault="pass")), specs=STATIC)

    assert {name: str(error) for name, error in results.items()} == {
        name: f"{name}: cannot store the conversion in {cache.directory}: No space left on device" for name in results
    }


def test_a_disk_that_is_full_from_the_start(fake, run, cache, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "workspace", full)

    with pytest.raises(UsageError) as caught:
        run(fake(""), specs=STATIC)
    assert str(caught.value) == (
        f"cannot write to the cache directory {cache.directory}: No space left on device; "
        "choose another with --dscoreml-cache-dir=DIR"
    )
