"""Makes the conversions of a model, or finds them in the cache; every conversion is made once, by whoever comes first.

Imports the standard library and its neighbours in `conversion`; the converting itself happens in another process.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Union

from pytest_dscoreml.conversion.batch import Done, Job
from pytest_dscoreml.conversion.cache import Cache, DamagedEntryError, Entry, key_of, unusable
from pytest_dscoreml.conversion.compression import Compression
from pytest_dscoreml.conversion.describe import Interface, Selectable, op_counts_from_json, selectable_from_json
from pytest_dscoreml.conversion.process import WORKER, Converter
from pytest_dscoreml.conversion.variants import DEEPSPEECH_WINDOW, OUTPUTS, ConversionSpec
from pytest_dscoreml.errors import ConversionError, UsageError
from pytest_dscoreml.files import sha256
from pytest_dscoreml.progress import Progress, Task

__all__ = ["Conversion", "Converter", "convert"]


@dataclass(frozen=True)
class Conversion:
    """A converted model and how it was made.

    `path` is the .mlmodel file or .mlpackage folder, in the cache: read it, do not change it. `seconds` is what making
    it took (load, convert, save and describe; without the converter's imports), `size` bytes on disk, `cached` whether
    it was there before this call. `op_counts` includes nested blocks and networks, and constants. `selectable` are the
    operations that the converter chose a precision for, where the spec names some to keep.
    """

    spec: ConversionSpec
    path: Path
    versions: Mapping[str, str]
    seconds: float
    interface: Interface
    op_counts: Mapping[str, int]
    warnings: tuple[str, ...]
    size: int
    cached: bool
    key: str
    selectable: tuple[Selectable, ...] = ()


@dataclass(frozen=True)
class _Plan:
    """`model` is the converted file to start from; None where it starts from the graph."""

    spec: ConversionSpec
    graph: Path
    ingredients: Mapping[str, Any]
    key: str
    model: Path | None = None


_Results = Mapping[ConversionSpec, Union[Conversion, ConversionError]]


def convert(
    graphs: Mapping[str, Path],
    specs: Iterable[ConversionSpec],
    *,
    converter: Converter,
    cache: Cache,
    n_steps: int,
    longest: int,
    progress: Progress | None = None,
    window: tuple[int, int] = DEEPSPEECH_WINDOW,
) -> _Results:
    """Each spec's conversion, or the error it ended in; in the order of `specs`. One failure does not stop the others.

    A compressed one is made of the uncompressed, which is made first, asked for or not, so that no graph is converted twice.

    `graphs` holds the frozen .pb of "static" and "dynamic", as far as the specs start from them; `n_steps` is what
    `pinned` is pinned to, `longest` the number of steps a dynamic ML Program must admit (see `range_upper_bound`),
    `window` the height and width of a context window. `progress` is told where it is, as one task.

    Raises:
        UsageError: if the converter cannot be used at all, a graph is missing, or the cache cannot be written to.
    """
    asked = list(dict.fromkeys(specs))
    compressed = [spec for spec in asked if spec.compression and spec.deployment_target is None]
    first = dict.fromkeys(
        [*(spec for spec in asked if spec not in compressed), *(one.uncompressed for one in compressed)]
    )
    plans = _plans(graphs, first, converter=converter, n_steps=n_steps, longest=longest, window=window)
    try:
        cache.sweep()
        with (progress or Progress()).task("looking for conversions in the cache") as task:
            results = dict(_find_or_make(plans, converter, cache, task))
            for spec in compressed:
                base = results[spec.uncompressed]
                if isinstance(base, ConversionError):
                    results[spec] = ConversionError(f"{spec.name}: there is nothing to compress: {base}")
            left = [spec for spec in compressed if spec not in results]
            plans = [_compressing(spec, graphs[spec.graph], results, converter) for spec in left]
            results.update(_find_or_make(plans, converter, cache, task))
    except OSError as error:
        raise unusable(cache.directory, error) from error
    return {spec: results[spec] for spec in asked}


def _find_or_make(plans: list[_Plan], converter: Converter, cache: Cache, task: Task) -> _Results:
    versions = converter.versions()
    results: dict[ConversionSpec, Conversion | ConversionError] = {}
    notes: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        held: dict[str, contextlib.ExitStack] = {}
        # In the order of their keys, so that processes that want the same ones cannot wait for each other in a ring.
        for plan in sorted(plans, key=lambda plan: plan.key):
            entry = _find(cache, plan)
            if entry is None:
                lock = stack.enter_context(contextlib.ExitStack())
                lock.enter_context(cache.lock(plan.key, waiting=_waiting(plan, task)))
                entry = _find_or_set_aside(cache, plan, notes, task)
                if entry is None:
                    held[plan.key] = lock
                    continue
                lock.close()
            results[plan.spec] = _conversion(plan, entry, cached=True)
        missing = [plan for plan in plans if plan.key in held]
        if missing:
            workspace = stack.enter_context(cache.workspace("making"))
            outcomes = stack.enter_context(contextlib.closing(_make(missing, converter, workspace, task)))
            for plan, outcome in outcomes:
                if isinstance(outcome, Done):
                    results[plan.spec] = _publish(cache, plan, workspace, outcome, versions, notes)
                else:
                    results[plan.spec] = outcome
                held[plan.key].close()
    return {plan.spec: results[plan.spec] for plan in plans}


def _plans(
    graphs: Mapping[str, Path],
    specs: Iterable[ConversionSpec],
    *,
    converter: Converter,
    n_steps: int,
    longest: int,
    window: tuple[int, int],
) -> list[_Plan]:
    common = _common(converter)
    digests: dict[str, str] = {}
    plans = []
    for spec in specs:
        if spec.graph not in graphs:
            raise UsageError(f"{spec.name} starts from the {spec.graph} graph, which was not given")
        graph = graphs[spec.graph]
        if spec.graph not in digests:
            try:
                digests[spec.graph] = sha256(graph)
            except OSError as error:
                raise UsageError(f"cannot read the {spec.graph} graph {graph}: {error.strerror or error}") from None
        request = {
            "convert_to": spec.target.value,
            "precision": spec.precision.value,
            "outputs": list(OUTPUTS),
            "inputs": spec.inputs(n_steps=n_steps, longest=longest, window=window),
            **_compression(spec, converter),
        }
        if spec.float32_operations is not None:
            request["float32_operations"] = sorted(spec.float32_operations)
        ingredients = {**common, "graph": digests[spec.graph], "request": request, "variant": spec.variant.value}
        plans.append(_Plan(spec=spec, graph=graph, ingredients=ingredients, key=key_of(ingredients)))
    return plans


def _common(converter: Converter) -> dict[str, Any]:
    return {"versions": dict(converter.versions()), "fingerprint": converter.fingerprint(), "worker": sha256(WORKER)}


def _compression(spec: ConversionSpec, converter: Converter) -> dict[str, Any]:
    """What the request of a compressed conversion has beside; nothing for another."""
    if not spec.compression:
        return {}
    compression = Compression.of(spec.compression)
    return {
        "compression": compression.request(),
        "deployment_target": spec.deployment_target,
        **({"sklearn": converter.sklearn()} if compression.needs_sklearn else {}),
    }


def _compressing(spec: ConversionSpec, graph: Path, made: _Results, converter: Converter) -> _Plan:
    """To compress a conversion that there is; its key stands for the graph and all that decided how it was converted."""
    base = made[spec.uncompressed]
    assert isinstance(base, Conversion), "what failed is not compressed"
    request = {"convert_to": spec.target.value, **_compression(spec, converter)}
    ingredients = {**_common(converter), "uncompressed": base.key, "request": request, "variant": spec.variant.value}
    return _Plan(spec=spec, graph=graph, ingredients=ingredients, key=key_of(ingredients), model=base.path)


def _find(cache: Cache, plan: _Plan) -> Entry | None:
    with contextlib.suppress(DamagedEntryError):
        return cache.find(plan.key)
    return None


def _find_or_set_aside(cache: Cache, plan: _Plan, notes: dict[str, str], task: Task) -> Entry | None:
    try:
        return cache.find(plan.key)
    except DamagedEntryError as damage:
        cache.set_aside(plan.key)
        notes[plan.key] = f"the cached conversion was damaged ({damage}) and was made again"
        task.at(0, f"{plan.spec.name}: the cached conversion is damaged ({damage}); making it again")
        return None


def _waiting(plan: _Plan, task: Task) -> Callable[[float], None]:
    def report(seconds: float) -> None:
        task.at(0, f"waiting for another process that converts {plan.spec.name}")

    return report


def _make(
    plans: list[_Plan], converter: Converter, workspace: Path, task: Task
) -> Generator[tuple[_Plan, Union[Done, ConversionError]], None, None]:
    by_name = {plan.spec.name: plan for plan in plans}
    jobs = []
    for plan in plans:
        folder = workspace / plan.spec.name
        folder.mkdir()
        file = folder / f"model{plan.spec.suffix}"
        request = plan.ingredients["request"]
        jobs.append(Job(name=plan.spec.name, graph=plan.graph, request=request, file=file, model=plan.model))
    with contextlib.closing(converter.run(jobs, workspace=workspace, task=task)) as outcomes:
        for job, outcome in outcomes:
            yield by_name[job.name], outcome


def _publish(
    cache: Cache, plan: _Plan, workspace: Path, done: Done, versions: Mapping[str, str], notes: Mapping[str, str]
) -> Conversion | ConversionError:
    record = {
        **plan.ingredients,
        "spec": {
            "variant": plan.spec.variant.value,
            "target": plan.spec.target.value,
            "precision": plan.spec.precision.value,
            **({"compression": plan.spec.compression} if plan.spec.compression else {}),
        },
        "versions": {**versions, **done.versions},
        "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "route": done.route,
        "phases": dict(done.seconds),
        "seconds": round(sum(done.seconds.values()), 3),
        "interface": done.interface.to_json(),
        "op_counts": dict(done.op_counts),
        **({"selectable": [operation.to_json() for operation in done.selectable]} if done.selectable else {}),
        "warnings": [*done.warnings, *([notes[plan.key]] if plan.key in notes else [])],
    }
    try:
        entry = cache.publish(plan.key, workspace / plan.spec.name, record)
    except OSError as error:
        reason = error.strerror or error
        return ConversionError(f"{plan.spec.name}: cannot store the conversion in {cache.directory}: {reason}")
    return _conversion(plan, entry, cached=False)


def _conversion(plan: _Plan, entry: Entry, *, cached: bool) -> Conversion:
    record = entry.record
    return Conversion(
        spec=plan.spec,
        path=entry.directory / f"model{plan.spec.suffix}",
        versions=dict(record["versions"]),
        seconds=float(record["seconds"]),
        interface=Interface.from_json(record["interface"]),
        op_counts=op_counts_from_json(record["op_counts"]),
        warnings=tuple(record["warnings"]),
        size=int(record["size"]),
        cached=cached,
        key=plan.key,
        selectable=selectable_from_json(record.get("selectable", [])),
    )
