"""What the commands that convert have in common: their options, and the gate that they open."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pytest_dscoreml.errors import UsageError

if TYPE_CHECKING:
    from pytest_dscoreml.conversion.variants import ConversionSpec
    from pytest_dscoreml.gate import Gate

#: The options of the gate that these commands have too, under the same names.
_SHARED = ("alphabet", "converter", "cache-dir", "compute-units", "front-end")


def add_options(parser: argparse.ArgumentParser, *, default: str) -> None:
    """The model, `--conversion`, and the gate's options for opening it; `default` says which conversions are taken."""
    from pytest_dscoreml.options import OPTIONS

    parser.add_argument(
        "model", metavar="MODEL", help="a frozen DeepSpeech graph, a TensorFlow 1 checkpoint, or `demo`"
    )
    parser.add_argument(
        "--conversion",
        action="append",
        metavar="NAME",
        help=f"variant-target-precision, such as dynamic-mlprogram-float16; may be given more than once (default: {default})",
    )
    for option in OPTIONS:
        if option.name in _SHARED:
            parser.add_argument(f"--{option.name}", metavar=option.metavar, help=option.help.replace("%", "%%"))


def specs(names: list[str]) -> list[ConversionSpec]:
    """The conversions of these names.

    Raises:
        UsageError: there is none of that name.
    """
    from pytest_dscoreml.conversion.variants import default_specs

    known = {spec.name: spec for spec in default_specs()}
    found: list[ConversionSpec] = []
    for name in names:
        if name not in known:
            raise UsageError(f"--conversion {name}: there is no such conversion; choose from {', '.join(known)}")
        found.append(known[name])
    return found


def open_gate(given: argparse.Namespace, audio: list[str], **more: Any) -> Gate:
    """The gate of a command, with recordings to run.

    Raises:
        UsageError: something that was given cannot be used.
    """
    from pytest_dscoreml.gate import Gate
    from pytest_dscoreml.options import OPTIONS, Settings
    from pytest_dscoreml.progress import on_stderr

    values: dict[str, Any] = {"model": (given.model,), "audio": tuple(audio), **more}
    for option in OPTIONS:
        text = getattr(given, option.name.replace("-", "_"), None) if option.name in _SHARED else None
        if text is not None:
            try:
                value = option.parse(text)
            except ValueError as error:
                raise UsageError(f"--{option.name} {text}: expected {error}") from None
            values[option.name] = (value,) if option.multiple else value
    return Gate(Settings.from_values(values), progress=on_stderr())
