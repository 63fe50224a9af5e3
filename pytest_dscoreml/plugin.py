"""pytest's hooks, each a line or three that calls the object doing the work. Nothing heavy is imported here."""

from __future__ import annotations

import pytest

from pytest_dscoreml import fixtures, options, parametrizing


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the one table."""
    options.add_options(parser)


@pytest.hookimpl(trylast=True)  # after pytest's terminal reporter is there, which the session writes to from the start
def pytest_configure(config: pytest.Config) -> None:
    """Register fixtures and marker; start a session only where a model was named."""
    config.addinivalue_line("markers", parametrizing.MARKER_HELP)
    config.pluginmanager.register(fixtures, "dscoreml-fixtures")
    if options.is_active(config) and not (config.option.help or config.option.version):
        from pytest_dscoreml.session import start

        start(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests that ask for a conversion, or an utterance, every one of them."""
    parametrizing.parametrize(metafunc)
