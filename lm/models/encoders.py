"""Sentences into a memory: a stack that reads both ways, deep where it has layers.

    m_s = [→h_s, ←h_s]        summary = [→h_S, ←h_1]

(Bahdanau, Cho & Bengio 2015, section 3.2): a place of the memory is a word with all
that stands around it.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lm import dropout as drop
from lm.attention import Memory
from lm.cells.forms import draw
from lm.config import ModelConfig
from lm.models.classifier import never_empty, pooled
from lm.models.encoder_decoder import Encoder
from lm.models.stacks import stack_of, words
from lm.problem import with_numbers
from lm.types import Array, Context, Params


def sentence_encoder(config: ModelConfig, vocabulary: int) -> tuple[Encoder, int]:
    """The encoder that `config` describes, over `vocabulary` words; and the width of a
    place of its memory, which is that of the summary too."""
    layer = stack_of(config, both_ways=True)

    def init(key: Array, numbers: Any = None) -> Params:
        drawn = with_numbers(config, numbers)
        first, second = jax.random.split(key)
        table = draw(first, (vocabulary, config.embedding), drawn.init)
        layers = stack_of(drawn, both_ways=True).init(second, config.embedding)
        return {"embedding": table, "layers": layers}

    def apply(
        params: Params, source: Array, mask_SB: Array, context: Context = Context()
    ) -> Memory:
        dropout, drops = context.dropout, config.dropout
        mask_SB = never_empty(mask_SB)
        xs = words(params, source, dropout, drops)
        state = layer.initial_state(params["layers"], mask_SB.shape[1])
        _, hs_SBE = layer.apply(params["layers"], xs, state, context)
        summary_BE = pooled("last", None, hs_SBE, mask_SB, both_ways=True)
        if dropout is not None and drops.output:
            here = dropout.at(config.layers)
            hs_SBE = drop.features(here, hs_SBE, drops.kind, "output")
        return Memory(jnp.swapaxes(hs_SBE, 0, 1), mask_SB.T, summary_BE)

    parts = tuple(part.under("", "layers") for part in layer.parts)
    return Encoder(init, apply, parts), layer.d_out
