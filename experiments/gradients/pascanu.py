"""Pascanu's success curve: temporal order by SGD, with clipping, with clipping and Ω.

Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural
networks", section 4.1: 50 tanh units, batches of 20, learning rate .01, gradients
clipped at norm 1, success under 1 % wrong of 10,000 fresh sequences, five seeds. Their
networks had up to five million updates; `steps` is what ours have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.gradients.long_memory_figures import pascanu_figure
from experiments.gradients.long_memory_ladders import (
    Climb,
    Ladder,
    climb_all,
    counts,
    ladder,
    reach,
)
from experiments.gradients.study import Job, Result, Study, Table
from lm.config import OptimConfig

TASK = "temporal_order_2"


@dataclass(frozen=True)
class Pascanu(Climb):
    """Expected: plain SGD fails first as sequences grow, clipping carries further, and
    clipping with the regularizer Ω further still."""

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
            network="smart tanh",
            task=TASK,
            optim=optim,
        )
        for variant, optim in variants(size).items()
    ]


def run(size: Pascanu, job: Job) -> Result:
    """Climbs the three ladders."""
    rows = climb_all(ladders(size, job.seeds), job)
    return Result(
        headline=headline(size, rows, job.seeds),
        rows=rows,
        table=table(size, rows),
        figure=pascanu_figure(size, rows),
    )


def headline(size: Pascanu, rows: Sequence[dict[str, Any]], seeds: int) -> str:
    """The sentence, from the rows alone."""
    far = {variant: reach(rows, TASK, variant) for variant in variants(size)}
    solved = {
        variant: sum(row["solved"] for row in rows if row["variant"] == variant)
        for variant in far
    }
    each = ", ".join(f"{variant} {far[variant] or 'none'}" for variant in far)
    ranks = [(far[variant], solved[variant]) for variant in far]
    if ranks == sorted(ranks) and ranks[0] < ranks[-1]:
        verdict = "in the order that Pascanu 2013 found"
    elif ranks[0] == ranks[-1]:
        verdict = "no difference at these lengths"
    else:
        verdict = "not in the order that Pascanu 2013 found"
    trials = seeds * len(size.lengths)
    totals = ", ".join(f"{solved[variant]} of {trials}" for variant in far)
    return (
        f"Longest L of {', '.join(map(str, size.lengths))} at which at least half of "
        f"{seeds} seeds learn temporal order within {size.steps:,} updates: {each} "
        f"(trials solved over all lengths: {totals}): {verdict}."
    )


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


STUDY = Study(
    name="pascanu",
    asks="How far do clipping and the regularizer Ω carry SGD on temporal order?",
    sizes=SIZES,
    run=run,
)
