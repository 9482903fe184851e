"""Study 4: what clipping does to loss spikes, where the learning rate makes some."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.config import Config
from experiments.figures.style import (
    legend,
    line_style,
    logarithmic,
    new_figure,
    steps_along,
    styled,
)
from experiments.gradients.common import characters, paced
from experiments.gradients.measures import nothing
from experiments.gradients.panels import Rows
from experiments.gradients.runs import trained
from experiments.gradients.study import Job, Result, Study, Table
from experiments.results.intervals import Mean, mean, rounded
from experiments.run.metrics import read_metrics
from lm.config import InitConfig, ModelConfig, OptimConfig

EXPECTS = (
    "Without clipping, at this learning rate, training spikes or diverges; clipping by "
    "norm at a small threshold takes the spikes away and ends at a lower loss than "
    "none; clipping by value does as well where its threshold is small enough."
)


@dataclass(frozen=True)
class Clipping:
    """What a size sets."""

    norms: tuple[float, ...] = (0.25, 1.0, 4.0)
    values: tuple[float, ...] = (0.01, 0.1)
    spike: float = 0.3
    """A step whose loss is so many nats above the median of the steps `before`."""
    before: int = 25
    hidden: int = 96
    steps: int = 400
    seeds: int = 3
    batch: int = 16
    window: int = 64
    learning_rate: float = 1.0
    gain: float = 1.5


SIZES = {
    "small": Clipping(),
    "full": Clipping(
        norms=(0.1, 0.25, 1.0, 4.0, 16.0),
        values=(0.003, 0.01, 0.03, 0.1, 0.3),
        hidden=256,
        steps=4000,
        seeds=5,
    ),
}


def configs(size: Clipping) -> dict[str, Config]:
    """A run without clipping, and one for each threshold of each kind."""
    optims = {"none": OptimConfig(clip="none")}
    optims |= {
        f"norm {at:g}": OptimConfig(clip="norm", clip_at=at) for at in size.norms
    }
    optims |= {
        f"value {at:g}": OptimConfig(clip="value", clip_at=at) for at in size.values
    }
    init = InitConfig(recurrent="orthogonal", gain=size.gain)
    return {
        name: Config(
            data=characters(size.batch, size.window),
            model=ModelConfig("tanh", 1, size.hidden, 32, init=init),
            optim=sgd(optim, size.learning_rate),
            train=paced(size.steps, 4),
        )
        for name, optim in optims.items()
    }


def sgd(optim: OptimConfig, rate: float) -> OptimConfig:
    """The same with plain SGD, in which a large gradient is a large step."""
    return replace(optim, optimizer="sgd", learning_rate=rate)


def spikes(losses: Sequence[float], height: float, before: int) -> list[int]:
    """The steps (0, 1, …) whose loss is `height` or more above the median of the
    `before` steps before; the first `before` steps have none."""
    return [
        t
        for t in range(before, len(losses))
        if losses[t] - np.median(losses[t - before : t]) >= height
    ]


def run(size: Clipping, job: Job) -> Result:
    """Trains with every kind of clipping; a run that diverges is a result too."""
    groups = trained(configs(size), nothing, job)
    rows = [row_of(size, name, group) for name, group in groups.items()]
    return Result(headline(rows), rows, table(rows), figure_of(rows))


def row_of(size: Clipping, name: str, runs: list) -> dict[str, Any]:
    """What the seeds of one kind of clipping found; curves are those of seed 0."""
    curves = [curves_of(run.directory) for run in runs]
    found = [spikes(c["loss"], size.spike, size.before) for c in curves]
    steps = sum(len(c["loss"]) for c in curves)
    clipped = sum(
        after < 0.999 * before
        for c in curves
        for before, after in zip(c["gradient_norm"], c["clipped_norm"], strict=True)
    )
    ended = [run.nats for run in runs if not run.diverged]
    nats = mean(ended or [math.inf])
    return {
        "variant": name,
        "clip": runs[0].config["optim"]["clip"],
        "clip_at": runs[0].config["optim"]["clip_at"],
        "seeds": len(runs),
        "diverged": sum(run.diverged for run in runs),
        "spikes": mean([float(len(f)) for f in found]).value,
        "spikes_half": mean([float(len(f)) for f in found]).half,
        "clipped": clipped / max(steps, 1),
        "largest_norm": max(max(c["gradient_norm"], default=0.0) for c in curves),
        "nats": nats.value,
        "nats_half": nats.half,
        "loss": curves[0]["loss"],
        "gradient_norm": curves[0]["gradient_norm"],
        "spikes_at": found[0],
    }


def curves_of(run: Path) -> dict[str, list[float]]:
    """Loss and gradient norms of each step of a run."""
    names = ("loss", "gradient_norm", "clipped_norm")
    rows = [row for row in read_metrics(run / "metrics.jsonl") if "loss" in row]
    return {name: [float(row[name]) for row in rows] for name in names}


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    none = next(row for row in rows if row["clip"] == "none")
    norm, value = (
        min(
            (row for row in rows if row["clip"] == kind),
            key=lambda row: (row["diverged"], row["nats"]),
        )
        for kind in ("norm", "value")
    )
    calmer = norm["spikes"] < none["spikes"] or norm["diverged"] < none["diverged"]
    better = norm["nats"] < none["nats"] or none["diverged"]
    harmed = none["spikes"] > 0 or none["diverged"] > 0
    shown = harmed and calmer and better and not norm["diverged"]
    return (
        f"Without clipping {outcome(none)}; by norm at {norm['clip_at']:g}, "
        f"{outcome(norm)}; by value at {value['clip_at']:g}, {outcome(value)}: "
        f"{'as expected' if shown else 'not what was expected'}."
    )


def outcome(row: dict[str, Any]) -> str:
    """What became of the seeds of one kind, in a few words."""
    if row["diverged"]:
        return f"{row['diverged']} of {row['seeds']} seeds diverged"
    return f"{row['spikes']:.3g} spikes, {rounded(row['nats'], 3)} nats"


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a kind of clipping."""
    head = (
        "clipping",
        "diverged",
        "spikes a run",
        "steps clipped",
        "largest norm",
        "nats",
    )
    body = [
        (
            row["variant"],
            f"{row['diverged']} of {row['seeds']}",
            str(Mean(row["spikes"], row["spikes_half"])),
            f"{row['clipped']:.0%}",
            f"{row['largest_norm']:.3g}",
            str(Mean(row["nats"], row["nats_half"])),
        )
        for row in rows
    ]
    return Table(head, body)


