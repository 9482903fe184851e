"""Study 9: which recurrences copy ten symbols over a hundred steps and more."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_pipeline.tasks import TASKS
from experiments.applications.memory.config import MemoryConfig, TaskConfig
from experiments.config import GradflowConfig, TrainConfig
from experiments.figures.style import (
    limit_line,
    line_style,
    logarithmic,
    new_figure,
    steps_along,
    styled,
)
from experiments.gradients.concluded import Whole, conclude_all
from experiments.gradients.panels import Rows
from experiments.gradients.study import Job, Result, Study, Table
from experiments.run.metrics import read_metrics
from lm.config import ModelConfig, OptimConfig

TASK = TASKS["copy_memory"]
BELOW = 0.9  # of the floor; the loss of 10,000 sequences scatters by far less
# Within the root here: 1e-8 beside it, as the authors' RMSprop has. With more, updates
# die out on the plateau at the floor, where gradients are small.
EPS = 1e-16
PILOT_SEED = 1000
RIGHT = 0.99  # share of sequences without a mistake that counts as solved
# Expected to copy: kept orthogonal, or started so, or with gates that stay open for T
# steps at first.
KEPT, CHRONO = ("scornn", "exprnn"), ("lstm_chrono", "gru_chrono")
LASTING = (*KEPT, "orthogonal", *CHRONO)
PASSING = ("lstm", "gru", "tanh")

EXPECTS = (
    "Cells whose recurrent matrix is kept orthogonal (scoRNN, expRNN) or starts so, "
    "and LSTM and GRU with gates that start at time constants up to T (chrono), fall "
    "below the loss without memory (10 ln 8 / (T + 20)) at T = 100 and more; within as "
    "many updates plain LSTM, GRU and tanh do not (Helfrich 2018; Tallec & Ollivier "
    "2018)."
)


@dataclass(frozen=True)
class Copying:
    """What a size sets."""

    cells: tuple[str, ...] = LASTING + PASSING
    lengths: tuple[int, ...] = (100,)
    """The task's T."""
    seeds: int = 3
    steps: int = 5_000
    """Updates at most; a run that has solved its task ends."""
    check: int = 200
    """Updates between evaluations; the best parameters are those of one."""
    rates: tuple[float, ...] = (0.001, 0.003)
    """Learning rates of RMSprop, behind clipping at norm 1: each cell has its best of
    these at each length, by the loss of pilots."""
    pilots: int = 2_000
    """Updates of a pilot, one a rate, of a seed of its own."""
    hidden: int = 100
    batch: int = 32
    examined: int = 10_000
    """Sequences of the test."""


SIZES = {
    "small": Copying(
        cells=("scornn", "lstm_chrono", "tanh"),
        lengths=(30,),
        seeds=2,
        steps=1_000,
        rates=(0.001,),
    ),
    "medium": Copying(),
    "full": Copying(
        lengths=(100, 200),
        seeds=5,
        steps=50_000,
        rates=(0.0003, 0.001, 0.003),
        pilots=10_000,
        hidden=128,
        batch=50,
    ),
}


class Variant(NamedTuple):
    """A cell at a length, and its learning rate."""

    cell: str
    length: int
    rate: float


def config_of(size: Copying, of: Variant, seed: int, steps: int) -> MemoryConfig:
    """One run of so many updates at most."""
    return MemoryConfig(
        name=f"{of.cell}-T{of.length}-rate{of.rate:g}-seed{seed}",
        seed=seed,
        data=TaskConfig(
            TASK.name,
            of.length,
            size.batch,
            updates=size.check,
            looked=min(1_000, size.examined),
            examined=size.examined,
            enough=RIGHT,
        ),
        model=ModelConfig(of.cell, 1, size.hidden, 0),
        optim=OptimConfig("rmsprop", of.rate, eps=EPS, clip="norm", clip_at=1.0),
        train=TrainConfig(
            epochs=0, steps=steps, eval_batch=500, keep=1, samples=0, fused=10
        ),
        gradflow=GradflowConfig(every=0),
    )


def run(size: Copying, job: Job) -> Result:
    """Finds learning rates, then trains every cell at every length with every seed;
    seeds outermost."""
    variants = tuned(size, job)
    wholes = [
        whole(config_of(size, variant, seed, size.steps), job.directory)
        for seed in range(job.seeds)
        for variant in variants
    ]
    summaries = conclude_all(wholes, job)
    rows = []
    for number, variant in enumerate(variants):
        own = slice(number, None, len(variants))
        curves = [curve(one) for one in wholes[own]]
        rows.append(row_of(variant, summaries[own], curves))
    return Result(headline(rows), rows, table(rows), figure_of(rows))


def whole(config: MemoryConfig, directory: Path) -> Whole:
    """A run in its directory."""
    return Whole(config.name, config, directory / config.name)


def tuned(size: Copying, job: Job) -> list[Variant]:
    """Every cell at every length, at the rate whose pilot came to the lowest loss; the
    first rate, where all diverged."""
    choices = [
        [Variant(cell, length, rate) for rate in size.rates]
        for length in size.lengths
        for cell in size.cells
    ]
    if len(size.rates) == 1:
        return [one for (one,) in choices]
    asked = [one for rates in choices for one in rates]
    folder = job.directory / "pilots"
    pilots = [
        whole(config_of(size, one, PILOT_SEED, size.pilots), folder) for one in asked
    ]
    losses = dict(zip(asked, map(valid_loss, conclude_all(pilots, job)), strict=True))
    return [min(rates, key=losses.__getitem__) for rates in choices]


