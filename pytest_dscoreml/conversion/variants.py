"""What to convert: variant x target x precision, and what the converter is asked for in each case.

Imports the standard library, its neighbours for compression and versions, and `pytest_dscoreml.errors` only.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_dscoreml.conversion.compression import Compression
from pytest_dscoreml.conversion.versions import version_of
from pytest_dscoreml.errors import UsageError

#: The outputs a conversion is asked for; naming them makes the converter leave the features sub-graph out.
OUTPUTS = ("logits", "new_state_c", "new_state_h")

#: The inputs that hold floats: converted for a later system, a float16 ML Program would take them as float16.
FLOAT_INPUTS = ("input_node", "previous_state_c", "previous_state_h")

#: Height and width of one context window: 9 + 1 + 9 frames of 26 coefficients (DeepSpeech's n_context and n_input).
DEEPSPEECH_WINDOW = (19, 26)

#: The major version of coremltools that brought ML Programs.
MLPROGRAM_SINCE = 5

SHORTEST_RANGE = 2000
RANGE_STEP = 1000


class _Choice(str, enum.Enum):
    def __str__(self) -> str:
        return str(self.value)


class Variant(_Choice):
    """How the time axis is treated: by which graph, and with which declared shape."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    PINNED = "pinned"


class Target(_Choice):
    """Core ML's two kinds of model."""

    NEURALNETWORK = "neuralnetwork"
    MLPROGRAM = "mlprogram"


class Precision(_Choice):
    """The type that values are computed in; weights are stored in the same."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


@dataclass(frozen=True)
class ConversionSpec:
    """One conversion to make. Plain strings will do: `ConversionSpec("dynamic", "mlprogram", "float16")`.

    With `as_documented` the converter is told of no inputs, as in its documentation's example; see `documented`.
    `converter` is the label of the one that makes it, where a run has several. `compression` is what is done to the
    weights afterwards, one of `compression.NAMES`; empty where they stay as they are. `float32_operations` names
    operations, as the converter calls them, that a float16 ML Program keeps in float32; given, be it empty, the converter
    also tells which it chose from.
    """

    variant: Variant
    target: Target
    precision: Precision
    as_documented: bool = False
    converter: str = ""
    compression: str = ""
    float32_operations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "variant", _choice(Variant, self.variant))
        object.__setattr__(self, "target", _choice(Target, self.target))
        object.__setattr__(self, "precision", _choice(Precision, self.precision))
        if not self.exists:
            # Core ML's neural networks choose their precision on the device; the converter has no say in it.
            raise UsageError(f"{self.name} does not exist: a neuralnetwork is always converted in float32")
        if self.compression:
            Compression.of(self.compression)
        if self.float32_operations is not None and self.precision is not Precision.FLOAT16:
            raise UsageError(f"{self.kind} keeps no operations in float32: all of it is")

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The kind, `mixedN` with N operations kept, the converter where there are several, whether it is as documented."""
        mixed = "" if self.float32_operations is None else f"mixed{len(self.float32_operations)}"
        documented = "as-documented" if self.as_documented else ""
        return "-".join([self.kind, *filter(None, [mixed, self.converter, documented])])

    @property
    def kind(self) -> str:
        """`variant-target-precision`, and the compression where there is one."""
        return "-".join(filter(None, [self.variant, self.target, self.precision, self.compression]))

    @property
    def documented(self) -> ConversionSpec:
        """The same by the documented recipe: only a dynamic ML Program needs to be told of more than its outputs."""
        needs_more = self.variant is Variant.DYNAMIC and self.target is Target.MLPROGRAM
        return dataclasses.replace(self, as_documented=needs_more)

    @property
    def usual(self) -> ConversionSpec:
        """The conversion that the gate is about, whose documented form this may be."""
        return dataclasses.replace(self, as_documented=False)

    @property
    def uncompressed(self) -> ConversionSpec:
        """The conversion whose weights this one compresses."""
        return dataclasses.replace(self, compression="")

    @property
    def deployment_target(self) -> str | None:
        """The system that it must be converted for, from the graph; None where there is no such need."""
        if not self.compression:
            return None
        return Compression.of(self.compression).deployment_target(mlprogram=self.target is Target.MLPROGRAM)

    @property
    def graph(self) -> str:
        """The TensorFlow graph it starts from: "static" or "dynamic"."""
        return "static" if self.variant is Variant.STATIC else "dynamic"

    @property
    def suffix(self) -> str:
        """The file name's ending that Core ML expects."""
        return ".mlmodel" if self.target is Target.NEURALNETWORK else ".mlpackage"

    @property
    def exists(self) -> bool:
        """Whether the converter has such a combination at all."""
        return self.target is Target.MLPROGRAM or self.precision is Precision.FLOAT32

    def inputs(self, *, n_steps: int, longest: int, window: tuple[int, int]) -> list[dict[str, Any]] | None:
        """The `inputs` of `ct.convert`, as JSON: None for "not given"; a dimension is a number or [lower, upper].

        Where a deployment target is given, all inputs of floats are, so that they stay float32; a shape of None is the
        graph's own. A dynamic ML Program needs its range spelled out: left alone, coremltools 7.0 to 9.0 declare 1..2 steps, and
        an unbounded range is refused. A dynamic neural network is declared 1..unbounded by the converter itself.
        """
        if self.as_documented:
            return None
        shape: list[Any] | None = None
        if self.variant is Variant.PINNED:
            shape = [1, n_steps, *window]
        elif self.variant is Variant.DYNAMIC and self.target is Target.MLPROGRAM:
            shape = [1, [1, range_upper_bound(longest)], *window]
        if self.deployment_target is not None:
            return [{"name": name, "shape": shape if name == "input_node" else None} for name in FLOAT_INPUTS]
        return None if shape is None else [{"name": "input_node", "shape": shape}]


