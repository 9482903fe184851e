"""A whole split through the model, with carried state: used by training and scoring."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from data_pipeline.batches import one_hot
from data_pipeline.types import TokenArray
from experiments.applications.language_model.reading import evaluation_batches
from experiments.config import Config
from experiments.train.engine import Engine
from lm.losses import Sum, perplexity
from lm.model import LanguageModel


def make_evaluator(
    config: Config, model: LanguageModel, engine: Engine | None = None
) -> Callable[[Any, TokenArray], Sum]:
    """evaluate(params, tokens) -> Sum(nats, count), as Python numbers.

    Every token of the split counts once; per-window sums are float32, the total over
    windows float64.
    """
    engine = engine or Engine()
    step = engine.eval_step(model)

    def evaluate(params, tokens: TokenArray) -> Sum:
        batches = engine.reading(evaluation_batches(config, tokens))
        carry = engine.carry(model, params, batches.batch)
        totals = []
        for number in range(batches.steps):
            batch = engine.batch(batches.batch_at(config.seed, 0, number))
            if config.data.one_hot:
                batch = one_hot(batch, model.vocabulary)
            carry, total = step(params, carry, batch)
            totals.append(total)
        nats, count = np.sum(np.asarray(jax.device_get(totals), np.float64), axis=0)
        return Sum(float(nats), int(count))

    return evaluate


def result(total: Sum) -> dict[str, float]:
    """{"nats_per_token", "perplexity", "tokens"} for a summary."""
    mean = total.nats / total.count
    return {
        "nats_per_token": mean,
        "perplexity": perplexity(mean),
        "tokens": int(total.count),
    }
