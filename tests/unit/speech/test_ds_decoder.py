"""ds_ctcdecoder in its child process: what it decodes, and that its death is an error message."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import DecoderError, UsageError
from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet
from pytest_dscoreml.speech.ds_decoder import DsDecoder
from pytest_dscoreml.speech.tf_decoder import TfDecoder
from pytest_dscoreml.speech.transcription import Transcription

pytest.importorskip("ds_ctcdecoder", reason="ds-ctcdecoder has wheels for CPython up to 3.9 on x86-64 only")

FLAT = np.full((20, 29), 1 / 29)


@pytest.fixture(scope="module")
def decoder():
    decoder = DsDecoder(ENGLISH, beam_width=50)
    yield decoder
    decoder.close()


@pytest.fixture(scope="module")
def suit(spelled):
    return spelled("suit", ENGLISH)


def pid(decoder):
    return decoder._child._process.pid


def is_running(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


@settings(deadline=None, max_examples=20)
@given(text=st.text(alphabet=ENGLISH.labels[1:], max_size=20))
def test_a_clear_spelling_is_decoded(decoder, text, spelled):
    assert decoder.decode(spelled(text, ENGLISH, sure=0.99)).text == text


def test_both_decoders_agree_on_text_and_confidence(decoder, spelled):
    probabilities = spelled("she had your dark suit", ENGLISH, sure=0.6).astype(np.float32)
    expected = TfDecoder(ENGLISH, beam_width=50).decode(probabilities)
    obtained = decoder.decode(probabilities)
    assert obtained.text == expected.text == "she had your dark suit"
    assert obtained.confidence == pytest.approx(expected.confidence, abs=0.05)


def test_labels_that_an_alphabet_file_cannot_hold():
    alphabet = Alphabet(("#a", "\n", "\\#", " ", "ü"))
    probabilities = np.eye(6)[[0, 5, 1, 5, 2, 5, 3, 5, 4]] * 0.94 + 0.01
    assert DsDecoder(alphabet).decode(probabilities).text == "#a\n\\# ü"


def test_bytes_mode(spelled):
    alphabet = Alphabet.bytes_alphabet()
    assert DsDecoder(alphabet, beam_width=20).decode(spelled("né", alphabet)).text == "né"


def test_bytes_that_are_no_utf8_are_text_all_the_same():
    path = [0xC3 - 1, 255, 0x28 - 1]
    probabilities = np.eye(256)[path] * 0.9 + 0.1 / 256
    assert DsDecoder(Alphabet.bytes_alphabet(), beam_width=20).decode(probabilities).text == "\ufffd("


def test_the_scorer_prefers_its_words(english_scorer, spelled):
    probabilities = spelled("she hed your dork suit", ENGLISH, sure=0.5)
    without = DsDecoder(ENGLISH).decode(probabilities)
    with_scorer = DsDecoder(ENGLISH, scorer=english_scorer).decode(probabilities)
    assert without.text == "she hed your dork suit"
    assert with_scorer.text == "she had your dark suit"


@pytest.mark.parametrize("pruning", [{"cutoff_prob": 0.5}, {"beam_width": 1}], ids=str)
def test_pruning_reaches_the_search(english_scorer, spelled, pruning):
    probabilities = spelled("she hed your dork suit", ENGLISH, sure=0.5)
    whole = DsDecoder(ENGLISH, scorer=english_scorer).decode(probabilities)
    pruned = DsDecoder(ENGLISH, scorer=english_scorer, **pruning).decode(probabilities)
    assert pruned.confidence < whole.confidence


def test_alpha_and_beta_reach_the_scorer(english_scorer, suit):
    weak = DsDecoder(ENGLISH, scorer=english_scorer, alpha=0.0, beta=0.0).decode(suit)
    strong = DsDecoder(ENGLISH, scorer=english_scorer, alpha=3.0, beta=0.0).decode(suit)
    bonus = DsDecoder(ENGLISH, scorer=english_scorer, alpha=0.0, beta=2.0).decode(suit)
    assert weak.text == strong.text == bonus.text == "suit"
    assert strong.confidence < weak.confidence < bonus.confidence


def test_the_scorer_of_bytes_mode(make_scorer, spelled):
    alphabet = Alphabet.bytes_alphabet()
    scorer = make_scorer(["s", "u", "i", "t"], alphabet)
    assert DsDecoder(alphabet, scorer=scorer, beam_width=20).decode(spelled("suit", alphabet)).text == "suit"


def test_a_scorer_may_be_named_relative_to_here(english_scorer, monkeypatch, suit):
    monkeypatch.chdir(english_scorer.parent)
    decoder = DsDecoder(ENGLISH, scorer=english_scorer.name)
    monkeypatch.chdir("/")
    assert decoder.decode(suit).text == "suit"


def test_no_frames_are_no_text_and_need_no_child():
    decoder = DsDecoder(ENGLISH)
    assert decoder.decode(np.zeros((0, 29), np.float32)) == Transcription("", 0.0)
    assert decoder._child is None


def test_the_child_is_kept(decoder, suit):
    decoder.decode(suit)
    first = pid(decoder)
    decoder.decode(suit)
    assert pid(decoder) == first


def test_the_name_has_the_version(decoder):
    import ds_ctcdecoder

    assert decoder.name == f"ds-ctcdecoder {ds_ctcdecoder.__version__}"


def test_what_would_crash_it_does_not_reach_it(decoder):
    with pytest.raises(DecoderError, match="expected finite numbers"):
        decoder.decode(np.where(np.arange(29) == 3, np.nan, FLAT))


@pytest.mark.parametrize(
    "probabilities",
    [np.where(np.arange(29) == 3, np.nan, FLAT), np.log(FLAT)],
    ids=["NaN", "log-probabilities"],
)
def test_a_crash_is_an_error_and_the_next_call_works(decoder, probabilities, suit):
    with pytest.raises(DecoderError) as caught:
        decoder._decode(probabilities)
    assert str(caught.value) == "ds_ctcdecoder ended its process with SIGSEGV"
    assert decoder.decode(suit).text == "suit"


def test_an_exit_is_an_error_with_its_last_words(decoder, suit):
    with pytest.raises(DecoderError) as caught:
        decoder._decode(np.full((5, 31), 1 / 31))
    message = str(caught.value)
    assert message.startswith("ds_ctcdecoder ended its process with status 1, saying: [ctc_beam_search_decoder.cpp:")
    assert "Number of output classes in acoustic model does not match number of labels" in message
    assert decoder.decode(suit).text == "suit"


def test_a_child_that_was_killed_between_calls_is_replaced(decoder, suit):
    decoder.decode(suit)
    first = pid(decoder)
    os.kill(first, signal.SIGKILL)
    decoder._child._process.wait()
    assert decoder.decode(suit).text == "suit"
    assert pid(decoder) != first


def test_a_child_that_hangs_is_ended(suit):
    decoder = DsDecoder(ENGLISH, timeout=0.5)
    decoder.start()
    first = pid(decoder)
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(DecoderError) as caught:
        decoder.decode(np.repeat(suit, 200, axis=0))  # more than a pipe holds: writing blocks too
    assert str(caught.value) == "ds_ctcdecoder did not answer within 0.5 s; its process was ended"
    assert not is_running(first)
    decoder._timeout = None
    assert decoder.decode(suit).text == "suit"
    decoder.close()


def test_a_package_that_cannot_be_imported_is_an_error(tmp_path, monkeypatch, suit):
    broken = tmp_path / "ds_ctcdecoder.py"
    broken.write_text("raise ImportError('built for another NumPy')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DecoderError) as caught:
        DsDecoder(ENGLISH).decode(suit)
    assert str(caught.value) == "ds_ctcdecoder cannot start: ImportError: built for another NumPy"


def test_what_the_package_prints_does_not_get_into_the_answer(tmp_path, monkeypatch, suit):
    noisy = tmp_path / "noise"
    noisy.mkdir()
    (noisy / "sitecustomize.py").write_text("import sys; sys.stderr.write('warning: noise' * 20000)")
    monkeypatch.syspath_prepend(noisy)
    decoder = DsDecoder(ENGLISH)
    assert decoder.decode(suit).text == "suit"


FAKE = """
import importlib.util, os

