"""Figures of signals: which class was taken for which, and pictures of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.figures.style import WIDTH, new_figure, styled, written

COLUMNS = 3


class Shown(NamedTuple):
    """A signal (T, D) and the title that stands over it."""

    values_TD: np.ndarray
    title: str


def confusion(counts_CC: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """How often a signal of one class (a row) was taken for another (a column)."""
    reading = (
        "Rows: what it is; columns: what it was taken for; numbers: how often. Off the "
        "diagonal stand the mistakes."
    )
    counts_CC = np.asarray(counts_CC)
    share = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    size = float(np.clip(1.6 + 0.42 * len(names), 3.6, 9))
    with styled():
        figure, axes = new_figure(reading, max(size, WIDTH), size)
        axes.grid(False)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1.8)
        for row, column in zip(*np.nonzero(counts_CC), strict=True):
            axes.text(
                column,
                row,
                f"{counts_CC[row, column]:,}",
                ha="center",
                va="center",
                fontsize=8,
                color="black",
            )
        axes.set_title(written(title))
        ticks = [written(name, 12) for name in names]
        upright = max(map(len, ticks), default=0) > 3
        axes.set_xticks(range(len(names)), ticks, rotation=30 if upright else 0)
        axes.set_yticks(range(len(names)), ticks)
        axes.set_xlabel("taken for")
        axes.set_ylabel("is")
    return figure


def pictures(
    shown: Sequence[Shown], title: str, step: float = 1.0, unit: str = "step"
) -> Figure:
    """Signals as pictures, time to the right and bands upwards.

    step, unit  what one of their steps is: .01, "s".
    """
    reading = (
        f"To the right: time ({unit}); upwards: bands, the lowest one first; dark: "
        "much of it. Above each: what it is and what it was taken for, with the "
        "probability that the network gave."
    )
    rows = max(1, -(-len(shown) // COLUMNS))
    longest = max((len(one.values_TD) for one in shown), default=1)
    with styled():
        figure, found = new_figure(
            reading,
            WIDTH * 1.2,
            1.1 + 1.45 * rows,
            nrows=rows,
            ncols=COLUMNS,
            squeeze=False,
            sharex=True,
            sharey=True,
        )
        figure.suptitle(written(title), fontsize=11)
        for axes in found.flat:
            axes.grid(False)
        for axes, one in zip(found.flat, shown, strict=False):
            values_DT = np.asarray(one.values_TD).T
            extent = (0, values_DT.shape[1] * step, 0, values_DT.shape[0])
            axes.imshow(
                values_DT,
                origin="lower",
                aspect="auto",
                cmap="Greys",
                extent=extent,
                interpolation="nearest",
            )
            axes.set_xlim(0, longest * step)
            axes.set_title(written(one.title, 40), fontsize=8)
        for axes in found.flat[len(shown) :]:
            axes.set_axis_off()
        for axes in found[-1]:
            axes.set_xlabel(unit)
        for axes in found[:, 0]:
            axes.set_ylabel("band")
    return figure
