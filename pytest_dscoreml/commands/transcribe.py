"""`transcribe`: recognise a recording as its chunks arrive, by any engine, with timings."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_dscoreml.engines.protocol import Engine
    from pytest_dscoreml.gate import Gate
    from pytest_dscoreml.run import Recording

#: The guide's two ways: the static graph fed chunk by chunk, the dynamic one fed everything at once.
DEFAULT = ("static-mlprogram-float32", "dynamic-mlprogram-float32")


def add_to(commands: Any) -> None:
    """Describe the command to argparse."""
    from pytest_dscoreml.commands import opening

    parser = commands.add_parser("transcribe", help="transcribe a recording as its chunks arrive, with timings")
    opening.add_options(parser, default=" and ".join(DEFAULT))
    parser.add_argument("audio", metavar="FILE.wav", help="16 kHz mono int16")
    parser.add_argument(
        "--engine",
        choices=("auto", "coreml", "reference", "tensorflow"),
        default="auto",
        help="what runs the conversions, or `tensorflow` for the graphs they are made from (default: %(default)s)",
    )
    parser.add_argument("--scorer", metavar="FILE.scorer", help="external scorer of the ds decoder")
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Timed:
    """One way of recognising a recording: how it was fed, in how many calls, in how many seconds."""

    name: str
    fed: str
    calls: int
    seconds: float

    def line(self, first: _Timed, audio_seconds: float) -> str:
        """The way's line of the table, beside the first of them."""
        beside = "" if self is first else f", {self.seconds / first.seconds:.2f} times the first"
        calls = f"{self.calls} call{'s' if self.calls > 1 else ''}"
        share = f"{self.seconds / audio_seconds:.3f} of the recording's {audio_seconds:.1f} s"
        return f"{self.name}, {self.fed}: {self.seconds:.3f} s in {calls}, {share}{beside}"


def run(given: argparse.Namespace) -> None:
    """Print the transcription chunk by chunk, the whole by beam search, and how long each conversion took.

    Raises:
        UsageError: something that was given cannot be used.
        ConversionError: a conversion failed.
    """
    from pytest_dscoreml.commands import opening

    names = given.conversion or list(DEFAULT)
    chosen = opening.specs(names)
    engine = "reference" if given.engine == "tensorflow" else given.engine
    gate = opening.open_gate(given, [given.audio], engine=engine, scorer=given.scorer)
    gate.wanted = chosen
    recording = gate.recordings[-1]
    timed = []
    for spec in chosen:
        if given.engine == "tensorflow":
            runs: Engine = gate.reference if spec.graph == "dynamic" else gate.static_reference
        else:
            runs = gate.engine(spec)
        timed.append(_transcribe(gate, runs, f"{spec} on {runs.name}", recording))
    seconds = len(recording.windows) * gate.model.metadata.feature_win_step / 1000
    print("\n".join(one.line(timed[0], seconds) for one in timed))


def _transcribe(gate: Gate, engine: Engine, name: str, recording: Recording) -> _Timed:
    """Feed a recording in the engine's own chunks and print what is heard after each."""
    from pytest_dscoreml.engines.streaming import Stream
    from pytest_dscoreml.speech.greedy import collapse, greedy_path

    print(name)
    # Whatever is set up at a first call is no part of the time.
    with gate.progress.task(f"running {name} once before"):
        Stream(engine).feed(recording.windows)
    stream, alphabet, milliseconds = Stream(engine), gate.model.metadata.alphabet, gate.model.metadata.feature_win_step
    taken, calls = 0.0, 0
    chunks = stream.feed_chunks(recording.windows)
    while True:
        with gate.progress.task(f"running {name}"):
            begun = time.monotonic()
            chunk = next(chunks, None)
            taken += time.monotonic() - begun
        if chunk is None:
            break
        calls += 1
        rows = stream.outputs.logits
        print(f"  {len(rows) * milliseconds / 1000:6.2f} s  {collapse(greedy_path(rows), alphabet)}", flush=True)
    for decoder in gate.decoders:
        print(f"  {decoder.name}: {gate.text(stream.outputs.logits, decoder, recording.utterance.name)}")
    fed = "whole" if engine.n_steps is None else f"{engine.n_steps} steps a call"
    return _Timed(name, fed, calls, taken)
