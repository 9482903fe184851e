"""What the figures of several studies share; all are drawn from rows alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.style import line_style

SMALLEST = 1e-6
Rows = Sequence[dict[str, Any]]


def bars(axes: Axes, xs, rows: Rows, name: str, label: str, style: dict) -> None:
    """A line of means with their intervals."""
    halves = np.nan_to_num([row[f"{name}_half"] for row in rows])
    values = [row[name] for row in rows]
    axes.errorbar(xs, values, yerr=halves, label=label, elinewidth=0.8, **style)


def beside(length: float, number: int, count: int) -> float:
    """A place near `length` for curve `number`, so that equal values stay visible."""
    return length * 1.03 ** (number - (count - 1) / 2)


def column(rows: Rows, name: str) -> tuple[list, list]:
    """Lengths and values."""
    return [row["length"] for row in rows], [row[name] for row in rows]


def success(axes: Axes, rows: Rows, label: str, number: int, count: int) -> None:
    """Rates with their intervals."""
    lengths, rates = column(rows, "rate")
    low = [row["rate"] - row["low"] for row in rows]
    high = [row["high"] - row["rate"] for row in rows]
    places = [beside(length, number, count) for length in lengths]
    style = line_style(number)
    errors = [[max(0.0, x) for x in side] for side in (low, high)]
    axes.errorbar(places, rates, errors, label=label, elinewidth=0.8, **style)


def scale(axes: Axes, lengths: Sequence[int]) -> None:
    """A log axis that names the lengths, and no others."""
    axes.set_xscale("log")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.set_xticks([], minor=True)
    axes.set_xlim(lengths[0] / 1.25, lengths[-1] * 1.25)
