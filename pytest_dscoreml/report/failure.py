"""The text of a failure: the message of the broken promise, the smallest example of it, and how to run it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pytest

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.errors import DscoremlError
from pytest_dscoreml.options import BASELINE, RECORD, REPORT, REPRODUCE, WRITE_BASELINE, Blob
from pytest_dscoreml.parametrizing import draws
from pytest_dscoreml.reproducing import blob_in

#: Exceptions whose words are the report: a traceback through the suite would tell a user nothing more.
REPORTED = (Disagreement, DscoremlError)
#: What pytest takes for one name in the expression of `-k`, and what means something else there.
_K_WORD = re.compile(r"[\w:+\-.\[\]\\/]+", re.ASCII)
_K_OPERATORS = ("and", "or", "not")
#: What one test of a run has no business with: what was written of the whole run, and what that was compared with.
LEFT_OUT = (REPORT, BASELINE, WRITE_BASELINE, RECORD)


def failure_text(error: BaseException, item: pytest.Item, config: pytest.Config, divergence: Sequence[str] = ()) -> str:
    """What pytest shows for a failed test of the gate; `divergence` tells where the conversion departs first."""
    # Hypothesis's note repeats the case that the message has; of a stateful test it tells the steps.
    notes = [str(note) for note in getattr(error, "__notes__", [])]
    blobs = {note: blob for note in notes for blob in [blob_in(note)] if blob is not None}
    # A test that runs Hypothesis by itself gets Hypothesis's own advice.
    blob = next(iter(blobs.values()), None) if draws(item) else None
    told = [] if "\ncase Case(" in str(error) else [note for note in notes if note not in blobs]
    advice = [note.strip() for note in blobs if blob is None]
    command = _command(item, config, blob)
    return "\n".join(
        [*_promise(item), f"{_kind(error)}{error}", *told, *advice, *divergence, f"repeat with: {command}"]
    )


def _promise(item: pytest.Item) -> list[str]:
    """The promise that a file of the suite is about, as its first line words it."""
    module = getattr(item, "module", None)
    first = (getattr(module, "__doc__", None) or "").split("\n")[0]
    return [first.replace("Promise:", "broken promise:", 1)] if first.startswith("Promise:") else []


def _kind(error: BaseException) -> str:
    """Errors say what kind they are; a disagreement opens with the quantity."""
    return "" if isinstance(error, Disagreement) else f"{type(error).__name__}: "


def _command(item: pytest.Item, config: pytest.Config, blob: Blob | None) -> str:
    """The command of this run, for this test alone, and for the example that failed; without what it would write over."""
    callspec = getattr(item, "callspec", None)
    # The name of a recording may hold what -k cannot: spaces, brackets, the operators. What lies between is enough.
    words = _K_WORD.findall("" if callspec is None else callspec.id)
    selection = " and ".join([item.name.split("[")[0], *(word for word in words if word not in _K_OPERATORS)])
    given = list(map(str, config.invocation_params.args))
    left_out = ("-k", *(option.flag for option in LEFT_OUT))
    kept = [
        text
        for before, text in zip(["", *given], given)
        if before not in left_out
        and text not in left_out
        and not text.startswith(("-k", *(f"{option.flag}=" for option in LEFT_OUT)))
    ]
    example = [] if blob is None else [f"{REPRODUCE.flag}={blob}"]
    return shlex.join(["pytest", *kept, *example, "-k", selection])
