"""The built-in demo: a small DeepSpeech model and the speech it was trained on, shipped with the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pytest_dscoreml.errors import ModelError

#: What `--dscoreml-model` calls it.
DEMO = "demo"


@dataclass(frozen=True)
class Utterance:
    """A WAV file and what is said in it.

    Attributes:
        path: the file.
        transcript: what is said; None where nobody said what to expect.
        label: how reports call it where the file's name alone would not tell it from another.
    """

    path: Path
    transcript: str | None
    label: str | None = None

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.path.name if self.label is None else self.label


def demo_directory() -> Path:
    """Where the demo's files are: in the installed package, or in `fixtures/demo` of a checkout.

    Raises:
        ModelError: neither place has them.
    """
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "_demo", package.parent / "fixtures" / "demo"):
        if (directory / "static.pb").is_file():
            return directory
    raise ModelError("the demo model is not installed; install pytest-dscoreml again, or run fixtures/make_demo.py")


def demo_graphs() -> tuple[Path, Path]:
    """The demo's frozen graphs, static and dynamic."""
    directory = demo_directory()
    return directory / "static.pb", directory / "dynamic.pb"


def demo_speech() -> tuple[Utterance, ...]:
    """The demo's recordings with their transcripts."""
    directory = demo_directory()
    entries = json.loads((directory / "transcripts.json").read_text(encoding="utf-8"))
    return tuple(Utterance(directory / entry["file"], entry["transcript"]) for entry in entries)
