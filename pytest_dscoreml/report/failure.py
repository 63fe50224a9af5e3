"""The text of a failure: the message of the broken promise, the smallest example of it, and how to run it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pytest

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.errors import DscoremlError

#: Exceptions whose words are the report: a traceback through the suite would tell a user nothing more.
REPORTED = (Disagreement, DscoremlError)
#: What pytest takes for one name in the expression of `-k`, and what means something else there.
_K_WORD = re.compile(r"[\w:+\-.\[\]\\/]+", re.ASCII)
_K_OPERATORS = ("and", "or", "not")


def failure_text(error: BaseException, item: pytest.Item, config: pytest.Config, divergence: Sequence[str] = ()) -> str:
    """What pytest shows for a failed test of the gate; `divergence` tells where the conversion departs first."""
    # Hypothesis's note repeats the case that the message has; of a stateful test it tells the steps.
    notes = [str(note) for note in getattr(error, "__notes__", []) if "\ncase Case(" not in str(error)]
    return "\n".join(
        [*_promise(item), f"{_kind(error)}{error}", *notes, *divergence, f"repeat with: {_command(item, config)}"]
    )


def _promise(item: pytest.Item) -> list[str]:
    """The promise that a file of the suite is about, as its first line words it."""
    module = getattr(item, "module", None)
    first = (getattr(module, "__doc__", None) or "").split("\n")[0]
    return [first.replace("Promise:", "broken promise:", 1)] if first.startswith("Promise:") else []


def _kind(error: BaseException) -> str:
    """Errors say what kind they are; a disagreement opens with the quantity."""
    return "" if isinstance(error, Disagreement) else f"{type(error).__name__}: "


def _command(item: pytest.Item, config: pytest.Config) -> str:
    """The command of this run, for this test alone."""
    callspec = getattr(item, "callspec", None)
    # The name of a recording may hold what -k cannot: spaces, brackets, the operators. What lies between is enough.
    words = _K_WORD.findall("" if callspec is None else callspec.id)
    selection = " and ".join([item.name.split("[")[0], *(word for word in words if word not in _K_OPERATORS)])
    given = list(map(str, config.invocation_params.args))
    kept = [
        text for before, text in zip(["", *given], given) if "-k" not in (before, text) and not text.startswith("-k")
    ]
    return shlex.join(["pytest", *kept, "-k", selection])
