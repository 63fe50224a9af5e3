"""Compares arrays and says where they differ, in words a reader can act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.agreement.disagreement import Disagreement
from pytest_dscoreml.agreement.tolerances import Tolerance, Tolerances
from pytest_dscoreml.engines.protocol import Floats, State
from pytest_dscoreml.model.alphabet import Alphabet

#: Rows of a failure's table; more would hide the first.
TABLE_ROWS = 5


@dataclass(frozen=True)
class Context:
    """What was compared, for messages: `[dynamic, mlprogram, float32, T=17]` and the drawn case."""

    label: str
    case: str = ""

    def head(self, quantity: str) -> str:
        """The opening of a failure's first line."""
        return f"{quantity} [{self.label}]"


@dataclass(frozen=True)
class Difference:
    """Where two arrays differ by more than a tolerance."""

    errors: NDArray[np.float64]
    limit: float

    @property
    def largest(self) -> float:
        """Largest absolute difference; infinite where obtained is not finite."""
        return float(self.errors.max()) if self.errors.size else 0.0

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Which values are out of tolerance."""
        return self.errors > self.limit

    def __bool__(self) -> bool:
        return bool(self.beyond.any())


def difference(*, expected: NDArray[Any], obtained: NDArray[Any], tolerance: Tolerance, steps: int = 0) -> Difference:
    """Compare two arrays of the same shape after so many steps."""
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    limit = tolerance.limit(float(finite.max()) if finite.size else 0.0, steps)
    return Difference(_errors(expected=expected, obtained=obtained), limit)


def largest_difference(*, expected: NDArray[Any], obtained: NDArray[Any]) -> float:
    """The largest absolute difference; infinite where the shapes differ."""
    if expected.shape != obtained.shape:
        return float("inf")
    return Difference(_errors(expected=expected, obtained=obtained), limit=0.0).largest


def errors_by_step(*, expected: Floats, obtained: Floats) -> NDArray[np.float64]:
    """The largest absolute difference at each step [T] of two arrays [T, classes] of one shape."""
    errors: NDArray[np.float64] = _errors(expected=expected, obtained=obtained).max(axis=-1, initial=0.0)
    return errors


def _errors(*, expected: NDArray[Any], obtained: NDArray[Any]) -> NDArray[np.float64]:
    """Absolute differences; what is not finite differs infinitely from what is."""
    wide_expected, wide_obtained = expected.astype(np.float64), obtained.astype(np.float64)
    with np.errstate(invalid="ignore"):
        errors: NDArray[np.float64] = np.abs(wide_obtained - wide_expected)
    errors[~np.isfinite(errors)] = np.inf
    errors[wide_expected == wide_obtained] = 0.0
    return errors


def assert_probabilities_agree(
    *, expected: Floats, obtained: Floats, tolerance: Tolerance, alphabet: Alphabet, context: Context
) -> float:
    """Require agreement of probabilities [T, classes]; returns the largest absolute difference.

    Raises:
        Disagreement: shapes differ or values are out of tolerance; the message lists the worst of them.
    """
    return _assert_rows_agree("probabilities (logits)", expected, obtained, tolerance, alphabet, context)


def assert_log_probabilities_agree(
    *, expected: Floats, obtained: Floats, tolerance: Tolerance, floor: float, alphabet: Alphabet, context: Context
) -> float:
    """Require agreement before the softmax: log of the obtained probabilities with the log-softmax of the raw logits.

    The logarithm of a softmax is its input less one constant per frame, so it shows the drift that the softmax
    flattens, with no need of an inner value that Core ML would not give.

    Args:
        expected: raw logits [T, classes], what goes into the softmax.
        obtained: probabilities [T, classes].
        tolerance: of the logarithms.
        floor: smallest expected probability that is compared.
        alphabet: names the classes.
        context: names the comparison.

    Raises:
        Disagreement: as for the probabilities.
    """
    wide = expected.astype(np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    log_expected = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        log_obtained = np.log(obtained.astype(np.float64))
    if log_obtained.shape == log_expected.shape:
        hidden = log_expected < np.log(floor)
        log_expected, log_obtained = np.where(hidden, 0.0, log_expected), np.where(hidden, 0.0, log_obtained)
    return _assert_rows_agree(
        "log-probabilities (before the softmax)", log_expected, log_obtained, tolerance, alphabet, context
    )


def assert_distributions(obtained: Floats, *, tolerance: Tolerance, context: Context) -> None:
    """Require that every row [classes] is a probability distribution.

    Raises:
        Disagreement: a value is not finite or negative, or a row's sum is off by more than the tolerance.
    """
    sums = obtained.astype(np.float64).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(sums - 1.0) <= tolerance.limit(1.0)) | ~(obtained >= 0).all(axis=-1)
    frames = np.flatnonzero(wrong)
    if len(frames):
        frame = int(frames[0])
        raise Disagreement(
            f"{context.head('probabilities (logits)')} are no distribution in {len(frames)} of {len(obtained)} frames, first "
            f"frame {frame}: smallest {obtained[frame].min():.6g}, sum {sums[frame]:.6g}, expected 0 or more with a sum of 1\n"
            f"tolerance {tolerance}" + (f"\ncase {context.case}" if context.case else "")
        )


def _assert_rows_agree(
    quantity: str,
    expected: NDArray[Any],
    obtained: NDArray[Any],
    tolerance: Tolerance,
    alphabet: Alphabet,
    context: Context,
) -> float:
    """Compare rows of classes, frame by frame."""
    if obtained.shape != expected.shape:
        raise Disagreement(
            f"{context.head(quantity)}: expected {len(expected)} frames of {expected.shape[-1]} classes, "
            f"obtained shape {list(obtained.shape)}"
        )
    found = difference(expected=expected, obtained=obtained, tolerance=tolerance)
    if found:
        names = [alphabet.label(index) for index in range(alphabet.n_classes)]
        raise Disagreement(_message(quantity, found, expected, obtained, tolerance, context, ("frame", "class"), names))
    return found.largest


def assert_states_agree(
    *, expected: State, obtained: State, steps: int, tolerances: Tolerances, context: Context
) -> float:
    """Require agreement of c and h after so many steps; returns the largest absolute difference.

    Raises:
        Disagreement: either is out of tolerance; the message names which and lists the worst units.
    """
    worst = 0.0
    for name, wanted, given, tolerance in (
        ("new_state_c", expected.c, obtained.c, tolerances.state_c),
        ("new_state_h", expected.h, obtained.h, tolerances.state_h),
    ):
        if given.shape != wanted.shape:
            raise Disagreement(
                f"{context.head(name)}: expected shape {list(wanted.shape)}, obtained {list(given.shape)}"
            )
        found = difference(expected=wanted, obtained=given, tolerance=tolerance, steps=steps)
        if found:
            raise Disagreement(_message(name, found, wanted, given, tolerance, context, ("row", "unit"), None))
        worst = max(worst, found.largest)
    return worst


def _message(
    quantity: str,
    found: Difference,
    expected: NDArray[Any],
    obtained: NDArray[Any],
    tolerance: Tolerance,
    context: Context,
    axes: tuple[str, str],
    names: list[str] | None,
) -> str:
    """The failure: how many and how much, where, the worst values in a table, the tolerance and the case."""
    beyond = np.argwhere(found.beyond)
    order = sorted(map(tuple, beyond), key=lambda place: (-found.errors[place], place))
    first = min(map(tuple, beyond))
    lines = [
        f"{context.head(quantity)} differ: {len(beyond)} of {found.errors.size} values, max abs {found.largest:.3g}, "
        f"first at {axes[0]} {first[0]}",
        f"  {axes[0]:>6}  {axes[1]:>12}  {'expected':>12}  {'obtained':>12}  {'difference':>12}",
    ]
    for place in order[:TABLE_ROWS]:
        column = str(place[1]) if names is None else f"{place[1]} ({names[place[1]]})"
        lines.append(
            f"  {place[0]:>6}  {column:>12}  {expected[place]:>12.6g}  {obtained[place]:>12.6g}  {found.errors[place]:>12.3g}"
        )
    if len(order) > TABLE_ROWS:
        lines.append(f"  ... and {len(order) - TABLE_ROWS} more")
    lines.append(f"tolerance {tolerance}; here it allows {found.limit:.3g}")
    if context.case:
        lines.append(f"case {context.case}")
    return "\n".join(lines)


def greedy_flips(*, expected: Floats, obtained: Floats) -> NDArray[np.int64]:
    """The frames whose most probable class differs."""
    return np.flatnonzero(np.argmax(expected, axis=-1) != np.argmax(obtained, axis=-1))


def greedy_margins(probabilities: Floats) -> Floats:
    """How far the likeliest class of each frame is before the next: [T] of [T, classes]."""
    ranked = np.sort(probabilities, axis=-1)
    margins: Floats = ranked[:, -1] - ranked[:, -2]
    return margins


def margin_that_may_turn(tolerance: Tolerance) -> float:
    """Classes that are expected closer together than this may change places within a tolerance of the probabilities."""
    return 2 * tolerance.limit(1.0)


def assert_greedy_paths_agree(
    *, expected: Floats, obtained: Floats, tolerance: Tolerance, alphabet: Alphabet, context: Context
) -> int:
    """Require the same most probable class in every frame; returns how many frames differ all the same.

    Where two classes are expected so close together that the tolerance of the probabilities can turn them round
    (a margin of less than twice the tolerance), either is right.

    Raises:
        Disagreement: a frame's class differs by more than that.
    """
    if obtained.shape != expected.shape:
        raise Disagreement(
            f"{context.head('greedy path')}: expected {len(expected)} frames, obtained shape {list(obtained.shape)}"
        )
    flips = greedy_flips(expected=expected, obtained=obtained)
    margins = greedy_margins(expected)
    limit = margin_that_may_turn(tolerance)
    wrong = [frame for frame in flips if not margins[frame] < limit]
    if wrong:
        lines = [
            f"{context.head('greedy path')} differs in {len(wrong)} of {len(expected)} frames, first at frame {wrong[0]}",
            f"  {'frame':>6}  {'expected':>12}  {'obtained':>12}  {'margin':>12}",
        ]
        for frame in wrong[:TABLE_ROWS]:
            labels = [alphabet.label(int(np.argmax(rows[frame]))) for rows in (expected, obtained)]
            lines.append(f"  {frame:>6}  {labels[0]:>12}  {labels[1]:>12}  {margins[frame]:>12.3g}")
        lines.append(f"tolerance {tolerance}; a margin of {limit:.3g} or more may not turn")
        if context.case:
            lines.append(f"case {context.case}")
        raise Disagreement("\n".join(lines))
    return len(flips)