def valid_loss(summary: dict[str, Any]) -> float:
    """Of a run; infinite where it diverged."""
    if "diverged" in summary:
        return math.inf
    return float(summary["scores"]["valid"]["loss"])


def curve(of: Whole) -> dict[str, list[float]]:
    """What evaluations on the way found: updates and losses."""
    looks = [
        (row["step"], row["valid_loss"])
        for row in read_metrics(of.directory / "metrics.jsonl")
        if "valid_loss" in row
    ]
    return {
        "updates": [step for step, _ in looks],
        "losses": [loss for _, loss in looks],
    }


def row_of(
    of: Variant,
    summaries: Sequence[dict[str, Any]],
    curves: Sequence[dict[str, list[float]]],
) -> dict[str, Any]:
    """What a cell's seeds found at one length, by their best parameters."""
    floor = TASK.floor(of.length)
    ended = [s for s in summaries if "diverged" not in s]
    losses = [float(s["scores"]["test"]["loss"]) for s in ended]
    right = [float(s["scores"]["test"]["solved"]) for s in ended]
    return {
        "variant": of.cell,
        "lasting": of.cell in LASTING,
        "length": of.length,
        "learning_rate": of.rate,
        "floor": floor,
        "seeds": len(summaries),
        "diverged": len(summaries) - len(ended),
        "loss": losses,
        "right": right,
        "below": sum(loss < BELOW * floor for loss in losses),
        "solved": sum(share >= RIGHT for share in right),
        "until_below": [until(one, BELOW * floor) for one in curves],
        "curves": list(curves),
    }


def until(curve: dict[str, list[float]], limit: float) -> int | None:
    """Updates up to the first evaluation with a loss below a limit; None: there is
    none."""
    pairs = zip(curve["updates"], curve["losses"], strict=True)
    return next((int(step) for step, loss in pairs if loss < limit), None)


def reach(rows: Rows, cell: str) -> int:
    """The longest T at which more than half of a cell's seeds fall below the floor;
    0: none."""
    of = [row for row in rows if row["variant"] == cell]
    return max((r["length"] for r in of if 2 * r["below"] > r["seeds"]), default=0)


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    lasting = {row["variant"]: row["lasting"] for row in rows}
    far = {cell: reach(rows, cell) for cell in lasting}
    right = all(bool(far[cell]) == hoped for cell, hoped in lasting.items())
    each = ", ".join(f"{cell} {length or 'none'}" for cell, length in far.items())
    verdict = "as expected" if right else "unexpected"
    return f"Copy memory falls below its floor up to T: {each}; {verdict}."


def table(rows: Rows) -> Table:
    """What each cell's seeds came to, at each length."""
    head = (
        "cell",
        "T",
        "rate",
        "below",
        "solved",
        "loss / floor, by seed",
        "updates until",
    )
    body = [
        (
            row["variant"],
            str(row["length"]),
            f"{row['learning_rate']:g}",
            f"{row['below']}/{row['seeds']}",
            f"{row['solved']}/{row['seeds']}",
            ", ".join(f"{loss / row['floor']:.3g}" for loss in row["loss"])
            or "diverged",
            ", ".join(f"{n:,}" if n else "–" for n in row["until_below"]),
        )
        for row in rows
    ]
    return Table(head, body)


def figure_of(rows: Rows) -> Figure:
    """The loss over the floor against updates, by cell; a panel a length."""
    lengths = sorted({row["length"] for row in rows})
    cells = list(dict.fromkeys(row["variant"] for row in rows))
    reading = (
        "The loss on sequences that were not trained on, over the least that a network "
        "without memory can have, as training goes on: a thin line for each seed, "
        "their median thick. Below 1 a network remembers some of the ten symbols."
    )
    with styled():
        figure, panels = new_figure(
            reading, 6.4 * len(lengths), 4.4, ncols=len(lengths), squeeze=False
        )
        for axes, length in zip(panels[0], lengths, strict=True):
            for row in rows:
                if row["length"] == length:
                    draw(axes, row, cells.index(row["variant"]))
            limit_line(axes, 1.0, "without memory", left=True)
            logarithmic(axes)
            axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-3), top=3.0)
            axes.set_title(f"T = {length}")
            steps_along(axes, "updates")
        panels[0, 0].set_ylabel("loss / loss without memory")
        handles = panels[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=4)
    return figure


def draw(axes: Axes, row: dict[str, Any], number: int) -> None:
    """One cell's curves. The median goes as far as the longest seed: one that ended
    before, having solved its task, keeps its last loss."""
    curves = [one for one in row["curves"] if one["updates"]]
    if not curves:
        return
    longest = max((one["updates"] for one in curves), key=len)
    style = line_style(number, len(longest))
    for one in curves:
        losses = np.asarray(one["losses"]) / row["floor"]
        axes.plot(one["updates"], losses, color=style["color"], lw=0.5, alpha=0.5)
    filled = [
        one["losses"] + one["losses"][-1:] * (len(longest) - len(one["losses"]))
        for one in curves
    ]
    middle = np.median(filled, axis=0) / row["floor"]
    axes.plot(longest, middle, label=row["variant"].replace("_", " "), **style)


STUDY = Study(expects=EXPECTS, sizes=SIZES, run=run, headline=headline)
