"""An advice in words, and the Python to paste where one converts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_dscoreml.advice.measuring import Errors
from pytest_dscoreml.advice.ranking import OperationLoss
from pytest_dscoreml.advice.result import Advice, Written

#: Rows of the table before the rest is summed up.
SHOWN = 12
_IN_VAIN = "  but it loses no less than float16 throughout: others round what these compute, before or after; keep more"
_HEAD = ("loss", "share", "logits", "c", "h", "flips", "operation", "type", "in loop", "TensorFlow")


def lines(advice: Advice) -> list[str]:
    """What loses most, what to keep in float32, what that brought, and how to ask for it."""
    steps = list(advice.sequences.values())
    told = [
        f"{advice.conversion}, coremltools {advice.coremltools}, {len(steps)} sequences of {min(steps)} to {max(steps)} steps, "
        f"beside the same in float32:",
        f"  all of it in float16: {_errors(advice.before.errors)}",
        "",
        "one operation in float16, all others in float32:",
        *_table(advice.rows[:SHOWN]),
    ]
    rest = advice.rows[SHOWN:]
    if rest:
        told.append(f"  and {len(rest)} others, none with a loss over {rest[0].errors.loss:.3g}")
    return [*told, *_sums(advice), "", *_keeping(advice), "", *_checked(advice), "", *_snippet(advice)]


def _errors(errors: Errors) -> str:
    return (
        f"loss {errors.loss:.3g} of what is tolerated; logits {errors.logits:.1e}, c {errors.c:.1e}, h {errors.h:.1e}, "
        f"{errors.flips} greedy flip{'' if errors.flips == 1 else 's'}"
    )


def _table(rows: Iterable[OperationLoss]) -> list[str]:
    cells = [_HEAD]
    cells += [
        (
            f"{row.errors.loss:.3g}",
            "-" if row.share is None else f"{row.share:.0%}",
            f"{row.errors.logits:.1e}",
            f"{row.errors.c:.1e}",
            f"{row.errors.h:.1e}",
            str(row.errors.flips),
            _short(row.name),
            row.op,
            "yes" if row.loop else "no",
            _short(row.node) or "-",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _short(name: str) -> str:
    """The end of a name: what stands before it is the same for a whole cell."""
    return name if len(name) <= 48 else f"...{name[-45:]}"


def _sums(advice: Advice) -> list[str]:
    shares = [row.share for row in advice.rows if row.share is not None]
    if not shares:
        return []
    return [
        f"  the losses add up to {sum(shares):.1f} times that of all together: what rounds the same value twice loses once, and "
        "errors of different operations may cancel"
    ]


def _keeping(advice: Advice) -> list[str]:
    goal = (
        ""
        if advice.goal is None
        else f" to bring the loss from {advice.before.errors.loss:.3g} to {advice.goal:.3g} or less"
    )
    return [
        f"keep {len(advice.kept)} of {len(advice.rows)} operations in float32{goal}:",
        *map(_kept, advice.kept),
        f"  simulated: {_errors(advice.simulated)}",
    ]


def _kept(row: OperationLoss) -> str:
    loop = f", in the loop {row.loop}" if row.loop else ""
    made = f", and {', '.join(row.makers)}, which else rounds its constants first" if row.makers else ""
    return f"  {row.op} {row.selector}{loop}{made}"


def _checked(advice: Advice) -> list[str]:
    if advice.after is None:
        return [
            "checked by converting: it failed",
            *(f"  {line}" for fault in advice.faults for line in fault.splitlines()),
        ]
    before, after = advice.before, advice.after
    return [
        "checked by converting:",
        f"  before: {_written(before)}",
        f"  after:  {_written(after)}",
        *(f"  not as asked for: {fault}" for fault in advice.faults),
        f"  the advice {'held' if advice.held else 'did not hold'}"
        + (": these are float32 in the file and all others float16" if not advice.faults else "")
        + ("" if after.as_simulated else "; the file's outputs are not those of the simulation"),
        *([] if advice.helped else [_IN_VAIN]),
    ]


def _written(written: Written) -> str:
    return f"{_errors(written.errors)}; {written.size:,} bytes, {written.casts} casts"


def _snippet(advice: Advice) -> list[str]:
    return ["to convert so:", *(f"  {line}" for line in snippet(advice.selectors).splitlines())]


def snippet(names: Sequence[str]) -> str:
    """Python that makes `compute_precision` for `ct.convert`: float16 but in the operations of these names."""
    listed = "".join(f"    {name!r},\n" for name in names)
    kept = f"{{\n{listed}}}" if names else "set()"
    return (
        "import coremltools as ct\n"
        f"keep = {kept}\n"
        "compute_precision = ct.transform.FP16ComputePrecision(op_selector=lambda op: op.name not in keep)"
    )
