"""TensorFlow is imported late and quietly, and told of where it cannot be."""

from __future__ import annotations

import os
import sys
from importlib import metadata

import pytest

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.heavy import import_tensorflow, tensorflow_version


def test_it_is_tensorflow(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)

    assert import_tensorflow() is sys.modules["tensorflow"]
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_a_log_level_that_was_set_stays(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")

    import_tensorflow()

    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'tensorflow'"), ImportError("a library is missing")]
)
def test_where_it_cannot_be_imported(monkeypatch, refusal, error):
    class Refusing:
        def find_spec(self, name, path=None, target=None):
            if name == "tensorflow":
                raise error

    with monkeypatch.context() as patched:
        for name in [name for name in sys.modules if name.split(".")[0] == "tensorflow"]:
            patched.delitem(sys.modules, name)
        patched.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
        message = refusal(UsageError, import_tensorflow)

    assert message == f"TensorFlow, which runs the reference, cannot be imported ({error}); pip install tensorflow"


def test_which_tensorflow_is_here():
    assert tensorflow_version() == import_tensorflow().__version__


def test_a_tensorflow_of_no_known_distribution(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)

    assert tensorflow_version() == "(unknown version)"
