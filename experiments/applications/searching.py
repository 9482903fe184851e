"""Answers of an encoder–decoder: greedy search, or beam search."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.pairs import EncodedPairs, PairBatches
from data_pipeline.vocabulary import EOS_ID
from experiments.applications.decoding import SearchConfig
from lm.generate import Filters, make_sampler, make_searches
from lm.models.encoder_decoder import EncoderDecoder

Search = Callable[[Any, Any, Any], tuple[Any, Any]]


def make_search(
    model: EncoderDecoder,
    vocabulary: int,
    tokens: int,
    search: SearchConfig | None = None,
) -> Search:
    """(params, source, mask) -> (ids (B, tokens), nats (B,)): the answers and −ln P of
    each. search: a beam; None: greedy."""

    @jax.jit
    def find(params: Any, source: Any, mask: Any) -> tuple[Any, Any]:
        state = model.begin(params, source, mask)
        first_B = jnp.full(mask.shape[1], EOS_ID, jnp.int32)
        if search is None:
            greedy = make_sampler(
                model.step, vocabulary, Filters(greedy=True), tokens, EOS_ID
            )
            ids_TB = greedy(params, jax.random.key(0), state, first_B)
            return ids_TB.T, jnp.zeros(len(first_B))
        beams = make_searches(
            model.step, vocabulary, search.beam, tokens, EOS_ID, search.normalise
        )
        found = beams(params, state, first_B)
        return found.ids[:, 0], -found.log_probability[:, 0]

    return find


def answers_to(
    find: Search, params: Any, pairs: EncodedPairs, lanes: int
) -> list[np.ndarray]:
    """The answer to each source, in their order."""
    reading = PairBatches(pairs, lanes, shuffle=False)
    found: list[Any] = [None] * (len(pairs.sources.starts) - 1)
    for step in range(reading.steps):
        members, _ = reading.buckets.at(0, 0, step)
        batch = reading.batch_at(0, 0, step)
        ids_BT = np.asarray(find(params, batch.source, batch.source_mask)[0])
        for lane, number in enumerate(members):
            found[number] = ids_BT[lane]
    return found
