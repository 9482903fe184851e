"""Populations: many runs that differ in numbers alone, trained together.

    outcomes = train_population(configs, directories, callbacks)

Every member leaves an ordinary run directory, the same as if it had been trained by
itself: it can be resumed, scored and sampled from like any other. On an accelerator
one step of N small members costs little more than one of a single run. On a CPU there
is nothing to be gained: use processes there.

A member that has ended, was pruned or has diverged leaves its slot to the next one.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.config import RunConfig, flatten, kinds_of, to_dict
from experiments.console.interrupts import Interrupt
from experiments.run.directory import open_run
from experiments.run.files import say
from experiments.train.allocator import keep_memory
from experiments.train.callback import Callback
from experiments.train.loop import Entry, Loop
from experiments.train.many import Many
from experiments.train.plan import check_steps, plan
from experiments.train.run_state import Outcome, RunState
from lm.config import ConfigError

# What members may differ in: numbers that the compiled step takes as arguments, and
# what only the loop on the host reads.
FREE = ("traced", "host", "bound", "pacing")


def shape_of(config: RunConfig) -> dict[str, Any]:
    """What has to be the same in all members of a population: {dotted field: value}."""
    kinds = kinds_of(type(config))
    return {
        name: bool(value) if kinds[name] == "switched" else value
        for name, value in flatten(to_dict(config)).items()
        if kinds[name] not in FREE
    }


def spread(config: RunConfig) -> float:
    """By how much windows differ in length, where the data have windows."""
    return flatten(to_dict(config)).get("data.window_spread", 0.0)


def same_shape(a: RunConfig, b: RunConfig) -> bool:
    """Whether two runs can be members of one population.

    Never where windows have random lengths: members would not stay in step.
    """
    return shape_of(a) == shape_of(b) and not spread(a)


def check_alike(configs: Sequence[RunConfig]) -> None:
    """Raises ConfigError where the configs cannot be one population."""
    first = configs[0]
    if spread(first) and len(configs) > 1:
        raise ConfigError(
            f"data.window_spread is {spread(first)}: windows of random "
            "lengths cannot be read by a population; set it to 0, or train the runs "
            "one by one"
        )
    for number, config in enumerate(configs):
        wanted, found = shape_of(first), shape_of(config)
        for name in wanted:
            if wanted[name] != found[name]:
                raise ConfigError(
                    f"member {number} has {name} {found[name]!r}, member 0 "
                    f"{wanted[name]!r}: members of a population may differ in numbers "
                    "that do not shape the model; train these apart"
                )


class Told(Callback):
    """Says of a member that it has diverged; the others go on."""

    def ended(self, run: RunState, outcome: Outcome) -> None:
        if outcome.error is not None:
            say(f"{run.run.directory} diverged: {outcome.error}")


def train_population(
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    callbacks: Sequence[Callback] = (),
    *,
    chunk: int = 0,
    stop: Interrupt | None = None,
) -> list[Outcome | None]:
    """Trains runs together; what came of each, None of those that were not begun.

    Args:
      configs: of one shape, see `same_shape`.
      directories: one each; those that hold their run already are resumed.
      callbacks: hear of all members; `run.number` says which one it is.
      chunk: members trained at once; 0: as many as fit into memory.
      stop: when set, all members are saved and left; they can be resumed.

    Raises:
      ConfigError, DataError, RunError: where a run cannot be begun.
    """
    check_alike(configs)
    keep_memory()
    planned = plan(configs[0])
    for config in configs:
        check_steps(config, planned.reading.steps)
    size = min(chunk or len(configs), len(configs))
    executor = Many(planned, size, fit=not chunk)
    entries = [
        Entry(config, partial(open_run, directory, config, planned.prepared.text))
        for config, directory in zip(configs, directories, strict=True)
    ]
    loop = Loop(entries, executor, planned, [Told(), *callbacks])
    return loop.train(Interrupt() if stop is None else stop)
