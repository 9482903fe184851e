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
    logarithmic,
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
            logarithmic(panel)
            panel.set_ylim(SMALLEST, 3)
            panel.set_xlabel("lag k, in characters")
            limit_line(panel, 0.01, "1 %: the horizon", left=True)
        during.set_xlabel("training step")
        during.set_ylabel("horizon, in characters")
        during.set_title("during training")
        against.set_xlabel("horizon after training, in characters")
        against.set_ylabel("validation perplexity, per character")
        against.set_title("horizon and perplexity")
        perplexities = [row["perplexity"] for row in rows]
        if max(perplexities) > 3 * min(perplexities):
            logarithmic(against)
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


def initialisation_figure(rows: Rows, edges: dict[str, Any]) -> Figure:
    """λ against the gain, lag profiles of some gains, perplexity against the gain."""
    reading = (
        "λ is the mean growth of a small disturbance, in nats a step: below 0 it dies "
        "and the gradient vanishes, above 0 both explode; the vertical lines are where "
        "it crosses 0. Middle: the gradient left k characters back in untrained "
        "networks with orthogonal matrices, by their gain. Bars: 95 % over seeds."
    )
    with styled():
        figure, axes = new_figure(reading, 12.6, 4.4, ncols=3)
        exponents, profiles, perplexities = axes
        for number, draw in enumerate(edges):
            of = [row for row in rows if row["draw"] == draw]
            gains = [row["gain"] for row in of]
            style = line_style(number)
            bars(exponents, gains, of, "exponent", f"{draw}, untrained", style)
            trained = {**line_style(number + 2), "color": style["color"], "alpha": 0.6}
            bars(exponents, gains, of, "exponent_after", f"{draw}, trained", trained)
            bars(perplexities, gains, of, "perplexity", draw, style)
            if np.isfinite(edges[draw].value):
                for panel in (exponents, perplexities):
                    panel.axvline(edges[draw].value, color=style["color"], alpha=0.5)
        limit_line(exponents, 0.0, "edge", left=True)
        exponents.set_ylabel("largest Lyapunov exponent λ, nats a step")
        perplexities.set_ylabel("validation perplexity after training")
        orthogonal = [row for row in rows if row["draw"] == "orthogonal"]
        for number, row in enumerate(orthogonal[:: max(1, len(orthogonal) // 5)]):
            values = np.asarray(row["profile"][0], float)
            values = np.where(values > SMALLEST, values, np.nan)
            style = line_style(number, len(values))
            profiles.plot(values, label=f"gain {row['gain']:g}", **style)
        logarithmic(profiles)
        profiles.set_xlabel("lag k, in characters")
        profiles.set_ylabel("gradient that is left, G(k) / G(0)")
        for panel in (exponents, perplexities):
            panel.set_xlabel("recurrent gain")
        for panel in axes:
            legend(panel, loc="lower right" if panel is profiles else "best")
    return figure


def bars(axes: Axes, xs, rows: Rows, name: str, label: str, style: dict) -> None:
    """A line of means with their intervals."""
    halves = np.nan_to_num([row[f"{name}_half"] for row in rows])
    values = [row[name] for row in rows]
    axes.errorbar(xs, values, yerr=halves, label=label, elinewidth=0.8, **style)


def truncation_figure(rows: Rows) -> Figure:
    """Relative error, cosine and perplexity against τ."""
    reading = (
        "Left: how much of the full gradient is thrown away when each loss flows back "
        "at most τ steps, as a share of its norm, and the cosine of the angle to it. "
        "Right: perplexity of networks trained with that gradient. Bars: 95 % over "
        "seeds."
    )
    with styled():
        figure, axes = new_figure(reading, 12.6, 4.4, ncols=3)
        errors, cosines, perplexities = axes
        for number, row in enumerate(row for row in rows if row["full"]):
            bias = row["bias"]
            for later, when in enumerate(("before", "after")):
                style = line_style(2 * number + later)
                label = f"{row['cell']}, {when} training"
                seen = np.asarray(bias["relative_error_" + when])
                shown = seen > 1e-4
                τs = np.asarray(bias["τ"])
                errors.plot(τs[shown], seen[shown], label=label, **style)
                cosines.plot(τs, bias["cosine_" + when], label=label, **style)
            of = [r for r in rows if r["cell"] == row["cell"]]
            of = sorted(of, key=lambda r: r["τ"])
            style = line_style(2 * number + 1)
            τs = [r["τ"] for r in of]
            bars(perplexities, τs, of, "perplexity", row["cell"], style)
        logarithmic(errors)
        errors.set_ylabel("relative error of the gradient")
        cosines.set_ylabel("cosine to the full gradient")
        perplexities.set_ylabel("validation perplexity")
        for panel in axes:
            panel.set_xscale("symlog", base=2, linthresh=1)
            ticks = [t for t in (0, 1, 2, 4, 8, 16, 32, 64) if t <= max(τs) + 1]
            panel.set_xticks(ticks, [str(t) for t in ticks])
            panel.set_xlabel("truncation τ, in steps")
            legend(panel)
    return figure


def clipping_figure(rows: Rows) -> Figure:
    """Loss and gradient norm while training, spikes marked; the end by kind."""
    reading = (
        "Left: training loss of one seed; crosses are spikes. Middle: the gradient's "
        "norm before clipping. Right: validation loss at the end, mean and 95 % over "
        "the seeds that got there, with the number of spikes a run."
    )
    with styled():
        figure, axes = new_figure(reading, 12.6, 4.4, ncols=3)
        losses, norms, ends = axes
        for number, row in enumerate(rows):
            style = {**line_style(number), "marker": None, "linewidth": 1.1}
            losses.plot(row["loss"], label=row["variant"], **style)
            at = row["spikes_at"]
            heights = [row["loss"][t] for t in at]
            losses.plot(at, heights, "x", color=style["color"], markersize=6)
            norms.plot(row["gradient_norm"], label=row["variant"], **style)
            draw_end(ends, number, row)
        losses.set_ylabel("training loss, nats a character")
        logarithmic(norms)
        norms.set_ylabel("gradient norm before clipping")
        for panel in (losses, norms):
            panel.set_xlabel("training step")
        legend(losses)
        names = [row["variant"] for row in rows]
        ends.set_yticks(range(len(rows)), names)
        ends.invert_yaxis()
        ends.margins(x=0.25, y=0.12)
        ends.set_xlabel("validation loss, nats a character")
    return figure


def draw_end(axes: Axes, number: int, row: dict[str, Any]) -> None:
    """What a kind of clipping ended at, or that it did not."""
    told = f"{row['spikes']:.0f} spikes"
    if row["diverged"]:
        told += f", {row['diverged']} of {row['seeds']} diverged"
    style = {**line_style(number), "linestyle": "none", "markersize": 7}
    at = row["nats"]
    if np.isfinite(at):
        half = np.nan_to_num(row["nats_half"])
        axes.errorbar(at, number, xerr=half, elinewidth=0.8, **style)
        axes.annotate(
            told, (at, number), xytext=(0, 7), textcoords="offset points", fontsize=8
        )
    else:
        axes.text(0.03, number, told, transform=axes.get_yaxis_transform(), fontsize=8)


def depth_figure(rows: Rows) -> Figure:
    """Heat maps (layer × lag) of the deepest stacks, and perplexity against depth."""
    reading = (
        "Maps: the gradient of a character's loss in each layer (top: the last) and k "
        "characters back, as a power of ten of that in the last layer at lag 0; "
        "brighter is more, lines join equal powers. Right: perplexity, mean and 95 % "
        "over seeds."
    )
    deepest = max(row["layers"] for row in rows)
    deep = [row for row in rows if row["layers"] == deepest]
    floor = max(-8, min(np.min(row["flow_before"]) for row in deep))
    with styled():
        figure, axes = new_figure(reading, 12.6, 6.0, nrows=2, ncols=3)
        for panel in axes[:, 2]:
            panel.remove()
        whole = figure.add_subplot(axes[0, 2].get_gridspec()[:, 2])
        for across, row in enumerate(deep):
            kind = "residual" if row["residual"] else "plain"
            for down, when in enumerate(("before", "after")):
                panel = axes[down, across]
                mesh = draw_map(panel, np.asarray(row[f"flow_{when}"], float), floor)
                panel.set_title(f"{kind}, {when} training")
        figure.colorbar(mesh, ax=axes[:, :2], label="log₁₀ of the share", pad=0.01)
        for number, kind in enumerate((False, True)):
            of = [r for r in rows if r["residual"] is kind or r["layers"] == 1]
            layers = [r["layers"] for r in of]
            label = "residual" if kind else "plain"
            bars(whole, layers, of, "perplexity", label, line_style(number))
        whole.grid(True)
        whole.set_xticks(sorted({row["layers"] for row in rows}))
        whole.set_xlabel("layers")
        whole.set_ylabel("validation perplexity")
        legend(whole)
    return figure


def draw_map(axes: Axes, logs_LK: np.ndarray, floor: float) -> Any:
    """One heat map, from 10⁰ down to 10^floor."""
    layers, lags = logs_LK.shape
    edges = np.arange(lags + 1) - 0.5, np.arange(layers + 1) + 0.5
    shown = {"cmap": "viridis", "vmin": floor, "vmax": 0.5, "rasterized": True}
    mesh = axes.pcolormesh(*edges, logs_LK, **shown)
    if min(logs_LK.shape) > 1:
        at = np.arange(lags), np.arange(1, layers + 1)
        powers = [p for p in range(-8, 1) if logs_LK.min() < p < logs_LK.max()]
        if powers:
            lines = axes.contour(
                *at, logs_LK, powers, colors="white", linestyles="solid", linewidths=0.8
            )
            axes.clabel(lines, fmt=lambda power: f"{power:.0f}", fontsize=7)
    axes.grid(False)
    axes.set_yticks(range(1, layers + 1))
    axes.set_xlabel("lag k, in characters")
    axes.set_ylabel("layer")
    return mesh
