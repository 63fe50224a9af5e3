"""`advise`: which operations to keep in float32 where the rest becomes float16."""

from __future__ import annotations

import argparse
import json
from typing import Any

DEFAULT = "dynamic-mlprogram-float16"
FORMATS = ("text", "json")
GOAL = 0.5
#: Ten seconds of speech: a scatter that is alone in float16 rounds a whole history in every step.
STEPS = 500
#: Exit status where the converter did not write what the advice says.
DOES_NOT_HOLD = 1


def add_to(commands: Any) -> None:
    """Describe the command to argparse."""
    from pytest_dscoreml.commands import opening

    parser = commands.add_parser(
        "advise", help="name the operations that lose most in float16, and check by converting what keeping them brings"
    )
    opening.add_options(parser, default=DEFAULT)
    parser.add_argument(
        "--audio",
        action="append",
        default=[],
        metavar="FILE.wav",
        help="what to feed beside what is drawn, 16 kHz mono int16; may be given more than once",
    )
    parser.add_argument(
        "--keep",
        type=_count,
        metavar="N",
        help="keep the N operations that lose most (default: as few as reach the goal)",
    )
    parser.add_argument(
        "--goal",
        type=_part,
        default=GOAL,
        metavar="PART",
        help="the loss to get down to, as a part of that of float16 throughout (default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=_count,
        default=STEPS,
        metavar="N",
        help="cut longer sequences after N steps, to save time (default: %(default)s)",
    )
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1")
    return int(text)


def _part(text: str) -> float:
    try:
        part = float(text)
    except ValueError:
        part = -1.0
    if not 0 <= part < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 0 to 1, 1 itself left out")
    return part


def run(given: argparse.Namespace) -> int:
    """Print the advice on each conversion; returns 1 where one does not hold.

    Raises:
        UsageError: something that was given cannot be used.
        ConversionError: a conversion failed.
    """
    from pytest_dscoreml.advice import text
    from pytest_dscoreml.advising import Advising
    from pytest_dscoreml.commands import opening

    chosen = opening.specs(given.conversion or [DEFAULT])
    gate = opening.open_gate(given, given.audio, engine="reference")
    gate.wanted = ()
    advising = Advising(gate, steps=given.steps)
    advices = [advising.advise(spec, keep=given.keep, goal=given.goal) for spec in chosen]
    if given.format == "json":
        print(json.dumps([advice.to_json() for advice in advices], indent=1, ensure_ascii=False))
    else:
        for advice in advices:
            print("\n".join([*text.lines(advice), f"found in {advice.seconds:.1f} s"]))
    return 0 if all(advice.held for advice in advices) else DOES_NOT_HOLD
