"""Figures of sentences: their words, each with a number of its own."""

from collections.abc import Collection, Sequence
from typing import Any

from matplotlib.figure import Figure

from experiments.figures.style import COLOURS, new_figure, styled, written

LINE = 62  # letters of a row


def word_strips(
    sentences: Sequence[tuple[list[str], list[float]]],
    reading: str = "Test sentences; the darker a word, the likelier it was in its own "
    "gap, given all the other words. Below it, its probability in per cent.",
) -> Figure:
    """Words on boxes, darker where their probability is higher.

    sentences: (words, probability of each).
    """
    rows = [row for words, p in sentences for row in _rows(words, p)]
    with styled():
        height = 0.9 + 0.36 * max(1, len(rows))
        figure, axes = new_figure(reading, width=7.2, height=height)
        axes.set_axis_off()
        axes.set_xlim(0, LINE)
        axes.set_ylim(max(1, len(rows)), 0)
        for number, row in enumerate(rows):
            _draw(axes, row, number + 0.5)
    return figure


def _rows(words: Sequence[str], numbers: Sequence[float]) -> list[list[Any]]:
    """(column, word, number) of each word, by rows that are no longer than LINE; a row
    that goes on with a sentence is set in."""
    rows: list[list[Any]] = [[]]
    column = 0.0
    for word, number in zip(words, numbers, strict=True):
        width = max(2, len(word)) + 1.4
        if column + width > LINE and rows[-1]:
            rows.append([])
            column = 3.0
        rows[-1].append((column, word, number))
        column += width
    return rows


def _draw(axes: Any, row: Sequence[Any], y: float) -> None:
    for column, word, number in row:
        box = {
            "boxstyle": "round,pad=0.15",
            "facecolor": COLOURS[0],
            "alpha": 0.08 + 0.6 * number,
            "linewidth": 0,
        }
        middle = column + max(2, len(word)) / 2
        style = {"ha": "center", "family": "monospace"}
        axes.text(middle, y, written(word), fontsize=8, va="bottom", bbox=box, **style)
        axes.text(
            middle, y + 0.12, f"{100 * number:.0f}", fontsize=6, va="top", **style
        )


def word_map(
    places: dict[str, list[float]],
    marked: Collection[str],
    reading: str = "Word vectors by their two largest principal components; in italics "
    "words that the vocabulary lacks. What the network treats alike lies together.",
) -> Figure:
    """Words at their places. marked: those that are set off."""
    with styled():
        figure, axes = new_figure(reading, width=7.2, height=5.6)
        for word, (x, y) in places.items():
            new = word in marked
            axes.text(
                x,
                y,
                written(word, 16),
                fontsize=7,
                color=COLOURS[1] if new else COLOURS[0],
                style="italic" if new else "normal",
                ha="center",
                va="center",
            )
        xs, ys = zip(*places.values(), strict=True)
        for low, high, bound in ((min(xs), max(xs), 0), (min(ys), max(ys), 1)):
            room = 0.08 * max(high - low, 1e-6)
            (axes.set_ylim if bound else axes.set_xlim)(low - room, high + room)
        axes.set_xlabel("first component")
        axes.set_ylabel("second component")
    return figure
