"""What all figures share: size, ink, lines told apart without colour, a sentence.

A figure is drawn in one dark ink on nothing, with curves in colours of middle
brightness, so that it can be read on white and, with its ink exchanged, on black
(`experiments.figures.page`). It is small, since it is read on a phone too.
"""

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator

INK = "#1b1f24"
COLOURS = ("#2f7fc1", "#d9772b", "#2c9c69", "#a864bd", "#cf4a5c", "#2fa0ad", "#8c8a35")
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX*<>hp"
WIDTH, HEIGHT = 5.4, 3.7

STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.18,
    "legend.framealpha": 0.0,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "svg.hashsalt": "figures",
    "axes.unicode_minus": True,
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
            "grid.color",
        ),
        INK,
    ),
}


def styled() -> AbstractContextManager:
    """The context in which figures are drawn."""
    return matplotlib.rc_context(STYLE)


def new_figure(
    reading: str, width: float = WIDTH, height: float = HEIGHT, **subplots: Any
) -> tuple[Figure, Any]:
    """A figure and its axes. `reading`: the sentence on how to read it, which stands
    below it, or as its caption on a page (`reading_of`)."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(**subplots)
    letters = int(width * 15)
    figure.supxlabel(fill(reading, letters), fontsize=8, x=0.02, ha="left")
    for one in np.ravel(axes):
        one.grid(True)
    return figure, axes


def reading_of(figure: Figure) -> str:
    """The sentence on how to read a figure, on one line."""
    return " ".join(figure.get_supxlabel().split())


def line_style(number: int, points: int = 0) -> dict[str, Any]:
    """Colour, dashes and markers of curve `number`; with `points`, about eight markers
    on the curve, not at the places of its neighbours' markers."""
    style: dict[str, Any] = {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
    }
    if points > 8:
        every = max(1, points // 8)
        style["markevery"] = (number * max(1, every // 3) % every, every)
    return style


def steps_along(axes: Axes, of: str = "training step") -> None:
    """Steps along the axis below: whole numbers, in short runs too."""
    axes.set_xlabel(of)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))


def logarithmic(axes: Axes) -> None:
    """A log scale upwards, with numbers between the powers of ten where fewer than two
    of them are in sight."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(2, 0.5)))
    axes.tick_params(axis="y", which="minor", labelsize=8)


def limit_line(axes: Axes, y: float, text: str, left: bool = False) -> None:
    """A thin horizontal line with its name at the right end, or at the left: a floor,
    a threshold, an optimum."""
    axes.axhline(y, color=INK, linewidth=0.8, alpha=0.6)
    axes.annotate(
        text,
        (0 if left else 1, y),
        xycoords=("axes fraction", "data"),
        xytext=(2 if left else -2, 2),
        textcoords="offset points",
        ha="left" if left else "right",
        fontsize=8,
    )


@cache
def _glyphs() -> frozenset[int]:
    """What the font can draw."""
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def written(text: str, longest: int = 44) -> str:
    """Someone else's text as matplotlib draws it: as it is. No mathematics between
    dollar signs, no label hidden for its underscore, no sign that the font lacks, the
    middle cut out of what is too long."""
    if len(text) > longest:
        text = f"{text[: longest // 2]}…{text[-longest // 2 + 1 :]}"
    known = "".join(sign if ord(sign) in _glyphs() else "\ufffd" for sign in text)
    known = known.replace("$", r"\$")
    return f" {known}" if known.startswith("_") else known


def legend(axes: Axes, **options: Any) -> None:
    """The legend, where there is anything to tell apart."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**options)


def nothing_here(axes: Axes, why: str) -> None:
    """A note in the middle of a figure without data."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center")
    axes.set_xticks([])
    axes.set_yticks([])


def save(figure: Figure, *paths: str | Path, dpi: int = 130) -> None:
    """Writes PNG or SVG files on white, by the names' endings; the same bytes every
    time. The layout is found once."""
    engine = figure.get_layout_engine()
    with styled():
        for path in map(Path, paths):
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(path, dpi=dpi, facecolor="white", metadata=metadata)
            figure.set_layout_engine("none")
    figure.set_layout_engine(engine)
