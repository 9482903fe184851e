"""Britz 2015, Part 2: the loss before training, ten epochs over 100 sentences, and the
SGD step on one core."""

import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from data_pipeline.batches import batches_for
from data_pipeline.dataset import prepare
from data_pipeline.types import TokenArray
from experiments.benchmark import Benchmark
from experiments.benchmark.timing import Stepper, interleaved, milliseconds
from experiments.config import load_named
from experiments.results.markdown import markdown
from experiments.results.rows import Row
from experiments.train.plan import fresh_state
from lm.models.language_model import build
from lm.optim import ScheduleState, after_epoch
from lm.train import make_eval_step, make_train_step, numbers_of


def measure() -> dict[str, Any]:
    """On 100 sentences of the embedded corpus; keeps this process to one core, as the
    published times are of one."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    config = load_named("tutorial_part2")
    dataset = prepare(config.data)
    model = build(config.model, dataset.vocabulary.size)
    train = dataset.splits["train"]
    starts = train.starts[:101]
    first = TokenArray(train.ids[: starts[-1]], starts)
    batches = batches_for(config.data, first)
    in_order = batches_for(config.data, first, evaluation=True)
    step = jax.jit(make_train_step(model.problem, config.optim), donate_argnums=0)
    evaluate = jax.jit(make_eval_step(model.problem))
    key = jax.random.key(config.seed)

    def mean_loss(params) -> float:
        carry, total = model.initial_state(params, 1), np.zeros(2)
        for number in range(in_order.steps):
            _, found = evaluate(params, carry, in_order.batch_at(0, 0, number))
            total += np.array(found["loss"], float)
        return total[0] / total[1]

    state = fresh_state(model.problem, config, 1)
    losses, schedule = [mean_loss(state.params)], ScheduleState()
    for epoch in range(10):
        rate = config.optim.learning_rate * schedule.scale
        for number in range(batches.steps):
            batch = batches.batch_at(config.seed, epoch, number)
            state, _ = step(state, batch, key, numbers_of(config, rate))
        losses.append(mean_loss(state.params))
        schedule = after_epoch(config.optim, schedule, epoch + 1, losses[-1])

    lengths = np.array([batches.batch_at(0, 0, n).mask.sum() for n in range(100)])
    typical = int(np.argsort(lengths)[50])
    given = (batches.batch_at(0, 0, typical), key, numbers_of(config))
    seconds = interleaved({"step": Stepper(state, step, *given)}, rounds=50)["step"]
    return {
        "vocabulary": dataset.vocabulary.size,
        "initial_loss": losses[0],
        "ln_V": float(np.log(dataset.vocabulary.size)),
        "losses": [round(loss, 6) for loss in losses],
        "sentence_tokens": int(lengths[typical]),
        "sgd_step_ms": milliseconds(seconds),
    }


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
