"""How a run of pytest ended: whether its tests all had their turn. Imports pytest alone."""

from __future__ import annotations

import pytest


def is_over(session: pytest.Session) -> bool:
    """Whether pytest itself came to its end: not interrupted, no fault of its own, and there were tests."""
    return session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


def is_complete(session: pytest.Session) -> bool:
    """Whether every test had its turn besides: `-x` and `--maxfail` end a run early and leave the exit code as it is."""
    return is_over(session) and not session.shouldfail and not session.shouldstop
