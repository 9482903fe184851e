"""The network of a config, and what it makes of gaps."""

from typing import Any

import jax

from experiments.applications.application import Prepared
from experiments.applications.gap.config import GapConfig
from lm.models.gap import GapModel, build_gap


def model_of(config: GapConfig, prepared: Prepared) -> GapModel:
    """The network."""
    return build_gap(config.model, prepared.source.vocabulary.size, config.sides)


def make_filler(config: GapConfig, prepared: Prepared) -> Any:
    """(params, batch) -> (T, B, V) probabilities of the words in each gap."""
    model = model_of(config, prepared)
    return jax.jit(lambda params, batch: jax.nn.softmax(model.logits(params, batch)))
