"""Tokens a second of character samples: one text, and 64 at once."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark import Benchmark
from experiments.results.markdown import markdown
from experiments.results.rows import Row
from experiments.results.timing import interleaved
from lm.config import ModelConfig
from lm.generate import Filters, make_text_sampler
from lm.models.language_model import build

LANES = {1: 20_000, 64: 2_000}  # texts at once: tokens of each


def measure() -> dict[str, Any]:
    """{lanes: {"tokens" in all, "median" and "maximum" tokens/s}}."""
    model = build(ModelConfig(cell="lstm", hidden=128, embedding=0), 65)
    params = model.init(jax.random.key(0))
    found = {}
    for lanes, tokens in LANES.items():
        sample = jax.jit(make_text_sampler(model, Filters(), tokens))
        prompt = jnp.zeros((1, lanes), jnp.int32)
        given = sample, params, jax.random.key(1), prompt
        rates = lanes * tokens / timed(*given)
        found[str(lanes)] = {
            "tokens": lanes * tokens,
            "median": round(float(np.median(rates))),
            "maximum": round(float(rates.max())),
        }
    return found


def timed(sample: Any, *given: Any) -> np.ndarray:
    """Seconds of each of some samples."""
    call = {"sample": lambda: jax.block_until_ready(sample(*given))}
    return interleaved(call, rounds=9)["sample"]


def table(rows: Sequence[Row]) -> str:
    """Characters a second."""
    lines = [
        (f"LSTM 1×128, {lanes} at once", *(f"{rates[k]:,}" for k in HEAD))
        for lanes, rates in rows[0]["metrics"].items()
    ]
    return markdown(("model", "characters/s, median", "best"), lines)


HEAD = ("median", "maximum")

BENCHMARK = Benchmark(measure, table)
