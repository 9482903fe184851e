"""Populations: many runs that differ in numbers alone, trained together.

    finished = train_population(configs, directories, report)

Every member leaves an ordinary run directory, the same as if it had been trained by
itself: it can be resumed, scored and sampled from like any other. On an accelerator
one step of N small members costs little more than one of a single run. On a CPU there
is nothing to be gained: use processes there.

A member that has ended, was pruned or has diverged leaves its slot to the next one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.dataset import prepare
from experiments.config import Config, flatten, kinds_of, to_dict
from experiments.console.interrupts import Interrupt
from experiments.train.allocator import keep_memory
from experiments.train.members import Population, Report
from lm.config import ConfigError

# What members may differ in: numbers that the compiled step takes as arguments, and
# what only the loop on the host reads.
FREE = ("traced", "host", "bound", "pacing")


def shape_of(config: Config) -> dict[str, Any]:
    """What has to be the same in all members of a population: {dotted field: value}."""
    kinds = kinds_of(type(config))
    return {
        name: bool(value) if kinds[name] == "switched" else value
        for name, value in flatten(to_dict(config)).items()
        if kinds[name] not in FREE
    }


def same_shape(a: Config, b: Config) -> bool:
    """Whether two runs can be members of one population.

    Never where windows have random lengths: members would not stay in step.
    """
    return shape_of(a) == shape_of(b) and not a.data.window_spread


def check_alike(configs: Sequence[Config]) -> None:
    """Raises ConfigError where the configs cannot be one population."""
    first = configs[0]
    if first.data.window_spread and len(configs) > 1:
        raise ConfigError(
            f"data.window_spread is {first.data.window_spread}: windows of random "
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


def train_population(
    configs: Sequence[Config],
    directories: Sequence[Path],
    report: Report,
    *,
    chunk: int = 0,
    stop: Interrupt | None = None,
) -> list[Path | None]:
    """Trains runs together; the directory of each that has finished, else None.

    Args:
      configs: of one shape, see `same_shape`.
      directories: one each; those that hold their run already are resumed.
      report: (member, step, validation nats per token) -> go on? Asked after each
        evaluation of a member. A diverged one is reported once more, with nan.
      chunk: members trained at once; 0: as many as fit into memory.
      stop: when set, all members are saved and left; they can be resumed.

    Raises:
      ConfigError, DataError, RunError: where a run cannot be begun.
    """
    check_alike(configs)
    keep_memory()
    dataset = prepare(configs[0].data)
    population = Population(configs, directories, report, dataset, chunk)
    try:
        population.train(Interrupt() if stop is None else stop)
    finally:
        for member in population.members:
            member.run.close()
    return population.finished
