"""THE table of options: command line, ini, help and the README's table all come from here.

Nothing heavy is imported: pytest reads this module wherever the plugin is installed.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import pytest

from pytest_dscoreml.errors import UsageError

PREFIX = "dscoreml"


@dataclass(frozen=True)
class Option:
    """One option: `--dscoreml-NAME` on the command line, `dscoreml_name` in the ini file.

    Attributes:
        name: without the prefix, words joined by hyphens.
        help: one sentence.
        metavar: how the value is shown.
        default: text as a user would give it; None where being unset means something of its own.
        parse: the value of a text; raises ValueError with what was expected.
        multiple: may be given more than once (in the ini file: one a line); the value is a tuple.
        is_path: a relative path in the ini file is relative to that file.
    """

    name: str
    help: str
    metavar: str
    default: Optional[str]
    parse: Callable[[str], Any] = str
    multiple: bool = False
    is_path: bool = False

    @property
    def flag(self) -> str:
        """On the command line."""
        return f"--{PREFIX}-{self.name}"

    @property
    def ini(self) -> str:
        """In the ini file, and as the attribute of pytest's options."""
        return f"{PREFIX}_{self.name.replace('-', '_')}"


@dataclass(frozen=True)
class Blob:
    """One example of a test as Hypothesis packs it: the version of Hypothesis, which alone can read it, and the text."""

    version: str
    text: str

    def __str__(self) -> str:
        return f"{self.version}:{self.text}"

    @classmethod
    def parse(cls, text: str) -> Blob:
        """Of VERSION:BLOB, as `str` gives it; raises ValueError with what was expected."""
        version, _, blob = text.partition(":")
        try:
            fits = bool(re.fullmatch(r"\d+(\.\w+)*", version) and base64.b64decode(blob, validate=True))
        except binascii.Error:
            fits = False
        if not fits:
            raise ValueError("VERSION:BLOB, as a failure shows it")
        return cls(version, blob)


def _whole(minimum: int) -> Callable[[str], int]:
    """A parser of whole numbers."""

    def parse(text: str) -> int:
        expected = f"a whole number from {minimum}"
        try:
            value = int(text)
        except ValueError:
            raise ValueError(expected) from None
        if value < minimum:
            raise ValueError(expected)
        return value

    return parse


def _number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number") from None
    if value - value != 0:
        raise ValueError("a finite number")
    return value


