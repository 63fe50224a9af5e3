"""Which decoder is chosen."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.model.alphabet import ENGLISH
from pytest_dscoreml.speech import decoding
from pytest_dscoreml.speech.decoding import DsDecoder, TfDecoder, choose_decoder

INSTALL = "pip install ds-ctcdecoder==0.9.3 (CPython 3.7 to 3.9, x86-64, NumPy below 2)"


@pytest.fixture(params=[True, False], ids=["installed", "not installed"])
def installed(request, monkeypatch):
    monkeypatch.setattr(decoding, "is_installed", lambda: request.param)
    return request.param


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.setattr(decoding, "is_installed", lambda: False)


def refusal(name, **options):
    with pytest.raises(UsageError) as caught:
        choose_decoder(name, ENGLISH, **options)
    return str(caught.value)


def test_auto_takes_ds_where_it_is_installed(installed):
    assert isinstance(choose_decoder("auto", ENGLISH), DsDecoder if installed else TfDecoder)


@pytest.mark.usefixtures("installed")
def test_tf_is_taken_when_asked_for():
    assert isinstance(choose_decoder("tf", ENGLISH), TfDecoder)


def test_is_installed_tells_the_truth():
    assert decoding.is_installed() == (importlib.util.find_spec("ds_ctcdecoder") is not None)


@pytest.mark.usefixtures("not_installed")
def test_ds_asked_for_and_not_installed():
    assert refusal("ds") == f"decoder 'ds' is not installed here; {INSTALL}, or choose 'tf'"


@pytest.mark.usefixtures("not_installed")
def test_a_scorer_without_ds():
    assert refusal("auto", scorer="words.scorer") == (
        f"scorer words.scorer: decoder 'tf' has no language model; {INSTALL}, or leave the scorer out"
    )


def test_a_scorer_for_tf():
    assert refusal("tf", scorer="words.scorer") == (
        "scorer words.scorer: decoder 'tf' has no language model; choose 'ds', or leave the scorer out"
    )


def test_an_unknown_name():
    assert refusal("flashlight") == "decoder 'flashlight' is unknown; expected one of auto, ds, tf"


@pytest.mark.parametrize("name", ["auto", "tf"])
def test_a_beam_of_nothing(name):
    assert refusal(name, beam_width=0) == "beam width 0: expected 1 or more"


def test_a_bad_scorer_is_known_when_the_decoder_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "is_installed", lambda: True)
    path = tmp_path / "none.scorer"
    assert refusal("auto", scorer=path) == f"scorer {path}: no such file; expected a .scorer file"


def test_choosing_imports_no_decoder():
    program = (
        "import sys\n"
        "from pytest_dscoreml.model.alphabet import ENGLISH\n"
        "from pytest_dscoreml.speech.decoding import choose_decoder\n"
        "choose_decoder('auto', ENGLISH), choose_decoder('tf', ENGLISH)\n"
        "print(sorted({'tensorflow', 'ds_ctcdecoder', 'coremltools', 'pytest'} & set(sys.modules)))\n"
    )
    path = ":".join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
