"""One run of a bundle: its conversions on this machine's engine, against what TensorFlow gave when it was recorded.

Knows nothing of pytest's hooks, and never imports TensorFlow or starts a converter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_dscoreml.agreement.tolerances import Tolerances
from pytest_dscoreml.bundle.cases import GREEDY, Kind, RecordedCase
from pytest_dscoreml.bundle.reading import OPTION, Bundle, read_bundle
from pytest_dscoreml.conversion.defects import known_defects
from pytest_dscoreml.conversion.variants import ConversionSpec, select
from pytest_dscoreml.engines.protocol import Outputs
from pytest_dscoreml.engines.streaming import recognise
from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.model.demo import Utterance
from pytest_dscoreml.options import (
    BASELINE,
    COMPUTE_UNITS,
    ENGINE,
    OPTIONS,
    PRECISION,
    REPLAY,
    REPORT,
    SUITE,
    TARGET,
    VARIANT,
    WRITE_BASELINE,
    Settings,
)
from pytest_dscoreml.progress import Progress
from pytest_dscoreml.run import Recording, Replayed, Run
from pytest_dscoreml.speech.ds_decoder import DsDecoder, is_installed
from pytest_dscoreml.speech.greedy import GreedyDecoder
from pytest_dscoreml.speech.transcription import Decoder

#: The options that mean something here; what the others would set is in the bundle.
MEANT = (
    SUITE,
    VARIANT,
    TARGET,
    PRECISION,
    ENGINE,
    COMPUTE_UNITS,
    REPORT,
    BASELINE,
    WRITE_BASELINE,
    REPLAY,
)


class Replay(Run):
    """Opens a bundle for one run.

    Args:
        settings: the options, with the bundle's directory.
        directory: of the bundle.
        progress: is told of what takes long, reading the bundle included.

    Attributes:
        bundle: what was recorded.

    Raises:
        UsageError: the bundle is not what was recorded, or an option asks for what is not in it.
    """

    no_recording = "the bundle holds no recording; record it again with --dscoreml-audio"

    def __init__(self, settings: Settings, directory: Path, progress: Progress | None = None) -> None:
        _refuse_what_means_nothing(settings, directory)
        super().__init__(settings, progress)
        with self.progress.task(f"reading the bundle {directory}"):
            self.bundle = read_bundle(directory)
        recorded = self.bundle.settings
        # Reports show what the sequences and recordings were made with, not what this run would make others with.
        self.settings = dataclasses.replace(
            settings,
            front_end=recorded.front_end,
            max_steps=recorded.max_steps,
            max_examples=recorded.max_examples,
            seed=recorded.seed,
        )
        self.replayed = Replayed(directory, self.bundle.made, self.bundle.digest)
        self.model = self.bundle.model
        self.versions = self.bundle.converters
        self.defects = known_defects(())
        kinds = {spec.kind for spec in select(settings.variants, settings.targets, settings.precisions)}
        self.specs = tuple(spec for spec in self.bundle.conversions if spec.kind in kinds)
        self.unavailable = {spec: why for spec, why in self.bundle.missing.items() if spec.kind in kinds}
        _require_what_was_named(settings, self.bundle, self.specs)
        self.wanted = self.specs
        self._conversions.update(self.bundle.conversions)
        spoken = self.cases(Kind.RECORDING)
        self._spoken = {Recording(_utterance(case), case.windows): case for case in spoken}
        self.recordings = tuple(self._spoken)
        self.decoders, self._absent = self._choose_decoders()
        self._fed: dict[tuple[ConversionSpec, str], Outputs] = {}

    @property
    def conditions(self) -> Mapping[str, Any]:
        """Model, engine and the bundle that the sequences and recordings are from."""
        return {
            "model": self.model.hash,
            "engine": self.engine_name,
            **({"compute units": self.settings.compute_units} if self.engine_name == "coreml" else {}),
            "bundle": self.bundle.digest,
        }

    # -- what was recorded --------------------------------------------------------------------------------------------

    def cases(self, kind: Kind) -> Sequence[RecordedCase]:
        """The recorded cases of a kind, the shortest first."""
        return [case for case in self.bundle.cases if case.kind is kind]

    def fed(self, spec: ConversionSpec, case: RecordedCase) -> Outputs:
        """A conversion's outputs for a sequence fed whole, computed once."""
        if (spec, case.key) not in self._fed:
            self._fed[spec, case.key] = recognise(self.engine(spec), case.windows, case.state)
        return self._fed[spec, case.key]

    def expected(self, recording: Recording) -> Outputs:
        """TensorFlow's outputs for the whole of a recording, as recorded."""
        return self._spoken[recording].expected

    def texts(self, recording: Recording) -> Mapping[str, str]:
        """What TensorFlow's probabilities of a recording were transcribed to, by the decoder's name."""
        return self._spoken[recording].texts

    def tolerances(self, spec: ConversionSpec) -> Tolerances:
        """The tolerances that were recorded for a conversion's precision."""
        return self.bundle.tolerances[spec.precision.value]

    # -- decoders -----------------------------------------------------------------------------------------------------

    @property
    def recorded_decoders(self) -> tuple[str, ...]:
        """The names of all decoders that a recording was transcribed by; greedy is always one."""
        names = {name for case in self._spoken.values() for name in case.texts}
        return tuple(sorted(names, key=lambda name: (name != GREEDY, name)))

    def decoder(self, name: str) -> Decoder | None:
        """A recorded decoder, None where it is not here."""
        return next((decoder for decoder in self.decoders if decoder.name == name), None)

    def why_absent(self, name: str) -> str:
        """Why a recorded decoder is not here."""
        return self._absent[name]

    def _choose_decoders(self) -> tuple[tuple[Decoder, ...], dict[str, str]]:
        """Those of the recorded decoders that are here, and why the others are not."""
        alphabet = self.model.metadata.alphabet
        here: list[Decoder] = [GreedyDecoder(alphabet)]
        if is_installed():
            here.append(DsDecoder(alphabet, beam_width=self.bundle.settings.beam_width))
        absent = {}
        for name in set(self.recorded_decoders) - {decoder.name for decoder in here}:
            if name.startswith("tf."):
                absent[name] = f"{name} is not used in a replay, which does without TensorFlow"
            elif " with " in name:
                absent[name] = f"{name}: the scorer is not in the bundle"
            else:
                instead = f", {here[1].name} is" if len(here) > 1 else ""
                absent[name] = f"{name} is not installed here{instead}"
        recorded = {GREEDY, *self.recorded_decoders}
        return tuple(decoder for decoder in here if decoder.name in recorded), absent

    # -- conversions --------------------------------------------------------------------------------------------------

    @property
    def possible(self) -> tuple[ConversionSpec, ...]:
        """The conversions under test."""
        return self.specs

    @property
    def longest(self) -> int:
        """Steps of the longest sequence that was asked for when the bundle was recorded."""
        return self.bundle.settings.longest

    def convert(self, specs: Iterable[ConversionSpec]) -> None:
        """Nothing to do: all that there is was read with the bundle."""


