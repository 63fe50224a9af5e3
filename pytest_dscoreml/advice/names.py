"""Which operation of a file is which of the converter's: passes that run after precisions are chosen rename some.

A file has letters, digits and underscores only, and casts add suffixes. Outputs of the model give their name to what makes
them, and coremltools numbers transposes anew: those are known by what they read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pytest_dscoreml.conversion.describe import Selectable
from pytest_dscoreml.runtime.program import CONSTANTS, Program, Step

_CAST = re.compile("_cast_fp16|_to_fp16|_to_fp32")
_UNUSUAL = re.compile("[^A-Za-z0-9_]")


def identified(program: Program, selectable: Iterable[Selectable]) -> Mapping[str, Selectable]:
    """By an operation's first result in the file, the converter's operation that it is; those that are none are left out."""
    left = dict.fromkeys(selectable)
    found: dict[str, Selectable] = {}
    by_name = {_plain(one.name): one for one in left}
    by_output = {_plain(name): one for one in left for name in one.outputs}
    waiting: list[Step] = []
    for step in program.operations():
        if not step.outputs or step.blocks:
            continue
        named = (by_name.get(_plain(step.name)), *(by_output.get(_plain(value.name)) for value in step.outputs))
        chosen = next((one for one in named if one in left and one is not None and one.type == step.op), None)
        if chosen is None:
            waiting.append(step)
        else:
            found[step.outputs[0].name] = chosen
            del left[chosen]
    for step in waiting:
        read = {_plain(reference.name) for reference in step.references()}
        alike = [one for one in left if one.type == step.op and read & {_plain(name) for name in one.inputs}]
        # Two that read the same cannot be told apart: then neither is taken for the other.
        if len(alike) == 1:
            found[step.outputs[0].name] = alike[0]
            del left[alike[0]]
    return found


def constant_makers(program: Program, selectable: Iterable[Selectable]) -> Mapping[str, tuple[str, ...]]:
    """By an operation's first result, the converter's names of those that make its constants, which the file has made.

    The converter asks for their precision too: where they become float16, what is read of them is rounded, be it stored as
    float32.
    """
    makers = {_plain(name): one for one in selectable for name in one.outputs}
    constants = {step.outputs[0].name for step in program.operations(constants=True) if step.op in CONSTANTS}
    found = {}
    for step in program.operations():
        waiting = [reference.name for reference in step.references() if reference.name in constants]
        names: dict[str, None] = {}
        while waiting:
            maker = makers.get(_plain(waiting.pop()))
            if maker is not None and maker.name not in names:
                names[maker.name] = None
                waiting += maker.inputs
        if names:
            found[step.outputs[0].name] = tuple(names)
    return found


def _plain(name: str) -> str:
    return _CAST.sub("", _UNUSUAL.sub("_", name))
