"""Every option: the command line over the ini file over the default; and a marker narrows what all of them select."""

from __future__ import annotations

import pytest

from pytest_dscoreml import options
from pytest_dscoreml.options import OPTIONS

#: For each option two texts and their values, neither of them the default.
TEXTS = {
    "model": ("some/file.pb", "other/file.pb"),
    "alphabet": ("some/file.txt", "other/file.txt"),
    "suite": ("on", "off"),
    "variant": ("static", "pinned"),
    "target": ("mlprogram", "neuralnetwork"),
    "precision": ("float32", "float16"),
    "compress": ("linear8", "palettize4,uniform2"),
    "converter": ("some/python", "other/python"),
    "converter-timeout": ("7", "8"),
    "cache-dir": ("some/file", "other/file"),
    "engine": ("coreml", "reference"),
    "compute-units": ("cpu_only", "cpu_and_gpu"),
    "front-end": ("graph", "python_speech_features"),
    "audio": ("some/file.wav", "other/file.wav"),
    "decoder": ("ds", "tf"),
    "scorer": ("some/file.scorer", "other/file.scorer"),
    "lm-alpha": ("0.25", "0"),
    "lm-beta": ("1.5", "0"),
    "beam-width": ("7", "8"),
    "max-steps": ("7", "8"),
    "max-examples": ("7", "8"),
    "reproduce": ("6.100.0:AAEB", "6.100.1:AAEB"),
    "xfails": ("some/file.toml", "other/file.toml"),
    "report": ("some/file", "other/file"),
    "baseline": ("some/file.json", "other/file.json"),
    "write-baseline": ("some/file.json", "other/file.json"),
    "record": ("some/file", "other/file"),
    "replay": ("some/file", "other/file"),
}


def test_every_option_is_here():
    assert list(TEXTS) == [option.name for option in OPTIONS]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_command_line_over_ini_over_default(pytester, option):
    on_command_line, in_ini = TEXTS[option.name]

    def value(*args):
        return options.value(pytester.parseconfig(*args), option)

    def parsed(text):
        return (option.parse(text),) if option.multiple else option.parse(text)

    default = () if option.multiple else None if option.default is None else option.parse(option.default)
    assert value() == default
    assert value(f"{option.flag}={on_command_line}") == parsed(on_command_line)
    pytester.makeini(f"[pytest]\n{option.ini} = {in_ini}\n")
    # A path in the ini file is relative to that file.
    stored = str(pytester.path / in_ini) if option.is_path else in_ini
    assert value() == parsed(stored)
    assert value(f"{option.flag}={on_command_line}") == parsed(on_command_line)


def test_paths_of_the_ini_file_are_relative_to_it(pytester, monkeypatch):
    """Wherever pytest is started."""
    (pytester.path / "elsewhere").mkdir()
    pytester.makeini("[pytest]\ndscoreml_report = sub/my report\n")
    monkeypatch.chdir(pytester.path / "elsewhere")
    assert options.value(pytester.parseconfig("-c", "../tox.ini"), options.REPORT) == str(
        pytester.path / "sub/my report"
    )


def test_a_bare_name_in_the_ini_file_is_a_name(pytester):
    """`demo` is no path, and an interpreter may be one on PATH; with a slash it is a file beside the ini file."""
    pytester.makeini("[pytest]\ndscoreml_model = demo\ndscoreml_converter = python4\n")
    config = pytester.parseconfig()
    assert options.value(config, options.MODEL) == ("demo",)
    assert options.value(config, options.CONVERTER) == ("python4",)
    pytester.makeini("[pytest]\ndscoreml_converter = ./python4\n")
    assert options.value(pytester.parseconfig(), options.CONVERTER) == (str(pytester.path / "python4"),)


def test_several_models_in_the_ini_file(pytester, demo):
    pytester.makeini(f"[pytest]\ndscoreml_model =\n    {demo / 'static.pb'}\n    {demo / 'dynamic.pb'}\n")
    config = pytester.parseconfig()
    assert options.is_active(config)
    assert options.value(config, options.MODEL) == (str(demo / "static.pb"), str(demo / "dynamic.pb"))


def test_a_gate_of_the_ini_file_alone(gate, pytester, conversions):
    """Nothing on the command line: the suite beside the user's tests, with the ini file's selection."""
    pytester.makeini(
        "[pytest]\n"
        "dscoreml_model = demo\n"
        f"dscoreml_cache_dir = {conversions}\n"
        "dscoreml_variant = dynamic\n"
        "dscoreml_target = mlprogram\n"
        "dscoreml_precision = float32\n"
    )
    pytester.makepyfile("def test_mine(dscoreml_engine): pass")
    result = gate("-k", "test_mine or test_names", model=(), select=(), cache=None)
    result.assert_outcomes(passed=2)
    narrowed = gate("--dscoreml-precision=float16", "--collect-only", "-q", model=(), select=(), cache=None)
    collected = {line.partition("::")[2] for line in narrowed.outlines}
    assert {"test_mine[dynamic-mlprogram-float16]", "test_names[dynamic-mlprogram-float16]"} <= collected
    assert not [name for name in collected if "float32" in name]


def test_a_marker_narrows_what_the_command_line_selects(gate, pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.dscoreml(variants=["static", "dynamic"])
        def test_mine(dscoreml_conversion): pass
        """
    )

    def collected(*args):
        result = gate("--collect-only", "-q", "--dscoreml-suite=off", "--dscoreml-target=mlprogram", *args, select=())
        return [line.partition("::")[2] for line in result.outlines if "::" in line]

    pytester.makeini("[pytest]\ndscoreml_precision = float16\n")
    assert collected() == ["test_mine[static-mlprogram-float16]", "test_mine[dynamic-mlprogram-float16]"]
    assert collected("--dscoreml-precision=float32", "--dscoreml-variant=dynamic,pinned") == [
        "test_mine[dynamic-mlprogram-float32]"
    ]
    assert collected("--dscoreml-variant=pinned") == ["test_mine[none]"]
