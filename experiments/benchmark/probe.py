"""What probes of the gradient flow cost: `python -m experiments.benchmark probe`."""

import time
from typing import Any

import jax
import numpy as np

from experiments.benchmark.timing import Stepper, interleaved, milliseconds, ratio
from experiments.config import load_named
from experiments.train.loop import fresh_state
from experiments.train.probe import interval, make_measure, windows
from lm.model import build
from lm.train import make_train_step, numbers_of
from lm.types import Batch

VOCABULARY = {"default": 6_000, "zaremba_small": 10_000, "characters": 96}
PROMISE = 0.05


def probe() -> dict[str, Any]:
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
    rng = np.random.default_rng(0)
    ids = rng.integers(0, vocabulary, (steps + 1, lanes)).astype(np.int32)
    mask, fresh = np.ones((steps, lanes), np.float32), np.zeros(lanes, bool)
    batch = jax.device_put(Batch(ids[:-1], ids[1:], mask, fresh))
    step = jax.jit(make_train_step(model, config.optim), donate_argnums=0)
    given = batch, jax.random.key(0), numbers_of(config)
    text = windows(rng.integers(0, vocabulary, 20_000), config.gradflow)
    assert text is not None
    params = model.init(jax.random.key(0))
    began = time.perf_counter()
    measure = jax.jit(make_measure(model, text)).lower(params).compile()
    compiling = time.perf_counter() - began
    every = interval(config.gradflow, text.targets.size, steps * lanes)
    sides = {
        "step": Stepper(fresh_state(model, config, lanes), step, *given),
        "probe": lambda: jax.block_until_ready(measure(params)),
    }
    return sides, every, compiling
