"""Tokens a second of one sample of characters."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import Benchmark
from experiments.results.markdown import markdown
from experiments.results.rows import Row
from experiments.results.timing import interleaved
from lm.config import ModelConfig
from lm.generate import Filters, make_text_sampler
from lm.models.language_model import build


def measure() -> dict[str, Any]:
    """One sample of 20,000 characters."""
    tokens = 20_000
    model = build(ModelConfig(cell="lstm", hidden=128, embedding=0), 65)
    params = model.init(jax.random.key(0))
    sample = jax.jit(make_text_sampler(model, Filters(), tokens))
    prompt = jnp.zeros((1, 1), jnp.int32)

    def call():
        jax.block_until_ready(sample(params, jax.random.key(1), prompt))

    seconds = interleaved({"sample": call}, rounds=9)["sample"]
    rates = tokens / seconds
    return {
        "tokens": tokens,
        "tokens_per_second": {
            "median": round(float(sorted(rates)[len(rates) // 2])),
            "maximum": round(float(rates.max())),
        },
    }


def table(rows: Sequence[Row]) -> str:
    """Characters a second."""
    rates = rows[0]["metrics"]["tokens_per_second"]
    lines = [("LSTM 1×128", *(f"{rates[k]:,}" for k in ("median", "maximum")))]
    return markdown(("model", "characters/s, median", "best"), lines)


BENCHMARK = Benchmark(measure, table)
