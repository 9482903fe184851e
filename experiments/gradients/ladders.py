"""Ladders of trials: one variant on one task, by increasing length.

A variant climbs as long as one seed of a rung gets through; longer lengths are then not
tried, and their rows are not there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.tasks import TASKS
from experiments.console.interrupts import Interrupt
from experiments.gradients.study import Job
from experiments.gradients.trials import Trial, results_of
from experiments.results.intervals import wilson
from experiments.train.processes import Heard, run_all
from lm.config import OptimConfig

Rung = tuple[Trial, ...]
Ladder = tuple[Rung, ...]
Row = dict[str, Any]


@dataclass(frozen=True)
class Climb:
    """How the trials of a study are made, its variants aside."""

    lengths: tuple[int, ...]
    """The tasks' T, in increasing order."""
    seeds: int
    steps: int
    """Updates at most."""
    check: int
    """Updates between looks at whether the task is solved."""
    learning_rate: float
    hidden: int = 50
    batch: int = 20


def ladder(
    size: Climb,
    lengths: Sequence[int],
    seeds: int,
    *,
    variant: str,
    network: str,
    task: str,
    optim: OptimConfig,
) -> Ladder:
    """One variant's trials on a task: a rung for each length, of all seeds."""

    def trial(length: int, seed: int) -> Trial:
        return Trial(
            variant=variant,
            network=network,
            task=task,
            length=length,
            seed=seed,
            optim=optim,
            hidden=size.hidden,
            batch=size.batch,
            steps=size.steps,
            check=size.check,
        )

    return tuple(tuple(trial(T, seed) for seed in range(seeds)) for T in lengths)


def climb_all(ladders: Sequence[Ladder], job: Job) -> list[Row]:
    """The rows of all ladders, in order. What has its file already is not run again.

    Raises:
      Interrupted: after a signal; every trial that had ended is saved.
    """
    job.display.begin(sum(map(updates, ladders)))
    do = partial(climb, job.directory)
    found = run_all(ladders, do, job.processes, job.stop, job.display.advance)
    return [row for rows in found for row in rows]


def updates(ladder: Ladder) -> int:
    """Updates at most."""
    return sum(trial.steps for rung in ladder for trial in rung)


def climb(
    directory: Path, ladder: Ladder, stop: Interrupt, advance: Heard
) -> list[Row]:
    """A row for each rung up to the first that no seed gets through."""
    rows: list[Row] = []
    for rung in ladder:
        results = results_of(rung, directory, stop, advance)
        rows.append(row_of(rung, results))
        if not rows[-1]["solved"]:
            break
    advance(ladder[0][0].variant, updates(ladder[len(rows) :]))
    return rows


def row_of(rung: Rung, results: Sequence[dict[str, Any]]) -> Row:
    """What the seeds of one rung found."""
    trial = rung[0]
    solved = sum(bool(result["solved"]) for result in results)
    low, high = wilson(solved, len(results))
    losses = [float(result["loss"]) for result in results]
    return {
        "variant": trial.variant,
        "task": trial.task,
        "length": trial.length,
        "seeds": len(results),
        "solved": solved,
        "rate": solved / len(results),
        "low": low,
        "high": high,
        "updates": [r["updates"] if r["solved"] else None for r in results],
        "wrong": [float(result["wrong"]) for result in results],
        "loss": float(np.median(losses)),
        "floor": TASKS[trial.task].floor(trial.length),
    }


def reach(rows: Sequence[Row], task: str, variant: str) -> int:
    """The longest T that at least half of the seeds solve; 0: none."""
    return max(
        (
            row["length"]
            for row in rows
            if row["task"] == task and row["variant"] == variant and row["rate"] >= 0.5
        ),
        default=0,
    )


def counts(rows: Sequence[Row], task: str, variant: str, lengths) -> list[str]:
    """ "solved/seeds" at each length, "–" where it was not tried."""
    found = {
        row["length"]: f"{row['solved']}/{row['seeds']}"
        for row in rows
        if row["task"] == task and row["variant"] == variant
    }
    return [found.get(length, "–") for length in lengths]
