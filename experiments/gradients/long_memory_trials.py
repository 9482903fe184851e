"""One trial: a network on a task of one length, trained until it solves it.

Solved is as in Pascanu 2013: under 1 % of 10,000 fresh sequences wrong. Each trial ends
in a JSON file, written whole or not at all; a trial that was stopped begins again.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from data_pipeline.tasks import TASKS
from experiments.console.interrupts import Interrupt
from experiments.gradients.long_memory_networks import head_of, network
from experiments.run.files import RunError, plain, read_json, write_json_atomic
from experiments.train.processes import Heard, Interrupted
from lm.config import OptimConfig
from lm.dropout import Rates
from lm.optim import Hyperparameters
from lm.train import init_state, make_train_step

WRONG = 0.01
LOOK, EXAM = 1_000, 10_000


@dataclass(frozen=True)
class Trial:
    """A network, a task and a seed; the result is a function of this record alone."""

    variant: str
    """What figures call it."""
    network: str
    task: str
    length: int
    """The task's T."""
    seed: int
    optim: OptimConfig
    hidden: int = 50
    batch: int = 20
    steps: int = 10_000
    """Updates at most."""
    check: int = 500
    """Updates between looks at `LOOK` fresh sequences."""

    @property
    def file(self) -> str:
        """Where its result stands, in the study's directory."""
        variant = "".join(c if c.isalnum() else "-" for c in self.variant)
        return f"{self.task}-T{self.length}-{variant}-seed{self.seed}.json"

    @property
    def label(self) -> str:
        """What the progress line says."""
        return f"{self.task}, T {self.length}, {self.variant}, seed {self.seed}"


class Drawing(NamedTuple):
    """Fresh sequences of a task, compiled for themselves: all networks share them.

    train  (key, first update) -> the batches of the next `check` updates, stacked.
    test   (key) -> a batch of `LOOK` sequences.
    """

    train: Callable[..., Any]
    test: Callable[..., Any]


@cache
def drawing(task: str, length: int, batch: int, check: int) -> Drawing:
    """Update n's batch depends on the key and n alone."""
    sample = TASKS[task].sample

    def train(key, first):
        folded = jax.vmap(jax.random.fold_in, (None, 0))
        keys = folded(key, first + jnp.arange(check))
        return jax.vmap(lambda k: sample(k, batch, length))(keys)

    return Drawing(jax.jit(train), jax.jit(lambda key: sample(key, LOOK, length)))


class Compiled(NamedTuple):
    """What trials that differ in their seed and number of steps share.

    begin    (key) -> state.
    advance  (state, batches) -> (state, loss per counted target over all of them).
    judge    (params, batch) -> (loss, count, sequences wrong), summed.
    """

    begin: Callable[..., Any]
    advance: Callable[..., Any]
    judge: Callable[..., Any]


def compiled(trial: Trial) -> Compiled:
    """The compiled functions of a trial."""
    return _compiled(replace(trial, variant="", seed=0, steps=0))


@cache
def _compiled(trial: Trial) -> Compiled:
    task, optim = TASKS[trial.task], trial.optim
    model, head = network(trial.network, trial.hidden, task), head_of(task)
    numbers = Hyperparameters(optim.learning_rate, optim.clip_at, 0.0, Rates())
    step = make_train_step(model.problem, optim)
    unused = jax.random.key(0)  # nothing is dropped

    def begin(key):
        return init_state(model.problem, optim, numbers, key, trial.batch)

    def advance(state, batches):
        def body(state, batch):
            state, info = step(state, batch, unused, numbers)
            return state, info.loss

        state, losses = lax.scan(body, state, batches)
        return state, losses.total.sum() / losses.count.sum()

    def judge(params, batch):
        begun = model.initial_state(params, LOOK)
        _, hs = model.apply(params, batch.inputs, begun)
        outputs = model.logits(params, hs)
        total = head.total(outputs, batch.targets, batch.mask)
        solved = head.solved(outputs, batch.targets, task.asks(batch))
        return total.total, total.count, jnp.sum(~solved)

    return Compiled(begin, jax.jit(advance, donate_argnums=0), jax.jit(judge))


def attempt(trial: Trial, stop: Interrupt, advance: Heard) -> dict[str, Any]:
    """Trains until the task is solved, the steps are used up, or numbers are no longer
    finite; what came of it.

    Raises:
      Interrupted: when `stop` says so between two looks.
    """
    functions = compiled(trial)
    draw = drawing(trial.task, trial.length, trial.batch, trial.check)
    keys = jax.random.split(jax.random.key(trial.seed), 3)
    state, done, loss = functions.begin(keys[0]), 0, 0.0
    exam = {"wrong": 1.0, "loss": math.nan}
    while done < trial.steps and math.isfinite(loss):
        if stop:
            raise Interrupted
        state, mean = functions.advance(state, draw.train(keys[1], done))
        done, loss = done + trial.check, float(mean)
        advance(trial.label, trial.check)
        key = jax.random.fold_in(keys[2], done)
        judge = partial(functions.judge, state.params)
        look = examine(judge, draw, key, LOOK)
        if look["wrong"] < WRONG or done >= trial.steps:
            exam = examine(judge, draw, jax.random.fold_in(key, 1), EXAM)
            if exam["wrong"] < WRONG:
                break
    advance(trial.label, trial.steps - done)
    solved = exam["wrong"] < WRONG
    return {"solved": solved, "updates": done, **exam}


def examine(
    judge: Callable[..., Any], draw: Drawing, key: Any, count: int
) -> dict[str, float]:
    """The share of `count` fresh sequences that are wrong, and the loss on them."""
    keys = jax.random.split(key, count // LOOK)
    judged = np.sum([jax.device_get(judge(draw.test(k))) for k in keys], axis=0)
    loss, answers, wrong = judged.tolist()
    return {"wrong": wrong / count, "loss": loss / answers}


def result_of(
    trial: Trial, directory: Path, stop: Interrupt, advance: Heard
) -> dict[str, Any]:
    """The trial's result, from its file where that is there already.

    Raises:
      Interrupted: when `stop` says so.
      RunError: where the file is that of a trial with other settings.
    """
    path, settings = directory / trial.file, plain(dataclasses.asdict(trial))
    if path.exists():
        record = read_json(path)
        if record["trial"] != settings:
            raise RunError(
                f"{path} is of a trial with other settings: give another --dir, or "
                "remove it"
            )
        advance(trial.label, trial.steps)
        return record["result"]
    result = plain(attempt(trial, stop, advance))
    write_json_atomic(path, {"trial": settings, "result": result})
    return result
