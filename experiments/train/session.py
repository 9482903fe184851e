"""One run from its config to its summary, alone or in a group of processes."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import jax

from experiments.config import RunConfig
from experiments.console.command_line import Options
from experiments.console.interrupts import interrupts
from experiments.run.directory import Run
from experiments.train import devices
from experiments.train.allocator import keep_memory
from experiments.train.callback import Callback
from experiments.train.display import Display
from experiments.train.group import Group, alike, group_of, open_shared
from experiments.train.loop import Entry, Loop
from experiments.train.plan import Plan, chosen, plan
from experiments.train.run_state import Outcome, RunState
from experiments.train.scores import optimum_told, told
from experiments.train.shared import make_executor
from lm.train import count_parameters

# The drivers of lm.unroll that do not go step by step, in the line on them.
AT_ONCE = {"chunked": "in stretches", "associated": "all steps at once"}


def train(
    config: RunConfig, options: Options, callbacks: Sequence[Callback] | None = None
) -> Path | None:
    """Runs to the end, writes the summary and prints it; the run's directory, or None
    if it was interrupted or a callback ended it.

    Args:
      callbacks: in place of the progress display.
    """
    keep_memory()
    with group_of(options.distributed) as group:
        return train_in(group, config, options, callbacks)


def train_in(
    group: Group,
    config: RunConfig,
    options: Options,
    callbacks: Sequence[Callback] | None,
) -> Path | None:
    """`train`, by one process of a group that all do the same."""
    with group.together():
        config, notes = chosen(config, options.again)
        if group.processes == 1:
            config = devices.kept(config, options.run_dir)
        devices.prepare(config)  # before JAX starts
        planned, shared = devices.settled(plan(config), group)
        executor, config = make_executor(planned, group), planned.config
    text = planned.prepared.text
    alike(group, config, text.fingerprint)
    with open_shared(group, options.run_dir, config, text) as run:
        announced = Announcement(executor.devices, (*notes, *shared))
        heard = [announced, *shown(group, callbacks)]
        entry = Entry(run.config, lambda: run)
        loop = Loop([entry], executor, planned, heard if group.leader else ())
        with interrupts() as stop:
            (outcome,) = loop.train(stop)
    assert outcome is not None
    if outcome.error is not None:
        raise outcome.error
    if outcome.how == "interrupted":
        name, step = stop.name or "another process", outcome.run.at.step
        say(group, f"interrupted ({name}) at step {step}, saved; resume:")
        say(group, f"  {resume_command(run, group)}")
    if outcome.how != "finished":
        return None
    if group.leader:
        print("\n".join(lines_of(outcome)), flush=True)
    return run.directory


def shown(group: Group, callbacks: Sequence[Callback] | None) -> Sequence[Callback]:
    """The progress display, unless there are others in its place."""
    return [Display()] if callbacks is None and group.leader else callbacks or ()


def say(group: Group, line: str) -> None:
    """A line of the leader's to standard output."""
    if group.leader:
        print(line, flush=True)


def resume_command(run: Run, group: Group) -> str:
    """How to go on. A group may have another size then, and another coordinator."""
    if group.processes == 1:
        return run.resume_command()
    where = f"--run-dir {shlex.quote(str(run.directory))}"
    return f"the same command with {where}, on any number of processes"


class Announcement(Callback):
    """Lines on what is about to be trained."""

    def __init__(self, devices: int, notes: Sequence[str] = ()):
        self.devices, self.notes = devices, notes

    def begun(self, run: RunState) -> None:
        """Prints them."""
        for line in (*self.notes, *run.plan.prepared.notes):
            print(line)
        print(describe(run, self.devices), flush=True)
        if run.plan.loops:
            print(loops_told(run.plan), flush=True)


def loops_told(plan: Plan) -> str:
    """A line on which of their loops linear cells go by."""
    by_driver: dict[str, list[str]] = {}
    for part, driver in plan.loops.items():
        by_driver.setdefault(driver, []).append(part)
    device = jax.default_backend()
    each = (
        f"{', '.join(own)} {AT_ONCE.get(driver, 'step by step')}"
        for driver, own in by_driver.items()
    )
    return f"loop over time: {'; '.join(each)}, as measured for {device}"


def describe(run: RunState, devices: int) -> str:
    """A line on what is about to be trained."""
    plan: Plan = run.plan
    prepared, config = plan.prepared, run.config
    where = f"resuming at step {run.at.step:,}, " if run.at.step else ""
    shared = f"{devices} devices, " if devices > 1 else ""
    size, name = count_parameters(plan.shapes.params), prepared.text.name
    return (
        f"{where}{shared}{plan.application.told(config)}, {size:,} parameters; corpus "
        f"{name}: {prepared.told}; run {run.run.directory}"
    )


def lines_of(outcome: Outcome) -> list[str]:
    """What a finished run tells."""
    run, summary = outcome.run, outcome.summary or {}
    remarks = run.plan.prepared.remarks
    lines = []
    for name in ("valid", "test"):
        beside = f", {remarks[name]}" if name in remarks else ""
        more = {k: v for k, v in summary["scores"][name].items() if k != "loss"}
        more = {k: v for k, v in more.items() if k not in summary[name]}
        lines.append(f"{name:5} {told({**more, **summary[name]})}{beside}")
    for name, found in summary.get("baselines", {}).items():
        lines.append(
            f"{name}: " + "; ".join(f"{s} {told(n)}" for s, n in found.items())
        )
    if "chosen" in summary:
        lines.append(f"chosen on valid: {told(summary['chosen'])}")
    if "optimum" in summary:
        lines.append(f"exact optimum  {optimum_told(summary['optimum'])}")
    lines.append(f"stopped by {summary['stopped']}")
    lines.append(f"run {run.run.directory}, best of step {summary['best_step']:,}")
    return lines
