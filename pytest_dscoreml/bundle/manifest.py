"""What stands in `bundle.json`, piece by piece: the model, tolerances and conversions as plain values, and back again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_dscoreml.agreement.tolerances import Tolerance, Tolerances
from pytest_dscoreml.bundle.values import MalformedError, Values
from pytest_dscoreml.conversion.convert import Conversion
from pytest_dscoreml.conversion.describe import Interface, op_counts_from_json
from pytest_dscoreml.conversion.variants import ConversionSpec
from pytest_dscoreml.errors import ConversionError, UsageError
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.model.loading import GraphFile, Model
from pytest_dscoreml.model.metadata import Metadata
from pytest_dscoreml.model.weights import Geometry

#: Raised when a field is removed or changes its meaning: an older reader must not guess.
SCHEMA = 1
MANIFEST, MODELS, CASES = "bundle.json", "models", "cases"


def digest_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over all of a manifest but its digest, as canonical JSON."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def model_to_json(model: Model) -> dict[str, Any]:
    """All that is known of a model without its graphs, and their hashes."""
    metadata = model.metadata
    return {
        "name": model.name,
        **dataclasses.asdict(model.geometry),
        "n_steps": model.n_steps,
        "metadata": {
            **{name: value for name, value in vars(metadata).items() if name != "alphabet"},
            "alphabet": {"labels": list(metadata.alphabet.labels), "bytes_mode": metadata.alphabet.bytes_mode},
        },
        "graphs": {kind: {"sha256": graph.sha256, "exported": graph.exported} for kind, graph in model.graphs.items()},
    }


def model_from_json(values: Values) -> Model:
    """A model whose graphs are names and hashes.

    Raises:
        MalformedError: it has another form, or its alphabet another number of classes.
    """
    metadata = values.part("metadata")
    alphabet = metadata.part("alphabet")
    model = Model(
        name=values.text("name"),
        geometry=Geometry(
            n_hidden=values.whole("n_hidden", 1),
            n_classes=values.whole("n_classes", 2),
            n_input=values.whole("n_input", 1),
            n_context=values.whole("n_context"),
        ),
        metadata=Metadata(
            version=metadata.whole("version"),
            sample_rate=metadata.whole("sample_rate", 1),
            feature_win_len=metadata.whole("feature_win_len", 1),
            feature_win_step=metadata.whole("feature_win_step", 1),
            beam_width=metadata.whole("beam_width", 1),
            alphabet=Alphabet(tuple(alphabet.texts("labels")), alphabet.flag("bytes_mode")),
            language=metadata.optional_text("language"),
        ),
        n_steps=values.whole("n_steps", 1),
        graphs={
            kind: GraphFile(Path(f"{kind}.pb"), graph.text("sha256"), graph.flag("exported"))
            for kind, graph in values.parts("graphs").items()
        },
    )
    if model.metadata.alphabet.n_classes != model.geometry.n_classes:
        raise MalformedError(
            f"{values.where}: {model.geometry.n_classes} classes, but an alphabet of {model.metadata.alphabet.n_classes}"
        )
    return model


def tolerances_from_json(values: Values) -> Tolerances:
    """The tolerances of a precision, as `dataclasses.asdict` gives them; raises MalformedError for another form."""
    named = {field.name for field in dataclasses.fields(Tolerances)} - {"floor"}
    return Tolerances(**{name: _tolerance(values.part(name)) for name in sorted(named)}, floor=values.number("floor"))


def _tolerance(values: Values) -> Tolerance:
    return Tolerance(
        name=values.text("name"),
        atol=values.number("atol"),
        rtol=values.number("rtol"),
        why=values.text("why"),
        per_step=values.number("per_step"),
    )


def spec_to_json(spec: ConversionSpec) -> dict[str, str]:
    """What makes a conversion that one."""
    return {
        "variant": spec.variant.value,
        "target": spec.target.value,
        "precision": spec.precision.value,
        "converter": spec.converter,
    }


def spec_from_json(values: Values) -> ConversionSpec:
    """The reverse of `spec_to_json`; raises MalformedError for what is no conversion."""
    variant, target, precision = (values.text(name) for name in ("variant", "target", "precision"))
    try:
        # Plain strings will do: it makes choices of them, and refuses what is none.
        return ConversionSpec(variant, target, precision, converter=values.text("converter"))  # type: ignore[arg-type]
    except UsageError as error:
        raise MalformedError(f"{values.where}: {error}") from None


def model_file(spec: ConversionSpec) -> str:
    """Where a conversion's file or package is, relative to the bundle."""
    return f"{MODELS}/{spec.name}{spec.suffix}"


def conversion_to_json(made: Conversion) -> dict[str, Any]:
    """A conversion and how it was made."""
    return {
        **spec_to_json(made.spec),
        "path": model_file(made.spec),
        "key": made.key,
        "versions": dict(made.versions),
        "seconds": made.seconds,
        "size": made.size,
        "interface": made.interface.to_json(),
        "op_counts": dict(made.op_counts),
        "warnings": list(made.warnings),
    }


def conversion_from_json(values: Values, directory: Path) -> Conversion:
    """The reverse of `conversion_to_json`, its file below the bundle's directory; raises MalformedError."""
    spec = spec_from_json(values)
    if values.text("path") != model_file(spec):
        raise MalformedError(f"{values.where}: path must be {model_file(spec)}, not {values.text('path')!r}")
    try:
        interface = Interface.from_json(values.part("interface").data)
        op_counts = op_counts_from_json(values.part("op_counts").data)
    except ConversionError as error:
        raise MalformedError(f"{values.where}: {error}") from None
    return Conversion(
        spec=spec,
        path=directory / model_file(spec),
        versions=values.words("versions"),
        seconds=values.number("seconds"),
        interface=interface,
        op_counts=op_counts,
        warnings=tuple(values.texts("warnings")),
        size=values.whole("size"),
        cached=True,
        key=values.text("key"),
    )
