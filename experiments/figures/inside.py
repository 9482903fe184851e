"""Figures of what is inside a model: gates and spectra."""

from collections.abc import Mapping
from typing import Any

import numpy as np
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
    nothing_here,
    styled,
    written,
)


def gate_histograms(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], title: str
) -> Figure:
    """How often each gate takes which value: {gate's name: (bins,) shares} before
    training and after."""
    reading = (
        "Bars: share of a gate's activations (steps, lanes, units) at each value after "
        "training; line: before. Mass at the ends is saturated: such a gate hardly "
        "lets gradient through to what drives it."
    )
    names = list(after)
    columns = max(1, min(2, len(names)))
    rows = max(1, -(-len(names) // columns))
    with styled():
        figure, found = new_figure(
            reading,
            WIDTH,
            1.1 + 1.6 * rows,
            nrows=rows,
            ncols=columns,
            squeeze=False,
            sharex=True,
        )
        figure.suptitle(written(title), fontsize=11)
        for axes, name in zip(found.flat, names, strict=False):
            _gate(axes, name, before.get(name), np.asarray(after[name], float))
        for axes in found.flat[len(names) :]:
            axes.set_axis_off()
        if not names:
            nothing_here(found[0, 0], "this cell names no gates")
            found[0, 0].set_axis_on()
            return figure
        for axes in found[-1]:
            axes.set_xlabel("activation")
        for axes in found[:, 0]:
            axes.set_ylabel("share, %")
        legend(found[0, 0], fontsize=8)
    return figure


def _gate(axes: Any, name: str, before: np.ndarray | None, after: np.ndarray) -> None:
    edges = np.linspace(0, 1, len(after) + 1)
    kept = np.where(np.isfinite(after), after, 0)
    axes.stairs(
        100 * kept, edges, fill=True, color=COLOURS[0], alpha=0.55, label="after"
    )
    if before is not None and np.isfinite(before).all():
        axes.stairs(
            100 * np.asarray(before), edges, color=INK, linestyle="--", label="before"
        )
    axes.set_title(
        "slope |φ′|" if name == "slope" else f"{written(name)} gate", size=10
    )


def singular_values(
    spectra: Mapping[str, np.ndarray],
    title: str,
    of: str = "one step's Jacobian ∂state_t/∂state_t−1",
) -> Figure:
    """Singular values, falling: (N,) a name, or (M, N) for the median and the range of
    M matrices."""
    reading = (
        f"Singular values of {of}, largest first. Directions above 1 are stretched on "
        "the way back, those below shrink: the further below, and the more of them, "
        "the faster gradients vanish."
    )
    if any(np.ndim(values) > 1 for values in spectra.values()):
        reading += " Shaded: range over steps of a text."
    with styled():
        figure, axes = new_figure(reading)
        axes.set_title(written(title))
        drawn = 0
        for number, (name, values) in enumerate(spectra.items()):
            drawn += _spectrum(axes, number, name, np.atleast_2d(values))
        if not drawn:
            nothing_here(axes, "nothing finite was measured")
            return figure
        logarithmic(axes)
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, min(1e-6, top / 10)), max(top, 1.2))
        limit_line(axes, 1.0, "1: neither grows nor shrinks")
        axes.set_xlabel("rank, % of all")
        axes.set_ylabel("singular value")
        legend(axes)
    return figure


def _spectrum(axes: Any, number: int, name: str, values_MN: np.ndarray) -> bool:
    values_MN = np.asarray(values_MN, float)
    values_MN = values_MN[np.isfinite(values_MN).all(axis=1)]
    if not values_MN.size:
        return False
    values_MN = np.maximum(values_MN, 1e-12)
    ranks = 100 * (np.arange(values_MN.shape[1]) + 0.5) / values_MN.shape[1]
    style = line_style(number, len(ranks))
    if len(values_MN) > 1:
        low, high = values_MN.min(axis=0), values_MN.max(axis=0)
        axes.fill_between(ranks, low, high, color=style["color"], alpha=0.15, lw=0)
    axes.plot(ranks, np.median(values_MN, axis=0), label=written(name), **style)
    return True
