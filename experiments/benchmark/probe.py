"""What probes of the gradient flow cost: `python -m experiments.benchmark probe`."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from data_pipeline.windows import windows
from experiments.applications.language_model.application import batch_of
from experiments.benchmark import Benchmark
from experiments.benchmark.common import by_model, random_batch
from experiments.config import load_named
from experiments.results.rows import Row
from experiments.results.timing import Stepper, interleaved, milliseconds, ratio
from experiments.train.plan import fresh_state
from experiments.train.probe import interval, make_measure, spots
from lm.models.language_model import build
from lm.train import make_train_step, numbers_of

VOCABULARY = {"tour": 6_000, "zaremba_small": 10_000, "characters": 96}
PROMISE = 0.05


def measure() -> dict[str, Any]:
    """A probe against the training step of each config, the two taking turns, and the
    share of the training time that it takes at the default interval."""
    found = {}
    for name, vocabulary in VOCABULARY.items():
        sides, every, compiling = _sides(name, vocabulary)
        seconds = interleaved(sides, rounds=15)
        steps = ratio(seconds["probe"], seconds["step"])
        found[name] = {side: milliseconds(s) for side, s in seconds.items()}
        found[name] |= {
            "probe_over_step": steps,
            "every": every,
            "share": round(steps / every, 4),
            "kept": steps / every <= PROMISE,
            "compiling_s": round(compiling, 2),
        }
        print(name, found[name], flush=True)
    return found


def _sides(name: str, vocabulary: int) -> tuple[dict[str, Any], int, float]:
    """({"step", "probe"}, steps between probes by default, seconds to compile one), on
    random text."""
    config = load_named(name)
    model = build(config.model, vocabulary)
    steps, lanes = config.data.window, config.data.batch
    batch = jax.device_put(random_batch(vocabulary, steps, lanes))
    step = jax.jit(make_train_step(model.problem, config.optim), donate_argnums=0)
    given = batch, jax.random.key(0), numbers_of(config)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, vocabulary, 20_000)
    text = batch_of(windows(ids, config.gradflow.lags + 1, config.gradflow.lanes))
    params = model.init(jax.random.key(0))
    began = time.perf_counter()
    measure = jax.jit(make_measure(model.problem, text)).lower(params).compile()
    compiling = time.perf_counter() - began
    every = interval(config.gradflow, spots(text), steps * lanes)
    sides = {
        "step": Stepper(fresh_state(model.problem, config, lanes), step, *given),
        "probe": lambda: jax.block_until_ready(measure(params)),
    }
    return sides, every, compiling


def table(rows: Sequence[Row]) -> str:
    """What probing costs at its default interval."""
    head = ("config", "ms a step", "ms a probe", "steps between", "share of the time")
    return by_model(
        rows,
        head,
        lambda found: (
            f"{found['step']['median']:.0f}",
            f"{found['probe']['median']:.0f}",
            f"{found['every']}",
            f"{found['share']:.1%}",
        ),
    )


BENCHMARK = Benchmark(measure, table)
