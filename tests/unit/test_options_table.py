"""The table of options: what their texts mean, which source wins, and what is said of a text that means nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_dscoreml import options
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.options import OPTIONS, Blob, Option, Settings, value


@pytest.fixture
def configured(pytester):
    """pytest's configuration for an ini file and a command line."""

    def make(*arguments, ini=""):
        if ini:
            pytester.makeini(f"[pytest]\n{ini}\n")
        return pytester.parseconfig(*arguments)

    return make


def of(name):
    (option,) = (option for option in OPTIONS if option.name == name)
    return option


# -- texts -------------------------------------------------------------------------------------------------------------

A_WHOLE_NUMBER = "a whole number from 1"


@pytest.mark.parametrize(
    ("name", "text", "meaning"),
    [
        ("model", "demo", "demo"),
        ("suite", "off", "off"),
        ("variant", "pinned,static", ("static", "pinned")),
        ("variant", " dynamic , dynamic ,", ("dynamic",)),
        ("target", "mlprogram", ("mlprogram",)),
        ("precision", "float16,float32", ("float32", "float16")),
        ("compress", "sparse50, linear8", ("linear8", "sparse50")),
        ("converter-timeout", "1", 1),
        ("lm-alpha", "-0.5", -0.5),
        ("lm-beta", "1e-3", 0.001),
        ("beam-width", "1024", 1024),
        ("max-steps", "2", 2),
        ("reproduce", "6.141.1:AXicY2BgAAAABAAB", Blob("6.141.1", "AXicY2BgAAAABAAB")),
    ],
)
def test_what_a_text_means(name, text, meaning):
    assert of(name).parse(text) == meaning


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("suite", "maybe", "one of auto, on, off, only"),
        ("variant", "static,frozen", "one or more of static, dynamic, pinned, joined by commas"),
        ("variant", "", "one or more of static, dynamic, pinned, joined by commas"),
        ("target", ",", "one or more of neuralnetwork, mlprogram, joined by commas"),
        ("precision", "float64", "one or more of float32, float16, joined by commas"),
        ("engine", "native2", "one of auto, coreml, reference"),
        ("compute-units", "ALL", "one of all, cpu_only, cpu_and_gpu, cpu_and_ne"),
        ("front-end", "", "one of numpy, graph, python_speech_features"),
        ("decoder", "beam", "one of auto, ds, tf"),
        ("converter-timeout", "0", A_WHOLE_NUMBER),
        ("converter-timeout", "1.5", A_WHOLE_NUMBER),
        ("beam-width", "many", A_WHOLE_NUMBER),
        ("max-examples", "-3", A_WHOLE_NUMBER),
        ("max-steps", "1", "a whole number from 2"),
        ("lm-alpha", "loud", "a number"),
        ("lm-alpha", "nan", "a finite number"),
        ("lm-beta", "-inf", "a finite number"),
    ],
)
@pytest.mark.parametrize("source", ["command line", "ini"])
def test_a_text_that_means_nothing(configured, refusal, name, text, expected, source):
    option = of(name)
    if source == "command line":
        config = configured(f"{option.flag}={text}")
    else:
        if text == "":
            return  # an empty line of an ini file leaves the option unset, which the test below holds
        config = configured(ini=f"{option.ini} = {text}")

    assert refusal(UsageError, value, config, option) == f"{option.flag}={text}: expected {expected}"


def test_every_default_is_a_value_of_its_option():
    for option in OPTIONS:
        if option.default is not None:
            option.parse(option.default)


# -- precedence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "ini", "meaning"),
    [
        ([], "", "auto"),
        ([], "dscoreml_engine = reference", "reference"),
        ([], "dscoreml_engine =", "auto"),
        (["--dscoreml-engine=coreml"], "", "coreml"),
        (["--dscoreml-engine=coreml"], "dscoreml_engine = reference", "coreml"),
        (["--dscoreml-engine=auto"], "dscoreml_engine = reference", "auto"),
        (["--dscoreml-engine=coreml", "--dscoreml-engine=auto"], "", "auto"),
    ],
)
def test_command_line_over_ini_over_default(configured, arguments, ini, meaning):
    assert value(configured(*arguments, ini=ini), options.ENGINE) == meaning


def test_a_zero_and_a_negative_number_are_not_unset(configured):
    config = configured("--dscoreml-lm-alpha=0", ini="dscoreml_lm_beta = -0.0")

    assert (value(config, options.LM_ALPHA), value(config, options.LM_BETA)) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "ini", "audio"),
    [
        ([], "", ()),
        (["--dscoreml-audio=a.wav", "--dscoreml-audio=b.wav"], "", ("a.wav", "b.wav")),
        (["--dscoreml-audio=a.wav"], "dscoreml_audio = /c.wav", ("a.wav",)),
        ([], "dscoreml_audio =\n    /c.wav\n    /d e.wav", ("/c.wav", "/d e.wav")),
    ],
)
def test_several_values(configured, arguments, ini, audio):
    assert value(configured(*arguments, ini=ini), options.AUDIO) == audio


@pytest.mark.parametrize(
    ("arguments", "ini", "active"),
    [
        ([], "", False),
        (["--dscoreml-engine=reference"], "dscoreml_audio = a.wav", False),
        (["--dscoreml-model=demo"], "", True),
        ([], "dscoreml_model = demo", True),
        ([], "dscoreml_model =", False),
    ],
)
def test_active_where_a_model_is_named(configured, arguments, ini, active):
    assert options.is_active(configured(*arguments, ini=ini)) is active