assert importlib.util.find_spec("greedy") is None, "the neighbours of the script are on its path"

class UTF8Alphabet: pass

class swigwrapper:
    class Alphabet:
        def Deserialize(self, data, size):
            return 0

def ctc_beam_search_decoder(*arguments, **options):
    os._exit(3)

__version__ = "fake"
os.write(1, b"hello from C++\\n")
"""


def test_only_what_was_said_at_the_end_is_quoted_and_standard_output_is_no_answer(tmp_path, monkeypatch, suit):
    (tmp_path / "ds_ctcdecoder.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DecoderError) as caught:
        DsDecoder(ENGLISH).decode(suit)
    assert str(caught.value) == "ds_ctcdecoder ended its process with status 3"


def test_the_child_imports_neither_tensorflow_nor_pytest(tmp_path, monkeypatch, suit):
    for name in ("tensorflow", "pytest", "pytest_dscoreml"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(77)")
    monkeypatch.syspath_prepend(tmp_path)
    assert DsDecoder(ENGLISH).decode(suit).text == "suit"


def test_the_child_goes_with_its_decoder():
    decoder = DsDecoder(ENGLISH)
    decoder.start()
    child = pid(decoder)
    del decoder
    gc.collect()
    assert not is_running(child)


def test_the_child_goes_with_the_interpreter():
    program = (
        "from pytest_dscoreml.model.alphabet import ENGLISH\n"
        "from pytest_dscoreml.speech.ds_decoder import DsDecoder\n"
        "decoder = DsDecoder(ENGLISH); decoder.start(); print(decoder._child._process.pid)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert not is_running(int(done.stdout))


def test_a_child_is_used_only_by_the_process_that_started_it(decoder, suit):
    decoder.decode(suit)
    first = pid(decoder)
    forked = decoder._child
    owner, forked._owner = forked._owner, forked._owner + 1  # what a fork looks like from inside it
    assert not forked.usable()
    forked._owner = owner
    assert forked.usable()
    assert pid(decoder) == first


def test_a_damaged_language_model_is_an_error_of_the_scorer(english_scorer, damaged):
    path = damaged(english_scorer, lambda content: content[:60] + b"\xff" * 8 + content[68:])
    decoder = DsDecoder(ENGLISH, scorer=path)
    with pytest.raises(UsageError) as caught:
        decoder.start()
    message = str(caught.value)
    assert message.startswith(
        f"scorer {path}: ds_ctcdecoder cannot load it (ds_ctcdecoder ended its process with SIGABRT"
    )
    assert message.endswith("); copy or make it again")


def test_a_scorer_that_went_away_is_an_error_of_the_scorer(english_scorer, damaged, suit):
    path = damaged(english_scorer, bytes)
    decoder = DsDecoder(ENGLISH, scorer=path)
    path.unlink()
    with pytest.raises(UsageError) as caught:
        decoder.decode(suit)
    assert str(caught.value) == (
        f"scorer {path}: ds_ctcdecoder refuses it (Scorer initialization failed with error code 0x2005); "
        "copy or make it again"
    )


def test_a_scorer_of_another_alphabet_is_refused_without_a_child(english_scorer, shuffled_english):
    with pytest.raises(UsageError, match="made for another alphabet"):
        DsDecoder(shuffled_english, scorer=english_scorer)
