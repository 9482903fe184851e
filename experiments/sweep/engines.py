"""How trials are trained: on a CPU one run after the other, on an accelerator together
those that differ in numbers alone (`experiments.train.population`)."""

import math
import time
from collections.abc import Sequence
from typing import Any

from optuna import TrialPruned

from experiments.console.command_line import Options
from experiments.console.interrupts import Interrupt
from experiments.sweep.open_study import Interrupted, Lost, OpenStudy, Reporter, Runs
from experiments.sweep.sampling import LEARNING
from experiments.sweep.trials import Taken
from experiments.train.callback import Callback
from experiments.train.population import same_shape, train_population
from experiments.train.run_state import Diverged, Outcome, RunState
from experiments.train.session import train

RUNS = 64  # in work at once on one machine
LEARNT = 16  # as many where each trial is chosen by what the others came to


class TrialRuns:
    """A trial in work: its runs, and what ended it before its time.

    configs, folders  of its runs, one a seed.
    left              seeds whose runs have not ended yet.
    ended             the reason; None while all goes well.
    first_step        (wall-clock, processor) seconds until a first step's numbers came.
    """

    def __init__(self, opened: OpenStudy, taken: Taken):
        fields = opened.choose_fields(taken)
        seeds = range(opened.terms.seeds)
        self.opened, self.taken = opened, taken
        self.configs = [opened.plan.config(fields, seed) for seed in seeds]
        self.folders = [taken.folder / f"seed-{seed}" for seed in seeds]
        self.reporter = Reporter(opened.storage, taken.trial)
        self.ended: BaseException | None = None
        self.began = time.perf_counter(), time.process_time()
        self.first_step: tuple[float, float] | None = None
        runs = zip(self.folders, self.configs, strict=True)
        over = [opened.finished(folder, config) for folder, config in runs]
        self.left = [seed for seed in seeds if not over[seed]]

    def report(self, seed: int, step: int, value: float) -> bool:
        """An evaluation of one of its runs; whether that run goes on. What ends one
        ends all: their mean would not be that of all seeds. The pruner judges by the
        first."""
        if not math.isfinite(value):
            self.ended = self.ended or Diverged(step, f"loss {value} of seed {seed}")
        elif seed == 0 and self.ended is None:
            try:
                self.reporter.report(step, value)
            except (TrialPruned, Lost) as error:
                self.ended = error
        return self.ended is None

    def came(self) -> Runs | BaseException:
        """What came of it."""
        if self.ended is not None:
            return self.ended
        if not all((folder / "summary.json").exists() for folder in self.folders):
            return Interrupted()
        try:
            runs = [self.opened.summary_of(folder) for folder in self.folders]
        except Exception as error:
            return error
        runs[0]["first_step"] = self.first_step
        return runs


Members = Sequence[tuple[TrialRuns, int]]  # runs: (trial, seed)


class Reports(Callback):
    """Tells the trial of each member of what its run comes to."""

    def __init__(self, members: Members):
        self.members = members

    def stepped(self, run: RunState, step: int, row: dict[str, Any]) -> None:
        trial, _ = self.members[run.number]
        if trial.first_step is None:
            wall, processor = trial.began
            now = time.perf_counter(), time.process_time()
            trial.first_step = now[0] - wall, now[1] - processor

    def judged(self, run: RunState, row: dict[str, Any]) -> bool:
        trial, seed = self.members[run.number]
        return not trial.report(seed, run.at.step, run.at.valid)

    def ended(self, run: RunState, outcome: Outcome) -> None:
        trial, _ = self.members[run.number]
        trial.ended = trial.ended or outcome.error


def run_next(opened: OpenStudy, stop: Interrupt) -> bool | None:
    """Takes as many trials as are to be in work at once, to their end; False if they
    were interrupted, None if none waits."""
    most = LEARNT if opened.terms.sampler in LEARNING else RUNS
    together = opened.orders.engine == "population"
    taken: list[Taken] = []
    room = max(1, most // opened.terms.seeds) if together else 1
    while len(taken) < room and (one := opened.take()):
        taken.append(one)
    if not taken:
        return None
    try:
        with opened.heartbeats(taken):
            groups = alike(opened, taken)
            return all([train_group(opened, group, stop) for group in groups])
    finally:
        for one in taken:
            one.release()


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


def train_group(opened: OpenStudy, group: list[TrialRuns], stop: Interrupt) -> bool:
    """One group to its end; False if it was interrupted."""
    members = [(trial, seed) for trial in group for seed in trial.left]
    engine = train_together if opened.orders.engine == "population" else train_in_turn
    failed: BaseException | None = None
    try:
        if members and not stop:
            engine(members, stop)
    except (Exception, KeyboardInterrupt) as error:
        failed = error
    found = [opened.conclude(t.taken, t.ended or failed or t.came()) for t in group]
    return all(found)


def train_together(members: Members, stop: Interrupt) -> None:
    """All runs in one compiled step."""
    train_population(
        [trial.configs[seed] for trial, seed in members],
        [trial.folders[seed] for trial, seed in members],
        [Reports(members)],
        stop=stop,
    )


def train_in_turn(members: Members, stop: Interrupt) -> None:
    """One run after the other, each as by itself."""
    for trial, seed in members:
        options = Options(trial.folders[seed])
        heard = [Reports([(trial, seed)])]
        if stop or train(trial.configs[seed], options, heard) is None:
            return
