"""The figures of a sweep: pure functions from numbers to matplotlib Figures."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure

from experiments.figures.style import (
    INK,
    legend,
    limit_line,
    line_style,
    logarithmic,
    new_figure,
    nothing_here,
    steps_along,
    styled,
)

SMALLEST = 1e-6


class Axis(NamedTuple):
    """One axis of parallel coordinates.

    name    what stands below it.
    at_N    where each trial crosses it, in [0, 1]; nan where it does not.
    ticks   {height: label}.
    """

    name: str
    at_N: np.ndarray
    ticks: dict[float, str]


class Response(NamedTuple):
    """How the loss answers to a field: means at x, half-widths of 95 % intervals (nan
    where one run gives none), and the x of trials that diverged."""

    x: np.ndarray
    mean: np.ndarray
    half: np.ndarray
    diverged: np.ndarray


def colours() -> Colormap:
    """From the best loss to the worst; neither end is near black or white."""
    whole = matplotlib.colormaps["plasma"]
    return ListedColormap(whole(np.linspace(0.1, 0.85, 128)))


def loss_scale(losses_N: np.ndarray) -> Normalize:
    """Losses to colours; the worst tenth shares one, so that they do not hide what
    lies between the others."""
    low, high = np.min(losses_N), np.quantile(losses_N, 0.9)
    return Normalize(low, high if high > low else low + 1)


def importance_bars(shares: Mapping[str, float]) -> Figure:
    """A bar a field: its share in the variance of the loss."""
    reading = (
        "A bar is the share of the variance of the loss over the whole space that "
        "a field accounts for by itself (fANOVA, Hutter 2014); the shares shown are "
        "scaled to sum to 1, and a field that matters only with another shows little."
    )
    names, values = list(shares)[::-1], list(shares.values())[::-1]
    names = [name.replace(" & ", " &\n") for name in names]  # fields of a zip
    with styled():
        figure, axes = new_figure(
            reading, height=1.6 + 0.35 * len("\n".join(names).split("\n"))
        )
        bars = axes.barh(names, values, color=line_style(0)["color"])
        axes.bar_label(bars, [f"{v:.2f}" for v in values], padding=3, fontsize=9)
        axes.set_xlim(0, 1.12)
        axes.set_xlabel("share of the variance of the loss")
        axes.set_title("Which fields matter")
    return figure


def parallel_coordinates(axes_F: Sequence[Axis], losses_N: np.ndarray) -> Figure:
    """A line a trial, across one axis a field; the last axis is the loss."""
    reading = (
        "Each line is a trial and crosses every axis at its value there; the last "
        "axis is the mean validation loss. Thick, marked lines: the five best."
    )
    with styled():
        figure, axes = new_figure(reading, width=max(5.4, 1.25 * len(axes_F)))
        axes.grid(False)
        paint, scale = colours(), loss_scale(losses_N)
        best = np.argsort(losses_N)[:5]
        lines_NF = np.stack([axis.at_N for axis in axes_F], axis=1)
        for number in np.argsort(-losses_N):
            among = number in best
            axes.plot(
                lines_NF[number],
                color=paint(scale(losses_N[number])),
                linewidth=2.2 if among else 0.7,
                alpha=1.0 if among else 0.55,
                marker="o" if among else None,
            )
        for place, axis in enumerate(axes_F):
            axes.axvline(place, color=INK, linewidth=0.8)
            for height, label in axis.ticks.items():
                axes.annotate(
                    label,
                    (place, height),
                    xytext=(3, 0),
                    textcoords="offset points",
                    fontsize=8,
                    va="center",
                )
        axes.set_xticks(range(len(axes_F)), [axis.name for axis in axes_F], fontsize=8)
        axes.set_yticks([])
        axes.set_xlim(-0.1, len(axes_F) - 0.55)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_title("Every trial")
    return figure


def response_curves(
    found: Mapping[str, Response], field: str, log: bool, label: str
) -> Figure:
    """The loss against one field, a curve a group (a cell). label: of the loss."""
    reading = (
        f"Marks: mean validation loss of the trials at, or near, a value of {field}; "
        "bars: 95 % intervals, over seeds and over what else varies. Crosses at the "
        "top: runs that diverged."
    )
    with styled():
        figure, axes = new_figure(reading)
        if log:
            axes.set_xscale("log")
        for number, (name, curve) in enumerate(found.items()):
            style = line_style(number)
            half = curve.half if np.isfinite(curve.half).any() else None
            axes.errorbar(
                curve.x, curve.mean, yerr=half, label=name or None, capsize=2.5, **style
            )
        for number, curve in enumerate(found.values()):
            colour = line_style(number)["color"]
            heights = np.full(len(curve.diverged), 0.99 - 0.03 * number)
            axes.plot(
                curve.diverged,
                heights,
                "x",
                color=colour,
                transform=axes.get_xaxis_transform(),
            )
        axes.set_xlabel(field)
        axes.set_ylabel(label)
        axes.set_title(f"Response to {field}")
        legend(axes)
    return figure


def trial_curves(
    best: Mapping[str, tuple[np.ndarray, np.ndarray]],
    others: Sequence[tuple[np.ndarray, np.ndarray]],
    pruned: Sequence[tuple[np.ndarray, np.ndarray]],
    label: str,
) -> Figure:
    """Validation loss over steps: the best by name, the others in grey."""
    reading = (
        "Coloured: first seeds of the best trials. Grey: the others; a cross ends one "
        "that was pruned or that diverged."
    )
    with styled():
        figure, axes = new_figure(reading)
        for steps, losses in others:
            axes.plot(steps, losses, color=INK, alpha=0.18, linewidth=0.9)
        for steps, losses in pruned:
            axes.plot(steps, losses, color=INK, alpha=0.3, linewidth=0.9, ls=":")
            axes.plot(steps[-1:], losses[-1:], "x", color=INK, alpha=0.6)
        for number, (name, (steps, losses)) in enumerate(best.items()):
            axes.plot(steps, losses, label=name, **line_style(number, len(steps)))
        steps_along(axes, "optimizer steps")
        if not (best or others or pruned):
            nothing_here(axes, "no trial was evaluated while it trained")
        axes.set_ylabel(label)
        axes.set_title("Learning curves")
        legend(axes)
    return figure


def reach_against_loss(
    profiles: Sequence[np.ndarray],
    horizons_N: np.ndarray,
    losses_N: np.ndarray,
    groups: Sequence[str],
    label: str,
) -> Figure:
    """Lag profiles of all trials, coloured by loss, and their horizon against it.

    Args:
      profiles: G(k)/G(0) of the top layer after training, (K,) a trial.
      horizons_N: the largest lag with G(k) over 1 % of G(0).
      groups: what tells the trials apart by marker: their cells.
    """
    reading = (
        "Left: how much gradient is left k tokens back, one line a trial, after "
        "training (top layer, first seed); its colour is that of the same trial on the "
        "right: its validation loss against its horizon, the largest lag with over 1 % "
        "left."
    )
    paint, scale = colours(), loss_scale(losses_N)
    with styled():
        figure, (left, right) = new_figure(reading, width=8.6, ncols=2)
        logarithmic(left)
        for number in np.argsort(-losses_N):
            profile = profiles[number]
            values = np.where(profile < SMALLEST, np.nan, profile)
            colour = paint(scale(losses_N[number]))
            left.plot(np.arange(len(values)), values, color=colour, alpha=0.8, lw=1)
        limit_line(left, 0.01, "1 %: the horizon", left=True)
        left.set_xlabel("lag k, in tokens before the loss")
        left.set_ylabel("gradient that is left, G(k) / G(0)")
        left.set_title("How far back the gradient reaches")
        _by_group(right, horizons_N, losses_N, groups, (paint, scale))
        right.set_xlabel("horizon, in tokens")
        right.set_ylabel(label)
        right.set_title("… against how well it predicts")
        legend(right)
    return figure


def _by_group(
    axes: Any,
    x_N: np.ndarray,
    y_N: np.ndarray,
    groups: Sequence[str],
    colouring: tuple[Colormap, Normalize],
) -> None:
    """Points, told apart by marker."""
    paint, scale = colouring
    names = np.array(groups)
    for number, name in enumerate(dict.fromkeys(groups)):
        here = names == name
        axes.scatter(
            x_N[here],
            y_N[here],
            c=paint(scale(y_N[here])),
            marker=line_style(number)["marker"],
            label=name or None,
            s=26,
        )
