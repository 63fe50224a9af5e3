"""`diverge`: the first operation at which a conversion departs from TensorFlow."""

from __future__ import annotations

import argparse
from typing import Any

#: Exit status where something departs.
DEPARTS = 1


def add_to(commands: Any) -> None:
    """Describe the command to argparse."""
    from pytest_dscoreml.commands import opening

    parser = commands.add_parser(
        "diverge", help="name the first operation at which a conversion departs from TensorFlow"
    )
    opening.add_options(parser, default="all nine")
    parser.add_argument(
        "--audio",
        action="append",
        default=[],
        metavar="FILE.wav",
        help="what to feed, 16 kHz mono int16; may be given more than once (default: the demo's speech)",
    )
    parser.add_argument(
        "--engine", choices=("auto", "coreml", "reference"), default="auto", help="default: %(default)s"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print what was found for each conversion and recording; returns 1 where something departs.

    Raises:
        UsageError: something that was given cannot be used.
        ConversionError: a conversion failed.
    """
    from pytest_dscoreml.commands import opening
    from pytest_dscoreml.conversion.variants import default_specs
    from pytest_dscoreml.divergence import text
    from pytest_dscoreml.diverging import Diverging
    from pytest_dscoreml.engines.protocol import State
    from pytest_dscoreml.engines.streaming import Fed
    from pytest_dscoreml.strategies import Case

    chosen = opening.specs(given.conversion) if given.conversion else list(default_specs())
    gate = opening.open_gate(given, given.audio, engine=given.engine)
    gate.wanted = chosen
    zeros = State.zeros(gate.model.geometry)
    fed = {recording.utterance.name: Fed(recording.windows, zeros) for recording in gate.recordings}
    if not fed:
        case = Case(4 * gate.model.n_steps + 1, "speech")
        fed = {"the demo's speech": Fed(gate.material.windows(case), zeros)}
    diverging, status = Diverging(gate), 0
    for spec in chosen:
        for name, sequence in fed.items():
            found = diverging.find(spec, sequence)
            if found is None:
                print(f"{spec}, {name}: every call agrees")
                continue
            status = DEPARTS
            lines = text.lines(found, diverging.graph(spec), gate.engine(spec).name)
            print(
                "\n".join([f"{spec}, {name}:", *(f"  {line}" for line in lines), f"  found in {found.seconds:.2f} s"])
            )
    return status