def unavailable(spec: ConversionSpec, coremltools: str, sklearn: str | None = None) -> str | None:
    """Why that version of coremltools, beside that scikit-learn, cannot make a conversion at all; None where it can."""
    mlprogram = spec.target is Target.MLPROGRAM
    if mlprogram and version_of(coremltools).major < MLPROGRAM_SINCE:
        return f"coremltools {coremltools} writes no ML Programs; {MLPROGRAM_SINCE}.0 was the first that did"
    if spec.compression:
        compression = Compression.of(spec.compression)
        return compression.unavailable(mlprogram=mlprogram, coremltools=coremltools, sklearn=sklearn)
    return None


def _choice(kind: type[_Choice], value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise UsageError(f"unknown {kind.__name__.lower()} {str(value)!r}: choose from {known}") from None


def default_specs() -> tuple[ConversionSpec, ...]:
    """The nine conversions of a full run: each variant as neuralnetwork and as mlprogram in float32 and float16."""
    return select(Variant, Target, Precision)


def select(variants: Iterable[str], targets: Iterable[str], precisions: Iterable[str]) -> tuple[ConversionSpec, ...]:
    """Every conversion with a variant, a target and a precision among those named, in the order of a full run.

    Raises:
        UsageError: for a name that is none, and when nothing is left (a neuralnetwork exists in float32 only).
    """
    wanted_variants = _wanted(Variant, variants)
    wanted_targets = _wanted(Target, targets)
    wanted_precisions = _wanted(Precision, precisions)
    chosen = tuple(
        ConversionSpec(Variant(variant), Target(target), Precision(precision))
        for variant in wanted_variants
        for target in wanted_targets
        for precision in wanted_precisions
        if target == Target.MLPROGRAM or precision == Precision.FLOAT32
    )
    if not chosen:
        raise UsageError(
            "nothing to convert: "
            f"variants {_listed(wanted_variants)}, targets {_listed(wanted_targets)}, "
            f"precisions {_listed(wanted_precisions)} leave no conversion (a neuralnetwork exists in float32 only)"
        )
    return chosen


def _wanted(kind: type[_Choice], names: Iterable[str]) -> tuple[_Choice, ...]:
    asked = {_choice(kind, name) for name in names}
    return tuple(member for member in kind if member in asked)


def _listed(members: Sequence[_Choice]) -> str:
    return ", ".join(member.value for member in members) or "(none)"


def range_upper_bound(steps: int) -> int:
    """The upper end of the time range to declare so that `steps` steps are admitted.

    At least 2000 and rounded up to the next 1000, so that asking for a little more finds the same cached conversion.
    """
    if steps < 1:
        raise UsageError(f"a sequence has at least 1 step, not {steps}")
    return max(SHORTEST_RANGE, -(-steps // RANGE_STEP) * RANGE_STEP)