def _one_of(*names: str) -> Callable[[str], str]:
    """A parser of one name out of several."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return text

    return parse


def _some_of(*names: str) -> Callable[[str], tuple[str, ...]]:
    """A parser of names joined by commas."""

    def parse(text: str) -> tuple[str, ...]:
        given = [name.strip() for name in text.split(",") if name.strip()]
        if not given or any(name not in names for name in given):
            raise ValueError(f"one or more of {', '.join(names)}, joined by commas")
        return tuple(name for name in names if name in given)

    return parse


MODEL = Option(
    "model",
    "the model to gate: a frozen DeepSpeech graph (.pb; give the option twice for the static and the dynamic one), a "
    "TensorFlow 1 checkpoint (prefix or directory), or `demo`; without it the plugin does nothing",
    "PATH",
    None,
    multiple=True,
    is_path=True,
)
ALPHABET = Option("alphabet", "alphabet.txt of a checkpoint; graphs carry their own", "FILE", None, is_path=True)
SUITE = Option(
    "suite",
    "collect the built-in suite: `on`, `off`, `only` it and nothing else, or `auto`: on unless test paths are given on the "
    "command line",
    "WHEN",
    "auto",
    _one_of("auto", "on", "off", "only"),
)
VARIANT = Option(
    "variant", "variants to convert", "NAMES", "static,dynamic,pinned", _some_of("static", "dynamic", "pinned")
)
TARGET = Option("target", "Core ML formats", "NAMES", "neuralnetwork,mlprogram", _some_of("neuralnetwork", "mlprogram"))
PRECISION = Option(
    "precision",
    "compute precisions (a neural network is converted in float32 only)",
    "NAMES",
    "float32,float16",
    _some_of("float32", "float16"),
)
COMPRESS = Option(
    "compress",
    "compressions of the weights to try on every conversion beside the uncompressed one: `linear`, `palettize` (k-means) or "
    "`uniform` lookup tables with their bits, `sparse` with its percentage; accuracy is measured against size, see "
    "docs/compression.md",
    "NAMES",
    None,
    _some_of(
        *("linear8", "linear4"),
        *("palettize8", "palettize6", "palettize4", "palettize2", "palettize1"),
        *("uniform8", "uniform6", "uniform4", "uniform2", "uniform1"),
        *("sparse50", "sparse75"),
    ),
)
CONVERTER = Option(
    "converter",
    "Python whose coremltools converts (default: the one running pytest); given twice, two converters are tested side by "
    "side and against each other",
    "PYTHON",
    None,
    multiple=True,
    is_path=True,
)
CONVERTER_TIMEOUT = Option(
    "converter-timeout", "seconds that the converter may be silent before it is stopped", "SECONDS", "900", _whole(1)
)
CACHE_DIR = Option("cache-dir", "where conversions are kept (default: the user's cache)", "DIR", None, is_path=True)
ENGINE = Option(
    "engine",
    "what runs the conversions: `coreml` (macOS), `reference` (NumPy), or `auto`: coreml on macOS, reference elsewhere",
    "NAME",
    "auto",
    _one_of("auto", "coreml", "reference"),
)
COMPUTE_UNITS = Option(
    "compute-units",
    "compute units of the coreml engine",
    "NAME",
    "all",
    _one_of("all", "cpu_only", "cpu_and_gpu", "cpu_and_ne"),
)
FRONT_END = Option(
    "front-end",
    "who computes the features: `numpy` (the graph's front end, ported), `graph` (its own sub-graph), or "
    "`python_speech_features` (models before 2018)",
    "NAME",
    "numpy",
    _one_of("numpy", "graph", "python_speech_features"),
)
AUDIO = Option(
    "audio",
    "a 16 kHz mono int16 WAV to transcribe; may be given more than once",
    "FILE.wav",
    None,
    multiple=True,
    is_path=True,
)
DECODER = Option(
    "decoder",
    "beam search: `ds` (ds-ctcdecoder), `tf` (TensorFlow's), or `auto`: ds where it is installed",
    "NAME",
    "auto",
    _one_of("auto", "ds", "tf"),
)
SCORER = Option("scorer", "external scorer (language model) of the ds decoder", "FILE.scorer", None, is_path=True)
LM_ALPHA = Option("lm-alpha", "weight of the scorer's language model", "NUMBER", "0.931289039105002", _number)
LM_BETA = Option("lm-beta", "the scorer's bonus for each word", "NUMBER", "1.1834137581510284", _number)
BEAM_WIDTH = Option("beam-width", "beams kept in decoding (default: the model's own, 500)", "N", None, _whole(1))
MAX_STEPS = Option("max-steps", "longest sequence that Hypothesis draws", "N", "64", _whole(2))
MAX_EXAMPLES = Option("max-examples", "sequences drawn for each promise and conversion", "N", "10", _whole(1))
REPRODUCE = Option(
    "reproduce",
    "the one example that a failure shows, of the one test that is selected, in place of drawing any",
    "VERSION:BLOB",
    None,
    Blob.parse,
)
XFAILS = Option(
    "xfails",
    "a TOML file of known defects of the converter, beside those that come with the package: what they break is expected "
    "to fail; may be given more than once",
    "FILE",
    None,
    multiple=True,
    is_path=True,
)
REPORT = Option(
    "report", "directory to write the results to, as report.html and results.json", "DIR", None, is_path=True
)
BASELINE = Option(
    "baseline",
    "a stored run to compare this one with: new failures, drift, operations, interface, size and conversion time",
    "FILE",
    None,
    is_path=True,
)
WRITE_BASELINE = Option(
    "write-baseline", "store this run as a baseline; nothing is compared with it", "FILE", None, is_path=True
)
RECORD = Option(
    "record",
    "directory to write a bundle to: the conversions, what was drawn for them and what was expected of them",
    "DIR",
    None,
    is_path=True,
)
REPLAY = Option(
    "replay",
    "a bundle to run on this machine's engine, in place of a model; needs neither TensorFlow nor a converter",
    "DIR",
    None,
    is_path=True,
)

OPTIONS = (
    MODEL,
    ALPHABET,
    SUITE,
    VARIANT,
    TARGET,
    PRECISION,
    COMPRESS,
    CONVERTER,
    CONVERTER_TIMEOUT,
    CACHE_DIR,
    ENGINE,
    COMPUTE_UNITS,
    FRONT_END,
    AUDIO,
    DECODER,
    SCORER,
    LM_ALPHA,
    LM_BETA,
    BEAM_WIDTH,
    MAX_STEPS,
    MAX_EXAMPLES,
    REPRODUCE,
    XFAILS,
    REPORT,
    BASELINE,
    WRITE_BASELINE,
    RECORD,
    REPLAY,
)


def add_options(parser: pytest.Parser) -> None:
    """Tell pytest of every option, each unset by default so that command line, ini and default can be told apart."""
    group = parser.getgroup(PREFIX, "Core ML conversions of DeepSpeech")
    for option in OPTIONS:
        described = option.help if option.default is None else f"{option.help} (default: {option.default})"
        group.addoption(
            option.flag,
            dest=option.ini,
            metavar=option.metavar,
            default=None,
            action="append" if option.multiple else "store",
            help=described.replace("%", "%%"),
        )
        parser.addini(option.ini, described, type="linelist" if option.multiple else "string", default=None)


def is_active(config: pytest.Config) -> bool:
    """Whether a model was named, or a bundle, on the command line or in the ini file."""
    return any(bool(_texts(config, option)) for option in (MODEL, REPLAY))


def value(config: pytest.Config, option: Option) -> Any:
    """The value of an option: command line over ini over default; None (for several: empty) where none is set.

    Raises:
        UsageError: the text is no value of this option; names the option and what was expected.
    """
    values = tuple(_parse(option, text) for text in _texts(config, option))
    if option.multiple:
        return values
    return values[0] if values else None


def _parse(option: Option, text: str) -> Any:
    try:
        return option.parse(text)
    except ValueError as error:
        raise UsageError(f"{option.flag}={text}: expected {error}") from None


def _texts(config: pytest.Config, option: Option) -> Sequence[str]:
    """What was given for an option, as text, or its default."""
    given = _given_texts(config, option)
    if given is not None:
        return given
    return [] if option.default is None else [option.default]


def _given_texts(config: pytest.Config, option: Option) -> Optional[Sequence[str]]:
    """What somebody set for an option, on the command line or else in the ini file; None where nobody did."""
    given = config.getoption(option.ini)
    if given is not None:
        return list(given) if option.multiple else [given]
    stored: Any = config.getini(option.ini)
    if not stored:
        return None
    texts = list(stored) if option.multiple else [stored]
    return [_from_ini_file(config, option, text) if option.is_path else text for text in texts]


def _from_ini_file(config: pytest.Config, option: Option, text: str) -> str:
    """A path of the ini file, relative to that file; `demo` is no path, nor is the name of an interpreter on PATH."""
    is_name = (option is MODEL and text == "demo") or (option is CONVERTER and Path(text).name == text)
    return text if config.inipath is None or is_name else str(config.inipath.parent / text)


def _interpreter(text: str) -> Path:
    """A bare name is looked up on PATH later on; `./name`, which a Path would make a bare name of, is a file here."""
    return Path(text).expanduser().absolute() if os.sep in text else Path(text)


@dataclass(frozen=True)
class Settings:
    """Every option's value, typed; `given` names the options that somebody set, rather than left to their defaults.

    `seed` is Hypothesis's own option; None where every run draws the same examples.
    """

    model: tuple[str, ...]
    alphabet: Optional[Path]
    suite: str
    variants: tuple[str, ...]
    targets: tuple[str, ...]
    precisions: tuple[str, ...]
    compressions: tuple[str, ...]
    converters: tuple[Path, ...]
    converter_timeout: int
    cache_dir: Optional[Path]
    engine: str
    compute_units: str
    front_end: str
    audio: tuple[Path, ...]
    decoder: str
    scorer: Optional[Path]
    lm_alpha: float
    lm_beta: float
    beam_width: Optional[int]
    max_steps: int
    max_examples: int
    reproduce: Optional[Blob]
    xfails: tuple[Path, ...]
    report: Optional[Path]
    baseline: Optional[Path]
    write_baseline: Optional[Path]
    record: Optional[Path]
    replay: Optional[Path]
    seed: Optional[str] = None
    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        """The settings of a run.

        Raises:
            UsageError: an option has no usable value.
        """
        return dataclasses.replace(
            cls.from_values({option.name: value(config, option) for option in OPTIONS}),
            seed=config.getoption("--hypothesis-seed", None),
            given=frozenset(option.name for option in OPTIONS if _given_texts(config, option) is not None),
        )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from parsed values by the options' names, without pytest; what is absent has its default."""
        given = {option.name: values.get(option.name, _default(option)) for option in OPTIONS}

        def path(option: Option) -> Optional[Path]:
            text = given[option.name]
            return None if text is None else Path(text)

        return cls(
            model=given[MODEL.name],
            alphabet=path(ALPHABET),
            suite=given[SUITE.name],
            variants=given[VARIANT.name],
            targets=given[TARGET.name],
            precisions=given[PRECISION.name],
            compressions=given[COMPRESS.name] or (),
            converters=tuple(map(_interpreter, given[CONVERTER.name])) or (Path(sys.executable),),
            converter_timeout=given[CONVERTER_TIMEOUT.name],
            cache_dir=path(CACHE_DIR),
            engine=given[ENGINE.name],
            compute_units=given[COMPUTE_UNITS.name],
            front_end=given[FRONT_END.name],
            audio=tuple(map(Path, given[AUDIO.name])),
            decoder=given[DECODER.name],
            scorer=path(SCORER),
            lm_alpha=given[LM_ALPHA.name],
            lm_beta=given[LM_BETA.name],
            beam_width=given[BEAM_WIDTH.name],
            max_steps=given[MAX_STEPS.name],
            max_examples=given[MAX_EXAMPLES.name],
            reproduce=given[REPRODUCE.name],
            xfails=tuple(map(Path, given[XFAILS.name])),
            report=path(REPORT),
            baseline=path(BASELINE),
            write_baseline=path(WRITE_BASELINE),
            record=path(RECORD),
            replay=path(REPLAY),
        )


def _default(option: Option) -> Any:
    """The value of an option that nobody set."""
    if option.multiple:
        return ()
    return None if option.default is None else option.parse(option.default)


def readme_table() -> str:
    """The options as the README's Markdown table; a test holds the README to it."""
    rows = ["| option | what it does | default |", "|---|---|---|"]
    for option in OPTIONS:
        default = "" if option.default is None else f"`{option.default}`"
        rows.append(f"| `{option.flag}={option.metavar}` | {option.help} | {default} |")
    return "\n".join(rows)
