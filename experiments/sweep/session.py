"""One sweep from its options to its results, and `--dry-run`."""

import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from data_pipeline.paths import user_path
from experiments.console.interrupts import interrupts
from experiments.console.live import Live
from experiments.run.files import RunError, note, writing
from experiments.run.provenance import code, cores
from experiments.sweep import directory, results, trials
from experiments.sweep.checks import check, listed
from experiments.sweep.open_study import WorkerOrders
from experiments.sweep.options import Sweep
from experiments.sweep.progress import Progress
from experiments.sweep.rows import unit_of
from experiments.sweep.sampling import PRUNERS, SAMPLERS, grid, gridded, varied_fields
from experiments.sweep.space_file import Plan, read_plan
from experiments.sweep.storage import open_storage, quiet
from experiments.sweep.study import find_study, join, terms_of_plan
from experiments.sweep.workers import Workers, run_workers
from lm.config import ConfigError, at_least, unknown

TRIALS = 30
ACCELERATORS = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "libtpu")


def run(options: Sweep) -> int:
    """Does what the options say; the exit code.

    Raises:
      ConfigError, DataError, RunError: in one line, for a user's mistake.
    """
    quiet()
    plan = read_plan(options.space, options.small)
    options = completed(options, plan)
    if not options.dry_run:
        return sweep(plan, options)
    check(plan)
    print(size_line(plan, options))
    for line in listed(plan, options.sampler, options.sampler_seed, options.trials):
        print(line)
    return 0


def completed(options: Sweep, plan: Plan) -> Sweep:
    """The options with the space's own in place of those that were not given.

    Raises:
      ConfigError: for an option that does not fit the space.
    """
    usual = plan.usual
    sampler = (
        options.sampler
        or usual.get("sampler")
        or ("grid" if gridded(plan) else "random")
    )
    pruner = options.pruner or usual.get("pruner", "none")
    for what, name, valid in (
        ("sampler", sampler, SAMPLERS),
        ("pruner", pruner, PRUNERS),
    ):
        if name not in valid:
            raise ConfigError(unknown(what, str(name), valid))
    for name in ("trials", "seeds"):
        if not isinstance(usual.get(name, 1), int):
            raise ConfigError(f"{name} of the space is {usual[name]!r}: give a number")
        at_least(f"{name} of the space", usual.get(name, 1), 1)
    trials = options.trials or usual.get("trials", 0)
    if sampler == "grid":
        if not gridded(plan):
            raise ConfigError(
                "--sampler grid needs a list of values for every field: give uniform "
                'and loguniform their "points", suggest_float a step, or take another '
                "sampler"
            )
        points = len(grid(plan))
        if options.trials not in (0, points):
            raise ConfigError(
                f"--trials {options.trials}: the grid has {points} points and all are "
                "run; leave --trials out, or take another sampler"
            )
        trials = points
    study = options.study or plan.name
    return replace(
        options,
        sampler=sampler,
        pruner=pruner,
        trials=trials or TRIALS,
        seeds=options.seeds or usual.get("seeds", 1),
        workers=options.workers or cores(),
        study=study,
        sweep_dir=options.sweep_dir or f"sweeps/{study}",
    )


def size_line(plan: Plan, options: Sweep) -> str:
    """How large the space is, and how much of it is run."""
    points = plan.space.size()
    if options.sampler == "grid":
        large = f"{options.trials:,} points"
    elif points == float("inf"):
        large = "continuous"
    else:
        large = f"{int(points):,} points" if plan.space.program is None else "a program"
    runs = f" of {options.seeds} seeds each" if options.seeds > 1 else ""
    return (
        f"space {plan.name}, {large}: {options.trials} trials{runs}, sampler "
        f"{options.sampler}, pruner {options.pruner}; fields "
        f"{', '.join(varied_fields(plan))}"
    )


def sweep(plan: Plan, options: Sweep) -> int:
    """Checks, joins the study, runs it to its end and writes its results."""
    began = time.monotonic()
    folder, url = place_of(options)
    texts = check(plan)
    engine, why = choose_engine(options.engine)
    workers = 1 if engine == "population" else min(options.workers, options.trials)
    with open_storage(url, options.heartbeat, trials.again) as storage:
        there = find_study(storage, options.study)
        notes = directory.check_owner(folder, there, options.study)
        print(size_line(plan, options), flush=True)
        with interrupts() as stop:
            terms = terms_of_plan(
                plan,
                seeds=options.seeds,
                sampler=options.sampler,
                sampler_seed=options.sampler_seed,
                pruner=options.pruner,
                threads=max(1, cores() // workers),
                texts=texts,
                code=code(),
            )
            study, terms = join(
                storage, options.study, terms, options.trials, options.resume
            )
            directory.claim(folder, study)
            for line in notes:
                note(line)
            revived = trials.revive(study) if options.resume else 0
            if revived:
                print(f"{revived} trials that came to no result are tried again")
            print(
                f"engine {engine} ({why}), {workers} workers, runs in {folder}/trials"
            )
            orders = WorkerOrders(
                url,
                options.study,
                str(folder),
                options.heartbeat,
                engine,
                terms.program,
            )
            team = Workers(orders, workers, terms.threads)
            progress = Progress(study.user_attrs["trials"], unit_of(plan.application))
            with Live() as live:
                state = run_workers(
                    team, study, stop, lambda now: live.show(progress.line(now))
                )
        results.add_session(study, time.monotonic() - began)
        if state.open:
            print(f"interrupted ({stop.name}): {state.done} trials done, the others")
            print("saved; the same command with --resume goes on")
            return 3
        return results.write(study, plan, folder, state, options.record)


def place_of(options: Sweep) -> tuple[Path, str]:
    """The sweep's directory, looked at, and its storage.

    Raises:
      RunError: where a sweep is there and --resume is not given, or the reverse; where
        the directory is another's.
    """
    folder = user_path(options.sweep_dir, "--sweep-dir")
    directory.look(folder)
    database = (folder / directory.DATABASE).absolute()
    if options.storage:
        return folder, options.storage
    there, wrong = database.exists(), ""
    if there and not options.resume:
        wrong = "holds a sweep: give --resume to go on with it, or"
    elif options.resume and not there:
        wrong = "holds no sweep to resume (no study.db): give"
    elif not there and directory.read_mark(folder) is not None:
        wrong = "holds the runs of a sweep whose study.db is gone: give"
    if wrong:
        raise RunError(f"{folder} {wrong} another --sweep-dir")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder, f"sqlite:///{database}"


def choose_engine(asked: str) -> tuple[str, str]:
    """(processes or population, the reason). `auto` takes populations on an
    accelerator, where many runs in one step cost little more than one, and processes on
    a CPU, where they cost as many times as much."""
    if asked != "auto":
        return asked, "as asked"
    backend = backend_name()
    return ("processes" if backend == "cpu" else "population"), f"auto, on {backend}"


def backend_name() -> str:
    """cpu, gpu or tpu: what JAX would compute on. Asked of another process, since JAX
    takes a device's memory for the process that asks."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms == "cpu" or not any(map(importlib.util.find_spec, ACCELERATORS)):
        return "cpu"
    ask = "import jax; print(jax.default_backend())"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    return answer.stdout.strip() or "cpu"
