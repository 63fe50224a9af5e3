"""What an exported DeepSpeech graph says of itself in its `metadata_*` constants (v0.7.1 `export()`)."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet

#: GRAPH_VERSION of DeepSpeech 0.7 to 0.9.3, what its client demands.
GRAPH_VERSION = 6


@dataclass(frozen=True)
class Metadata:
    """The constants that Mozilla's client reads; lengths in milliseconds, the sample rate in Hz."""

    version: int = GRAPH_VERSION
    sample_rate: int = 16000
    feature_win_len: int = 32
    feature_win_step: int = 20
    beam_width: int = 500
    alphabet: Alphabet = ENGLISH
    language: str | None = None

    @property
    def window_samples(self) -> int:
        """Samples in one analysis window (512 at 16 kHz)."""
        return self.sample_rate * self.feature_win_len // 1000

    @property
    def stride_samples(self) -> int:
        """Samples from one window to the next (320 at 16 kHz)."""
        return self.sample_rate * self.feature_win_step // 1000
