"""The training loop: batches in, checkpoints and metrics out.

A run is a pure function of (config, seed). What the loop itself remembers between
steps is its `Logbook`'s position, a few plain numbers that every checkpoint holds
beside the arrays; so a run that is stopped anywhere goes on bit for bit.
"""

import math
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipeline.batches import batches_for, one_hot
from data_pipeline.types import Dataset
from experiments.applications.language_model.writing import make_writer
from experiments.config import Config
from experiments.console.interrupts import Interrupt
from experiments.run.directory import Run
from experiments.train.engine import Engine
from experiments.train.evaluate import make_evaluator
from experiments.train.feed import make_feed
from experiments.train.keys import init_key, sample_key
from experiments.train.logbook import Logbook
from experiments.train.probe import Probe
from lm.model import LanguageModel, build
from lm.optim import learning_rate
from lm.train import (
    StepInfo,
    TrainState,
    evaluation_params,
    group_names,
    init_state,
    numbers_of,
)

SAMPLE_TOKENS = 100


class Pending(NamedTuple):
    """A step whose numbers are still on the device."""

    step: int
    rate: float
    info: StepInfo


class Trainer(Logbook):
    """A run in progress. `train` goes on until it is done or asked to stop.

    engine  where the arrays live; one device if not given.
    """

    def __init__(
        self,
        run: Run,
        dataset: Dataset,
        planned: "Plan",
        display: Any,
        engine: Engine | None = None,
    ):
        super().__init__(run, planned.batches.steps, display)
        config = run.config
        self.engine = engine = engine or Engine()
        self.checkpoints = engine.checkpoints(self.checkpoints)
        self.tokens = dataset.splits
        self.model = planned.model
        self.batches = engine.reading(planned.batches)
        self.write = None
        if config.train.samples:
            self.write = make_writer(
                config,
                dataset.vocabulary,
                self.model,
                samples=config.train.samples,
                max_tokens=SAMPLE_TOKENS,
            )
        self.evaluate = make_evaluator(config, self.model, engine)
        self.train_step = engine.train_step(self.model, config.optim)
        self.key = engine.everywhere(jax.random.key(config.seed))
        self.state = self._begin(planned.batches.batch)
        trained = len(self.tokens["train"].ids) / self.batches.steps
        self.probe = Probe(run, self.model, self.tokens["valid"].ids, trained)
        self.pending: Pending | None = None
        self.rate, self.numbers = math.nan, None

    def _begin(self, lanes: int) -> TrainState:
        """The last sound checkpoint, or a fresh start."""
        fresh = fresh_state(self.model, self.config, lanes)
        self.names = group_names(fresh.params)
        found = self.begin(fresh)
        return self.engine.state(fresh if found is None else found)

    def train(self, stop: Interrupt) -> bool:
        """Trains until done; False if `stop` was set before."""
        with make_feed(self.engine, self.batches, self.config.seed, self.at) as feed:
            self.feed = iter(feed)
            return self._train(stop)

    def _train(self, stop: Interrupt) -> bool:
        saved = self.at.step
        self.probe.after(saved, self._params_now())
        stopped, over = False, self.done
        while not (stopped or over):
            ended = self._step()
            self.probe.after(self.at.step, self._params_now())
            self.tick()
            best = self._evaluate() if self.due("eval", ended) else False
            if ended:
                self.end_epoch()
            stopped, late = self.engine.agree(bool(stop), self.late)
            over = late or self.finished
            # Samples first: a kill between the two loses neither.
            if self.write and self.due("sample", ended):
                self._sample(self.write)
            if best or stopped or self.due("checkpoint", ended) or over:
                self._save(best)
                saved = self.at.step
            self.tick()
        self._settle()
        if saved != self.at.step:
            self._save(False)
        if over:
            self.probe.finish(self.at.step, self._params_now())
        return over

    def _step(self) -> bool:
        """One optimizer step; whether it was the last of its epoch."""
        at, config = self.at, self.config
        rate = learning_rate(config.optim, at.schedule, at.step, self.steps)
        if rate != self.rate:
            numbers = jax.tree.map(np.float32, numbers_of(config, rate))
            self.rate, self.numbers = rate, self.engine.everywhere(numbers)
        started = time.perf_counter()
        tokens, batch = next(self.feed)
        at.feed_seconds += time.perf_counter() - started
        if config.data.one_hot:
            batch = one_hot(batch, self.model.vocabulary)
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
        # The other processes read as many tokens, but for padding.
        tokens *= self.engine.processes
        self.time(batch.targets.shape, tokens, time.perf_counter() - started)
        return ended

    def _settle(self) -> None:
        """Reads back the step before: its numbers go to the metrics and the display."""
        if self.pending is None:
            return
        step, rate, info = self.pending
        self.pending = None
        self.record(step, rate, jax.device_get(info))

    def _params(self):
        """What evaluation uses."""
        return evaluation_params(self.state)

    def _params_now(self):
        """The parameters themselves, on one device."""
        return self.engine.here(self.state.params)

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
        return evaluation_params(self.engine.state(state)), meta["step"]

    def _evaluate(self) -> bool:
        """The validation loss; whether it is the best so far."""
        self._settle()
        return self.judge(self.evaluate(self._params(), self.tokens["valid"]))

    def _sample(self, write) -> None:
        """Writes texts to samples.txt."""
        key = sample_key(jax.random.key(self.config.seed))
        params = self.engine.here(self._params())
        self.run.sample(self.at.step, write(params, key))

    def _save(self, best: bool) -> None:
        self._settle()
        self.probe.flush()
        self.save(self.engine.whole(self.state), best)


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
    key = init_key(jax.random.key(config.seed))
    numbers = numbers_of(config)
    make = jax.jit(lambda key: init_state(model, config.optim, numbers, key, lanes))
    return make(key)
