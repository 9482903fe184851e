"""Figures of signals: pictures of them, with what they were taken for."""

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
