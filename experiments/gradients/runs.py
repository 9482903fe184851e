"""The runs of a study: each an ordinary run directory, made once, resumed where begun.

Beside what every run keeps, `measures/STEP.npz` holds what the study measured before
training and at each evaluation. The test split is never read.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from data_pipeline.dataset import prepare
from data_pipeline.told import told as told_of_text
from experiments.applications.language_model.application import (
    APPLICATION,
    model_of,
    prepared_of,
)
from experiments.config import Config, GradflowConfig
from experiments.console.interrupts import Interrupt
from experiments.gradients.concluded import Progress, train_to_end
from experiments.gradients.measures import (
    FOLDER,
    Arrays,
    MakeMeasure,
    check_made,
    keep_measures,
    made_by,
    read_measures,
)
from experiments.gradients.study import Job
from experiments.results.intervals import mean
from experiments.run.files import RunError, read_json
from experiments.run.provenance import versions
from experiments.run.record import check_same, text_of
from experiments.train.plan import plan_of
from experiments.train.processes import Heard, run_all
from experiments.train.run_state import Outcome, RunState
from lm.losses import perplexity
from lm.train import count_parameters

UNPROBED = GradflowConfig(every=0)


class AllDiverged(RunError):
    """None of a variant's runs came to finite numbers."""


class Task(NamedTuple):
    """One run: a variant's name, its config with the seed in it, its directory."""

    variant: str
    config: Config
    directory: Path

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.config.seed


class Trained(NamedTuple):
    """A finished run. `config`: as JSON has it. `measures`: by the step they were
    taken at."""

    variant: str
    seed: int
    directory: Path
    config: dict[str, Any]
    summary: dict[str, Any]
    measures: dict[int, Arrays]

    @property
    def diverged(self) -> bool:
        """Whether it ended in numbers that are not finite."""
        return "diverged" in self.summary

    @property
    def nats(self) -> float:
        """Validation loss after the last step, nats per token; inf if it diverged."""
        if self.diverged:
            return math.inf
        return float(self.summary["valid"]["nats_per_token"])


def tasks_of(
    variants: dict[str, Config], seeds: Iterable[int], directory: Path
) -> list[Task]:
    """Every variant with every seed; seeds outermost, so that a study that is cut
    short has all variants alike. The runs' own probes are off: studies measure more."""
    tasks = []
    for seed in seeds:
        for name, config in variants.items():
            slug = "".join(c if c.isalnum() or c in ".+-" else "-" for c in name)
            config = replace(config, name=slug, seed=seed, gradflow=UNPROBED)
            tasks.append(Task(name, config, directory / f"{slug}-seed{seed}"))
    return tasks


def train_all(
    tasks: Sequence[Task], make_measure: MakeMeasure, job: Job
) -> list[Trained]:
    """Trains what is not finished yet; all runs in the order of `tasks`.

    make_measure: (config, model, dataset) -> (params) -> arrays, for `measures/`; a
        function of a module, since other processes have to find it.

    Raises:
      Interrupted: after a signal, with everything saved.
      RunError: a directory that holds a run of another config.
    """
    made = made_by(make_measure)
    left = [task for task in tasks if not finished(task, made)]
    for data in dict.fromkeys(task.config.data for task in left):
        for line in told_of_text(prepared(data).corpus):
            job.display.note_once(line)
    job.display.begin(sum(task.config.train.steps for task in left))
    do = partial(train_task, make_measure)
    run_all(left, do, job.processes, job.stop, job.display.advance)
    return [read_task(task) for task in tasks]


def trained(
    variants: dict[str, Config], make_measure: MakeMeasure, job: Job
) -> dict[str, list[Trained]]:
    """The runs of every variant with all seeds of the job, see `train_all`."""
    tasks = tasks_of(variants, range(job.seeds), job.directory)
    groups: dict[str, list[Trained]] = {}
    for run in train_all(tasks, make_measure, job):
        groups.setdefault(run.variant, []).append(run)
    return groups


def finished(task: Task, made: dict[str, Any]) -> bool:
    """Whether the run is there, done, of this very config and text, and measured so.

    Raises:
      RunError: where another run is in its place.
    """
    if not (task.directory / "summary.json").exists():
        return False
    record = read_json(task.directory / "config.json")
    text = text_of(prepared(task.config.data))
    check_same(task.directory, record, task.config, text)
    check_made(task.directory, made)
    return record["config"]["train"]["steps"] == task.config.train.steps