def figure_of(rows: Rows) -> Figure:
    """Loss and gradient norm while training, spikes marked; the end by kind."""
    reading = (
        "Left: training loss of one seed; crosses are spikes. Middle: the gradient's "
        "norm before clipping. Right: validation loss at the end, mean and 95 % over "
        "the seeds that got there, with the number of spikes a run."
    )
    with styled():
        figure, axes = new_figure(reading, 12.6, 4.4, ncols=3)
        losses, norms, ends = axes
        for number, row in enumerate(rows):
            style = {**line_style(number), "marker": None, "linewidth": 1.1}
            losses.plot(row["loss"], label=row["variant"], **style)
            at = row["spikes_at"]
            heights = [row["loss"][t] for t in at]
            losses.plot(at, heights, "x", color=style["color"], markersize=6)
            norms.plot(row["gradient_norm"], label=row["variant"], **style)
            draw_end(ends, number, row)
        losses.set_ylabel("training loss, nats a character")
        logarithmic(norms)
        norms.set_ylabel("gradient norm before clipping")
        for panel in (losses, norms):
            steps_along(panel)
        legend(losses)
        names = [row["variant"] for row in rows]
        ends.set_yticks(range(len(rows)), names)
        ends.invert_yaxis()
        ends.margins(x=0.25, y=0.12)
        ends.set_xlabel("validation loss, nats a character")
    return figure


def draw_end(axes: Axes, number: int, row: dict[str, Any]) -> None:
    """What a kind of clipping ended at, or that it did not."""
    told = f"{row['spikes']:.0f} spikes"
    if row["diverged"]:
        told += f", {row['diverged']} of {row['seeds']} diverged"
    style = {**line_style(number), "linestyle": "none", "markersize": 7}
    at = row["nats"]
    if np.isfinite(at):
        half = np.nan_to_num(row["nats_half"])
        axes.errorbar(at, number, xerr=half, elinewidth=0.8, **style)
        axes.annotate(
            told, (at, number), xytext=(0, 7), textcoords="offset points", fontsize=8
        )
    else:
        axes.text(0.03, number, told, transform=axes.get_yaxis_transform(), fontsize=8)


STUDY = Study(
    expects=EXPECTS,
    sizes=SIZES,
    run=run,
    headline=headline,
)
