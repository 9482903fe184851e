"""Ladders of trials: one variant on one task, by increasing length.

A variant climbs as long as one seed of a rung gets through; longer lengths are then not
tried, and their rows are not there.
"""

import math
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.tasks import TASKS
from experiments.console.interrupts import interrupts
from experiments.gradients.long_memory_trials import Advance, Trial, result_of
from experiments.gradients.study import Interrupted, Job
from experiments.train.allocator import keep_memory
from lm.config import OptimConfig

Rung = tuple[Trial, ...]
Ladder = tuple[Rung, ...]
Row = dict[str, Any]
POLL_SECONDS = 0.2


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
    with interrupts() as stop:
        if job.processes > 1:
            found = in_processes(ladders, job, lambda: stop)
        else:
            found = [
                climb(ladder, job.directory, lambda: stop, job.display.advance)
                for ladder in ladders
            ]
    return [row for rows in found for row in rows]


def updates(ladder: Ladder) -> int:
    """Updates at most."""
    return sum(trial.steps for rung in ladder for trial in rung)


def climb(
    ladder: Ladder, directory: Path, stop: Callable[[], Any], advance: Advance
) -> list[Row]:
    """A row for each rung up to the first that no seed gets through."""
    keep_memory()
    rows: list[Row] = []
    for rung in ladder:
        results = [result_of(trial, directory, stop, advance) for trial in rung]
        rows.append(row_of(rung, results))
        if not rows[-1]["solved"]:
            break
    advance(ladder[0][0].variant, updates(ladder[len(rows) :]))
    return rows


def alone(ladder: Ladder, directory: Path) -> list[Row]:
    """`climb` in a process of its own, which is ended from outside."""
    return climb(ladder, directory, lambda: False, lambda what, pieces: None)


def in_processes(
    ladders: Sequence[Ladder], job: Job, stop: Callable[[], Any]
) -> list[list[Row]]:
    """Several ladders at a time; the bar moves when one is done."""
    context = multiprocessing.get_context("spawn")
    ignore = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    with context.Pool(job.processes, signal.signal, ignore) as pool:
        work = partial(alone, directory=job.directory)
        waiting = [pool.apply_async(work, (ladder,)) for ladder in ladders]
        left = dict(enumerate(waiting))
        while left:
            if stop():
                raise Interrupted  # leaving the pool ends its processes
            for number, result in list(left.items()):
                if result.ready():
                    del left[number]
                    ladder = ladders[number]
                    job.display.advance(ladder[0][0].variant, updates(ladder))
            next(iter(left.values()), waiting[0]).wait(POLL_SECONDS)
        return [result.get() for result in waiting]


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


def wilson(solved: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927): the rates p from which `solved` of
    `count` is within z standard deviations √(p(1−p)/n)."""
    rate, share = solved / count, z * z / count
    middle = (rate + share / 2) / (1 + share)
    half = z * math.sqrt(rate * (1 - rate) / count + share / (4 * count)) / (1 + share)
    return max(0.0, middle - half), min(1.0, middle + half)


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
