"""The engine of a sweep on an accelerator: trials whose runs differ in numbers alone
are trained together, in one compiled step (`experiments.train.population`)."""

import math
from pathlib import Path
from typing import Any

from optuna import TrialPruned

from experiments.config import Config
from experiments.run.files import RunError
from experiments.sweep import trials
from experiments.sweep.desk import (
    Desk,
    Interrupted,
    Lost,
    Reporter,
    Runs,
    choose_fields,
    conclude,
    heartbeats,
    summary_of,
)
from experiments.train.logbook import Diverged
from experiments.train.population import same_shape, train_population

RUNS = 64  # in work at once on one machine
LEARNT = 16  # as many where each trial is chosen by what the others came to


class Hand:
    """A trial in work among others: its runs, and what ended it before its time.

    configs, folders  of its runs, one a seed.
    ended             the reason; None while all goes well.
    """

    def __init__(self, desk: Desk, taken: trials.Taken):
        fields = choose_fields(desk, taken)
        seeds = range(desk.terms.seeds)
        self.taken = taken
        self.configs: list[Config] = [desk.plan.config(fields, k) for k in seeds]
        self.folders: list[Path] = [taken.folder / f"seed-{k}" for k in seeds]
        self.reporter = Reporter(desk, taken.trial)
        self.ended: BaseException | None = None

    def hear(self, seed: int, step: int, value: float) -> bool:
        """An evaluation of one of its runs; whether that run goes on. What ends one
        ends all: their mean would not be that of all seeds."""
        if not math.isfinite(value):
            self.ended = self.ended or Diverged(
                f"seed {seed}, step {step}: loss {value}"
            )
        elif seed == 0 and self.ended is None:
            try:
                self.reporter.report(step, value)
            except (TrialPruned, Lost) as error:
                self.ended = error
        return self.ended is None

    def came(self, finished: list[Path | None]) -> Runs | BaseException:
        """What came of it."""
        if self.ended is not None:
            return self.ended
        if None in finished:
            return Interrupted()
        return [summary_of(folder) for folder in self.folders]


def run_next(desk: Desk, stop: Any) -> bool | None:
    """Takes as many trials as are to be in work at once, to their end; False if they
    were interrupted, None if none waits."""
    room = LEARNT if desk.terms.sampler in ("tpe", "cma-es") else RUNS
    taken = take_some(desk, max(1, room // desk.terms.seeds))
    if not taken:
        return None
    going_on = True
    try:
        with heartbeats(desk, taken):
            for hands in alike(desk, taken):
                going_on = train(desk, hands, stop) and going_on
    finally:
        for one in taken:
            one.release()
    return going_on


def take_some(desk: Desk, wanted: int) -> list[trials.Taken]:
    """Up to so many trials."""
    taken = []
    while len(taken) < wanted and (one := desk.take()):
        taken.append(one)
    return taken


def alike(desk: Desk, taken: list[trials.Taken]) -> list[list[Hand]]:
    """The trials in groups that one compiled step can train."""
    groups: list[list[Hand]] = []
    for one in taken:
        try:
            hand = Hand(desk, one)
        except Exception as error:
            conclude(desk, one, error)
            continue
        for group in groups:
            if same_shape(group[0].configs[0], hand.configs[0]):
                group.append(hand)
                break
        else:
            groups.append([hand])
    return groups


def train(desk: Desk, hands: list[Hand], stop: Any) -> bool:
    """One group to its end; False if it was interrupted."""
    members = [(hand, seed) for hand in hands for seed in range(len(hand.configs))]

    def report(number: int, step: int, value: float) -> bool:
        hand, seed = members[number]
        return hand.hear(seed, step, value)

    finished: list[Path | None] = [None] * len(members)
    failed: Exception | None = None
    try:
        if not stop:
            finished = train_population(
                [hand.configs[seed] for hand, seed in members],
                [hand.folders[seed] for hand, seed in members],
                report,
                stop=stop,
            )
    except Exception as error:
        failed = error if isinstance(error, RunError) else RunError(repr(error))
        failed.__cause__ = error
    going_on = True
    for hand in hands:
        own = [
            f for (other, _), f in zip(members, finished, strict=True) if other is hand
        ]
        going_on = conclude(desk, hand.taken, failed or hand.came(own)) and going_on
    return going_on
