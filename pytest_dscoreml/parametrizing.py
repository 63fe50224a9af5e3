"""Which conversions and recordings a test runs for: what the options select, as far as its marker admits it.

Heavy imports are late: pytest reads this module wherever the plugin is installed.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dscoreml.errors import UsageError

if TYPE_CHECKING:
    from pytest_dscoreml.agreement.comparing import Comparison
    from pytest_dscoreml.conversion.variants import ConversionSpec
    from pytest_dscoreml.run import Run

#: What was opened for this run, a gate or a replay.
GATE: pytest.StashKey[Run] = pytest.StashKey()
#: A test's comparisons with what they measured, by the name of the conversion.
COMPARED: pytest.StashKey[dict[str, Comparison]] = pytest.StashKey()

MARKER = "dscoreml"
MARKER_HELP = (
    "dscoreml(variants=..., targets=..., precisions=...): run this test only for conversions with one of the named "
    "variants, targets and precisions; what is left out stays unrestricted"
)

#: The fixtures that run drawn examples, or one that is given.
DRAWING = ("dscoreml_drawn", "dscoreml_check")

#: The fixtures of which a test gets every one in turn.
PARAMETRIZED = (
    "dscoreml_conversion",
    "dscoreml_recipe",
    "dscoreml_variants",
    "dscoreml_converters",
    "dscoreml_compressed",
    "dscoreml_compressed_variants",
    "dscoreml_recording",
)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Parametrize tests that request a conversion, a set of variants or a recording."""
    names = set(PARAMETRIZED) & set(metafunc.fixturenames)
    gate = metafunc.config.stash.get(GATE, None)
    if not names or gate is None:
        return
    specs = _marked(metafunc, gate.specs)
    reasons, uncompressible = _missing(metafunc, gate)
    if "dscoreml_conversion" in names:
        _parametrize(
            metafunc,
            "dscoreml_conversion",
            {spec.name: spec for spec in specs},
            "no selected conversion is of the kinds that the dscoreml marker names",
            reasons,
        )
    if "dscoreml_recipe" in names:
        dynamic = [spec.documented for spec in specs if spec.variant == "dynamic"]
        reason = "the documented recipe is for the dynamic graph (--dscoreml-variant)"
        _parametrize(metafunc, "dscoreml_recipe", {spec.usual.name: spec for spec in dynamic}, reason)
    if "dscoreml_variants" in names:
        groups = _groups(specs, lambda spec: (spec.target, spec.precision, spec.converter))
        reason = "agreement of variants needs two or more of them (--dscoreml-variant)"
        _parametrize(metafunc, "dscoreml_variants", groups, reason)
    if "dscoreml_converters" in names:
        groups = _groups(specs, lambda spec: (spec.kind,))
        reason = "agreement of converters needs a conversion that two of them can make (--dscoreml-converter)"
        _parametrize(metafunc, "dscoreml_converters", groups, reason)
    if names & {"dscoreml_compressed", "dscoreml_compressed_variants"}:
        compressed = _marked(metafunc, gate.compressed)
        if "dscoreml_compressed" in names:
            found = {spec.name: spec for spec in compressed}
            _parametrize(
                metafunc,
                "dscoreml_compressed",
                found,
                "no conversion that is selected is compressed (--dscoreml-compress)",
                uncompressible,
            )
        if "dscoreml_compressed_variants" in names:
            groups = _groups(compressed, lambda spec: (spec.target, spec.precision, spec.compression, spec.converter))
            reason = (
                "agreement of compressed variants needs two or more of them (--dscoreml-compress, --dscoreml-variant)"
            )
            _parametrize(metafunc, "dscoreml_compressed_variants", groups, reason)
    if "dscoreml_recording" in names:
        recordings = {recording.utterance.name: index for index, recording in enumerate(gate.recordings)}
        _parametrize(metafunc, "dscoreml_recording", recordings, gate.no_recording)


def draws(item: pytest.Item) -> bool:
    """Whether a test runs drawn examples, and can be given one."""
    return bool({*DRAWING} & {*getattr(item, "fixturenames", ())})


def _missing(metafunc: pytest.Metafunc, gate: Run) -> tuple[dict[str, str], dict[str, str]]:
    """Why conversions cannot be made that the test would run for, by name: the uncompressed, and the compressed."""
    missing = _marked(metafunc, tuple(gate.unavailable))
    plain, compressed = ([spec for spec in missing if bool(spec.compression) is flag] for flag in (False, True))
    return {spec.name: gate.unavailable[spec] for spec in plain}, {
        spec.name: gate.unavailable[spec] for spec in compressed
    }


def _groups(
    specs: Sequence[ConversionSpec], key: Callable[[ConversionSpec], tuple[str, ...]]
) -> dict[str, list[ConversionSpec]]:
    """The conversions that have a key in common, where there are two or more, by the words of the key."""
    groups: dict[str, list[ConversionSpec]] = {}
    for spec in specs:
        groups.setdefault("-".join(filter(None, key(spec))), []).append(spec)
    return {name: group for name, group in groups.items() if len(group) > 1}


def _parametrize(
    metafunc: pytest.Metafunc,
    name: str,
    cases: Mapping[str, Any],
    otherwise: str,
    missing: Mapping[str, str] = types.MappingProxyType({}),
) -> None:
    """One test for each case, one skipped for what is missing; where there is none, one skipped test that says why."""
    params = [pytest.param(case, id=identity) for identity, case in cases.items()]
    params += [
        pytest.param(None, id=identity, marks=pytest.mark.skip(reason=reason)) for identity, reason in missing.items()
    ]
    none = pytest.param(None, id="none", marks=pytest.mark.skip(reason=otherwise))
    metafunc.parametrize(name, params or [none], indirect=True, scope="session")


def _marked(metafunc: pytest.Metafunc, specs: Sequence[ConversionSpec]) -> list[ConversionSpec]:
    """Those of the conversions under test that every `dscoreml` marker of the test admits."""
    chosen = list(specs)
    for marker in metafunc.definition.iter_markers(MARKER):
        unknown = set(marker.kwargs) - {"variants", "targets", "precisions"}
        if marker.args or unknown:
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: {MARKER_HELP}")
        from pytest_dscoreml.conversion.variants import Precision, Target, Variant, select

        wanted = {
            "variants": list(Variant),
            "targets": list(Target),
            "precisions": list(Precision),
            **{key: [value] if isinstance(value, str) else value for key, value in marker.kwargs.items()},
        }
        try:
            admitted = select(**wanted)
        except UsageError as error:
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: marker dscoreml: {error}") from None
        except TypeError:  # a value that is neither a name nor several
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: {MARKER_HELP}") from None
        kinds = {spec.kind for spec in admitted}
        chosen = [spec for spec in chosen if spec.uncompressed.kind in kinds]
    return chosen


def conversions_of(item: pytest.Item) -> list[ConversionSpec]:
    """The conversions that a test is about."""
    params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    single = [params.get(name) for name in ("dscoreml_conversion", "dscoreml_recipe", "dscoreml_compressed")]
    several = [
        params.get(name) for name in ("dscoreml_variants", "dscoreml_converters", "dscoreml_compressed_variants")
    ]
    return [*(spec for spec in single if spec is not None), *(spec for group in several for spec in group or [])]
