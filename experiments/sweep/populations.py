"""The engine of a sweep on an accelerator: trials whose runs differ in numbers alone
are trained together, in one compiled step (`experiments.train.population`)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna import TrialPruned

from experiments.config import RunConfig
from experiments.console.interrupts import Interrupt
from experiments.run.files import RunError
from experiments.sweep.open_study import Interrupted, Lost, OpenStudy, Reporter, Runs
from experiments.sweep.sampling import LEARNING
from experiments.sweep.trials import Taken
from experiments.train.callback import Callback
from experiments.train.population import same_shape, train_population
from experiments.train.run_state import Diverged, Outcome, RunState

RUNS = 64  # in work at once on one machine
LEARNT = 16  # as many where each trial is chosen by what the others came to


class TrialRuns:
    """A trial in work among others: its runs, and what ended it before its time.

    configs, folders  of its runs, one a seed.
    ended             the reason; None while all goes well.
    """

    def __init__(self, opened: OpenStudy, taken: Taken):
        fields = opened.choose_fields(taken)
        seeds = range(opened.terms.seeds)
        self.opened, self.taken = opened, taken
        self.configs: list[RunConfig] = [opened.plan.config(fields, k) for k in seeds]
        self.folders: list[Path] = [taken.folder / f"seed-{k}" for k in seeds]
        self.reporter = Reporter(opened.storage, taken.trial)
        self.ended: BaseException | None = None
        for folder, config in zip(self.folders, self.configs, strict=True):
            opened.finished(folder, config)  # refuses a run that is not this one

    def report(self, seed: int, step: int, value: float) -> bool:
        """An evaluation of one of its runs; whether that run goes on. What ends one
        ends all: their mean would not be that of all seeds."""
        if not math.isfinite(value):
            self.ended = self.ended or Diverged(step, f"loss {value} of seed {seed}")
        elif seed == 0 and self.ended is None:
            try:
                self.reporter.report(step, value)
            except (TrialPruned, Lost) as error:
                self.ended = error
        return self.ended is None

    def came(self, outcomes: Sequence[Outcome | None]) -> Runs | BaseException:
        """What came of it."""
        if self.ended is not None:
            return self.ended
        if any(o is None or o.how != "finished" for o in outcomes):
            return Interrupted()
        return [self.opened.summary_of(folder) for folder in self.folders]


class Reports(Callback):
    """Tells each member's trial of its evaluations."""

    def __init__(self, members: Sequence[tuple[TrialRuns, int]]):
        self.members = members

    def judged(self, run: RunState, row: dict[str, Any]) -> bool:
        trial, seed = self.members[run.number]
        return not trial.report(seed, run.at.step, run.at.valid)

    def ended(self, run: RunState, outcome: Outcome) -> None:
        if outcome.error is not None:
            trial, seed = self.members[run.number]
            trial.report(seed, outcome.error.step, math.nan)


def run_next(opened: OpenStudy, stop: Interrupt) -> bool | None:
    """Takes as many trials as are to be in work at once, to their end; False if they
    were interrupted, None if none waits."""
    room = LEARNT if opened.terms.sampler in LEARNING else RUNS
    taken = take_some(opened, max(1, room // opened.terms.seeds))
    if not taken:
        return None
    going_on = True
    try:
        with opened.heartbeats(taken):
            for group in alike(opened, taken):
                going_on = train(opened, group, stop) and going_on
    finally:
        for one in taken:
            one.release()
    return going_on


def take_some(opened: OpenStudy, wanted: int) -> list[Taken]:
    """Up to so many trials."""
    taken = []
    while len(taken) < wanted and (one := opened.take()):
        taken.append(one)
    return taken


def alike(opened: OpenStudy, taken: list[Taken]) -> list[list[TrialRuns]]:
    """The trials in groups that one compiled step can train."""
    groups: list[list[TrialRuns]] = []
    for one in taken:
        try:
            runs = TrialRuns(opened, one)
        except Exception as error:
            opened.conclude(one, error)
            continue
        for group in groups:
            if same_shape(group[0].configs[0], runs.configs[0]):
                group.append(runs)
                break
        else:
            groups.append([runs])
    return groups


def train(opened: OpenStudy, group: list[TrialRuns], stop: Interrupt) -> bool:
    """One group to its end; False if it was interrupted."""
    members = [(trial, seed) for trial in group for seed in range(len(trial.configs))]

    outcomes: list[Outcome | None] = [None] * len(members)
    failed: Exception | None = None
    try:
        if not stop:
            outcomes = train_population(
                [trial.configs[seed] for trial, seed in members],
                [trial.folders[seed] for trial, seed in members],
                [Reports(members)],
                stop=stop,
            )
    except Exception as error:
        failed = error if isinstance(error, RunError) else RunError(repr(error))
        failed.__cause__ = error
    going_on, ended = True, iter(outcomes)
    for trial in group:
        own = [next(ended) for _ in trial.configs]
        going_on = opened.conclude(trial.taken, failed or trial.came(own)) and going_on
    return going_on
