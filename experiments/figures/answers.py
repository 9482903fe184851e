"""Figures of what a model answered: right and wrong, and while it reads."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.figures.style import line_style, new_figure, styled, written


def confusion_matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """How often each class (a row) was answered by which (a column).

    Args:
      counts: (C, C) of [class][answer].
    """
    counts_CC = np.asarray(counts, float)
    shares_CC = counts_CC / np.maximum(counts_CC.sum(1, keepdims=True), 1)
    reading = (
        "A row is what was there, a column what was answered; numbers are counts, "
        "shades shares of the row. All that is right stands on the diagonal."
    )
    size = 2.2 + 0.42 * len(names)
    with styled():
        figure, axes = new_figure(reading, max(5.0, size), max(3.6, size))
        axes.imshow(shares_CC, cmap="Blues", vmin=0, vmax=1)
        axes.grid(False)
        for (row, column), count in np.ndenumerate(counts_CC):
            if count:
                ink = "white" if shares_CC[row, column] > 0.5 else "black"
                axes.text(
                    column, row, f"{count:.0f}", ha="center", va="center", color=ink
                )
        labels = [written(name, 16) for name in names]
        turned = 90 if max(map(len, labels)) > 3 and len(labels) > 4 else 0
        axes.set_xticks(range(len(names)), labels, rotation=turned)
        axes.set_yticks(range(len(names)), labels)
        axes.set_xlabel("answer")
        axes.set_ylabel("what it was")
        right, of = np.trace(counts_CC), counts_CC.sum()
        axes.set_title(f"Test split: {right:,.0f} of {of:,.0f} are right")
    return figure


def reading_along(
    words: Sequence[str], chances: np.ndarray, names: Sequence[str], title: str
) -> Figure:
    """P(class) after each word of a sentence, a line a class; of two classes the second
    alone.

    Args:
      chances: (T, C).
    """
    chances_TC = np.asarray(chances, float)
    shown = [1] if len(names) == 2 else range(len(names))
    reading = (
        "What the network would answer if the sentence ended after each word. Where "
        "the line turns, the words before it have turned the answer."
    )
    with styled():
        figure, axes = new_figure(reading, max(5.0, 1.5 + 0.32 * len(words)), 3.2)
        places = np.arange(len(words))
        for number in shown:
            style = line_style(number)
            axes.plot(
                places, chances_TC[:, number], label=written(names[number]), **style
            )
        axes.axhline(1 / len(names), color="0.5", lw=0.8)
        axes.set_xticks(
            places, [written(word, 14) for word in words], rotation=60, ha="right"
        )
        axes.set_ylim(-0.03, 1.03)
        named = names[1] if len(names) == 2 else "class"
        axes.set_ylabel(f"P({written(named)} | words so far)")
        axes.set_title(written(title, 60))
        if len(names) > 2:
            axes.legend(fontsize=8)
    return figure


def solved_by_length(lengths: np.ndarray, shares: np.ndarray, trained: float) -> Figure:
    """Share of sequences solved against their length.

    Args:
      trained: the largest length that was trained on.
    """
    reading = (
        "Shaded: the lengths of training. Each point is a few lengths together. A "
        "network that has learnt the rule stays at 1 beyond them; one that has learnt "
        "the sequences falls to chance."
    )
    order = np.argsort(lengths)
    with styled():
        figure, axes = new_figure(reading)
        axes.axvspan(0, trained, color="0.5", alpha=0.15, lw=0)
        axes.plot(lengths[order], shares[order], **line_style(0))
        axes.set_xlabel("length of the sequence, in steps")
        axes.set_ylabel("share with every answer right")
        axes.set_ylim(-0.03, 1.03)
        axes.set_title("Beyond the lengths of training")
    return figure
