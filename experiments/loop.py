"""The training loop: batches in, checkpoints and metrics out.

A run is a pure function of (config, seed). What the loop itself remembers between
steps is `Position`, a few plain numbers that every checkpoint holds beside the
arrays; so a run that is stopped anywhere goes on bit for bit.
"""

import dataclasses
import math
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipeline.batches import batches_for, one_hot
from data_pipeline.dataset import Dataset
from experiments.checkpoint import Checkpoints
from experiments.config import Config
from experiments.evaluate import make_evaluator
from experiments.files import RunError
from experiments.generate import make_writer
from experiments.interrupts import Interrupt
from experiments.position import Position, planned_steps
from experiments.run import Run
from lm.layers import count_parameters
from lm.losses import perplexity
from lm.model import LanguageModel, build
from lm.optim import after_epoch, learning_rate
from lm.train import (
    StepInfo,
    TrainState,
    evaluation_params,
    group_names,
    init_state,
    make_train_step,
    numbers_of,
)

SAMPLE_TOKENS = 100


class Diverged(RunError):
    """The loss or a gradient is no longer a finite number."""


class Pending(NamedTuple):
    """A step whose numbers are still on the device."""

    step: int
    rate: float
    info: StepInfo


class Trainer:
    """A run in progress. `train` goes on until it is done or asked to stop."""

    def __init__(self, run: Run, dataset: Dataset, planned: "Plan", display: Any):
        config = run.config
        self.run, self.config, self.display = run, config, display
        self.tokens = dataset.splits
        self.model, self.batches = planned
        self.write = None
        if config.train.samples:
            self.write = make_writer(
                config,
                dataset.vocabulary,
                self.model,
                samples=config.train.samples,
                max_tokens=SAMPLE_TOKENS,
            )
        self.steps = planned_steps(config, self.batches.steps)
        self.checkpoints = Checkpoints(run.checkpoints, config.train.keep)
        self.evaluate = make_evaluator(config, self.model)
        step = make_train_step(self.model, config.optim)
        self.train_step = jax.jit(step, donate_argnums=0)
        self.key = jax.random.key(config.seed)
        self.state, self.at = self._begin()
        self.names = group_names(self.state.params)
        self.pending: Pending | None = None
        self.rate, self.numbers = math.nan, None
        self.evaluated = -1
        self.compiled: set[tuple[int, ...]] = set()
        self.ticked = time.perf_counter()
        if self.at.step == 0:
            run.log(step=0, groups=self.names)

    def _begin(self) -> tuple[TrainState, Position]:
        """The last sound checkpoint, or a fresh start."""
        fresh = fresh_state(self.model, self.config, self.batches.batch)
        found = self.checkpoints.latest(fresh) if self.run.resumed else None
        if found is None:
            self.run.rewind(0)
            return fresh, Position()
        state, meta = found
        at = Position.load(meta)
        self.run.rewind(at.step)
        return jax.device_put(state), at

    @property
    def done(self) -> bool:
        """Whether a bound of the config is reached."""
        train, at = self.config.train, self.at
        out_of_patience = train.patience and at.waited >= train.patience
        out_of_time = train.minutes and at.seconds >= 60 * train.minutes
        return bool(at.step >= self.steps or out_of_patience or out_of_time)

    def train(self, stop: Interrupt) -> bool:
        """Trains until done; False if `stop` was set before."""
        saved = self.at.step
        while not self.done:
            ended = self._step()
            self._tick()
            best = self._evaluate() if self._due("eval", ended) else False
            if ended:
                self._end_epoch()
            if best or stop or self._due("checkpoint", ended) or self.done:
                self._save(best)
                saved = self.at.step
            if self.write and self._due("sample", ended):
                self._sample(self.write)
            self._tick()
            if stop:
                break
        self._settle()
        if saved != self.at.step:
            self._save(False)
        return self.done

    def _step(self) -> bool:
        """One optimizer step; whether it was the last of its epoch."""
        at, config = self.at, self.config
        batch = self.batches.batch_at(config.seed, at.epoch, at.index)
        tokens = int(batch.mask.sum())
        if config.data.one_hot:
            batch = one_hot(batch, self.model.vocabulary)
        rate = learning_rate(config.optim, at.schedule, at.step, self.steps)
        if rate != self.rate:
            numbers = jax.tree.map(np.float32, numbers_of(config, rate))
            self.rate, self.numbers = rate, jax.device_put(numbers)
        started = time.perf_counter()
        batch = jax.device_put(batch)
        with jax.transfer_guard("disallow"):
            self.state, info = self.train_step(
                self.state, batch, self.key, self.numbers
            )
        at.step, at.index = at.step + 1, at.index + 1
        self._settle()
        self.pending = Pending(at.step, rate, info)
        ended = at.index == self.batches.steps
        if ended:
            self._settle()
        self._time(batch.targets.shape, tokens, time.perf_counter() - started)
        return ended

    def _time(self, shape: tuple[int, ...], tokens: int, seconds: float) -> None:
        """Counts a step towards tokens/s, unless it was compiled for its shape."""
        if shape in self.compiled:
            self.at.step_seconds += seconds
            self.at.step_tokens += tokens
        self.compiled.add(shape)

    def _tick(self) -> None:
        """Adds the wall clock since the last tick to the run's seconds."""
        now = time.perf_counter()
        self.at.seconds += now - self.ticked
        self.ticked = now

    def _settle(self) -> None:
        """Reads back the step before: its numbers go to the metrics and the display."""
        if self.pending is None:
            return
        step, rate, info = self.pending
        self.pending = None
        info = jax.device_get(info)
        self._check_finite(step, info)
        nats, count = float(info.loss.nats), float(info.loss.count)
        self.at.nats, self.at.count = self.at.nats + nats, self.at.count + count
        row = step_row(info)
        self.run.log(step=step, epoch=self.at.epoch, learning_rate=rate, **row)
        self.display.step(self, step, row)

    def _check_finite(self, step: int, info: StepInfo) -> None:
        values = np.stack([info.gradients_P, info.updates_P, info.weights_P])
        if np.isfinite(info.loss.nats) and np.isfinite(values).all():
            return
        broken = [
            n
            for n, v in zip(self.names, values.T, strict=True)
            if not np.isfinite(v).all()
        ]
        kept = self.checkpoints.steps()
        raise Diverged(
            f"step {step}: loss {info.loss.nats:g}, not finite first in "
            f"{', '.join(broken) or 'the loss alone'}; "
            f"{f'checkpoint {kept[-1]} is kept' if kept else 'no checkpoint yet'}; try "
            "a smaller --optim.learning-rate or --optim.clip-at"
        )

    def _due(self, what: str, epoch_ended: bool) -> bool:
        """Whether an evaluation, checkpoint or sample falls here."""
        every = getattr(self.config.train, f"{what}_every")
        if every:
            return self.at.step % every == 0
        return epoch_ended if what == "eval" else self._due("eval", epoch_ended)

    def _params(self):
        return evaluation_params(self.state)

    def best(self) -> tuple[Any, int]:
        """Parameters with the best validation loss, and the step they are of.

        A run that ends between evaluations has its last parameters looked at here,
        without any trace in the position, so that it can still go on as if it had
        never stopped.
        """
        if self.evaluated != self.at.step:
            total = self.evaluate(self._params(), self.tokens["valid"])
            if total.nats / total.count < self.at.best:
                self._save(best=True)
        found = self.checkpoints.best(self.state)
        if found is None:
            return self._params(), self.at.step
        state, meta = found
        return evaluation_params(jax.device_put(state)), meta["step"]

    def _evaluate(self) -> bool:
        """The validation loss; whether it is the best so far."""
        self._settle()
        total = self.evaluate(self._params(), self.tokens["valid"])
        at = self.at
        self.evaluated = at.step
        at.valid = total.nats / total.count
        best = at.valid < at.best
        at.best, at.waited = (at.valid, 0) if best else (at.best, at.waited + 1)
        train = at.nats / at.count if at.count else math.nan
        row = {
            "valid_nats_per_token": at.valid,
            "valid_perplexity": perplexity(at.valid),
            "train_nats_per_token": train,
        }
        self.run.log(step=at.step, epoch=at.epoch, **row)
        self.display.evaluation(self, row)
        return best

    def _end_epoch(self) -> None:
        """Moves the schedule and the position on to the next epoch."""
        at = self.at
        at.epoch, at.index = at.epoch + 1, 0
        at.schedule = after_epoch(
            self.config.optim, at.schedule, at.epoch, at.nats / at.count, at.valid
        )
        at.nats = at.count = 0.0

    def _sample(self, write) -> None:
        """Writes texts to samples.txt; the same key every time, to compare them."""
        key = jax.random.fold_in(self.key, 2**32 - 2)
        self.run.sample(self.at.step, write(self._params(), key))

    def _save(self, best: bool) -> None:
        self._settle()
        self.run.metrics.flush()
        meta = dataclasses.asdict(self.at)
        self.checkpoints.save(self.at.step, self.state, meta, best=best)


