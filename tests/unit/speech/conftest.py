"""Speech that needs no recording, and a small but whole `.scorer` file that needs no KenLM."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet

_MASK = (1 << 64) - 1
_ENTRY = struct.Struct("<QI")  # 12 bytes: the word's hash, its index


def _speechlike(n_samples, seed=0):
    """A voice: harmonics of a gliding pitch, syllables, a little breath. int16 [n_samples]."""
    time = np.arange(n_samples) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / 16000
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 30))
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 3 * time)
    breath = np.random.default_rng(seed).normal(size=n_samples)
    return (voice * syllables * 6000 + breath * 60).clip(-32768, 32767).astype(np.int16)


def _write_wav(path, data, *, rate=16000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        file.writeframes(data)
    return path


def _spelled(text, alphabet, *, sure=0.9):
    """Probabilities [T, C] of a model that spells a text: each label, then a blank; the rest shared by the others."""
    classes = len(alphabet.labels) + 1
    path = [index for label in alphabet.encode(text) for index in (label, alphabet.blank)]
    probabilities = np.full((len(path), classes), (1 - sure) / (classes - 1))
    probabilities[np.arange(len(path)), path] = sure
    return probabilities


@pytest.fixture(scope="session")
def speechlike():
    """Makes so many samples of a voice."""
    return _speechlike


@pytest.fixture(scope="session")
def spelled():
    """Makes the probabilities of a model that spells a text."""
    return _spelled


@pytest.fixture
def wav(tmp_path):
    """Writes a WAV file and returns its path."""

    def write(data, name="speech.wav", **form):
        return _write_wav(tmp_path / name, data, **form)

    return write


@pytest.fixture(scope="session")
def make_scorer(tmp_path_factory):
    """Makes a scorer of some words."""

    def make(words, alphabet, *, version=6):
        path = tmp_path_factory.mktemp("scorer") / "words.scorer"
        model = _language_model(words)
        path.write_bytes(model + _trie(words, alphabet, offset=len(model), version=version))
        return path

    return make


@pytest.fixture(scope="session")
def english_scorer(make_scorer):
    """A scorer of five words and the English alphabet."""
    return make_scorer(["she", "had", "your", "dark", "suit"], ENGLISH)


@pytest.fixture
def damaged(tmp_path):
    """A copy of a file after its bytes went through a function."""

    def damage(path: Path, change) -> Path:
        copy = tmp_path / "damaged.scorer"
        copy.write_bytes(change(path.read_bytes()))
        return copy

    return damage


@pytest.fixture(scope="session")
def shuffled_english():
    """The English labels in another order: the space is last."""
    return Alphabet(tuple("abcdefghijklmnopqrstuvwxyz' "))


def _language_model(words):
    """A KenLM probing binary, format 5: all words equally likely, and no bigrams."""
    vocabulary = ["<s>", "</s>", *words]
    sanity = b"mmap lm http://kheafield.com/code format version 5\n\0".ljust(56, b"\0")
    sanity += struct.pack("<fffIIIQ", 0.0, 1.0, -0.5, 1, 0xFFFFFFFF, 0, 1)
    # order 2, probing multiplier 1.5, model type 0 (probing), no word strings, search version 0
    parameters = struct.pack("<B3xfI?3xI", 2, 1.5, 0, False, 0)
    counts = struct.pack("<QQ", len(vocabulary) + 1, 0)
    header = sanity + parameters + counts
    header = header.ljust(-(-len(header) // 8) * 8, b"\0")
    return header + _vocabulary(vocabulary) + _unigrams(vocabulary) + bytes(_ENTRY.size)


def _vocabulary(vocabulary):
    """KenLM's hash table of words: linear probing, key 0 is free."""
    entries = len(vocabulary) + 1
    buckets = [(0, 0)] * max(entries + 1, int(1.5 * entries))
    for index, word in enumerate(vocabulary, start=1):
        key = _murmur_hash_64a(word.encode())
        place = key % len(buckets)
        while buckets[place][0]:
            place = (place + 1) % len(buckets)
        buckets[place] = (key, index)
    return struct.pack("<II", 0, entries) + b"".join(_ENTRY.pack(*bucket) for bucket in buckets)


def _unigrams(vocabulary):
    """Log10 probability and back-off of <unk>, of each word, and of one place more, which KenLM reserves."""
    known = struct.pack("<ff", -1.0, -0.0)
    return struct.pack("<ff", -5.0, -0.0) + known * (len(vocabulary) + 1)


def _trie(words, alphabet, *, offset, version):
    """DeepSpeech's header and an OpenFst ConstFst: a path of label + 1 for each word, which ends with a space."""
    arcs, final = [{}], set()
    for word in words:
        state = 0
        for label in alphabet.encode(word if alphabet.bytes_mode else f"{word} "):
            if label + 1 not in arcs[state]:
                arcs[state][label + 1] = len(arcs)
                arcs.append({})
            state = arcs[state][label + 1]
        final.add(state)
    header = struct.pack("<4si?dd", b"EIRT", version, alphabet.bytes_mode, 0.75, 1.85)
    header += struct.pack("<ii5si8s", 2125659606, 5, b"const", 8, b"standard")
    # version 1, flags 4 (aligned), the properties of a deterministic acceptor without cycles, start, states, arcs
    n_arcs = sum(map(len, arcs))
    header += struct.pack("<iiQqqq", 1, 4, 0x0000A5AA5A950001, 0, len(arcs), n_arcs)
    states, first = b"", 0
    for state, outgoing in enumerate(arcs):
        weight = 0.0 if state in final else float("inf")
        states += struct.pack("<fIIII", weight, first, len(outgoing), 0, 0)
        first += len(outgoing)
    body = b"".join(
        struct.pack("<iifi", label, label, 0.0, target)
        for outgoing in arcs
        for label, target in sorted(outgoing.items())
    )
    return _aligned(_aligned(header, offset) + states, offset) + body


def _aligned(part, offset):
    """Padded so that what follows is at a multiple of 16 in the file."""
    return part + bytes(-(offset + len(part)) % 16)


def _murmur_hash_64a(data):
    """MurmurHash64A with seed 0, KenLM's hash of words."""
    multiplier, shift = 0xC6A4A7935BD1E995, 47
    value = len(data) * multiplier & _MASK
    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        block = int.from_bytes(data[start : start + 8], "little") * multiplier & _MASK
        block = (block ^ block >> shift) * multiplier & _MASK
        value = (value ^ block) * multiplier & _MASK
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * multiplier & _MASK
    value = (value ^ value >> shift) * multiplier & _MASK
    return value ^ value >> shift
