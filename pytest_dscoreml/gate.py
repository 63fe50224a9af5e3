"""One run of the gate: what was asked for, opened once each and only when it is needed. Knows nothing of pytest's hooks."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np

from pytest_dscoreml import __version__
from pytest_dscoreml.conversion.cache import Cache
from pytest_dscoreml.conversion.convert import convert
from pytest_dscoreml.conversion.defects import known_defects
from pytest_dscoreml.conversion.process import Converter
from pytest_dscoreml.conversion.variants import ConversionSpec, select, unavailable
from pytest_dscoreml.engines.protocol import Floats, Outputs
from pytest_dscoreml.engines.tensorflow import TensorFlowEngine
from pytest_dscoreml.errors import AudioError, ConversionError, ModelError, UsageError
from pytest_dscoreml.files import sha256
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.model.demo import DEMO, Utterance, demo_speech
from pytest_dscoreml.model.loading import load_model
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.options import COMPRESS, CONVERTER, TARGET, Settings
from pytest_dscoreml.progress import Progress
from pytest_dscoreml.run import Recording, Run
from pytest_dscoreml.speech.audio import read_wav
from pytest_dscoreml.speech.decoding import Decoder, choose_decoder
from pytest_dscoreml.speech.features import FeatureConfig, graph_mfcc, mfcc, whiten, windows
from pytest_dscoreml.strategies import Material

#: Frames of the material that drawn sequences are cut from: enough for variety, little enough to make quickly.
MATERIAL_FRAMES = 2000


class Gate(Run):
    """Opens the model, its conversions, engines, speech and decoders for one run.

    Args:
        settings: the options.
        failed: conversions that are known to fail, with the reason, from the process that tried.
        progress: is told of what takes long, opening included.

    Raises:
        UsageError: something that was asked for cannot be used; everything cheap is checked here, before any test.
    """

    def __init__(
        self, settings: Settings, failed: Mapping[str, str] | None = None, progress: Progress | None = None
    ) -> None:
        super().__init__(settings, progress)
        self.cache = Cache(settings.cache_dir)
        with self.progress.task("asking the converter for its versions"):
            self.converters = _labelled(settings)
            self.versions = {label: converter.versions() for label, converter in self.converters.items()}
        self.defects = known_defects(settings.xfails)
        plain = select(settings.variants, settings.targets, settings.precisions)
        chosen = [dataclasses.replace(spec, converter=label) for spec in plain for label in self.converters]
        missing = self._unavailable(chosen)
        self.specs = tuple(spec for spec in chosen if spec not in missing)
        self.compressed, lacking = self._compressed()
        self.unavailable = {**missing, **lacking}
        with self.progress.task(f"opening the model {settings.model[0]}"):
            self.model = load_model(
                settings.model, exports=self.cache.directory / "graphs", metadata=_metadata(settings.alphabet)
            )
        self._check_alphabet()
        self.recordings = self._read_recordings()
        self.decoders = self._choose_decoders()
        self.wanted = self.specs
        self._failed = dict(failed or {})
        self._expected: dict[Recording, Outputs] = {}

    def _unavailable(self, chosen: Sequence[ConversionSpec]) -> dict[ConversionSpec, str]:
        """What a converter has not; an error where it was asked for by name, or nothing is left."""
        reasons = {spec: unavailable(spec, self.coremltools_of(spec)) for spec in chosen}
        missing = {spec: reason for spec, reason in reasons.items() if reason is not None}
        for spec, reason in missing.items():
            if TARGET.name in self.settings.given or len(missing) == len(chosen):
                raise UsageError(f"{TARGET.flag}={spec.target}: {reason}; choose another target or converter")
        return missing

    def _compressed(self) -> tuple[tuple[ConversionSpec, ...], dict[ConversionSpec, str]]:
        """Every conversion with every compression that its converter has, and why it has not the others."""
        names = self.settings.compressions
        chosen = [dataclasses.replace(spec, compression=name) for spec in self.specs for name in names]
        sklearn = {label: converter.sklearn() for label, converter in self.converters.items()} if chosen else {}
        reasons = {spec: unavailable(spec, self.coremltools_of(spec), sklearn[spec.converter]) for spec in chosen}
        missing = {spec: reason for spec, reason in reasons.items() if reason is not None}
        if chosen and len(missing) == len(chosen):
            why = "; ".join(dict.fromkeys(missing.values()))
            raise UsageError(f"{COMPRESS.flag}={','.join(names)}: nothing can be compressed like that: {why}")
        return tuple(spec for spec in chosen if spec not in missing), missing

    def _check_alphabet(self) -> None:
        """A graph carries its alphabet; one that was given beside it must be the same."""
        given = self.settings.alphabet
        if given is not None and Alphabet.from_file(given) != self.model.metadata.alphabet:
            raise ModelError(
                f"--dscoreml-alphabet={given}: not the alphabet that the graph carries; leave the option out for a graph"
            )

    @cached_property
    def conditions(self) -> Mapping[str, Any]:
        """Model, engine, features, and all that decides which sequences are drawn and what is transcribed."""
        settings = self.settings
        return {
            "model": self.model.hash,
            "engine": self.engine_name,
            **({"compute units": settings.compute_units} if self.engine_name == "coreml" else {}),
            "features": settings.front_end,
            "max steps": settings.max_steps,
            "max examples": settings.max_examples,
            "seed": settings.seed,
            "draws": f"of pytest-dscoreml {__version__} with Hypothesis {hypothesis.__version__}",
            "recordings": {recording.utterance.name: sha256(recording.utterance.path) for recording in self.recordings},
        }

    # -- speech -------------------------------------------------------------------------------------------------------

    def _utterances(self) -> tuple[Utterance, ...]:
        """What is transcribed: the demo's own speech and the user's, each under a name of its own."""
        demo = demo_speech() if self.settings.model == (DEMO,) else ()
        paths = list(dict.fromkeys(self.settings.audio))
        taken = Counter([*(utterance.name for utterance in demo), *(path.name for path in paths)])
        # A name that two have would make one test of two recordings.
        labels = [None if taken[path.name] == 1 else path.absolute().as_posix() for path in paths]
        return (*demo, *(Utterance(path, None, label) for path, label in zip(paths, labels)))

    def _read_recordings(self) -> tuple[Recording, ...]:
        utterances = self._utterances()
        read = []
        with self.progress.task("reading recordings", total=len(utterances)) as task:
            for number, utterance in enumerate(utterances, start=1):
                task.at(number, doing=utterance.name)
                read.append(self._recording(utterance))
        return tuple(read)

    def _recording(self, utterance: Utterance) -> Recording:
        samples = read_wav(utterance.path, sample_rate=self.model.metadata.sample_rate)
        frames = self.features(samples)
        if not len(frames):
            window = self.model.metadata.feature_win_len
            raise AudioError(f"{utterance.path}: shorter than one window of {window} ms; give a longer recording")
        made = windows(frames, n_context=self.model.geometry.n_context)
        # Models of that time were trained on windows of zero mean and unit variance.
        return Recording(utterance, whiten(made) if self.settings.front_end == "python_speech_features" else made)

    def features(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> Floats:
        """MFCC frames [T, 26] of int16 samples, by the front end of the settings."""
        if self.settings.front_end == "graph":
            return graph_mfcc(self.reference.features, samples, config=self._feature_config)
        front_end = "deepspeech" if self.settings.front_end == "numpy" else self.settings.front_end
        return mfcc(samples, front_end=front_end, config=self._feature_config)

    @property
    def _feature_config(self) -> FeatureConfig:
        metadata = self.model.metadata
        return FeatureConfig(
            sample_rate=metadata.sample_rate,
            win_len_ms=metadata.feature_win_len,
            win_step_ms=metadata.feature_win_step,
            n_input=self.model.geometry.n_input,
        )

    @cached_property
    def material(self) -> Material:
        """Real speech (the model's, else the demo's) and silence, for Hypothesis to cut sequences from."""
        rate = self.model.metadata.sample_rate
        spoken = [utterance.path for utterance in self._utterances()] or [utterance.path for utterance in demo_speech()]
        frames = np.concatenate([self.features(read_wav(path, sample_rate=rate)) for path in spoken])
        silence = self.features(np.zeros(rate, np.int16))[0]
        return Material(frames[:MATERIAL_FRAMES], silence, self.model.geometry)

    # -- engines ------------------------------------------------------------------------------------------------------

    @cached_property
    def reference(self) -> TensorFlowEngine:
        """TensorFlow on the dynamic graph: what every conversion is compared with."""
        return TensorFlowEngine(self.model.graphs["dynamic"].path)

    @cached_property
    def static_reference(self) -> TensorFlowEngine:
        """TensorFlow on the static graph."""
        return TensorFlowEngine(self.model.graphs["static"].path)

    def expected(self, recording: Recording) -> Outputs:
        """The reference's outputs for the whole of a recording, computed once."""
        if recording not in self._expected:
            self._expected[recording] = self._recognised(self.reference, recording, "TensorFlow")
        return self._expected[recording]

    def expected_text(self, recording: Recording, decoder: Decoder) -> str:
        """What a decoder makes of the reference's probabilities."""
        return self.text(self.expected(recording).logits, decoder, recording.utterance.name)

    # -- conversions --------------------------------------------------------------------------------------------------

    @property
    def possible(self) -> tuple[ConversionSpec, ...]:
        """All that this run may ask for: the conversions under test, those of them as documented, and the compressed."""
        return tuple(dict.fromkeys([*self.specs, *(spec.documented for spec in self.specs), *self.compressed]))

    @property
    def longest(self) -> int:
        """Steps of the longest sequence that will be asked for; a dynamic conversion must admit it."""
        return max([self.settings.max_steps, *(len(recording.windows) for recording in self.recordings)])

    def convert(self, specs: Iterable[ConversionSpec]) -> None:
        """Make those of the conversions that are not there yet; failures are kept, and raised when asked for."""
        # A compressed conversion is compared with the uncompressed: both are made of one converted graph.
        both = dict.fromkeys(one for spec in specs for one in (spec.uncompressed, spec))
        wanted = [spec for spec in both if spec not in self._conversions]
        for spec in wanted:
            if spec.name in self._failed:
                self._conversions[spec] = ConversionError(self._failed[spec.name])
        for label, converter in self.converters.items():
            missing = [spec for spec in wanted if spec.converter == label and spec not in self._conversions]
            if not missing:
                continue
            made = convert(
                self.model.paths,
                missing,
                converter=converter,
                cache=self.cache,
                n_steps=self.model.n_steps,
                longest=self.longest,
                progress=self.progress,
                window=(self.model.geometry.n_window, self.model.geometry.n_input),
            )
            self._conversions.update(made)

    # -- decoding -----------------------------------------------------------------------------------------------------

    def _choose_decoders(self) -> tuple[Decoder, ...]:
        """The decoder without a scorer and, where one was given, the one with it."""
        settings, alphabet = self.settings, self.model.metadata.alphabet
        width = self.model.metadata.beam_width if settings.beam_width is None else settings.beam_width
        plain = choose_decoder(settings.decoder, alphabet, beam_width=width)
        if settings.scorer is None:
            return (plain,)
        scored = choose_decoder(
            settings.decoder,
            alphabet,
            beam_width=width,
            scorer=settings.scorer,
            alpha=settings.lm_alpha,
            beta=settings.lm_beta,
        )
        return (plain, scored)


def _labelled(settings: Settings) -> dict[str, Converter]:
    """The converters by what their conversions' names end in: nothing, or where there are several, their versions."""
    made = [Converter(python, timeout_seconds=settings.converter_timeout) for python in settings.converters]
    if len({converter.python for converter in made}) < len(made):
        raise UsageError(f"{CONVERTER.flag}: the same interpreter twice; give two whose coremltools are to be compared")
    if len(made) == 1:
        return {"": made[0]}
    names = [f"ct{converter.versions()['coremltools']}" for converter in made]
    return {
        name if names.count(name) == 1 else f"{name}-{number}": converter
        for number, (name, converter) in enumerate(zip(names, made), start=1)
    }


def _metadata(alphabet: Path | None) -> Metadata | None:
    """Metadata for a checkpoint, which holds none, with the alphabet of the option."""
    return None if alphabet is None else Metadata(alphabet=Alphabet.from_file(alphabet))
