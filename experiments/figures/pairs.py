"""Figures of sequences made from others: what was looked at, and how far back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.figures.style import legend, line_style, new_figure, styled, written

SIDE = 0.27  # inches of a word


def word_matrix(
    values_TS: np.ndarray,
    source: Sequence[str],
    target: Sequence[str],
    title: str,
    reading: str,
) -> Figure:
    """A matrix of numbers, the written words below each other and the words that they
    were written from side by side; each row by its own largest."""
    values_TS = np.asarray(values_TS, float)
    largest_T1 = np.maximum(values_TS.max(axis=1, keepdims=True), 1e-30)
    width, height = 2.6 + SIDE * len(source), 3.2 + SIDE * len(target)
    with styled():
        figure, axes = new_figure(reading, max(5.4, width), height)
        axes.imshow(values_TS / largest_T1, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.grid(False)
        axes.set_xticks(
            range(len(source)),
            [written(word, 16) for word in source],
            rotation=90,
            fontsize=8,
        )
        axes.set_yticks(
            range(len(target)), [written(word, 16) for word in target], fontsize=8
        )
        axes.xaxis.tick_top()
        axes.set_title(title, fontsize=10)
    return figure


def source_reach(shares: Mapping[str, np.ndarray]) -> Figure:
    """Where in the source the gradient of written words ends up.

    Args:
      shares: {name: (3, bins)} of words in the first, middle and last third of the
        target, see `lm.gradflow.source.along`; a panel a name.
    """
    reading = (
        "‖∂(loss of a word)/∂(source word)‖ by where the source word stands; 1: as "
        "much as at any other place. Lines that peak one after another: words are "
        "written from places of their own. Lines alike: all from one summary."
    )
    with styled():
        figure, axes = new_figure(
            reading,
            width=max(4.4, 3.3 * len(shares)),
            height=3.6,
            ncols=len(shares),
            sharey=True,
            squeeze=False,
        )
        _reach(axes[0], shares)
    return figure


def _reach(panels: Sequence[Any], shares: Mapping[str, np.ndarray]) -> None:
    for one, (name, of_thirds) in zip(panels, shares.items(), strict=True):
        bins = len(of_thirds[0])
        places = (np.arange(bins) + 0.5) / bins
        for number, third in enumerate(("first", "middle", "last")):
            style = line_style(number)
            one.plot(places, of_thirds[number], label=f"{third} third", **style)
        one.set_title(written(name), fontsize=10)
        one.set_xlabel("place in the source, 0 to 1")
        one.axhline(1, color="0.5", lw=0.8)
        one.set_ylim(bottom=0)
    panels[0].set_ylabel("gradient, 1: as at any place")
    legend(panels[0], title="words of the target's", fontsize=8)


def source_reach_and_lengths(
    shares: Mapping[str, np.ndarray],
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> Figure:
    """`source_reach` of several networks side by side, and their BLEU by length."""
    reading = (
        "Left: ‖∂(loss of a word)/∂(source word)‖ by where the source word stands; 1: "
        "as much as at any other place. Lines that peak one after another: words are "
        "written from places of their own. Right: BLEU of sentences by length."
    )
    count = len(shares) + 1
    with styled():
        figure, axes = new_figure(reading, 3.1 * count, 3.7, ncols=count)
        _reach(axes[:-1], shares)
        _by_length(axes[-1], curves, "BLEU")
        axes[-1].set_title("by length", fontsize=10)
    return figure


def by_length(
    curves: Mapping[str, Sequence[tuple[float, float]]], score: str, title: str
) -> Figure:
    """A score against the length of the source: {name: (length, score) pairs}."""
    reading = (
        f"{score} of test sentences of about the same length. A summary of fixed size "
        "has to hold longer and longer sentences (Cho et al. 2014, figure 4)."
    )
    with styled():
        figure, axes = new_figure(reading)
        _by_length(axes, curves, score)
        axes.set_title(title)
    return figure


def _by_length(axes: Any, curves: Mapping[str, Any], score: str) -> None:
    for number, (name, points) in enumerate(curves.items()):
        lengths, scores = zip(*points, strict=True) if points else ((), ())
        axes.plot(lengths, scores, label=written(name), **line_style(number))
    axes.set_xlabel("tokens of the source")
    axes.set_ylabel(score)
    axes.set_ylim(bottom=0)
    if len(curves) > 1:
        legend(axes)
