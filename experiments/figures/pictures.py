"""Figures of pictures and the words that were made of them."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from experiments.figures.style import COLOURS, new_figure, styled, written

COLUMNS = 3


def described(scenes: Sequence[tuple[np.ndarray, str, str]]) -> Figure:
    """Pictures with their descriptions: (picture, answer, what is there)."""
    reading = (
        "Test scenes, of digits that were never trained on, and their descriptions; "
        "where one is wrong, what is there stands below it in the other colour."
    )
    rows = max(1, -(-len(scenes) // COLUMNS))
    with styled():
        figure, found = new_figure(
            reading, 7.2, 0.7 + 2.0 * rows, nrows=rows, ncols=COLUMNS, squeeze=False
        )
        for axes in found.flat:
            axes.set_axis_off()
        for axes, (picture, answer, text) in zip(found.flat, scenes, strict=False):
            axes.imshow(np.asarray(picture), cmap="gray", vmin=0, vmax=1)
            said = fill(written(answer, 70), 34)
            axes.set_title(said, fontsize=7, color=COLOURS[0])
            if answer != text:
                axes.text(
                    0.5,
                    -0.05,
                    fill(written(text, 70), 34),
                    fontsize=7,
                    color=COLOURS[4],
                    ha="center",
                    va="top",
                    transform=axes.transAxes,
                )
    return figure


def looked_at(
    picture: np.ndarray, words: Sequence[str], maps: Sequence[np.ndarray]
) -> Figure:
    """A picture once for each word, bright where attention was when it was written.

    Args:
      maps: (rows, columns) weights of each word, over the picture's places.
    """
    reading = (
        "Where it looks as it writes each word: the picture, and over it the weight of "
        "each place, brighter with more of it."
    )
    columns = min(6, max(1, len(words)))
    rows = max(1, -(-len(words) // columns))
    picture = np.asarray(picture, float)
    high, wide = picture.shape
    with styled():
        figure, found = new_figure(
            reading, 7.2, 0.7 + 1.0 * rows, nrows=rows, ncols=columns, squeeze=False
        )
        for axes in found.flat:
            axes.set_axis_off()
        for axes, word, weights in zip(found.flat, words, maps, strict=False):
            extent = (-0.5, wide - 0.5, high - 0.5, -0.5)
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=extent)
            axes.imshow(
                np.asarray(weights, float),
                cmap="inferno",
                alpha=0.6,
                extent=extent,
                interpolation="bilinear",
                vmin=0,
            )
            axes.set_title(written(word, 16), fontsize=9)
    return figure
