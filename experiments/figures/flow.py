"""Figures of where gradients go."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.figures.style import (
    legend,
    limit_line,
    line_style,
    logarithmic,
    new_figure,
    nothing_here,
    steps_along,
    styled,
    written,
)

SMALLEST = 1e-12
Interval = tuple[np.ndarray, np.ndarray]


def lag_profiles(
    curves: Mapping[str, np.ndarray],
    title: str,
    intervals: Mapping[str, Interval] | None = None,
) -> Figure:
    """G(k)/G(0) against the lag k.

    Args:
      curves: (K,) a name.
      intervals: (low (K,), high (K,)) for some or all of the names.
    """
    reading = (
        "G(k) is the mean norm of ∂(one loss)/∂(state k steps before it). A "
        "line that falls fast forgets: what happened that long ago can hardly be "
        "learnt from."
    )
    if intervals:
        reading += " Shaded: 95 % intervals over the sequences of the probe."
    with styled():
        figure, axes = new_figure(reading)
        logarithmic(axes)
        for number, (name, values) in enumerate(curves.items()):
            lags, style = np.arange(len(values)), line_style(number, len(values))
            low, high = (intervals or {}).get(name, (None, None))
            if low is not None and high is not None:
                floor = np.nanmin(visible(values), initial=1) / 10
                band = (np.maximum(low, floor), visible(high))
                axes.fill_between(lags, *band, color=style["color"], alpha=0.2, lw=0)
            axes.plot(lags, visible(values), label=written(name), **style)
        limit_line(axes, 0.01, "1 %: the horizon")
        axes.set_xlabel("lag k, in steps before the loss")
        axes.set_ylabel("gradient that is left, G(k) / G(0)")
        axes.set_title(f"How far back the gradient reaches: {written(title)}")
        legend(axes, loc="lower left")
    return figure


def visible(values: np.ndarray) -> np.ndarray:
    """What a logarithmic scale can show; nothing where it is too small or no number."""
    values = np.asarray(values, float)
    return np.where(np.isfinite(values) & (values > SMALLEST), values, np.nan)


def heat_map(
    norms_PK: np.ndarray,
    steps_P: Sequence[int] | np.ndarray,
    title: str,
    back: str = "steps back from the loss",
    value: str = "log₁₀ ‖∂L/∂h‖",
) -> Figure:
    """log₁₀ of norms over (training step × time back), lines of equal height on it.

    Norms that are 0 or not finite stay empty.
    """
    reading = (
        "Each column is one probe of the model during training; going up is going back "
        "in time. Brighter is more gradient, the lines join equal powers of ten: where "
        "they climb, the model learns to look further back. No gradient came to what "
        "is empty."
    )
    norms_PK = np.asarray(norms_PK, float)
    with styled():
        figure, axes = new_figure(reading)
        axes.set_title(written(title))
        with np.errstate(divide="ignore", invalid="ignore"):
            levels_PK = np.log10(np.where(norms_PK > 0, norms_PK, np.nan))
        levels_PK[~np.isfinite(levels_PK)] = np.nan
        if not np.isfinite(levels_PK).any():
            nothing_here(axes, "no finite norm was measured")
            return figure
        _paint(figure, axes, levels_PK, np.asarray(steps_P, float), value)
        steps_along(axes)
        axes.set_ylabel(back)
    return figure


def _paint(figure: Figure, axes: Any, levels_PK, steps_P, value: str) -> None:
    """Colours, lines of equal height and a scale."""
    low, high = np.nanmin(levels_PK), np.nanmax(levels_PK)
    low = max(low, high - 12)
    mesh = axes.pcolormesh(
        _edges(steps_P),
        np.arange(levels_PK.shape[1] + 1) - 0.5,
        levels_PK.T,
        cmap="viridis",
        vmin=low,
        vmax=high if high > low else low + 1,
        rasterized=True,
    )
    axes.grid(False)
    figure.colorbar(mesh, ax=axes, label=value, pad=0.02)
    powers = np.arange(np.ceil(low), np.floor(high) + 1)
    if min(levels_PK.shape) > 1 and len(powers) and np.isfinite(levels_PK).all():
        lags = np.arange(levels_PK.shape[1])
        inks = ["white" if power < (low + high) / 2 else "black" for power in powers]
        lines = axes.contour(
            steps_P,
            lags,
            levels_PK.T,
            powers,
            colors=inks,
            linewidths=0.8,
            linestyles="solid",
        )
        axes.clabel(lines, fmt=lambda power: f"{power:.0f}", fontsize=7)


def _edges(centres: np.ndarray) -> np.ndarray:
    """Borders between cells of which only the middles are known."""
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5])
    between = (centres[1:] + centres[:-1]) / 2
    first, last = centres[0] - (between[0] - centres[0]), 2 * centres[-1] - between[-1]
    return np.concatenate([[first], between, [last]])
