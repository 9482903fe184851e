"""Runs of any application, each trained to its end and known by its summary."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from experiments.config import RunConfig
from experiments.console.interrupts import Interrupt
from experiments.gradients.study import Job
from experiments.run.directory import open_run
from experiments.run.files import read_json
from experiments.run.record import check_same
from experiments.train.callback import Callback
from experiments.train.executor import One
from experiments.train.loop import Entry, Loop
from experiments.train.plan import Plan, plan
from experiments.train.processes import Heard, Interrupted, run_all
from experiments.train.run_state import Outcome, RunState


class Whole(NamedTuple):
    """One run: what a study calls it, its config with the seed in it, its directory."""

    label: str
    config: RunConfig
    directory: Path


def conclude_all(runs: Sequence[Whole], job: Job) -> list[dict[str, Any]]:
    """The summaries of all runs, in order; what has its summary is not run again. Of
    one that diverged it is {"diverged": what happened}.

    Raises:
      Interrupted: after a signal, with everything saved.
      RunError: a directory that holds another run.
    """
    job.display.begin(sum(run.config.train.steps for run in runs))
    return run_all(runs, conclude, job.processes, job.stop, job.display.advance)


def conclude(run: Whole, stop: Interrupt, advance: Heard) -> dict[str, Any]:
    """Trains one run to the end, unless it is there; its summary."""
    planned, path = plan(run.config), run.directory / "summary.json"
    if not path.exists():
        hook = Told(run.label, advance)
        train_to_end(run.config, run.directory, planned, hook, stop)
    else:
        check(run, planned)
        advance(run.label, run.config.train.steps)
    return read_json(path)


def check(run: Whole, planned: Plan) -> None:
    """Raises RunError where another run has ended in its place."""
    record = read_json(run.directory / "config.json")
    text, bounds = planned.prepared.text, True
    check_same(run.directory, record, run.config, text, bounds)


def train_to_end(
    config: RunConfig,
    directory: Path,
    planned: Plan,
    hook: Callback,
    stop: Interrupt,
    conclude: bool = True,
) -> None:
    """Trains one run with a callback beside it.

    conclude: read both splits with the best parameters, and write the summary.

    Raises:
      Interrupted: when `stop` was true before the end; what was trained is saved.
    """
    entry = Entry(config, partial(open_run, directory, config, planned.prepared.text))
    loop = Loop([entry], One(planned), planned, [hook], conclude=conclude)
    (outcome,) = loop.train(stop)
    if outcome is None or outcome.how == "interrupted":
        raise Interrupted


class Progress(Callback):
    """Tells how far a run is."""

    def __init__(self, label: str, advance: Heard):
        self.label, self.advance = label, advance

    def begun(self, run: RunState) -> None:
        self.advance(self.label, run.at.step)

    def stepped(self, run: RunState, step: int, row: dict[str, Any]) -> None:
        self.advance(self.label, 1)


class Told(Progress):
    """A run that diverged has a summary that says so."""

    def ended(self, run: RunState, outcome: Outcome) -> None:
        if outcome.error is not None:
            run.run.summary({"diverged": str(outcome.error)})