class Plan(NamedTuple):
    """Model and training batches of a config; making them finds a user's mistakes
    before a run directory is touched."""

    model: LanguageModel
    batches: Any


def plan(config: Config, dataset: Dataset) -> Plan:
    """Raises ConfigError and DataError where the config cannot be run."""
    return Plan(
        build(config.model, dataset.vocabulary.size),
        batches_for(config.data, dataset.splits["train"]),
    )


def fresh_state(model: LanguageModel, config: Config, lanes: int) -> TrainState:
    """The state before the first step: a function of config and seed."""
    key = jax.random.fold_in(jax.random.key(config.seed), 2**32 - 1)
    numbers = numbers_of(config)
    make = jax.jit(lambda key: init_state(model, config.optim, numbers, key, lanes))
    return make(key)


def step_row(info: StepInfo) -> dict[str, Any]:
    """A step's numbers as a row of metrics.jsonl; lists in the order of `groups`."""
    weights = np.maximum(info.weights_P, np.finfo(np.float32).tiny)
    with np.errstate(over="ignore"):
        ratios = info.updates_P / weights
    count = float(info.loss.count)
    return {
        "loss": float(info.loss.nats) / max(count, 1.0),
        "tokens": int(count),
        "gradient_norm": float(info.gradient_norm),
        "clipped_norm": float(info.clipped_norm),
        "gradient_norms": rounded(info.gradients_P),
        "weight_norms": rounded(info.weights_P),
        "update_ratios": rounded(ratios),
    }


def rounded(values: np.ndarray) -> list[float]:
    """To five digits, which is what a plot shows."""
    return [float(f"{value:.5g}") for value in values.tolist()]


def summary_of(trainer: Trainer) -> dict[str, Any]:
    """What `summary.json` says of training itself."""
    at = trainer.at
    return {
        "tokens_per_second": at.step_tokens / at.step_seconds
        if at.step_tokens
        else 0.0,
        "seconds": at.seconds,
        "steps": at.step,
        "epochs": at.epoch + at.index / trainer.batches.steps,
        "parameters": count_parameters(trainer.state.params),
    }
