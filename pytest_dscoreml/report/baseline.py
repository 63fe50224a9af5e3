"""A stored run that later ones are compared with: written by `--dscoreml-write-baseline`, read by `--dscoreml-baseline`.

A baseline is the JSON report of a run. What changed is told conversion by conversion; what makes a run worse fails it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_dscoreml.errors import ConversionError, UsageError
from pytest_dscoreml.options import BASELINE, WRITE_BASELINE
from pytest_dscoreml.report.changes import Change, changes, cost, failures
from pytest_dscoreml.report.json_file import SCHEMA_VERSION


@dataclass(frozen=True)
class Against:
    """A run beside its baseline.

    Attributes:
        baseline: the stored run.
        found: what changed in each conversion, by its name; nothing where nothing did.
        unselected: conversions of the baseline that this run's options left out.
        seconds: converting time of the conversions that both runs have, as a ratio; None where there is none.
    """

    baseline: Mapping[str, Any]
    found: Mapping[str, Sequence[Change]]
    unselected: Sequence[str]
    seconds: float | None

    @property
    def compared(self) -> int:
        """How many conversions were compared with the baseline's."""
        return sum(not any(change.kind == "not compared" for change in found) for found in self.found.values())

    @property
    def worse(self) -> list[str]:
        """The conversions that took a step back."""
        return [name for name, found in self.found.items() if any(change.worse for change in found)]

    @property
    def passed(self) -> bool:
        """Whether something was compared, and nothing is worse."""
        return bool(self.compared) and not self.worse


def read(file: Path, conditions: Mapping[str, Any]) -> Mapping[str, Any]:
    """A baseline that a run under these conditions can be compared with.

    Raises:
        UsageError: it cannot be read, is no report, or its run was made under other conditions; says which.
    """
    place = f"{BASELINE.flag}={file}"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{place}: {error.strerror or error}; write one with {WRITE_BASELINE.flag}=FILE, without this option"
        ) from None
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("conversions"), dict) or "schema" not in document:
        raise _no_run(place)
    if document["schema"] != SCHEMA_VERSION:
        raise UsageError(f"{place}: its schema is {document['schema']}, expected {SCHEMA_VERSION}; write it again")
    try:
        # Compared with itself, all that will be read of it is read now, and not after an hour of tests.
        compare(document, document, selected=list(document["conversions"]))
        stored, _ = dict(document["conditions"]), document["converter"]["coremltools"]
    except (KeyError, TypeError, ValueError, AttributeError, ConversionError):
        raise _no_run(place) from None
    for name in dict.fromkeys([*stored, *conditions]):
        was, here = stored.get(name), conditions.get(name)
        if was != here:
            raise UsageError(
                f"{place}: its run had {name} {_shown(was)}, this one has {_shown(here)}; runs are compared under the same "
                f"conditions only: give the same, or write another with {WRITE_BASELINE.flag}=FILE"
            )
    return document


def _no_run(place: str) -> UsageError:
    return UsageError(f"{place}: no stored run; {WRITE_BASELINE.flag}=FILE writes one")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def compare(baseline: Mapping[str, Any], document: Mapping[str, Any], selected: Sequence[str]) -> Against:
    """A finished run's document beside its baseline; `selected` names the conversions that this run was to make."""
    # Those with compressed weights are compared alike: their errors are not judged, and may drift all the same.
    before, now = ({**one["conversions"], **one.get("compressed", {})} for one in (baseline, document))
    names = [name for name in dict.fromkeys([*before, *now]) if name in now or name in selected]
    both = [name for name in names if name in before and name in now and _made(before[name], now[name])]
    times = [sum(entries[name]["conversion"]["seconds"] for name in both) for entries in (before, now)]
    return Against(
        baseline=baseline,
        found={name: tuple(_found(before.get(name), now.get(name))) for name in names},
        unselected=[name for name in before if name not in names],
        seconds=times[1] / times[0] if times[0] else None,
    )


def _made(*entries: Mapping[str, Any]) -> bool:
    """Whether each of these entries tells of a conversion that was made."""
    return all(entry["conversion"] is not None for entry in entries)


def _found(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Iterator[Change]:
    if before is None:
        yield Change("not compared", f"not in the baseline; write it again ({WRITE_BASELINE.flag}=FILE)")
        return
    if now is None:
        yield Change("not compared", "no test of it ran")
        return
    yield from failures(before, now)
    if now["examples"] != before["examples"] and not now["tests"]["failed"]:
        # The largest of fewer values is smaller, and of more is larger: that is no drift, and no lack of it.
        yield Change("not compared", f"{now['examples']} sequences were compared, {before['examples']} in the baseline")
    yield from changes(before, now)
    if _made(before, now):
        yield from cost(before["conversion"], now["conversion"])
