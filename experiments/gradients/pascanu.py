"""Pascanu's success curve: temporal order by SGD, with clipping, with clipping and Ω.

Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural
networks", section 4.1: 50 tanh units, batches of 20, learning rate .01, gradients
clipped at norm 1, success under 1 % wrong of 10,000 fresh sequences, five seeds. Their
networks had up to five million updates; `steps` is what ours have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from experiments.figures.style import line_style, logarithmic, new_figure, styled
from experiments.gradients.ladders import (
    Climb,
    Ladder,
    climb_all,
    counts,
    ladder,
    reach,
)
from experiments.gradients.panels import Rows, beside, scale, success
from experiments.gradients.smart_tanh import SMART
from experiments.gradients.study import Job, Result, Study, Table
from lm.config import OptimConfig

TASK = "temporal_order_2"


EXPECTS = (
    "Plain SGD fails first as sequences grow, clipping carries further, and "
    "clipping with the regularizer Ω further still."
)


@dataclass(frozen=True)
class Pascanu(Climb):
    """What a size sets."""

    lengths: tuple[int, ...] = (10, 20, 30)
    seeds: int = 5
    steps: int = 15_000
    check: int = 500
    learning_rate: float = 0.01
    omega: float = 2.0
    """The weight of Ω, as in the authors' code."""


SIZES = {
    "small": Pascanu(),
    "medium": Pascanu(lengths=(20, 50, 75, 100), steps=60_000, check=1_000),
    "full": Pascanu(
        lengths=(20, 50, 75, 100, 150, 200, 250), steps=5_000_000, check=2_000
    ),
    "tiny": Pascanu(lengths=(10, 12), seeds=2, hidden=16, batch=4, steps=20, check=10),
}


def variants(size: Pascanu) -> dict[str, OptimConfig]:
    """The three ways of training."""
    rate = size.learning_rate
    return {
        "SGD": OptimConfig("sgd", rate, clip="none"),
        "SGD + clipping": OptimConfig("sgd", rate, clip="norm", clip_at=1.0),
        "SGD + clipping + Ω": OptimConfig(
            "sgd", rate, clip="norm", clip_at=1.0, omega=size.omega
        ),
    }


def ladders(size: Pascanu, seeds: int) -> list[Ladder]:
    """One for each way of training."""
    return [
        ladder(
            size,
            size.lengths,
            seeds,
            variant=variant,
            network=SMART,
            task=TASK,
            optim=optim,
        )
        for variant, optim in variants(size).items()
    ]


def run(size: Pascanu, job: Job) -> Result:
    """Climbs the three ladders."""
    rows = climb_all(ladders(size, job.seeds), job)
    return Result(
        headline=headline(rows),
        rows=rows,
        table=table(size, rows),
        figure=figure_of(size, rows),
    )


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    names = list(dict.fromkeys(row["variant"] for row in rows))
    far = {name: reach(rows, TASK, name) for name in names}
    solved = {
        name: sum(row["solved"] for row in rows if row["variant"] == name)
        for name in names
    }
    ranks = [(far[name], solved[name]) for name in names]
    if ranks == sorted(ranks) and ranks[0] < ranks[-1]:
        verdict = "in the order that Pascanu 2013 found"
    elif ranks[0] == ranks[-1]:
        verdict = "no difference at these lengths"
    else:
        verdict = "not in the order that Pascanu 2013 found"
    each = ", ".join(f"{name} {far[name] or 'none'}" for name in names)
    return f"Half of the seeds learn temporal order up to length: {each}; {verdict}."


def table(size: Pascanu, rows: Sequence[dict[str, Any]]) -> Table:
    """Seeds that solve the task, of those tried, at each length."""
    head = ("training", *(f"L {length}" for length in size.lengths), "reaches")
    body = [
        (
            variant,
            *counts(rows, TASK, variant, size.lengths),
            str(reach(rows, TASK, variant) or "–"),
        )
        for variant in variants(size)
    ]
    return Table(head, body)


def figure_of(size: Any, rows: Rows) -> Figure:
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


STUDY = Study(
    expects=EXPECTS,
    sizes=SIZES,
    run=run,
    headline=headline,
)
