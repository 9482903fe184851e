"""Figures of what happened during training."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.figures.style import (
    COLOURS,
    legend,
    limit_line,
    line_style,
    logarithmic,
    new_figure,
    nothing_here,
    steps_along,
    styled,
    written,
)

BINS, IN_A_BIN = 160, 6


class Curve(NamedTuple):
    """`y` (S,) after `x` (S,) training steps; `low` and `high`: an interval, or None.

    Values that are not finite are left out.
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


class Binned(NamedTuple):
    """A long curve in at most `BINS` pieces: means, smallest and largest of each."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def binned(curve: Curve) -> Binned:
    """Finite points only, in equal shares of the points; few points stay apart."""
    x, y = finite(curve)
    bins = min(BINS, max(40, len(x) // IN_A_BIN))
    pieces = [p for p in np.array_split(np.arange(len(x)), bins) if len(p)]
    if not pieces:
        return Binned(*(np.zeros(0),) * 4)
    return Binned(
        np.array([x[p].mean() for p in pieces]),
        np.array([y[p].mean() for p in pieces]),
        np.array([y[p].min() for p in pieces]),
        np.array([y[p].max() for p in pieces]),
    )


def finite(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """x and y where both are finite, as float64."""
    x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
    good = np.isfinite(x) & np.isfinite(y)
    return x[good], y[good]


def learning_curves(
    train: Mapping[str, Curve],
    valid: Mapping[str, Curve],
    floor: float | None = None,
    nats: bool = True,
) -> Figure:
    """Training loss (smoothed, and its spread) and validation loss.

    floor: the best loss there can be. nats: it is in nats per token, and perplexities
    stand on the right.
    """
    reading = (
        "Lines: training loss, each point the mean over its share of the steps; "
        "shaded: smallest and largest single step. Large open marks: validation loss. "
        "Training that still falls while validation rises is over-fitting."
    )
    with styled():
        figure, axes = new_figure(reading)
        axes.set_title("Loss during training")
        shown = [
            _learning_curve(axes, number, name, train.get(name), valid.get(name))
            for number, name in enumerate({**train, **valid})
        ]
        if not any(shown):
            nothing_here(axes, "no finite loss was logged")
            return figure
        if floor is not None:
            limit_line(axes, floor, "the optimum")
        steps_along(axes)
        axes.set_ylabel("loss, nats per token" if nats else "loss")
        if nats:
            _perplexities(axes)
        legend(axes)
    return figure


def _learning_curve(
    axes: Any, number: int, name: str, train: Curve | None, valid: Curve | None
) -> bool:
    """Draws one run; whether there was anything to draw."""
    style, label = line_style(number), written(name)
    marker, drawn = style.pop("marker"), False
    smooth = None if train is None else binned(train)
    if smooth is not None and len(smooth.x):
        axes.fill_between(
            smooth.x, smooth.low, smooth.high, color=style["color"], alpha=0.18, lw=0
        )
        alone = {"marker": marker} if len(smooth.x) == 1 else {}
        axes.plot(smooth.x, smooth.mean, label=f"{label}, training", **style, **alone)
        drawn = True
    if valid is not None and len(finite(valid)[0]):
        style |= {"marker": marker, "markerfacecolor": "none", "markersize": 7}
        style |= {"linewidth": 0.7}
        axes.plot(*finite(valid), label=f"{label}, validation", **style)
        drawn = True
    return drawn


def _perplexities(axes: Any) -> None:
    """A second scale on the right: e^loss, where it is not absurdly large."""
    if axes.get_ylim()[1] > 30:
        return
    low, high = axes.get_ylim()
    right = axes.twinx()
    right.set_ylim(low, high)
    nice = np.outer(10.0 ** np.arange(14), [1, 1.5, 2, 3, 5, 7]).ravel()
    inside = [p for p in nice if low <= np.log(p) <= high]
    right.set_yticks(np.log(inside), [f"{p:,g}" for p in inside])
    right.set_ylabel("perplexity")
    right.spines["right"].set_visible(True)


def clip_events(
    loss: Curve, norms: Curve, clipped: np.ndarray, clip_at: float | None, title: str
) -> Figure:
    """The loss with a tick at each step whose gradient was clipped, and the norms.

    Args:
      clipped: (S,) bool, for the steps of `norms`.
      clip_at: the largest global norm let through; None where it is not by norm.
    """
    reading = (
        "Above: training loss; each short tick at its foot is a step whose gradient "
        "was clipped. Below: the gradient's norm before clipping, mean and spread. "
        "Where ticks come before a rise of the loss, the limit was too high."
    )
    clipped = np.asarray(clipped, bool)
    with styled():
        figure, (above, below) = new_figure(
            reading, height=4.4, nrows=2, sharex=True, height_ratios=(3, 2)
        )
        rate = f"{clipped.mean():.1%} of steps clipped" if clipped.size else "no steps"
        above.set_title(f"{written(title)}: {rate}")
        found = _band(above, loss, 0), _band(below, norms, 1)
        if not any(found):
            nothing_here(above, "nothing finite was logged")
            return figure
        _ticks(above, np.asarray(norms.x)[clipped])
        above.set_ylabel("training loss")
        below.set_ylabel("‖gradient‖")
        steps_along(below)
        if found[1] and min(finite(norms)[1]) > 0:
            logarithmic(below)
        if clip_at:
            limit_line(below, clip_at, f"limit {clip_at:g}", left=True)
        legend(above)
    return figure


def _ticks(axes: Any, at: np.ndarray) -> None:
    """Short ticks at the foot of the axes; of very many only some."""
    at = at[:: max(1, len(at) // 800)]
    if len(at):
        style: dict[str, Any] = {"color": COLOURS[4], "ms": 7, "mew": 0.6}
        foot = axes.get_xaxis_transform()
        axes.plot(
            at, np.full(len(at), 0.03), "|", transform=foot, label="clipped", **style
        )


def _band(axes: Any, curve: Curve, number: int) -> bool:
    """Mean and spread of a long curve; whether there was anything to draw."""
    found, colour = binned(curve), COLOURS[number]
    if len(found.x):
        axes.fill_between(
            found.x, found.low, found.high, color=colour, alpha=0.25, lw=0
        )
        marker = "o" if len(found.x) == 1 else None
        axes.plot(found.x, found.mean, color=colour, marker=marker)
    return bool(len(found.x))


def over_training(
    curves: Mapping[str, Curve],
    title: str,
    unit: str,
    reading: str,
    log: bool = False,
    limit: tuple[float, str] | None = None,
) -> Figure:
    """Any numbers against the training step, one line a name, with intervals where
    they are given. limit: a value to draw a line at, and its name."""
    many = len(curves) > 3
    with styled():
        figure, axes = new_figure(reading, height=3.7 + 0.1 * len(curves))
        axes.set_title(written(title))
        drawn = 0
        for number, (name, curve) in enumerate(curves.items()):
            x, y = finite(curve)
            if log:
                x, y = x[y > 0], y[y > 0]
            if not len(x):
                continue
            drawn, style = drawn + 1, line_style(number, len(x))
            if curve.low is not None and curve.high is not None:
                axes.fill_between(
                    curve.x,
                    curve.low,
                    curve.high,
                    color=style["color"],
                    alpha=0.2,
                    lw=0,
                )
            axes.plot(x, y, label=written(name), **style)
        if not drawn:
            nothing_here(axes, "nothing finite was measured")
            return figure
        if limit is not None:
            limit_line(axes, *limit)
        if log:
            logarithmic(axes)
        elif min(min(finite(curve)[1], default=0) for curve in curves.values()) >= 0:
            axes.set_ylim(bottom=0)
        steps_along(axes)
        axes.set_ylabel(unit)
        if many:
            figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        else:
            legend(axes)
    return figure


def parameter_norms(
    steps: np.ndarray,
    values_SP: np.ndarray,
    names: Sequence[str],
    what: str,
    reading: str,
) -> Figure:
    """Norms per parameter group against the training step, one line a group."""
    curves = {}
    for number, name in enumerate(names):
        smooth = binned(Curve(steps, values_SP[:, number]))
        curves[name] = Curve(smooth.x, smooth.mean)
    return over_training(curves, what, what, reading, log=True)
