"""Looks into a `.scorer` file before ds_ctcdecoder does, which may crash on a damaged one or take it without a word.

A scorer is a KenLM binary with a trie appended: the magic, a version, the bytes-mode flag, alpha, beta, and an OpenFst
ConstFst whose arcs carry label + 1. ds_ctcdecoder 0.9.3 maps it into memory unchecked: cut at the end it reads zeros or
dies of SIGBUS, and a scorer of another alphabet or mode loads and spoils every transcription. Imports NumPy, the
alphabet and the errors.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import numpy as np

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.model.alphabet import Alphabet

_KENLM_MAGIC = b"mmap lm http://kheafield.com/code format version"
_TRIE_MAGIC = struct.pack("<i", 0x54524945)
_TRIE_VERSION = 6
_TRIE_HEADER = struct.Struct("<4si?dd")
_FST_MAGIC = 2125659606
_FST_TYPES = (b"const", b"standard")
_FST_COUNTS = struct.Struct("<iiQqqq")  # version, flags, properties, start state, states, arcs
_FST_STATE = np.dtype([("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("in", "<u4"), ("out", "<u4")])
_FST_ARC = np.dtype([("label", "<i4"), ("out", "<i4"), ("weight", "<f4"), ("next", "<i4")])
#: A ConstFst that was written to be mapped aligns its states and its arcs to this.
_FST_ALIGNMENT = 16

_MAKE = "make it again with DeepSpeech's generate_scorer_package"


class _DamagedError(Exception):
    """Why a file is no whole scorer."""


@dataclass(frozen=True)
class ScorerFacts:
    """What a scorer file says of itself.

    `last_label` is the highest label in its words, `word_ends` the labels that its words end with: the space, except in
    bytes mode.
    """

    bytes_mode: bool
    alpha: float
    beta: float
    last_label: int
    word_ends: frozenset[int]


def check_scorer(path: Union[str, os.PathLike[str]], alphabet: Alphabet) -> ScorerFacts:
    """Read a scorer's header and trie, and check that they suit the alphabet.

    Raises:
        UsageError: the file is missing, no scorer, truncated, or made for another alphabet or mode.
    """
    path = Path(path)
    facts = _read(path)
    made_for = "bytes mode" if facts.bytes_mode else "an alphabet"
    if facts.bytes_mode != alphabet.bytes_mode:
        model = "works in bytes mode" if alphabet.bytes_mode else "has an alphabet"
        raise UsageError(f"scorer {path}: made for {made_for}, and the model {model}; use the scorer of this model")
    if facts.last_label >= len(alphabet.labels):
        raise UsageError(
            f"scorer {path}: made for another alphabet: its words hold label {facts.last_label}, and the model's "
            f"labels are 0 to {len(alphabet.labels) - 1}; use the scorer of this model"
        )
    space = alphabet.labels.index(" ") if " " in alphabet.labels else None
    if not facts.bytes_mode and facts.word_ends and facts.word_ends != {space}:
        ends = ", ".join(f"{label} ({alphabet.label(label)})" for label in sorted(facts.word_ends)[:5])
        is_space = "has no space" if space is None else f"has its space at {space}"
        raise UsageError(
            f"scorer {path}: made for another alphabet: its words end with label {ends}, and the model's alphabet "
            f"{is_space}; use the scorer of this model"
        )
    return facts


def _read(path: Path) -> ScorerFacts:
    try:
        if path.is_dir():
            raise UsageError(f"scorer {path}: a directory; expected a .scorer file")
        with path.open("rb") as file:
            if not file.read(1):
                raise UsageError(f"scorer {path}: an empty file (0 bytes); copy it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _parse(content)
    except FileNotFoundError:
        raise UsageError(f"scorer {path}: no such file; expected a .scorer file") from None
    except OSError as error:
        raise UsageError(f"scorer {path}: cannot be read ({error.strerror}); expected a .scorer file") from None
    except _DamagedError as damage:
        raise UsageError(f"scorer {path}: {damage}") from None


def _parse(content: mmap.mmap) -> ScorerFacts:
    if content[: len(_KENLM_MAGIC)] != _KENLM_MAGIC:
        raise _DamagedError(f"not a .scorer file: it does not begin as a KenLM binary does; {_MAKE}")
    # The language model does not say how long it is, and its bytes may hold the magic by chance: the right place is one
    # where a whole trie header follows.
    start = content.find(_TRIE_MAGIC)
    while start >= 0:
        facts = _parse_trie(content, start)
        if facts is not None:
            return facts
        start = content.find(_TRIE_MAGIC, start + 1)
    raise _DamagedError(f"no trie after its language model: truncated, or a bare KenLM file; copy it again, or {_MAKE}")


def _parse_trie(content: mmap.mmap, start: int) -> ScorerFacts | None:
    """The trie at `start`, or None where the bytes there are not the header of one."""
    try:
        _, version, bytes_mode, alpha, beta = _TRIE_HEADER.unpack_from(content, start)
        position = start + _TRIE_HEADER.size
        (magic,) = struct.unpack_from("<i", content, position)
        if magic != _FST_MAGIC:
            return None
        if version != _TRIE_VERSION:
            raise _DamagedError(f"its version is {version}; expected {_TRIE_VERSION}; {_MAKE} of 0.7 or later")
        position += 4
        for expected in _FST_TYPES:
            (length,) = struct.unpack_from("<i", content, position)
            if content[position + 4 : position + 4 + length] != expected:
                raise _DamagedError(
                    f"its trie is damaged: not a {' '.join(t.decode() for t in _FST_TYPES)} FST; copy it again"
                )
            position += 4 + length
        *_, n_states, n_arcs = _FST_COUNTS.unpack_from(content, position)
    except struct.error:
        return None
    states_at = _align(position + _FST_COUNTS.size)
    arcs_at = _align(states_at + n_states * _FST_STATE.itemsize)
    size = arcs_at + n_arcs * _FST_ARC.itemsize
    if min(n_states, n_arcs) < 0 or size > len(content):
        raise _DamagedError(f"truncated: its trie needs {size} bytes, the file has {len(content)}; copy it again")
    states = np.frombuffer(content[states_at : states_at + n_states * _FST_STATE.itemsize], _FST_STATE)
    arcs = np.frombuffer(content[arcs_at:size], _FST_ARC)
    if n_arcs and not (arcs["next"].min() >= 0 and arcs["next"].max() < n_states):
        raise _DamagedError("its trie is damaged: an arc leads to a state that is not there; copy it again")
    ends = arcs["label"][np.isfinite(states["final"][arcs["next"]])] - 1
    return ScorerFacts(
        bytes_mode=bytes_mode,
        alpha=alpha,
        beta=beta,
        last_label=int(arcs["label"].max()) - 1 if n_arcs else -1,
        word_ends=frozenset(int(label) for label in np.unique(ends)),
    )


def _align(position: int) -> int:
    return -(-position // _FST_ALIGNMENT) * _FST_ALIGNMENT
