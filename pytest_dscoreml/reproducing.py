"""One example of Hypothesis's again, by the blob that a failure shows: `--dscoreml-reproduce=VERSION:BLOB`.

Knows nothing of pytest. Hypothesis is imported when something is reproduced.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.options import MAX_STEPS, REPRODUCE, Blob

#: How Hypothesis words it, from 6.100 on, in a note of the exception.
_NOTE = re.compile(r"@reproduce_failure\('([^']+)', b'([^']+)'\)")


def blob_in(note: str) -> Blob | None:
    """The blob that a note of Hypothesis's shows, None where it is another note."""
    found = _NOTE.search(note)
    return None if found is None else Blob(found[1], found[2])


def check_version(blob: Blob) -> None:
    """Hypothesis keeps its blobs to the version that made them.

    Raises:
        UsageError: it was another than the one here.
    """
    from hypothesis import __version__

    if blob.version != __version__:
        raise UsageError(
            f"{REPRODUCE.flag}={blob}: made by Hypothesis {blob.version}, and here is {__version__}, which cannot read it; "
            f"install hypothesis=={blob.version}, or leave the option out: the same examples may be drawn"
        )


@dataclass
class _Watch:
    """What came of the example: what Hypothesis made of the blob, and whether something was compared."""

    data: Any = None
    compared: bool = field(default=False)

    def see(self) -> None:
        """From within a running example."""
        from hypothesis.control import current_build_context

        self.data = current_build_context().data

    def fits(self, blob: Blob) -> bool:
        """Whether it drew just what is in the blob: where that is of another test, Hypothesis makes up what is missing."""
        from hypothesis.core import decode_failure

        if self.data is None or not self.compared:
            return False
        drawn = getattr(self.data, "choices", None)
        # Before Hypothesis 6.119 a blob held the bytes that were drawn.
        drawn = bytes(self.data.buffer) if drawn is None else drawn
        return bool(list(decode_failure(blob.text.encode())) == list(drawn))


def reproduce(blob: Blob, test: Callable[..., None], settings: Any) -> None:
    """Run one example of a test, a function decorated with `given` or the class of a state machine.

    It raises what the example raises, and returns where it passes, as it does when the defect is gone.

    Args:
        blob: of the example.
        test: what it is an example of.
        settings: Hypothesis's.

    Raises:
        UsageError: the blob is none, or of another test.
    """
    from hypothesis import reproduce_failure
    from hypothesis.errors import DidNotReproduce, InvalidArgument
    from hypothesis.reporting import with_reporter
    from hypothesis.stateful import run_state_machine_as_test as run_machine_as_test

    watch = _Watch()
    notes: list[str] = []
    at_it = reproduce_failure(blob.version, blob.text.encode())
    try:
        with with_reporter(notes.append):
            if isinstance(test, type):
                run_machine_as_test(at_it(_watched_machine(test, watch)), settings=settings)
            else:
                _watch_function(test, watch)
                at_it(settings(test))()
    except (DidNotReproduce, InvalidArgument):
        # That nothing failed, which is well; or that the blob does not fit.
        if not _fits(watch, blob):
            raise _no_example(blob) from None
    except Exception as error:
        if not _fits(watch, blob):
            raise _no_example(blob) from None
        # As Hypothesis does with what it found by itself.
        error.__notes__ = [*getattr(error, "__notes__", []), *notes]  # type: ignore[attr-defined]
        raise


def _fits(watch: _Watch, blob: Blob) -> bool:
    """As `_Watch.fits`; a blob that cannot be read fits nothing."""
    from hypothesis.errors import InvalidArgument

    try:
        return watch.fits(blob)
    except InvalidArgument:
        return False


def _no_example(blob: Blob) -> UsageError:
    return UsageError(
        f"{REPRODUCE.flag}={blob}: no example of this test: give it to the test that it was shown for, with the "
        f"{MAX_STEPS.flag} of that run, or leave the option out"
    )


def _watch_function(test: Any, watch: _Watch) -> None:
    """Look on at the function that `given` decorates, which begins when everything is drawn."""
    inner = test.hypothesis.inner_test

    @functools.wraps(inner)
    def watched(*args: Any, **kwargs: Any) -> None:
        watch.see()
        watch.compared = True
        inner(*args, **kwargs)

    test.hypothesis.inner_test = watched


def _watched_machine(machine: Any, watch: _Watch) -> Any:
    """The machine, looked on at in each of its steps."""

    class Watched(machine):  # type: ignore[misc]
        # An invariant of our own would be shown among the machine's steps.
        def check_invariants(self, *args: Any, **kwargs: Any) -> None:
            watch.see()
            watch.compared = True
            super().check_invariants(*args, **kwargs)

    Watched.__name__ = Watched.__qualname__ = machine.__name__
    return Watched
