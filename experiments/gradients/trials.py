"""Trials: a network on a memory task of one length, trained until it solves it.

Solved is as in Pascanu 2013: under 1 % of 10,000 sequences wrong that it never saw.
Each trial is a run of the application memory, in a directory of its own while it goes
on, so that one that was stopped goes on from its last checkpoint. It ends in a JSON
file, written whole or not at all.
"""

import dataclasses
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from experiments.applications.memory.application import APPLICATION, model_of, prepare
from experiments.applications.memory.config import MemoryConfig, TaskConfig
from experiments.config import GradflowConfig, TrainConfig
from experiments.console.interrupts import Interrupt
from experiments.gradients.smart_tanh import SMART, smart_tanh
from experiments.run.directory import open_run
from experiments.run.files import RunError, plain, read_json, write_json_atomic
from experiments.train.callback import Callback
from experiments.train.executor import One
from experiments.train.loop import Entry, Loop
from experiments.train.plan import Plan, plan_of
from experiments.train.processes import Heard, Interrupted
from experiments.train.run_state import Outcome, RunState
from experiments.train.scores import means
from lm.config import InitConfig, ModelConfig, OptimConfig

WRONG = 0.01
LOOK, EXAM = 1_000, 10_000
FUSED = 50  # updates in one call of the compiled program, at most
SAVED = 20  # looks between checkpoints


@dataclass(frozen=True)
class Trial:
    """A network, a task and a seed; the result is a function of this record alone."""

    variant: str
    """What figures call it."""
    network: str
    task: str
    length: int
    """The task's T."""
    seed: int
    optim: OptimConfig
    hidden: int = 50
    batch: int = 20
    steps: int = 10_000
    """Updates at most."""
    check: int = 500
    """Updates between looks at `LOOK` sequences."""

    @property
    def stem(self) -> str:
        """The name of its run's directory, in the study's."""
        variant = "".join(c if c.isalnum() else "-" for c in self.variant)
        return f"{self.task}-T{self.length}-{variant}-seed{self.seed}"

    @property
    def file(self) -> str:
        """Where its result stands, likewise."""
        return f"{self.stem}.json"

    @property
    def label(self) -> str:
        """What the progress line says."""
        return f"{self.task}, T {self.length}, {self.variant}, seed {self.seed}"

    @property
    def config(self) -> MemoryConfig:
        """The run: an epoch from look to look."""
        smart = self.network == SMART
        init = InitConfig("normal", 0.01) if smart else InitConfig()
        return MemoryConfig(
            name=self.stem,
            seed=self.seed,
            data=TaskConfig(
                self.task, self.length, self.batch, self.check, LOOK, EXAM, enough=0
            ),
            model=ModelConfig(
                "tanh" if smart else self.network, 1, self.hidden, 0, init=init
            ),
            optim=self.optim,
            train=TrainConfig(
                epochs=0,
                steps=self.steps,
                eval_batch=LOOK,
                checkpoint_every=SAVED * self.check,
                keep=1,
                samples=0,
                fused=math.gcd(self.check, FUSED),
            ),
            gradflow=GradflowConfig(every=0),
        )


class Exam(Callback):
    """Ends a trial that is solved, and keeps its result.

    results  {number of the run: {"solved", "updates", "wrong", "loss"}}.
    """

    def __init__(self, trials: Sequence[Trial], executor: One, advance: Heard):
        self.trials, self.executor, self.advance = trials, executor, advance
        self.results: dict[int, dict[str, Any]] = {}
        self.told = 0
        self.exam: dict[str, float] = {}

    def begun(self, run: RunState) -> None:
        self.told, self.exam = 0, {}
        self._tell(run, run.at.step)

    def judged(self, run: RunState, row: dict[str, Any]) -> bool:
        self._tell(run, run.at.step)
        self.exam = {}
        return 1 - row["valid_solved"] < WRONG and self._examined(run)["wrong"] < WRONG

    def over(self, run: RunState) -> None:
        self.exam = self.exam or self._examined(run)

    def ended(self, run: RunState, outcome: Outcome) -> None:
        if outcome.how == "interrupted":
            return
        exam = self.exam
        if outcome.how == "diverged":
            exam = {"wrong": 1.0, "loss": math.nan}
        self._tell(run, self.trials[run.number].steps)
        solved = exam["wrong"] < WRONG
        self.results[run.number] = {"solved": solved, "updates": run.at.step, **exam}

    def _examined(self, run: RunState) -> dict[str, float]:
        """The share that is wrong of sequences for the exam alone, and the loss."""
        (scores,) = self.executor.evaluate([run.slot], "test")
        found = means(scores)
        self.exam = {"wrong": 1 - found["solved"], "loss": found["loss"]}
        return self.exam

    def _tell(self, run: RunState, step: int) -> None:
        self.advance(self.trials[run.number].label, step - self.told)
        self.told = step


def planned(trial: Trial) -> Plan:
    """What a trial comes to; others of another seed share it."""
    config, application = trial.config, APPLICATION
    if trial.network == SMART:
        cell = smart_tanh(trial.hidden, config.model.init)
        application = application._replace(
            problem=lambda config, data: model_of(config, data.source, cell).problem
        )
    return plan_of(config, application, prepare(config))


def attempt(
    trials: Sequence[Trial], directory: Path, stop: Interrupt, advance: Heard
) -> list[dict[str, Any]]:
    """Trains trials that differ in their seeds alone, one after another: each until it
    is solved, the steps are used up, or numbers are no longer finite. What came of
    them; their runs are gone then.

    Raises:
      Interrupted: when `stop` says so; what was trained is saved.
    """
    plan = planned(trials[0])
    executor = One(plan)
    exam = Exam(trials, executor, advance)
    text = plan.prepared.text
    entries = [
        Entry(t.config, partial(open_run, directory / t.stem, t.config, text))
        for t in trials
    ]
    Loop(entries, executor, plan, [exam, Keep(trials, directory, exam)], False).train(
        stop
    )
    if len(exam.results) < len(trials):
        raise Interrupted
    return [exam.results[number] for number in range(len(trials))]


class Keep(Callback):
    """Writes each result when it is there, and takes its run away."""

    def __init__(self, trials: Sequence[Trial], directory: Path, exam: Exam):
        self.trials, self.directory, self.exam = trials, directory, exam

    def ended(self, run: RunState, outcome: Outcome) -> None:
        if run.number in self.exam.results:
            trial, result = self.trials[run.number], self.exam.results[run.number]
            settings = plain(dataclasses.asdict(trial))
            record = {"trial": settings, "result": plain(result)}
            write_json_atomic(self.directory / trial.file, record)
            run.run.close()
            shutil.rmtree(run.run.directory)


def results_of(
    trials: Sequence[Trial], directory: Path, stop: Interrupt, advance: Heard
) -> list[dict[str, Any]]:
    """The results of trials that differ in their seeds alone, from their files where
    these are there already.

    Raises:
      Interrupted: when `stop` says so.
      RunError: where a file is that of a trial with other settings.
    """
    left = [trial for trial in trials if not _kept(trial, directory)]
    for trial in trials:
        if trial not in left:
            advance(trial.label, trial.steps)
    if left:
        attempt(left, directory, stop, advance)
    return [read_json(directory / trial.file)["result"] for trial in trials]


def _kept(trial: Trial, directory: Path) -> bool:
    path = directory / trial.file
    if not path.exists():
        return False
    if read_json(path)["trial"] != plain(dataclasses.asdict(trial)):
        raise RunError(
            f"{path} is of a trial with other settings: give another --dir, or "
            "remove it"
        )
    return True