def _utterance(case: RecordedCase) -> Utterance:
    """The recording's name and transcript; its sound is not in the bundle, only the windows made of it."""
    return Utterance(Path(case.label), case.transcript, case.label)


def _refuse_what_means_nothing(settings: Settings, directory: Path) -> None:
    meant = {option.name for option in MEANT}
    for option in OPTIONS:
        if option.name in settings.given and option.name not in meant:
            raise UsageError(
                f"{OPTION}={directory}: {option.flag} means nothing in a replay, which takes it from the bundle or does "
                f"without; leave it out, on the command line and as {option.ini} in the ini file"
            )


def _require_what_was_named(settings: Settings, bundle: Bundle, chosen: Sequence[ConversionSpec]) -> None:
    """Every variant, target and precision that was asked for by name is in the bundle."""
    for option, attribute, names in (
        (VARIANT, "variant", settings.variants),
        (TARGET, "target", settings.targets),
        (PRECISION, "precision", settings.precisions),
    ):
        there = {getattr(spec, attribute).value for spec in bundle.conversions}
        missing = [name for name in names if name not in there]
        if missing and option.name in settings.given:
            raise UsageError(
                f"{option.flag}={missing[0]}: {bundle.directory} has no such conversion, only {', '.join(sorted(there))}; "
                "choose among these, or record it again"
            )
    if not chosen:
        has = ", ".join(spec.name for spec in bundle.conversions)
        raise UsageError(
            f"{OPTION}={bundle.directory}: none of its conversions is selected ({VARIANT.flag}, {TARGET.flag}, "
            f"{PRECISION.flag}); it has {has}"
        )