# -- paths -------------------------------------------------------------------------------------------------------------


def test_a_path_of_the_command_line_is_taken_as_it_is(configured):
    assert value(configured("--dscoreml-report=out/x", ini="addopts = -q"), options.REPORT) == "out/x"


@pytest.mark.parametrize(
    ("name", "text"),
    [("report", "out"), ("report", "deep/out"), ("cache-dir", "cache"), ("scorer", "lm.scorer"), ("alphabet", "a.txt")],
)
def test_a_path_of_the_ini_file_is_relative_to_that_file(configured, pytester, monkeypatch, name, text):
    """Whether it is there already or not: a report's directory is made by the run."""
    option = of(name)
    below = pytester.mkdir("below")
    pytester.makeini(f"[pytest]\n{option.ini} = {text}\n")
    monkeypatch.chdir(below)

    assert Path(value(pytester.parseconfig(), option)) == pytester.path / text


def test_several_paths_of_the_ini_file(configured, pytester):
    config = configured(ini="dscoreml_model =\n    g/static.pb\n    /abs/dynamic.pb")

    assert list(map(Path, value(config, options.MODEL))) == [pytester.path / "g/static.pb", Path("/abs/dynamic.pb")]


def test_demo_and_the_name_of_an_interpreter_are_no_paths(configured):
    config = configured(ini="dscoreml_model = demo\ndscoreml_converter = python3.11")

    assert (value(config, options.MODEL), value(config, options.CONVERTER)) == (("demo",), ("python3.11",))


# -- all of them -------------------------------------------------------------------------------------------------------


def test_the_settings_where_nothing_is_set(configured):
    assert Settings.of(configured()) == Settings(
        model=(),
        alphabet=None,
        suite="auto",
        variants=("static", "dynamic", "pinned"),
        targets=("neuralnetwork", "mlprogram"),
        precisions=("float32", "float16"),
        compressions=(),
        converters=(Path(sys.executable),),
        converter_timeout=900,
        cache_dir=None,
        engine="auto",
        compute_units="all",
        front_end="numpy",
        audio=(),
        decoder="auto",
        scorer=None,
        lm_alpha=0.931289039105002,
        lm_beta=1.1834137581510284,
        beam_width=None,
        max_steps=64,
        max_examples=10,
        reproduce=None,
        xfails=(),
        report=None,
        baseline=None,
        write_baseline=None,
        record=None,
        replay=None,
    )


def test_the_settings_where_everything_is_set(configured):
    given = {
        "model": "m.pb",
        "alphabet": "a.txt",
        "suite": "on",
        "variant": "pinned",
        "target": "mlprogram",
        "precision": "float16",
        "compress": "palettize4,linear8",
        "converter": "/opt/python",
        "converter-timeout": "5",
        "cache-dir": "cache",
        "engine": "reference",
        "compute-units": "cpu_only",
        "front-end": "graph",
        "audio": "a.wav",
        "decoder": "tf",
        "scorer": "s.scorer",
        "lm-alpha": "1",
        "lm-beta": "2",
        "beam-width": "3",
        "max-steps": "4",
        "max-examples": "6",
        "reproduce": "6.100.0:AAEB",
        "xfails": "x.toml",
        "report": "out",
        "baseline": "b.json",
        "write-baseline": "w.json",
        "record": "rec",
        "replay": "rep",
    }
    assert set(given) == {option.name for option in OPTIONS}

    settings = Settings.of(configured(*(f"--dscoreml-{name}={text}" for name, text in given.items())))

    assert settings == Settings(
        model=("m.pb",),
        alphabet=Path("a.txt"),
        suite="on",
        variants=("pinned",),
        targets=("mlprogram",),
        precisions=("float16",),
        compressions=("linear8", "palettize4"),
        converters=(Path("/opt/python"),),
        converter_timeout=5,
        cache_dir=Path("cache"),
        engine="reference",
        compute_units="cpu_only",
        front_end="graph",
        audio=(Path("a.wav"),),
        decoder="tf",
        scorer=Path("s.scorer"),
        lm_alpha=1,
        lm_beta=2,
        beam_width=3,
        max_steps=4,
        max_examples=6,
        reproduce=Blob("6.100.0", "AAEB"),
        xfails=(Path("x.toml"),),
        report=Path("out"),
        baseline=Path("b.json"),
        write_baseline=Path("w.json"),
        record=Path("rec"),
        replay=Path("rep"),
        given=frozenset(given),
    )


def test_names_on_the_command_line_and_in_the_ini_file():
    option = Option("two-words", "help", "X", None)

    assert (option.flag, option.ini) == ("--dscoreml-two-words", "dscoreml_two_words")


def test_every_option_explains_itself():
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)
    for option in OPTIONS:
        assert option.help
        assert not option.help.endswith(".")
        assert option.metavar


def test_pytests_help_shows_every_option(pytester):
    shown = " ".join(pytester.runpytest("--help").stdout.str().split())

    for option in OPTIONS:
        assert f"{option.flag}={option.metavar}" in shown
        assert f"{option.ini} (" in shown


def test_the_readmes_table():
    lines = options.readme_table().split("\n")

    assert lines[:2] == ["| option | what it does | default |", "|---|---|---|"]
    assert len(lines) == 2 + len(OPTIONS)
    assert "| `--dscoreml-max-steps=N` | longest sequence that Hypothesis draws | `64` |" in lines
    assert any(line.startswith("| `--dscoreml-report=DIR` |") and line.endswith("|  |") for line in lines)
    assert all(line.count("|") == 4 for line in lines)
