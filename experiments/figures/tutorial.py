"""Figures of the tutorial: boundaries, curves, heat maps, a network unrolled."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from experiments.figures.style import (
    COLOURS,
    INK,
    WIDTH,
    legend,
    limit_line,
    line_style,
    logarithmic,
    new_figure,
    styled,
    written,
)

PALE = ("#2f7fc155", "#d9772b55", "#2c9c6955")


def boundaries(
    panels: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    points_N2: np.ndarray,
    classes_N: np.ndarray,
    columns: int = 4,
) -> Figure:
    """Points in the plane and the class that each of some classifiers gives around.

    panels: {title: (points (M, 2)) -> classes (M,)}.
    """
    reading = (
        "Marks: the points and their classes. Ground: the class that the classifier "
        "gives there; the line between two colours is its decision boundary."
    )
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    low, high = points_N2.min(0) - 0.5, points_N2.max(0) + 0.5
    xs, ys = (np.linspace(*ends, 120) for ends in zip(low, high, strict=True))
    ground = np.stack(np.meshgrid(xs, ys), -1)
    size = (7.2 if columns > 1 else WIDTH, 0.7 + (2.0 if columns > 1 else 2.6) * rows)
    with styled():
        shape = {"nrows": rows, "ncols": columns, "squeeze": False}
        figure, found = new_figure(reading, *size, **shape, sharex=True, sharey=True)
        for axes, (title, classify) in zip(found.flat, panels.items(), strict=False):
            given = classify(ground.reshape(-1, 2)).reshape(ground.shape[:2])
            levels = np.arange(len(PALE) + 1) - 0.5
            colours = {"cmap": ListedColormap(PALE), "vmin": -0.5, "vmax": 2.5}
            axes.contourf(xs, ys, given, levels=levels, **colours)
            for number in np.unique(classes_N):
                at, style = points_N2[classes_N == number], "os^"[number]
                axes.plot(*at.T, style, color=COLOURS[number], markersize=2)
            axes.set_title(title, fontsize=10)
            axes.grid(False)
        for axes in found.flat[len(panels) :]:
            axes.set_axis_off()
    return figure


def curves(
    lines: Mapping[str, tuple[Any, Any]],
    reading: str,
    x: str,
    y: str,
    log: str = "",
    limit: tuple[float, str] | None = None,
) -> Figure:
    """Lines {name: (xs, ys)}.

    log: which of x and y have a logarithmic scale. limit: (height, its name).
    """
    with styled():
        figure, axes = new_figure(reading)
        for number, (name, (xs, ys)) in enumerate(lines.items()):
            style = line_style(number, len(xs))
            axes.plot(np.asarray(xs), np.asarray(ys), label=written(name), **style)
        if "x" in log:
            axes.set_xscale("log")
        if "y" in log:
            logarithmic(axes)
        if limit is not None:
            limit_line(axes, *limit)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(lines) > 1:
            legend(axes)
    return figure


def over_words(
    panels: Mapping[str, np.ndarray],
    words: Sequence[str],
    reading: str,
    low: float = 0,
    high: float = 1,
    unit: str = "unit",
) -> Figure:
    """Heat maps over a sentence: {title: numbers (T, H)}, a column a word.

    unit: what goes upwards.
    """
    with styled():
        figure, found = new_figure(
            reading,
            WIDTH + 1.4,
            1.2 + 1.5 * len(panels),
            nrows=len(panels),
            squeeze=False,
            sharex=True,
        )
        for axes, (title, numbers_TH) in zip(found.flat, panels.items(), strict=True):
            colours = {"cmap": "viridis", "vmin": low, "vmax": high}
            mesh = axes.pcolormesh(np.asarray(numbers_TH).T, rasterized=True, **colours)
            axes.grid(False)
            axes.set_title(title, fontsize=10)
            axes.set_ylabel(unit)
            figure.colorbar(mesh, ax=axes, pad=0.01)
        axes = found[-1, 0]
        places = np.arange(len(words)) + 0.5
        axes.set_xticks(places, [written(w, 14) for w in words], rotation=60)
        axes.tick_params(axis="x", labelsize=8)
    return figure


def unrolled(
    words: Sequence[str], states_TH: np.ndarray, outputs: Sequence[str]
) -> Figure:
    """A network unrolled over a sentence: its words, its real states, what it says."""
    reading = (
        "Below: the words that are read. Boxes: the states, a stripe a unit, as they "
        "were: blue is −1, red is +1. Above: the words that the network holds for the "
        "likeliest to come."
    )
    steps, units = states_TH.shape
    with styled():
        figure, axes = new_figure(reading, 7.2, 3.4)
        axes.set_axis_off()
        axes.set_xlim(-0.6, steps - 0.2)
        axes.set_ylim(-0.8, 2.9)
        arrow = {"arrowstyle": "->", "color": INK}
        for t in range(steps):
            axes.imshow(
                states_TH[t][:, None],
                extent=(t - 0.2, t + 0.2, 0.5, 1.7),
                cmap="RdBu_r",
                vmin=-1,
                vmax=1,
                aspect="auto",
            )
            for y, text in ((-0.35, words[t]), (2.5, outputs[t])):
                axes.text(t, y, written(text, 14), ha="center", fontsize=8)
            for start, end, name in (
                ((t, -0.1), (t, 0.5), "U"),
                ((t, 1.7), (t, 2.4), "V"),
                ((t + 0.2, 1.1), (t + 0.8, 1.1), "W"),
            ):
                if name == "W" and t == steps - 1:
                    continue
                axes.annotate("", end, start, arrowprops=arrow)
                middle = np.add(start, end) / 2 + (0.05, 0.06)
                axes.text(*middle, name, fontsize=8, style="italic")
            axes.text(t + 0.23, 0.52, f"$s_{{{t + 1}}}$", fontsize=8)
        axes.set_title(f"{units} units over {steps} words", fontsize=10)
    return figure
