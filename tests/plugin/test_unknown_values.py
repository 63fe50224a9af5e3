"""A value that an option does not know: one line that names the option and what was expected, exit code 4."""

from __future__ import annotations

import pytest

from pytest_dscoreml.options import OPTIONS

WHOLE = {"converter-timeout": 1, "beam-width": 1, "max-steps": 2, "max-examples": 1}
NAMES = {
    "suite": "auto, on, off, only",
    "engine": "auto, coreml, reference",
    "compute-units": "all, cpu_only, cpu_and_gpu, cpu_and_ne",
    "front-end": "numpy, graph, python_speech_features",
    "decoder": "auto, ds, tf",
}
LISTS = {
    "variant": "static, dynamic, pinned",
    "target": "neuralnetwork, mlprogram",
    "precision": "float32, float16",
    "compress": (
        "linear8, linear4, palettize8, palettize6, palettize4, palettize2, palettize1, uniform8, uniform6, uniform4, "
        "uniform2, uniform1, sparse50, sparse75"
    ),
}
BLOB = "VERSION:BLOB, as a failure shows it"
NUMBERS = ("lm-alpha", "lm-beta")
#: Their values are paths: what is wrong with one shows where it is opened.
PATHS = (
    *("model", "alphabet", "converter", "cache-dir", "audio", "scorer", "xfails", "report"),
    *("baseline", "write-baseline", "record", "replay"),
)

CASES = [
    *(
        (name, text, f"a whole number from {low}")
        for name, low in WHOLE.items()
        for text in ("many", "1.5", "", str(low - 1))
    ),
    *((name, text, f"one of {names}") for name, names in NAMES.items() for text in ("Auto", "", names)),
    *(
        (name, text, f"one or more of {names}, joined by commas")
        for name, names in LISTS.items()
        for text in ("other", "", ",", f"{names}, other")
    ),
    *(
        ("reproduce", text, BLOB)
        for text in ("AAEB", "6.100.0:", "6.100.0:A", "6.100.0:b'AAEB'", ":AAEB", "six:AAEB", "")
    ),
    *((name, "much", "a number") for name in NUMBERS),
    *((name, text, "a finite number") for name in NUMBERS for text in ("nan", "inf")),
]


def test_every_option_is_here():
    assert sorted([*WHOLE, *NAMES, *LISTS, *NUMBERS, *PATHS, "reproduce"]) == sorted(option.name for option in OPTIONS)


@pytest.mark.parametrize(("name", "text", "expected"), CASES)
def test_on_the_command_line(refusal, name, text, expected):
    assert refusal(f"--dscoreml-{name}={text}") == f"--dscoreml-{name}={text}: expected {expected}"


@pytest.mark.parametrize(("name", "text", "expected"), [case for case in CASES if case[1]][::4])
def test_in_the_ini_file(refusal, pytester, name, text, expected):
    pytester.makeini(f"[pytest]\ndscoreml_{name.replace('-', '_')} = {text}\n")
    assert refusal(select=()) == f"--dscoreml-{name}={text}: expected {expected}"


def test_an_unknown_option(gate):
    result = gate("--dscoreml-varient=static")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "unrecognized arguments: --dscoreml-varient=static" in result.stderr.str()
