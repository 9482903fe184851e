"""Britz 2015, Part 2: the loss before training, ten epochs over 100 sentences, and the
SGD step on one core."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from data_pipeline.dataset import prepare
from data_pipeline.types import TokenArray
from experiments.applications.application import Prepared
from experiments.applications.language_model.application import (
    APPLICATION,
    prepared_of,
)
from experiments.benchmark import Benchmark
from experiments.config import GradflowConfig, load_named
from experiments.console.interrupts import Interrupt
from experiments.results.markdown import markdown
from experiments.results.rows import Row
from experiments.results.timing import Stepper, interleaved, milliseconds
from experiments.run.directory import open_run
from experiments.train.callback import Callback
from experiments.train.executor import Executor, One
from experiments.train.loop import Entry, Loop
from experiments.train.plan import Plan, fresh_state, plan_of
from experiments.train.run_state import RunState
from experiments.train.scores import means
from lm.train import make_train_step, numbers_of
from lm.types import Batch

SENTENCES = 100


def measure() -> dict[str, Any]:
    """On 100 sentences of the embedded corpus; keeps this process to one core, as the
    published times are of one."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    config = load_named("tutorial_part2")
    train = replace(config.train, samples=0, keep=1)
    config = replace(config, train=train, gradflow=GradflowConfig(every=0))
    dataset = prepare(config.data)
    planned = plan_of(config, APPLICATION, few(prepared_of(dataset, config.data)))
    losses, V = losses_of(planned), dataset.vocabulary.size
    batches = [planned.reading.batch_at(0, 0, n) for n in range(SENTENCES)]
    typical = sorted(batches, key=lambda batch: batch.mask.sum())[SENTENCES // 2]
    return {
        "vocabulary": V,
        "initial_loss": losses[0],
        "ln_V": float(np.log(V)),
        "losses": [round(loss, 6) for loss in losses],
        "sentence_tokens": int(typical.mask.sum()),
        "sgd_step_ms": milliseconds(step_seconds(planned, typical)),
    }


def few(prepared: Prepared) -> Prepared:
    """The first sentences of its training text alone, to train and to evaluate on."""
    train = prepared.splits["train"]
    starts = train.starts[: SENTENCES + 1]
    first = TokenArray(train.ids[: starts[-1]], starts)
    return prepared._replace(splits=dict.fromkeys(prepared.splits, first))


class Losses(Callback):
    """The loss before training and at each evaluation."""

    def __init__(self, executor: Executor):
        self.executor, self.found = executor, []

    def begun(self, run: RunState) -> None:
        (scores,) = self.executor.evaluate([run.slot], "valid")
        self.found.append(means(scores)["loss"])

    def judged(self, run: RunState, row: dict[str, Any]) -> None:
        self.found.append(run.at.valid)


def losses_of(planned: Plan) -> list[float]:
    """The loss before training and after each epoch."""
    config, executor = planned.config, One(planned)
    heard = Losses(executor)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        entry = Entry(config, partial(open_run, folder, config, planned.prepared.text))
        Loop([entry], executor, planned, [heard], conclude=False).train(Interrupt())
    return heard.found


def step_seconds(planned: Plan, batch: Batch) -> np.ndarray:
    """(50,) of an SGD step on a batch."""
    config = planned.config
    step = jax.jit(make_train_step(planned.problem, config.optim), donate_argnums=0)
    state, key = fresh_state(planned.problem, config, 1), jax.random.key(config.seed)
    given = (batch, key, numbers_of(config))
    sides = {"step": Stepper(state, step, *given)}
    return interleaved(sides, rounds=50)["step"]


def table(rows: Sequence[Row]) -> str:
    """The tutorial's numbers, theirs and ours."""
    found = rows[0]["metrics"]
    V, losses = found["vocabulary"], found["losses"]
    step = found["sgd_step_ms"]
    lines = [
        (
            f"loss before training, V = {V}",
            "8.98744 (ln 8000 = 8.98720)",
            f"{losses[0]:.5f} (ln {V} = {found['ln_V']:.5f})",
        ),
        ("after 10 epochs over 100 sentences", "5.710718", f"{losses[-1]:.6f}"),
        (
            "one SGD step, one CPU core",
            "350 ms NumPy, 70 ms Theano (GPU 23 ms)",
            f"{step['median']:.1f} ms ({found['sentence_tokens']} tokens)",
        ),
    ]
    return markdown(("what", "theirs", "here"), lines)


BENCHMARK = Benchmark(measure, table)
