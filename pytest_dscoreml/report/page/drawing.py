"""Charts as SVG that takes its colours and its font from the page, so that they follow its light and dark themes.

Matplotlib draws, imported late: it is needed by whoever asks for a report only.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from pytest_dscoreml.agreement.tolerances import Tolerance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours to draw with; each stands for a custom property of the page's style sheet, and is replaced by it.
INK, FAINT, EXPECTED, OBTAINED, BAD, GOOD = "#010203", "#020304", "#030405", "#040506", "#050607", "#060708"
_PROPERTIES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    EXPECTED: "var(--expected)",
    OBTAINED: "var(--obtained)",
    BAD: "var(--bad)",
    GOOD: "var(--good)",
}
#: What matplotlib writes about a drawing, and the ids it gives to groups, which no page with several drawings may have.
_PREAMBLE = re.compile(r"^.*?(?=<svg )", re.DOTALL)
_REMARKS = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_GROUP_IDS = re.compile(r'(<g) id="[^"]*"')
_TAG = re.compile(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>')
#: Fonts, which an older matplotlib names together with their size.
_FONT = re.compile(r"font: [^;\"]*?([0-9.]+px)[^;\"]*")
_FAMILY = re.compile(r"font-family: [^;\"]*;? ?")


def canvas(
    width: float, height: float, *, ratios: tuple[float, ...] = (1.0,), right: float = 0.12
) -> tuple[Figure, list[Axes]]:
    """A figure of that size in inches, `right` of them margin, with axes below one another that share the horizontal one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    grid = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)
    # Room for ticks and names, in inches: to let matplotlib find it takes longer than all the rest.
    figure.subplots_adjust(
        left=0.58 / width, right=1 - right / width, bottom=0.42 / height, top=1 - 0.1 / height, hspace=0.12
    )
    axes = [row[0] for row in grid]
    for one in axes:
        _plain(one)
    return figure, axes


def _plain(axes: Axes) -> None:
    """Axes with no more ink than they need."""
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, width=0.6)
    axes.grid(True, color=FAINT, linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)


def label(axes: Axes, *, x: str = "", y: str = "") -> None:
    """Name the axes."""
    axes.set_xlabel(x, fontsize=8.5, color=INK)
    axes.set_ylabel(y, fontsize=8.5, color=INK)


def limit(axes: Axes, value: float, tolerance: Tolerance) -> None:
    """A line at what a tolerance allows, with its name."""
    axes.axhline(value, color=BAD, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.annotate(
        tolerance.name,
        (1.0, value),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        fontsize=7.5,
        color=BAD,
    )


def logarithmic(axes: Axes, *, lowest: float | None = None) -> None:
    """A logarithmic vertical axis with ticks at powers of ten.

    It spans whole decades of what has been drawn, or begins at `lowest`. Where nothing was drawn the axis stays linear.
    """
    import numpy as np
    from matplotlib.ticker import FuncFormatter, NullLocator

    low, high = axes.dataLim.intervaly
    bottom = (10.0 ** np.floor(np.log10(low)) if low > 0 else 0.0) if lowest is None else lowest
    if not 0 < bottom <= high < np.inf:
        return
    axes.set_yscale("log")
    # Plain text: powers of ten as matplotlib sets them need its parser of formulas, the slowest part of a drawing.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}" if value < 1 else f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom, 10.0 ** np.ceil(np.log10(high * 1.01)))


def legend(axes: Axes) -> None:
    """A legend inside the axes."""
    box = axes.legend(fontsize=7.5, frameon=False, labelcolor=INK)
    box.set_in_layout(False)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element; `name` is unique on the page."""
    import matplotlib

    figure.patch.set_visible(False)
    written = io.StringIO()
    # What is drawn twice would else have the same id twice, and the copy in a folded section hides the other.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = _REMARKS.sub("", _PREAMBLE.sub("", written.getvalue()))
    text = _GROUP_IDS.sub(r"\1", text)
    text = _FAMILY.sub("", _FONT.sub(r"font-size: \1", text))
    text = _TAG.sub(_open, text, count=1)
    for colour, of_the_page in _PROPERTIES.items():
        text = text.replace(colour, of_the_page)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _open(match: re.Match[str]) -> str:
    """The opening tag: as wide as the page allows, and no title of its own, for the caption says what it is."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{match.group(1)} role="img" aria-hidden="true">'
    )
