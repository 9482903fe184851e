"""Sweep a space of configs: many runs, searched, shared between workers, resumed.

SPACE is a ready space or a file (.json, .py) of dotted config fields:

    {"config": "tutorial_part4",
     "model.cell": {"choice": ["tanh", "gru"]},
     "optim.learning_rate": {"loguniform": [0.001, 1.0], "points": 7}}

experiments/sweep/reading.py says all that may stand in it. Every trial is an ordinary
run directory, and its value the mean over its seeds of the best validation loss. Ctrl-C
saves and leaves; the same command with --resume goes on. The same command with the same
--storage on another machine shares the trials.
"""

import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.console.command_line import command_line, user_errors
from experiments.run.files import RunError
from experiments.sweep.reading import Plan, names, read_plan
from lm.config import ConfigError, at_least

Sampler = Literal["", "grid", "random", "tpe", "cma-es", "qmc"]
Pruner = Literal["", "none", "median", "hyperband"]
Engine = Literal["auto", "processes", "population"]
TRIALS = 30


@dataclass(frozen=True)
class Sweep:
    """What is swept, how, by whom and where."""

    space: Annotated[str, tyro.conf.Positional]
    """A ready space, or a .json or .py file."""
    small: bool = False
    """The small form that a ready space has beside its full one."""
    trials: int = 0
    """Trials in all; 0: what the space says, else all points of a grid, or 30."""
    seeds: int = 0
    """Runs of each trial, with successive seeds; 0: what the space says, or 1."""
    sampler: Sampler = ""
    """grid, random, tpe, cma-es or qmc; by default what the space says, else grid where
    every field has a list of values, or random."""
    sampler_seed: int = 0
    """Seed of the sampler."""
    pruner: Pruner = ""
    """Ends unpromising trials early: none (the default), median or hyperband. It judges
    by the evaluations of a trial's first seed."""
    engine: Engine = "auto"
    """processes: a worker process a run; population: many runs in one compiled step;
    auto: populations on a GPU or TPU, processes on a CPU."""
    workers: int = 0
    """Worker processes on this machine; 0: one a core."""
    storage: str = ""
    """sqlite:///PATH, journal:PATH or postgresql://…; by default study.db in the
    sweep's directory. PostgreSQL serves any number of machines."""
    study: str = ""
    """The study's name in the storage; by default the space's."""
    sweep_dir: str = ""
    """Directory of runs, table and page; by default sweeps/STUDY. Machines that share
    it take up each other's unfinished runs; others begin them anew."""
    resume: bool = False
    """Go on with the sweep that is there; what failed is tried again."""
    dry_run: bool = False
    """List the configs, and leave."""
    record: str = ""
    """Write a result row to experiments/results/, with one of the sweep's figures:
    importance, "response FIELD", parallel, curves or reach."""
    heartbeat: int = 15
    """Seconds between signs of life of a trial; after four without, it is taken up."""

    def __post_init__(self):
        for name in ("trials", "seeds", "workers", "sampler_seed"):
            at_least(f"--{name.replace('_', '-')}", getattr(self, name), 0)
        at_least("--heartbeat", self.heartbeat, 1)


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 1 some trials failed, 2 a user's mistake,
    3 interrupted."""
    options = command_line(
        Sweep,
        sys.argv[1:] if argv is None else argv,
        f"{__doc__}\nReady spaces: {', '.join(names())}.",
        prog="python -m experiments.sweep",
        pairs=False,
    )
    with user_errors():
        plan = read_plan(options.space, options.small)
        options = completed(options, plan)
        code = list_configs(plan, options) if options.dry_run else sweep(plan, options)
    raise SystemExit(code)


def completed(options: Sweep, plan: Plan) -> Sweep:
    """The options with the space's own in place of those that were not given.

    Raises:
      ConfigError: for an option that does not fit the space.
    """
    from experiments.sweep.space import finite, size
    from experiments.sweep.study import PRUNERS, SAMPLERS
    from lm.config import unknown

    gridded = finite(plan.space)
    sampler = options.sampler or plan.usual.get(
        "sampler", "grid" if gridded else "random"
    )
    pruner = options.pruner or plan.usual.get("pruner", "none")
    for what, name, valid in (
        ("sampler", sampler, SAMPLERS),
        ("pruner", pruner, PRUNERS),
    ):
        if name not in valid:
            raise ConfigError(unknown(what, name, valid))
    trials = options.trials or plan.usual.get("trials", 0)
    if sampler == "grid":
        if not gridded:
            raise ConfigError(
                "--sampler grid needs a list of values for every field: give uniform "
                'and loguniform their "points", or take another sampler'
            )
        points = int(size(plan.space, plan.values))
        if options.trials not in (0, points):
            raise ConfigError(
                f"--trials {options.trials}: the grid has {points} points and all are "
                "run; leave --trials out, or take another sampler"
            )
        trials = points
    return replace(
        options,
        sampler=sampler,
        pruner=pruner,
        trials=trials or TRIALS,
        seeds=options.seeds or plan.usual.get("seeds", 1),
        workers=options.workers or cores(),
        study=options.study or plan.name,
        sweep_dir=options.sweep_dir or f"sweeps/{options.study or plan.name}",
    )


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def size_line(plan: Plan, options: Sweep) -> str:
    """How large the space is, and how much of it is run."""
    from experiments.sweep.space import COUNTED, fields_of, size

    points = size(plan.space, plan.values)
    if points == float("inf"):
        large = f"continuous: {options.trials} trials"
    else:
        more = "at least " if points >= COUNTED else ""
        large = f"{more}{int(points):,} points: {options.trials} trials"
    runs = f" of {options.seeds} seeds each" if options.seeds > 1 else ""
    return (
        f"space {plan.name}, {large}{runs}, sampler {options.sampler}, pruner "
        f"{options.pruner}; fields {', '.join(fields_of(plan.space))}"
    )


def list_configs(plan: Plan, options: Sweep) -> int:
    """Prints the configs that a sweep would train; those that a search chooses as it
    goes are shown as examples."""
    from experiments.sweep.checks import check
    from experiments.sweep.dry_run import configs

    check(plan)
    print(size_line(plan, options))
    for line in configs(plan, options.sampler, options.sampler_seed, options.trials):
        print(line)
    return 0


def sweep(plan: Plan, options: Sweep) -> int:
    """Checks, joins the study, runs it to its end and writes its results."""
    from experiments.console.interrupts import interrupts
    from experiments.sweep import processes, results, study, trials
    from experiments.sweep.checks import check
    from experiments.sweep.desk import Post
    from experiments.sweep.engine import choose_engine
    from experiments.sweep.progress import Board
    from experiments.sweep.storage import open_storage

    began = time.monotonic()
    directory, url = where(options)
    storage = open_storage(url, options.heartbeat, trials.again)
    check(plan)
    print(size_line(plan, options), flush=True)
    engine, why = choose_engine(options.engine)
    workers = 1 if engine == "population" else min(options.workers, options.trials)
    terms = study.Terms(
        name=plan.name,
        space=plan.raw,
        seeds=options.seeds,
        sampler=options.sampler,
        sampler_seed=options.sampler_seed,
        pruner=options.pruner,
        threads=max(1, cores() // workers),
    )
    with interrupts() as stop:
        found, terms = study.join(
            storage, options.study, terms, options.trials, options.resume
        )
        revived = trials.revive(found) if options.resume else 0
        if revived:
            print(f"{revived} trials that came to no result are tried again")
        print(f"engine {engine} ({why}), {workers} workers, runs in {directory}/trials")
        post = Post(url, options.study, str(directory), options.heartbeat, engine)
        team = processes.Team(post, workers, terms.threads)
        with Board(found.user_attrs["trials"]) as board:
            count = processes.run(team, found, storage, stop, board.show)
    results.add_session(found, time.monotonic() - began)
    if count.open:
        print(f"interrupted ({stop.name}): {count.done} trials done, the others saved;")
        print("the same command with --resume goes on")
        return 3
    code = results.write(found, plan, directory, count)
    if options.record:
        results.record(found, plan, directory, options.record)
    return code


def where(options: Sweep) -> tuple[Path, str]:
    """The sweep's directory and storage.

    Raises:
      RunError: where a sweep is there and --resume is not given, or the reverse.
    """
    directory = Path(options.sweep_dir)
    database = directory / "study.db"
    if not options.storage:
        if database.exists() and not options.resume:
            raise RunError(
                f"{directory} holds a sweep: give --resume to go on with it, or "
                "another --sweep-dir"
            )
        if options.resume and not database.exists():
            raise RunError(f"{directory} holds no sweep to resume (no study.db)")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{directory} cannot be made: {error.strerror}") from None
    return directory, options.storage or f"sqlite:///{database.resolve()}"


if __name__ == "__main__":
    main()
