"""What a config comes to: its data, what is trained, and how far it can go.

Making a `Plan` finds a user's mistakes before a run directory is touched.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import psutil

from data_pipeline.batches import Reading
from experiments.applications import load
from experiments.applications.application import Application, Prepared
from experiments.config import RunConfig
from experiments.train.keys import init_key
from experiments.train.position import planned_steps
from lm.config import ConfigError
from lm.train import TrainState, group_names, init_state, numbers_of
from lm.unroll import StepEvents, default_driver

Again = Callable[[Any], Any] | None


class Plan:
    """A config with all that follows from it; shared by runs of one shape.

    application, prepared, problem  see `experiments.applications.application`.
    reading  of the training split.
    shapes   of a fresh training state.
    names    of the parameter groups, in the order of `StepInfo`.
    """

    def __init__(self, config: RunConfig, application: Application, prepared: Prepared):
        self.config, self.application, self.prepared = config, application, prepared
        self.problem = application.problem(config, prepared)
        self.reading: Reading = application.reading(config, prepared, "train")
        self._evaluations: dict[str, Reading] = {}
        lanes = self.reading.batch
        self.shapes = jax.eval_shape(lambda: fresh_state(self.problem, config, lanes))
        self.names = group_names(self.shapes.params)

    def evaluation(self, split: str) -> Reading:
        """The reading that covers a split once."""
        if split not in self._evaluations:
            self._evaluations[split] = self.application.reading(
                self.config, self.prepared, split, evaluation=True
            )
        return self._evaluations[split]

    @cached_property
    def loops(self) -> dict[str, str]:
        """{part's name: the driver that `lm.unroll` goes by} of the parts that could go
        all steps at once, or many: by their T and the device, from a table."""
        parts = [p for p in self.problem.parts if p.cell.coefficients or p.cell.stretch]
        if not parts:
            return {}
        batch = self.reading.batch_at(0, 0, 0)
        taps = jax.eval_shape(
            lambda params: self.problem.taps(params, batch), self.shapes.params
        )
        dropout = getattr(getattr(self.config, "model", None), "dropout", None)
        found = {}
        for part in parts:
            at = taps[part.name]
            events = StepEvents(update=at if dropout and dropout.zoneout else None)
            steps = len(jax.tree.leaves(at)[0])
            found[part.name] = default_driver(part.cell, events, steps).__name__
        return found

    @cached_property
    def probed(self) -> Any:
        """What the probes look at, or None."""
        return self.application.probed(self.config, self.prepared)


def chosen(config: RunConfig, again: Again) -> tuple[Any, tuple[str, ...]]:
    """(the config with what it leaves to its data, lines that tell of it).

    again  see `experiments.console.command_line.Options`; None: nothing is chosen.

    Raises:
      ConfigError, DataError: where the data cannot be read.
    """
    choose = load(config.application).choose
    if choose is None or again is None:
        return config, ()
    base, told = choose(config)
    return (config if base is config else again(base)), told


def plan(config: RunConfig) -> Plan:
    """Reads the data and sets everything up.

    Raises:
      ConfigError, DataError: where the config cannot be run.
    """
    application = load(config.application)
    return plan_of(config, application, application.prepare(config))


def plan_of(config: RunConfig, application: Application, prepared: Prepared) -> Plan:
    """`plan`, of data that are there already."""
    planned = Plan(config, application, prepared)
    check_steps(config, planned.reading.steps)
    check_size(planned.shapes)
    return planned


def check_steps(config: RunConfig, per_epoch: int) -> None:
    """Raises ConfigError where the run would end before it has warmed up."""
    steps, warmup = planned_steps(config, per_epoch), config.optim.warmup
    if warmup > steps:
        raise ConfigError(
            f"optim.warmup is {warmup} but train.epochs {config.train.epochs} of "
            f"{per_epoch:,} steps make {steps:,}: warm up for fewer steps, or train "
            "for more"
        )


def check_size(state: TrainState) -> None:
    """Raises ConfigError where a training state cannot fit into any memory here."""
    leaves = jax.tree.leaves(state)
    needed = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    memory = psutil.virtual_memory().total
    if needed > memory:
        count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
        raise ConfigError(
            f"the model has {count:,} parameters and its training state takes "
            f"{needed / 2**30:,.0f} GiB, where this machine has "
            f"{memory / 2**30:,.0f}: make it smaller (--model.hidden, "
            "--model.embedding), or the batch (--data.batch)"
        )


def fresh_state(problem: Any, config: RunConfig, lanes: int) -> TrainState:
    """The state before the first step: a function of config and seed."""
    key = init_key(jax.random.key(config.seed))
    numbers = numbers_of(config)
    make = jax.jit(lambda key: init_state(problem, config.optim, numbers, key, lanes))
    return make(key)
