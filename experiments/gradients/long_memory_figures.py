"""Figures of long memory and of Pascanu's success curve, drawn from their rows."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_pipeline.tasks import TASKS
from experiments.figures.style import (
    INK,
    line_style,
    logarithmic,
    new_figure,
    styled,
)
from experiments.gradients.long_memory import MEMORYLESS, NAMES
from experiments.gradients.pascanu import variants

Rows = Sequence[dict[str, Any]]


def long_memory_figure(size: Any, rows: Rows) -> Figure:
    """For each task the share of seeds that solve it and the loss, against T."""
    reading = (
        "Above: the share of seeds that solve a task of length T (bars: 95 %, "
        "Wilson); a line ends where no seed did, and longer sequences were not tried. "
        "Below: the median loss on fresh sequences when training ended; the grey line "
        "is the exact loss of the best answers without memory, crosses are such "
        "answers, measured. A network on the grey line remembers nothing."
    )
    with styled():
        figure, axes = new_figure(
            reading,
            max(6.0, 2.35 * len(size.tasks)),
            5.6,
            nrows=2,
            ncols=len(size.tasks),
            sharex=True,
            squeeze=False,
        )
        for number, task in enumerate(size.tasks):
            above, below = axes[:, number]
            of = [row for row in rows if row["task"] == task]
            for style, cell in enumerate(size.cells):
                mine = [row for row in of if row["variant"] == cell]
                success(above, mine, cell, style, len(size.cells))
                losses(below, mine, style, len(size.cells))
            floor(below, size, task)
            answers = [row for row in of if row["variant"] == MEMORYLESS]
            below.plot(*column(answers, "loss"), "x", color=INK, ms=6, zorder=5)
            above.set_title(NAMES[task])
            above.set_ylim(-0.05, 1.05)
            scale(below, size.lengths)
            logarithmic(below)
            low, high = below.get_ylim()
            below.set_ylim(min(low, high / 10), high)
            below.set_xlabel("T, in steps")
        axes[0, 0].set_ylabel("seeds that solve it")
        axes[1, 0].set_ylabel("loss per answer, nats\nor squared error")
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=len(size.cells),
        )
    return figure


def pascanu_figure(size: Any, rows: Rows) -> Figure:
    """The share of seeds that succeed against L, and the updates that they needed."""
    reading = (
        "Left: the share of seeds that learn temporal order of length L (bars: 95 %, "
        "Wilson); a line ends where no seed did. Right: updates that each successful "
        "seed needed, on a log scale. Further to the right, and lower, is better."
    )
    names = list(variants(size))
    with styled():
        figure, (left, right) = new_figure(reading, 9.0, 4.2, ncols=2)
        for number, variant in enumerate(names):
            mine = [row for row in rows if row["variant"] == variant]
            success(left, mine, variant, number, len(names))
            style = {**line_style(number), "linestyle": "none"}
            for row in mine:
                needed = [n for n in row["updates"] if n is not None]
                at = beside(row["length"], number, len(names))
                right.plot([at] * len(needed), needed, alpha=0.8, **style)
        left.set_ylabel("seeds that learn it")
        left.set_ylim(-0.05, 1.05)
        right.set_ylabel("updates until under 1 % are wrong")
        logarithmic(right)
        for panel in (left, right):
            scale(panel, size.lengths)
            panel.set_xlabel("L, in steps")
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside upper center", ncols=3
        )
    return figure


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


def losses(axes: Axes, rows: Rows, number: int, count: int) -> None:
    """Losses; what is not finite is not drawn."""
    lengths, values = column(rows, "loss")
    places = [beside(length, number, count) for length in lengths]
    axes.plot(places, values, **line_style(number))


def floor(axes: Axes, size: Any, task: str) -> None:
    """The exact loss without memory at each length."""
    values = [TASKS[task].floor(length) for length in size.lengths]
    axes.plot(size.lengths, values, color=INK, linewidth=4, alpha=0.3, zorder=1)


def scale(axes: Axes, lengths: Sequence[int]) -> None:
    """A log axis that names the lengths, and no others."""
    axes.set_xscale("log")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.set_xticks([], minor=True)
    axes.set_xlim(lengths[0] / 1.25, lengths[-1] * 1.25)
