"""The charts of one conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.agreement.metrics import margin_that_may_turn
from pytest_dscoreml.agreement.tolerances import Tolerance
from pytest_dscoreml.engines.protocol import Floats
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.report.compression import SizeRow
from pytest_dscoreml.report.page import drawing
from pytest_dscoreml.report.page.drawing import BAD, EXPECTED, FAINT, INK, OBTAINED
from pytest_dscoreml.report.portraits import Drift, Heard

#: Columns that a waveform is drawn with: one is about a pixel of a wide screen.
COLUMNS = 800
#: Differences below this are as good as none; a logarithmic axis has no zero.
SMALLEST = 1e-10
#: More classes than this are not named one by one.
NAMED = 40


def _drawable(errors: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    """Errors on a logarithmic axis: what is next to zero leaves a gap, as does what is not finite."""
    values = np.asarray(errors, np.float64)
    return np.where(np.isfinite(values) & (values >= SMALLEST), values, np.nan)


def _largest(errors: Mapping[int, Sequence[float]]) -> NDArray[np.float64]:
    """At each step the largest of all lengths that reach it."""
    found = np.zeros(max(errors))
    for length, values in errors.items():
        found[:length] = np.fmax(found[:length], values)
    return found


def by_step(errors: Mapping[int, Sequence[float]], tolerance: Tolerance | None, name: str) -> str:
    """The largest difference of the probabilities at each step, a pale line for each length, a full one for all."""
    figure, (axes,) = drawing.canvas(4.6, 2.6)
    for length, values in sorted(errors.items()):
        axes.plot(np.arange(1, length + 1), _drawable(values), color=OBTAINED, linewidth=0.6, alpha=0.35)
    largest = _largest(errors)
    axes.plot(np.arange(1, len(largest) + 1), _drawable(largest), color=OBTAINED, linewidth=0.9)
    if tolerance is not None:
        drawing.limit(axes, tolerance.limit(1.0), tolerance)
    drawing.logarithmic(axes)
    drawing.label(axes, x="step", y="largest difference")
    return drawing.to_svg(figure, name)


def difference(heard: Heard, alphabet: Alphabet, name: str) -> str:
    """A heat map, frame by class, of the absolute difference of the probabilities."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    errors = np.abs(heard.obtained.astype(np.float64) - heard.expected.astype(np.float64)).T
    finite = np.where(np.isfinite(errors), errors, 1.0)
    red = to_rgb("#d1242f")
    # Nothing is drawn where nothing differs, so that it lies on a light page and on a dark one.
    colours = LinearSegmentedColormap.from_list("difference", [(*red, 0.0), (*red, 1.0)])
    figure, (axes,) = drawing.canvas(4.6, 3.4, right=0.55)
    seconds = errors.shape[1] * heard.step
    classes = errors.shape[0]
    image = axes.imshow(
        finite,
        cmap=colours,
        aspect="auto",
        interpolation="none",
        vmin=0.0,
        # Where nothing differs at all, the scale must have a length all the same.
        vmax=float(finite.max(initial=0.0)) or 1.0,
        extent=(0.0, seconds, classes - 0.5, -0.5),
    )
    axes.grid(False)
    if classes <= NAMED:
        axes.set_yticks(range(classes), [alphabet.label(index) for index in range(classes)], fontsize=6)
    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.04, format="%.1e")
    bar.set_ticks(np.linspace(*image.get_clim(), 3).tolist())
    bar.ax.tick_params(colors=INK, labelsize=7, width=0.6)
    bar.ax.set_frame_on(False)
    drawing.label(axes, x="seconds", y="class")
    return drawing.to_svg(figure, name)


def drift(found: Drift, name: str) -> str:
    """The largest difference of c and of h along a long sequence."""
    figure, (axes,) = drawing.canvas(4.6, 2.6)
    axes.plot(found.steps, _drawable(found.c), color=OBTAINED, linewidth=1.1, label="c")
    axes.plot(found.steps, _drawable(found.h), color=EXPECTED, linewidth=1.1, label="h")
    drawing.logarithmic(axes)
    drawing.legend(axes)
    drawing.label(axes, x="steps since the state was zero", y="largest difference")
    return drawing.to_svg(figure, name)


def margins(every: Floats, flips: Floats, tolerance: Tolerance | None, name: str) -> str:
    """A histogram of the greedy margins, and those of the frames whose likeliest class differs as marks below it."""
    figure, (axes,) = drawing.canvas(4.6, 2.6)
    axes.hist(every, bins=np.linspace(0.0, 1.0, 41).tolist(), color=EXPECTED, alpha=0.75)
    # Half a frame: so that a single one has a height.
    drawing.logarithmic(axes, lowest=0.5)
    axes.set_xlim(0.0, 1.0)
    if tolerance is not None:
        _edge(axes, margin_that_may_turn(tolerance))
    axes.plot(flips, np.full(len(flips), 0.62), "v", color=BAD, markersize=5, clip_on=False)
    drawing.label(axes, x="margin between the two likeliest classes", y="frames")
    return drawing.to_svg(figure, name)


