"""Figures of forecasts: a series with its bands, and skill by how far ahead it is."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.figures.style import (
    COLOURS,
    INK,
    WIDTH,
    legend,
    limit_line,
    line_style,
    new_figure,
    steps_along,
    styled,
    written,
)


class Fan(NamedTuple):
    """A forecast at places `at` (N,): its mean and {80: (low, high), 95: …}, (N,) each;
    `actual` (M,) at places `at_actual` (M,)."""

    at: np.ndarray
    mean: np.ndarray
    bands: Mapping[int, tuple[np.ndarray, np.ndarray]]
    at_actual: np.ndarray
    actual: np.ndarray


def fans(shown: Sequence[Fan], title: str, reading: str) -> Figure:
    """Forecasts with their bands, one below the other."""
    with styled():
        figure, found = new_figure(
            reading,
            WIDTH * 1.2,
            1.4 + 1.7 * len(shown),
            nrows=len(shown),
            squeeze=False,
        )
        found[0, 0].set_title(written(title))
        for axes, fan in zip(found[:, 0], shown, strict=True):
            for share, alpha in ((95, 0.18), (80, 0.3)):
                if share in fan.bands:
                    axes.fill_between(
                        fan.at,
                        *fan.bands[share],
                        color=COLOURS[0],
                        alpha=alpha,
                        lw=0,
                        label=f"{share} % band",
                    )
            axes.plot(fan.at, fan.mean, color=COLOURS[0], label="forecast")
            axes.plot(
                fan.at_actual,
                fan.actual,
                color=INK,
                linewidth=0.9,
                marker=".",
                markersize=3.5,
                label="what came",
            )
            steps_along(axes, "")
        found[-1, 0].set_xlabel("time")
        named = found[0, 0].get_legend_handles_labels()
        figure.legend(*named, loc="outside upper center", ncols=4, fontsize=8)
    return figure


def skill(errors: Mapping[str, Sequence[float]], scale: Sequence[float]) -> Figure:
    """1 − rmse/rmse of `scale` (H,) at each step ahead, one line a name."""
    reading = (
        "Skill: by how much the root mean squared error at each step ahead is smaller "
        "than that of the naive forecast, which repeats the last value. 0: no better; "
        "1: no error."
    )
    with styled():
        figure, axes = new_figure(reading)
        axes.set_title("Skill by steps ahead")
        below = np.maximum(np.asarray(scale, float), 1e-12)
        for number, (name, error) in enumerate(errors.items()):
            steps = np.arange(1, len(error) + 1)
            style = line_style(number, len(steps))
            axes.plot(
                steps, 1 - np.asarray(error) / below, label=written(name), **style
            )
        limit_line(axes, 0.0, "naive")
        axes.set_ylim(max(axes.get_ylim()[0], -1.0), 1.0)
        steps_along(axes, "steps ahead")
        axes.set_ylabel("1 − rmse / rmse of the naive forecast")
        legend(axes)
    return figure


def coverage(found: Mapping[int, Sequence[float]]) -> Figure:
    """Share of values inside the bands of {80: (H,), 95: (H,)} at each step ahead."""
    reading = (
        "Share of what came that fell into the bands, at each step ahead; the thin "
        "lines are where it should be. Below them the forecast is too sure of itself."
    )
    with styled():
        figure, axes = new_figure(reading)
        axes.set_title("Coverage by steps ahead")
        for number, (share, rates) in enumerate(found.items()):
            steps = np.arange(1, len(rates) + 1)
            style = line_style(number, len(steps))
            axes.plot(steps, rates, label=f"{share} % band", **style)
            limit_line(axes, share / 100, f"{share} %")
        axes.set_ylim(0, 1.05)
        steps_along(axes, "steps ahead")
        axes.set_ylabel("share inside")
        legend(axes, loc="lower left")
    return figure
