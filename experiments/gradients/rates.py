"""Learning rates for the variants of a study: for each the best of a few, by pilots.

Cells, starts and depths differ in the learning rate that they stand; a comparison at
one rate for all would be one of how well that rate suits them. The pilots have seeds of
their own, which no row of a study is made of; two, since at too high a rate some seeds
sit on a plateau and others do not. They are judged on the validation split, of which
the studies' perplexities are too: the test split is never read.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from experiments.config import Config
from experiments.gradients.measures import nothing
from experiments.gradients.runs import AllDiverged, tasks_of, train_all
from experiments.gradients.study import Job

PILOT_SEEDS = (1000, 1001)


def tuned(
    variants: dict[str, Config],
    rates: Sequence[float],
    job: Job,
    seeds: Sequence[int] | None = None,
) -> dict[str, Config]:
    """Every variant at the rate of the least mean validation loss after all its steps;
    where there is one rate, at that.

    The pilots are runs in `pilots`, resumed and kept like all others; seeds: theirs, in
    place of PILOT_SEEDS.

    Raises:
      AllDiverged: where a variant diverged at every rate.
    """
    if len(rates) == 1:
        return {name: at_rate(config, rates[0]) for name, config in variants.items()}
    pilots = {
        pilot_of(name, rate): at_rate(config, rate)
        for name, config in variants.items()
        for rate in rates
    }
    seeds = PILOT_SEEDS if seeds is None else seeds
    job.display.note(f"pilots at each of {len(rates)} learning rates first")
    tasks = tasks_of(pilots, seeds, job.directory / "pilots")
    nats = dict.fromkeys(pilots, 0.0)
    for run in train_all(tasks, nothing, job):
        nats[run.variant] += run.nats / len(seeds)
    found = {}
    for name in variants:
        mine = {rate: nats[pilot_of(name, rate)] for rate in rates}
        best = min(rates, key=lambda rate: mine[rate])
        if mine[best] == float("inf"):
            raise AllDiverged(f"{name} diverged at every learning rate of {rates}")
        found[name] = pilots[pilot_of(name, best)]
    return found


def pilot_of(name: str, rate: float) -> str:
    """What a variant's pilot at a rate is called."""
    return f"{name}, rate {rate:g}"


def at_rate(config: Config, rate: float) -> Config:
    """The config with another learning rate."""
    return replace(config, optim=replace(config.optim, learning_rate=rate))


def told_rate(row: dict[str, Any]) -> str:
    """The learning rate of a row, for a table."""
    return f"{row['learning_rate']:g}"