def _edge(axes: Any, edge: float) -> None:
    """The margin below which a tolerance lets the likeliest class change."""
    axes.axvline(edge, color=BAD, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.annotate(
        f"may turn below {edge:.2g}",
        (edge, 0.97),
        xycoords=axes.get_xaxis_transform(),
        xytext=(3, 0),
        textcoords="offset points",
        va="top",
        fontsize=7.5,
        color=BAD,
    )


def sound(heard: Heard, alphabet: Alphabet, name: str) -> str:
    """The waveform, and below it the probability of not being blank, with the letters that each side hears where it does."""
    with_sound = heard.samples is not None
    ratios = (1.0, 1.6) if with_sound else (1.0,)
    figure, axes = drawing.canvas(11.0, 3.2 if with_sound else 2.2, ratios=ratios)
    if heard.samples is not None:
        _waveform(axes[0], heard.samples, heard.sample_rate)
    below = axes[-1]
    blank = alphabet.blank
    for values, colour, width, text in (
        (heard.expected, EXPECTED, 2.2, "expected"),
        (heard.obtained, OBTAINED, 1.0, "obtained"),
    ):
        times = (np.arange(len(values)) + 0.5) * heard.step
        below.plot(times, 1.0 - values[:, blank].astype(np.float64), color=colour, linewidth=width, label=text)
    for height, values, colour in ((1.17, heard.expected, EXPECTED), (1.04, heard.obtained, OBTAINED)):
        for place, letter in spoken(values, alphabet):
            below.text(
                (place + 0.5) * heard.step, height, letter, fontsize=8.5, color=colour, ha="center", clip_on=True
            )
    below.set_ylim(0.0, 1.3)
    below.set_yticks([0.0, 0.5, 1.0])
    below.set_xlim(0.0, max(len(heard.expected), 1) * heard.step)
    drawing.label(below, x="seconds", y="any letter")
    drawing.legend(below)
    return drawing.to_svg(figure, name)


def _waveform(axes: Any, samples: NDArray[np.int16], rate: int) -> None:
    """Lowest and highest sample of each column."""
    size = max(1, -(-len(samples) // COLUMNS))
    padded = np.pad(samples.astype(np.float64) / 2**15, (0, -len(samples) % size)).reshape(-1, size)
    times = np.arange(len(padded)) * size / rate
    axes.fill_between(times, padded.min(axis=1), padded.max(axis=1), color=INK, alpha=0.55, linewidth=0)
    axes.set_yticks([])
    axes.spines["left"].set_color(FAINT)
    drawing.label(axes, y="sound")


def spoken(probabilities: Floats, alphabet: Alphabet) -> list[tuple[int, str]]:
    """The letters of the greedy path, each with the first frame in which it is the likeliest."""
    path = np.argmax(probabilities, axis=-1)
    begins = [frame for frame in range(len(path)) if frame == 0 or path[frame] != path[frame - 1]]
    letters = [(frame, int(path[frame])) for frame in begins if path[frame] != alphabet.blank]
    return [(frame, "␣" if (text := alphabet.text([index])) == " " else text) for frame, index in letters]


def accuracy(rows: Sequence[SizeRow], name: str) -> str:
    """The largest difference of the probabilities on recordings against the size of the file, a mark for each compression."""
    figure, (axes,) = drawing.canvas(4.6, 3.0, right=0.7)
    for target, colour, mark in (("neuralnetwork", EXPECTED, "s"), ("mlprogram", OBTAINED, "o")):
        found = [
            (100 * row.ratio, row.recordings.logits, row.compression)
            for row in rows
            if row.ratio is not None and row.recordings is not None and f"-{target}-" in row.conversion
        ]
        sizes = [size for size, _, _ in found]
        axes.plot(sizes, _drawable([error for _, error, _ in found]), mark, color=colour, ms=4, alpha=0.6, label=target)
        # One name for those that fall together.
        for size, error, text in {
            compression: (size, error, compression) for size, error, compression in found
        }.values():
            if np.isfinite(error) and error >= SMALLEST:
                axes.annotate(
                    text, (size, error), xytext=(5, 0), textcoords="offset points", fontsize=7.5, va="center", color=INK
                )
    drawing.logarithmic(axes)
    drawing.legend(axes)
    drawing.label(axes, x="per cent of the uncompressed file", y="largest difference")
    return drawing.to_svg(figure, name)