def train_task(
    make_measure: MakeMeasure, task: Task, stop: Interrupt, advance: Heard
) -> None:
    """Trains one run to its end.

    A run whose numbers are no longer finite has an end too: its summary says at which
    step it diverged.

    Raises:
      Interrupted: when `stop` was true before the end; what was trained is saved.
    """
    dataset = prepared(task.config.data)
    planned = plan_of(task.config, APPLICATION, prepared_of(dataset, task.config.data))
    measure, made = (
        make_measure(task.config, model_of(task.config, planned.prepared), dataset),
        made_by(make_measure),
    )
    check_made(task.directory, made)

    def keep(step: int, params: Any) -> None:
        keep_measures(task.directory, made, step, measure(params))

    hook = Measuring(task, keep, advance)
    train_to_end(task.config, task.directory, planned, hook, stop, conclude=False)


def summary(run: RunState) -> dict[str, Any]:
    """summary.json: the loss after the last step, on the validation split alone."""
    at = run.at
    return {
        "valid": {"nats_per_token": at.valid, "perplexity": perplexity(at.valid)},
        "steps": at.step,
        "seconds": at.seconds,
        "parameters": count_parameters(run.plan.shapes.params),
        "versions": versions(),
    }


class Measuring(Progress):
    """Keeps the measures before training and of each evaluation, tells how far the run
    is, and writes its summary."""

    def __init__(self, task: Task, keep: Callable[[int, Any], None], advance: Heard):
        super().__init__(label(task), advance)
        self.keep = keep

    def begun(self, run: RunState) -> None:
        super().begun(run)
        if run.at.step == 0:
            self.keep(0, run.params())

    def judged(self, run: RunState, row: dict[str, Any]) -> None:
        self.keep(run.at.step, run.params())

    def ended(self, run: RunState, outcome: Outcome) -> None:
        if outcome.how == "finished":
            run.run.summary(summary(run))
        elif outcome.error is not None:
            run.run.summary({**summary(run), "diverged": str(outcome.error)})


def label(task: Task) -> str:
    """The run as the progress line names it."""
    return f"{task.variant}, seed {task.seed}"


def read_task(task: Task) -> Trained:
    """A finished run with its measures; of one that diverged, those that it came to."""
    summary = read_json(task.directory / "summary.json")
    train, last = task.config.train, summary["steps"]
    steps = sorted({*range(0, last + 1, train.eval_every or last), last})
    if "diverged" in summary:
        steps = [n for n in steps if (task.directory / FOLDER / f"{n}.npz").exists()]
    return Trained(
        task.variant,
        task.seed,
        task.directory,
        config=read_json(task.directory / "config.json")["config"],
        summary=summary,
        measures=read_measures(task.directory, steps),
    )


def sound(runs: list[Trained]) -> list[Trained]:
    """Those that did not diverge, where only these can be measured to the end.

    Raises:
      AllDiverged: where there are none.
    """
    kept = [run for run in runs if not run.diverged]
    if not kept:
        raise AllDiverged(
            f"every seed of {runs[0].variant} diverged (see {runs[0].directory}): "
            "lower its learning rate"
        )
    return kept


def common_row(name: str, runs: list[Trained]) -> tuple[dict[str, Any], list[Trained]]:
    """What every row of a variant holds: seeds, learning rate, and validation
    perplexity with its interval; and the runs that it is of, see `sound`."""
    kept = sound(runs)
    perplexity = mean([run.summary["valid"]["perplexity"] for run in kept])
    row = {
        "variant": name,
        "seeds": len(kept),
        "diverged": len(runs) - len(kept),
        "learning_rate": kept[0].config["optim"]["learning_rate"],
        "perplexity": perplexity.value,
        "perplexity_half": perplexity.half,
    }
    return row, kept


def told(row: dict[str, Any]) -> str:
    """A variant's name in a table, with how many of its seeds diverged."""
    many = row.get("diverged", 0)
    return f"{row['variant']} ({many} diverged)" if many else row["variant"]


@cache
def prepared(data: Any) -> Any:
    """The dataset of a data config, read once a process."""
    return prepare(data)
