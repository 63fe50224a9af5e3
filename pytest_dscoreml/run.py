"""What every kind of run has: a model, conversions of it, and the engine that runs them. Knows nothing of pytest's hooks."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_dscoreml.agreement.tolerances import BY_PRECISION, Tolerances
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.defects import KnownDefect
from pytest_dscoreml.conversion.variants import ConversionSpec, Variant
from pytest_dscoreml.engines.choosing import engine_name, open_engine
from pytest_dscoreml.engines.protocol import Engine
from pytest_dscoreml.errors import ConversionError
from pytest_dscoreml.model.loading import Model
from pytest_dscoreml.options import Settings
from pytest_dscoreml.runtime import ReferenceModel
from pytest_dscoreml.speech.transcription import Decoder


class Run(abc.ABC):
    """Conversions of one model, each opened once and only when it is needed.

    Attributes:
        settings: the options.
        engine_name: what runs the conversions, `coreml` or `reference`.
        model: what was converted.
        versions: those of each converter by its label; the label is empty where there is one converter.
        specs: the conversions under test.
        unavailable: why others that were chosen cannot be made by their converter.
        defects: the known defects of converters.
        decoders: what transcribes.
        wanted: the conversions that will be asked for: the first to be asked for has all of them made, in one process.
        progress: takes a line when something begins that takes long.
    """

    model: Model
    versions: Mapping[str, Mapping[str, str]]
    specs: tuple[ConversionSpec, ...]
    unavailable: Mapping[ConversionSpec, str]
    defects: tuple[KnownDefect, ...]
    decoders: tuple[Decoder, ...]
    wanted: Sequence[ConversionSpec]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine_name = engine_name(settings.engine)
        self.progress: Callable[[str], None] = lambda line: None
        self._conversions: dict[ConversionSpec, Conversion | ConversionError] = {}
        self._files: dict[ConversionSpec, ReferenceModel] = {}
        self._engines: dict[ConversionSpec, Engine] = {}

    @property
    @abc.abstractmethod
    def conditions(self) -> Mapping[str, Any]:
        """What two runs must have in common for their errors to be compared, as plain values by name."""

    # -- conversions --------------------------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def possible(self) -> tuple[ConversionSpec, ...]:
        """All that this run may ask for."""

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
