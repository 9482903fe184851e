"""Train a recurrent language model; the same command again resumes it.

A run is a pure function of its config and seed. Ctrl-C or SIGTERM saves and leaves;
the run goes on, bit for bit, when the same command is given again.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.arguments import Options, parse
from experiments.command import user_errors
from experiments.config import Config

if TYPE_CHECKING:
    from experiments.distributed import Group
    from experiments.loop import Trainer
    from experiments.run import Run


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake, 3 interrupted, 4
    another process of the group was lost."""
    config, options = parse(sys.argv[1:] if argv is None else argv, __doc__ or "")
    with user_errors():
        if options.dry_run:
            from experiments.dry_run import dry_run

            dry_run(config)
        elif train(config, options) is None:
            raise SystemExit(3)


def train(config: Config, options: Options, display: Any = None) -> Path | None:
    """Runs to the end, writes the summary and prints it; the run's directory, or None
    if it was interrupted."""
    from experiments.allocator import keep_memory
    from experiments.distributed import group_of

    keep_memory()
    with group_of(options.distributed) as group:
        return train_in(group, config, options, display)


def train_in(
    group: "Group", config: Config, options: Options, display: Any
) -> Path | None:
    """`train`, by one process of a group that all do the same."""
    from data_pipeline.dataset import prepare
    from experiments.distributed import alike, open_shared
    from experiments.engine import make_engine
    from experiments.interrupts import interrupts
    from experiments.loop import Trainer, plan
    from experiments.progress import Display, Silent

    with group.together():
        dataset = prepare(config.data)
        planned = plan(config, dataset)
        engine = make_engine(config, group)
        engine.train_step(planned.model, config.optim)  # refuses what it cannot do
    alike(group, config, dataset.corpus.fingerprint)
    with open_shared(group, options.run_dir, config) as run:
        if group.leader:
            dataset.vocabulary.save(run.vocabulary)
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
    from lm.layers import count_parameters

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
    from experiments.logbook import conclude
    from lm.layers import count_parameters

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


if __name__ == "__main__":
    main()
