"""Training steps beside the same model over a plain scan, and beside Flax's."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import Benchmark
from experiments.benchmark.common import by_model, random_batch
from experiments.benchmark.peers import make_peer
from experiments.config import Config, load_named
from experiments.results.rows import Row
from experiments.results.timing import Stepper, interleaved, milliseconds, ratio
from lm.config import DropoutConfig, ModelConfig, OptimConfig
from lm.models.language_model import build
from lm.train import init_state, make_loss, make_train_step, numbers_of
from lm.types import Context
from lm.unroll import scanned


def step_cases() -> dict[str, tuple[int, int, int, ModelConfig, OptimConfig]]:
    """name: (V, T, B, model, optimizer) of the four training steps."""
    zaremba = {size: load_named(f"zaremba_{size}") for size in ("small", "medium")}
    cases = {
        f"zaremba_{size}": (10_000, c.data.window, c.data.batch, c.model, c.optim)
        for size, c in zaremba.items()
    }
    for hidden in (128, 512):
        model = ModelConfig(cell="lstm", layers=2, hidden=hidden, embedding=0)
        cases[f"characters_2x{hidden}"] = (65, 50, 50, model, OptimConfig())
    return cases


def measure() -> dict[str, Any]:
    """Training steps against their twins."""
    found = {}
    for name, case in step_cases().items():
        sides = step_sides(*case)
        seconds = interleaved(sides, rounds=9 if "medium" in name else 15)
        ours = seconds["ours"]
        found[name] = {side: milliseconds(s) for side, s in seconds.items()}
        found[name]["tokens_per_second"] = round(case[1] * case[2] / float(ours.min()))
        for side in ("plain_scan", "flax"):
            found[name][f"{side}_over_ours"] = ratio(seconds[side], ours)
        print(name, found[name], flush=True)
    return found


def step_sides(vocabulary: int, window: int, lanes: int, config, optim):
    """{"ours", "plain_scan", "flax"}: one training step each, on random text.

    Dropout is off in all three, since Flax's model has none.
    """
    config = dataclasses.replace(config, dropout=DropoutConfig())
    numbers = numbers_of(Config(model=config, optim=optim))
    batch = jax.device_put(random_batch(vocabulary, window, lanes))
    key = jax.random.key(0)
    problem = build(config, vocabulary).problem
    plain = partial(make_loss(problem, optim), context=Context(driver=scanned))
    gradients = {"ours": None, "plain_scan": jax.grad(plain, has_aux=True)}
    sides = {}
    for name, gradient in gradients.items():
        state = jax.tree.map(jnp.copy, init_state(problem, optim, numbers, key, lanes))
        step = jax.jit(make_train_step(problem, optim, gradient), donate_argnums=0)
        sides[name] = Stepper(state, step, batch, key, numbers)
    state, step = make_peer(config, optim, numbers, vocabulary, lanes)
    sides["flax"] = Stepper(state, step, batch, numbers)
    return sides


def table(rows: Sequence[Row]) -> str:
    """Training steps against their twins, interleaved."""
    head = ("model", "ms a step", "plain scan", "Flax `nnx.RNN`", "tokens/s, best")
    return by_model(
        rows,
        head,
        lambda found: (
            f"{found['ours']['median']:.0f}",
            f"{found['plain_scan_over_ours']:.2f}×",
            f"{found['flax_over_ours']:.2f}×",
            f"{found['tokens_per_second']:,}",
        ),
    )


BENCHMARK = Benchmark(measure, table)
