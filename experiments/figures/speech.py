"""Figures of speech: sounds, and below each when which symbol was heard."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.figures.style import (
    COLOURS,
    DASHES,
    INK,
    WIDTH,
    new_figure,
    styled,
    written,
)

SEEN = 0.1  # symbols that never are this probable have no line


class Utterance(NamedTuple):
    """frames (T, D), chances (T′, V) of the blank, then of each symbol, and the title
    that stands above."""

    frames_TD: np.ndarray
    chances_TV: np.ndarray
    title: str


def utterances(
    shown: Sequence[Utterance],
    names: Sequence[str],
    title: str,
    seconds: float,
    stacked: int,
) -> Figure:
    """Sounds as pictures, and the probability of each symbol at each step below.

    names    of the symbols, without the blank.
    seconds  from a frame to the next. stacked: frames in a step.
    """
    reading = (
        "Each sound twice, over the same seconds: its bands, the lowest one first, "
        "dark where there is much; below, the probability of each symbol at each "
        "step, its name at its peak, and of the blank (thin, grey). The symbols of "
        "the peaks, in their order, are the answer; between them lies the blank."
    )
    with styled():
        figure, found = new_figure(
            reading,
            WIDTH * 1.3,
            1.3 + 2.1 * len(shown),
            nrows=2 * len(shown),
            squeeze=False,
            gridspec_kw={"height_ratios": [1.0, 0.8] * len(shown)},
        )
        figure.suptitle(written(title), fontsize=11)
        for number, one in enumerate(shown):
            above, below = found[2 * number : 2 * number + 2, 0]
            length = len(one.frames_TD) * seconds
            _sound(above, one, length)
            _chances(below, one, names, seconds * stacked)
            below.set_xlim(0, length)
        found[-1, 0].set_xlabel("seconds")
    return figure


def _sound(axes, one: Utterance, length: float) -> None:
    """The bands over time."""
    frames_DT = np.asarray(one.frames_TD).T
    axes.imshow(
        frames_DT,
        origin="lower",
        aspect="auto",
        cmap="Greys",
        extent=(0, length, 0, len(frames_DT)),
        interpolation="nearest",
    )
    axes.grid(False)
    axes.set_xticklabels([])
    axes.set_ylabel("band", fontsize=8)
    axes.set_title(written(one.title, 60), fontsize=9)


def _chances(axes, one: Utterance, names: Sequence[str], step: float) -> None:
    """The probabilities over time, each symbol's name at its peaks."""
    chances_TV = np.asarray(one.chances_TV)
    middle_T = (np.arange(len(chances_TV)) + 0.5) * step
    axes.plot(middle_T, chances_TV[:, 0], color=INK, lw=0.6, alpha=0.4)
    for symbol, name in enumerate(names, start=1):
        own_T = chances_TV[:, symbol]
        if own_T.max() < SEEN:
            continue
        style = {
            "color": COLOURS[symbol % len(COLOURS)],
            "linestyle": DASHES[symbol // len(COLOURS) % len(DASHES)],
        }
        axes.plot(middle_T, own_T, lw=1.3, **style)
        for at in _peaks(own_T, chances_TV.argmax(axis=1) == symbol):
            axes.annotate(
                written(name, 12),
                (middle_T[at], own_T[at]),
                xytext=(0, 1),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=style["color"],
            )
    axes.set_ylim(-0.03, 1.25)
    axes.set_yticks([0, 1])
    axes.set_ylabel("P", fontsize=8)


def _peaks(own_T: np.ndarray, best_T: np.ndarray) -> list[int]:
    """Where the symbol is likeliest in each stretch in which it is the best one, and in
    each above SEEN in which it never is."""
    seen = [at for at in _stretches(own_T >= SEEN) if not best_T[at].any()]
    return [at.start + int(own_T[at].argmax()) for at in _stretches(best_T) + seen]


def _stretches(on_T: np.ndarray) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on_T, [0]])))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
