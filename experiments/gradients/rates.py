"""Learning rates for the variants of a study: for each the best of a few, by a pilot.

Cells, starts and depths differ in the learning rate that they stand; a comparison at
one rate for all would be one of how well that rate suits them. The pilots have a seed
of their own, which no row of a study is made of.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from experiments.config import Config
from experiments.files import RunError
from experiments.gradients.study import Job

PILOT_SEED = 1000


def tuned(
    variants: dict[str, Config], rates: Sequence[float], job: Job
) -> dict[str, Config]:
    """Every variant at the rate of the least validation loss after all its steps.

    The pilots are runs in `pilots`, resumed and kept like all others.

    Raises:
      RunError: where a variant diverged at every rate.
    """
    from experiments.gradients.runs import nothing, tasks_of, train_all

    pilots = {
        f"{name}, rate {rate:g}": at_rate(config, rate)
        for name, config in variants.items()
        for rate in rates
    }
    job.display.note(f"one pilot at each of {len(rates)} learning rates first")
    tasks = tasks_of(pilots, [PILOT_SEED], job.directory / "pilots")
    runs = train_all(tasks, nothing, job.display, job.processes)
    nats = [run.nats for run in runs]
    found = {}
    for number, (name, config) in enumerate(variants.items()):
        mine = nats[number * len(rates) :][: len(rates)]
        if min(mine) == float("inf"):
            raise RunError(f"{name} diverged at every learning rate of {rates}")
        found[name] = at_rate(config, rates[mine.index(min(mine))])
    return found


def at_rate(config: Config, rate: float) -> Config:
    """The config with another learning rate."""
    return replace(config, optim=replace(config.optim, learning_rate=rate))


def told_rate(row: dict[str, Any]) -> str:
    """The learning rate of a row, for a table."""
    return f"{row['learning_rate']:g}"
