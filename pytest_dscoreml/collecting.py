"""Has pytest collect the built-in suite, wherever the package is installed."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest


class BuiltInSuite:
    """The suite beside, or instead of, what pytest collects anyway; a plugin of its own.

    Args:
        config: of the run.
        directory: that the suite lies in.
        chosen: the option: `auto`, `on`, `off` or `only`.
    """

    def __init__(self, config: pytest.Config, directory: Path, chosen: str) -> None:
        self._suite = directory
        self._way: set[Path] = set()
        explicit = config.args_source is pytest.Config.ArgsSource.ARGS
        if chosen == "only":
            config.args[:] = [str(directory)]
        elif chosen == "on" or (chosen == "auto" and not explicit):
            given = {(config.invocation_params.dir / argument.split("::")[0]).absolute() for argument in config.args}
            if given & set(directory.parents):
                # Of two arguments, one of which lies below the other, pytest 9 drops the second, and pytest 8 may lose tests.
                self._way = self._hidden_way(given, config.getini("norecursedirs"))
            else:
                config.args.append(str(directory))

    def _hidden_way(self, given: set[Path], passed_by: Sequence[str]) -> set[Path]:
        """The suite and the directories to it, from the first on that pytest passes by, such as a virtual environment."""
        # The outermost first; what is given by name is never passed by.
        way = [path for path in (self._suite, *self._suite.parents) if given & set(path.parents)][::-1]
        for number, path in enumerate(way):
            if (path / "pyvenv.cfg").is_file() or any(fnmatch(path.name, pattern) for pattern in passed_by):
                return set(way[number:])
        return set()

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """On the way to the suite nothing is passed by, and beside it everything."""
        if collection_path in self._way:
            return False
        return True if collection_path.parent in self._way - {self._suite} else None
