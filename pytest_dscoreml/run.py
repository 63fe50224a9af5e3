"""What every kind of run has: a model, conversions of it, and the engine that runs them. Knows nothing of pytest's hooks."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_dscoreml.agreement.tolerances import BY_PRECISION, Tolerances
from pytest_dscoreml.bundle.recorder import Recorder
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.defects import KnownDefect
from pytest_dscoreml.conversion.variants import ConversionSpec, Variant
from pytest_dscoreml.engines.choosing import engine_name, open_engine
from pytest_dscoreml.engines.protocol import Engine, Floats, Outputs
from pytest_dscoreml.engines.streaming import Stream
from pytest_dscoreml.errors import ConversionError
from pytest_dscoreml.model.demo import Utterance
from pytest_dscoreml.model.loading import Model
from pytest_dscoreml.options import Settings
from pytest_dscoreml.progress import Progress
from pytest_dscoreml.runtime import ReferenceModel
from pytest_dscoreml.speech.transcription import Decoder


@dataclass(frozen=True, eq=False)
class Recording:
    """An utterance with its context windows [T, 19, 26]."""

    utterance: Utterance
    windows: Floats


@dataclass(frozen=True)
class Replayed:
    """The bundle that is run in place of a model: where it is, when it was made, and the SHA-256 of all that is in it."""

    directory: Path
    made: str
    digest: str


class Run(abc.ABC):
    """Conversions of one model, each opened once and only when it is needed.

    Attributes:
        settings: the options.
        engine_name: what runs the conversions, `coreml` or `reference`.
        model: what was converted.
        versions: those of each converter by its label; the label is empty where there is one converter.
        specs: the conversions under test.
        compressed: those with compressed weights beside them, which promise less; see docs/compression.md.
        unavailable: why others that were chosen cannot be made by their converter.
        defects: the known defects of converters.
        decoders: what transcribes.
        recordings: what is transcribed.
        no_recording: what to say where there is none.
        recorder: takes what goes into a bundle.
        replayed: the bundle that this run is of; None where it is of a model.
        wanted: the conversions that will be asked for: the first to be asked for has all of them made, in one process.
        progress: is told of what takes long.
    """

    model: Model
    versions: Mapping[str, Mapping[str, str]]
    specs: tuple[ConversionSpec, ...]
    compressed: tuple[ConversionSpec, ...] = ()
    unavailable: Mapping[ConversionSpec, str]
    defects: tuple[KnownDefect, ...]
    decoders: tuple[Decoder, ...]
    recordings: tuple[Recording, ...]
    no_recording = "no recording to transcribe: give --dscoreml-audio"
    replayed: Replayed | None = None
    wanted: Sequence[ConversionSpec]

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        self.settings = settings
        self.engine_name = engine_name(settings.engine)
        self.recorder = Recorder()
        self.progress = Progress() if progress is None else progress
        self._conversions: dict[ConversionSpec, Conversion | ConversionError] = {}
        self._files: dict[ConversionSpec, ReferenceModel] = {}
        self._engines: dict[ConversionSpec, Engine] = {}
        self._obtained: dict[tuple[ConversionSpec, Recording], Outputs] = {}
        self._texts: dict[tuple[str, str], str] = {}

    @property
    @abc.abstractmethod
    def conditions(self) -> Mapping[str, Any]:
        """What two runs must have in common for their errors to be compared, as plain values by name."""

    # -- conversions --------------------------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def possible(self) -> tuple[ConversionSpec, ...]:
        """All that this run may ask for."""

    @property
    @abc.abstractmethod
    def longest(self) -> int:
        """Steps of the longest sequence that will be asked for; a dynamic conversion must admit it."""

    @abc.abstractmethod
    def convert(self, specs: Iterable[ConversionSpec]) -> None:
        """Make those of the conversions that are not there yet; failures are kept, and raised when asked for."""

    @property
    def failures(self) -> dict[str, str]:
        """The conversions that failed so far, with the reason, by name."""
        return {spec.name: str(made) for spec, made in self._conversions.items() if isinstance(made, ConversionError)}

    @property
    def conversions(self) -> dict[str, Conversion]:
        """The conversions made so far, by name."""
        return {spec.name: made for spec, made in self._conversions.items() if isinstance(made, Conversion)}

    def conversion(self, spec: ConversionSpec) -> Conversion:
        """A conversion; the first call makes all that are wanted.

        Raises:
            ConversionError: it failed.
        """
        if spec not in self._conversions:
            self.convert([*self.wanted, spec])
        made = self._conversions[spec]
        if isinstance(made, ConversionError):
            # A fresh one each time: a raised exception keeps the frames of whoever raised it last.
            raise ConversionError(str(made)) from made
        return made

    def coremltools_of(self, spec: ConversionSpec) -> str:
        """The version of the coremltools that makes a conversion."""
        return self.versions[spec.converter]["coremltools"]

    # -- engines ------------------------------------------------------------------------------------------------------

    def engine(self, spec: ConversionSpec) -> Engine:
        """The engine that runs a conversion.

        Raises:
            ConversionError: the conversion failed.
            EngineError: the engine refuses it.
        """
        if spec not in self._engines:
            self._engines[spec] = self.open(self.conversion(spec).path, spec)
        return self._engines[spec]

    def open(self, path: Path, spec: ConversionSpec) -> Engine:
        """An engine of its own on a file of that conversion's kind; raises EngineError where it refuses the file."""
        n_steps = None if spec.variant is Variant.DYNAMIC else self.model.n_steps
        units = self.settings.compute_units
        return open_engine(self.engine_name, path, self.model.geometry, n_steps, compute_units=units)

    def file(self, spec: ConversionSpec) -> ReferenceModel:
        """The converted file as the runtime reads it, whatever engine runs it: its interface and its operations.

        Raises:
            ConversionError: the conversion failed.
            RuntimeModelError: the file is damaged, or has an operation the runtime does not know.
        """
        if spec not in self._files:
            self._files[spec] = ReferenceModel(self.conversion(spec).path)
        return self._files[spec]

    def tolerances(self, spec: ConversionSpec) -> Tolerances:
        """The tolerances of a conversion's precision."""
        return BY_PRECISION[spec.precision.value]

    # -- speech -------------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def expected(self, recording: Recording) -> Outputs:
        """TensorFlow's outputs for the whole of a recording."""

    def obtained(self, spec: ConversionSpec, recording: Recording) -> Outputs:
        """A conversion's outputs for the whole of a recording, computed once."""
        if (spec, recording) not in self._obtained:
            self._obtained[spec, recording] = self._recognised(self.engine(spec), recording, str(spec))
        return self._obtained[spec, recording]

    def _recognised(self, engine: Engine, recording: Recording, what: str) -> Outputs:
        """An engine's outputs for the whole of a recording; `what` it runs."""
        stream, windows, done = Stream(engine), recording.windows, 0
        named = f"running {what} on {recording.utterance.name}"
        with self.progress.task(named, total=len(windows), unit="steps") as task:
            # An engine that takes any number of steps has one call.
            task.at(doing="" if engine.n_steps else f"{len(windows)} steps at once")
            for chunk in stream.feed_chunks(windows):
                done += len(chunk.logits)
                task.at(done)
        return stream.outputs

    def text(self, probabilities: Floats, decoder: Decoder, name: str = "") -> str:
        """What a decoder makes of probabilities [T, classes]; the same ones, bit for bit, are decoded once.

        Decoding takes far longer than all the rest, and several conversions often give the very same numbers. `name` is
        that of the recording, for those who wait.
        """
        key = (decoder.name, hashlib.sha256(np.ascontiguousarray(probabilities).tobytes()).hexdigest())
        if key not in self._texts:
            names = [recording.utterance.name for recording in self.recordings]
            what = f"transcribing {name or f'{len(probabilities)} steps'} with {decoder.name}"
            with self.progress.task(what, total=len(names), unit="recordings") as task:
                task.at(names.index(name) + 1 if name in names else 0)
                self._texts[key] = decoder.decode(probabilities).text
        return self._texts[key]
