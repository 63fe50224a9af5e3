"""The terminal's part of the report. Imports nothing of ours."""

from __future__ import annotations

from typing import Any, Optional

_REFUSED_SHOWN = 60
_COLUMNS = (
    "reached",
    "passed",
    "rate",
    "beyond fp16",
    "rate without",
    "fp16 strict",
    "only converted",
    "failed before",
    "skipped",
    "predictions",
)


def render(summary: dict[str, Any]) -> list[str]:
    """The lines."""
    tolerances = summary["float16"]
    lines = ["", "coremltools' own tests, predicted by the NumPy runtime"]
    if summary["sample"] > 1:
        lines.append(f"a sample: about one test in {summary['sample']}")
    rows = [*summary["folders"].items(), *summary["opsets"].items(), *summary["backends"].items()]
    width = max([len(name) for name, _ in rows] + [len("all")])
    lines.append(" ".join(["".ljust(width), *_COLUMNS]))
    for group in ("folders", "opsets", "backends"):
        lines += [_row(name, counts, width) for name, counts in summary[group].items()] + [""]
    lines.append(_row("all", summary["total"], width))
    lines += [
        "reached: a prediction was asked for; the rate is of these. only converted: passed, and nothing was predicted.",
        "beyond fp16: failed, and the expected values, rounded to float16, would fail too; rate without: the rate of the others.",
        f"fp16 strict: float16 comparisons within atol {tolerances['atol']}, rtol {tolerances['rtol']} (coremltools"
        " admits 0.5 and 0.05), refused models count as failed.",
    ]
    total = summary["total"]
    lines.append(
        f"of the {total['passed']} passed: {total['passed_comparing']} gave predicted arrays to assert_allclose,"
        f" {total['unjudged_only']} looked at names and shapes of predictions only,"
        f" {total['passed_without_values']} wanted the prediction to fail, the others have assertions of their own"
    )
    if summary["causes"]:
        lines.append(
            "failures by cause: " + ", ".join(f"{cause} {count}" for cause, count in summary["causes"].items())
        )
    refused = list(summary["refused"].items())
    if refused:
        lines.append("refused (tests that asked for a prediction):")
        lines += [f"  {count:5} {what}" for what, count in refused[:_REFUSED_SHOWN]]
        if len(refused) > _REFUSED_SHOWN:
            lines.append(f"  and {len(refused) - _REFUSED_SHOWN} more in the JSON report")
    return lines


def _row(name: str, counts: dict[str, Any], width: int) -> str:
    cells = (
        str(counts["reached_prediction"]),
        str(counts["passed"]),
        _percent(counts["rate"]),
        str(counts["beyond_float16"]),
        _percent(counts["rate_of_passable"]),
        f"{counts['float16_strict_passed']}/{counts['float16_strict']}" if counts["float16_strict"] else "-",
        str(counts["converted_only"]),
        str(counts["failed_before_prediction"]),
        str(counts["skipped"] + counts["xfailed"]),
        str(counts["predictions"]),
    )
    return " ".join([name.ljust(width), *(cell.rjust(len(title)) for cell, title in zip(cells, _COLUMNS))])


def _percent(rate: Optional[float]) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}%"
