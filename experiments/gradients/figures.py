"""Figures of the studies, drawn from their rows alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.figures.style import (
    legend,
    limit_line,
    line_style,
    new_figure,
    styled,
)

SMALLEST = 1e-6
Rows = Sequence[dict[str, Any]]


def cells_figure(rows: Rows) -> Figure:
    """Lag profiles before and after training; horizons, and their perplexities."""
    reading = (
        "Above: the gradient of a character's loss that is left k characters back, "
        "before and after training; a line that falls fast forgets (shaded: 95 % over "
        "windows). Below: the lag at which 1 % is left, while training, and against "
        "perplexity on held-out text; lower right is far sight and good prediction."
    )
    with styled():
        figure, axes = new_figure(reading, 9.6, 7.4, nrows=2, ncols=2)
        (before, after), (during, against) = axes
        after.sharey(before)
        for number, row in enumerate(rows):
            draw_profile(before, number, row, 0)
            draw_profile(after, number, row, -1)
            horizons = [triple[0] for triple in row["horizon"]]
            style = line_style(number)
            during.plot(row["steps"], horizons, label=row["variant"], **style)
            draw_point(against, number, row)
        before.set_title("before training")
        after.set_title("after training")
        before.set_ylabel("gradient that is left, G(k) / G(0)")
        for panel in (before, after):
            panel.set_yscale("log")
            panel.set_ylim(SMALLEST, 3)
            panel.set_xlabel("lag k, in characters")
            limit_line(panel, 0.01, "1 %: the horizon")
        during.set_xlabel("training step")
        during.set_ylabel("horizon, in characters")
        during.set_title("during training")
        against.set_xlabel("horizon after training, in characters")
        against.set_ylabel("validation perplexity, per character")
        against.set_title("horizon and perplexity")
        figure.legend(
            *during.get_legend_handles_labels(),
            loc="outside upper center",
            ncols=4,
        )
    return figure


def draw_profile(axes: Axes, number: int, row: dict[str, Any], stage: int) -> None:
    """One lag profile with its interval."""
    values, low, high = (
        np.maximum(np.asarray(row[name][stage], float), SMALLEST / 10)
        for name in ("profile", "profile_low", "profile_high")
    )
    style = line_style(number, len(values))
    axes.fill_between(
        np.arange(len(values)), low, high, color=style["color"], alpha=0.2, lw=0
    )
    axes.plot(np.arange(len(values)), values, **style)


def draw_point(axes: Axes, number: int, row: dict[str, Any]) -> None:
    """Horizon and perplexity after training, with their intervals."""
    horizon, low, high = row["horizon"][-1]
    half = row["perplexity_half"]
    style = {**line_style(number), "linestyle": "none", "markersize": 7}
    axes.errorbar(
        horizon,
        row["perplexity"],
        xerr=[[max(0.0, horizon - low)], [max(0.0, high - horizon)]],
        yerr=half if np.isfinite(half) else None,
        elinewidth=0.8,
        **style,
    )


def legend_beside(axes: Axes) -> None:
    """The legend to the right of the axes."""
    legend(axes, loc="upper left", bbox_to_anchor=(1, 1))
