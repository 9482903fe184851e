"""One run from its config to its summary, alone or in a group of processes."""

import shlex
from pathlib import Path
from typing import Any

from data_pipeline.dataset import prepare
from experiments.config import Config
from experiments.console.command_line import Options
from experiments.console.interrupts import interrupts
from experiments.run.directory import Run
from experiments.run.record import text_of
from experiments.train.allocator import keep_memory
from experiments.train.display import Display, Silent
from experiments.train.engine import make_engine
from experiments.train.group import Group, alike, group_of, open_shared
from experiments.train.logbook import conclude
from experiments.train.loop import Trainer, plan
from lm.layers import count_parameters


def train(config: Config, options: Options, display: Any = None) -> Path | None:
    """Runs to the end, writes the summary and prints it; the run's directory, or None
    if it was interrupted."""
    keep_memory()
    with group_of(options.distributed) as group:
        return train_in(group, config, options, display)


def train_in(
    group: "Group", config: Config, options: Options, display: Any
) -> Path | None:
    """`train`, by one process of a group that all do the same."""
    with group.together():
        dataset = prepare(config.data)
        planned = plan(config, dataset)
        engine = make_engine(config, group)
        engine.train_step(planned.model, config.optim)  # refuses what it cannot do
    alike(group, config, dataset.corpus.fingerprint)
    with open_shared(group, options.run_dir, config, text_of(dataset)) as run:
        run.keep_vocabulary(dataset.vocabulary)
        display = (display or Display()) if group.leader else Silent()
        with interrupts() as stop:
            trainer = Trainer(run, dataset, planned, display, engine)
            say(group, describe(trainer, dataset.corpus))
            try:
                finished = trainer.train(stop)
            finally:
                display.close()
        if not finished:
            name = stop.name or "another process"
            say(
                group, f"interrupted ({name}) at step {trainer.at.step}, saved; resume:"
            )
            say(group, f"  {resume_command(run, group)}")
            return None
        finish(trainer, dataset)
        return run.directory


def say(group: "Group", line: str) -> None:
    """A line of the leader's to standard output."""
    if group.leader:
        print(line, flush=True)


def resume_command(run: "Run", group: "Group") -> str:
    """How to go on. A group may have another size then, and another coordinator."""
    if group.processes == 1:
        return run.resume_command()
    where = f"--run-dir {shlex.quote(str(run.directory))}"
    return f"the same command with {where}, on any number of processes"


def describe(trainer: "Trainer", corpus: Any) -> str:
    """A line on what is about to be trained."""
    model = trainer.config.model
    where = f"resuming at step {trainer.at.step:,}, " if trainer.at.step else ""
    devices = trainer.engine.devices
    shared = f"{devices} devices, " if devices > 1 else ""
    return (
        f"{where}{shared}{model.layers}-layer {model.cell}, {model.hidden} units, "
        f"{count_parameters(trainer.state.params):,} parameters; corpus {corpus.name}: "
        f"{corpus.facts['tokens']['train']:,} training tokens, vocabulary "
        f"{corpus.facts['vocabulary']:,}; run {trainer.run.directory}"
    )


def finish(trainer: "Trainer", dataset: Any) -> dict[str, Any]:
    """Reads validation and test splits with the best parameters; writes the summary.

    The test split is read here, once, and nowhere else.
    """
    params, step = trainer.best()
    totals = {
        name: trainer.evaluate(params, dataset.splits[name])
        for name in ("valid", "test")
    }
    summary = conclude(trainer, dataset.corpus, totals, step, count_parameters(params))
    if not trainer.engine.leader:
        return summary
    for name in ("valid", "test"):
        found = summary[name]
        print(
            f"{name:5} perplexity {found['perplexity']:.2f}, "
            f"{found['nats_per_token']:.4f} nats per token, {found['tokens']:,} tokens"
        )
    if "optimum" in summary:
        print(f"exact optimum  {summary['optimum']:.2f}, by the entropy of the corpus")
    print(f"run {trainer.run.directory}, best of step {step:,}")
    return summary
