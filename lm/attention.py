"""Attention: what a query finds in a memory, a mean of its places weighted by scores.

    e_ts = score(q_t, m_s)      α_t = softmax over s of e_ts      c_t = Σ_s α_ts·m_s

    dot       q·m           (Luong, Pham & Manning 2015, equation 8), equally wide
    general   q·(m·W)       (the same)
    additive  v·tanh(q·W + m·U)      (Bahdanau, Cho & Bengio 2015, appendix A.1.2)

What depends on the memory alone, its keys, is made once a sequence. Arrays here have
the lanes first, so that a memory can be part of a state: beams and samples carry it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import draw
from lm.checks import unknown
from lm.config import ConfigError, InitConfig
from lm.products import matmul
from lm.types import Array, Params

NOWHERE = -1e9  # the score of a place that is not there


class Memory(NamedTuple):
    """What is looked at.

    values_BSE   S places, E wide.
    mask_BS      1 where a place is there, 0 on padding.
    summary_BN   all of it in one vector, for who starts from there.
    """

    values_BSE: Array
    mask_BS: Array
    summary_BN: Array


class Looked(NamedTuple):
    """A memory made ready: its keys beside its values."""

    keys_BSA: Array
    values_BSE: Array
    mask_BS: Array


class Attention(NamedTuple):
    """Pure functions.

    init    (key, d_query, d_memory, init: InitConfig) -> params.
    keys    (params, values_BSE) -> keys_BSA.
    scores  (params, queries_BTQ, keys_BSA) -> (B, T, S).
    """

    init: Callable[[Array, int, int, InitConfig], Params]
    keys: Callable[[Params, Array], Array]
    scores: Callable[[Params, Array, Array], Array]


def attention(name: str) -> Attention:
    """The attention whose score has this name; ConfigError where there is none."""
    if name not in SCORES:
        raise ConfigError(unknown("attention score", name, SCORES))
    return SCORES[name]


def looked(kind: Attention, params: Params, memory: Memory) -> Looked:
    """The memory with its keys."""
    values_BSE, mask_BS, _ = memory
    return Looked(kind.keys(params, values_BSE), values_BSE, mask_BS)


def attend(
    kind: Attention, params: Params, queries_BTQ: Array, at: Looked
) -> tuple[Array, Array]:
    """(c_BTE, α_BTS). A lane without any place, which only fills a batch, gets weights
    that are all alike."""
    scores_BTS = kind.scores(params, queries_BTQ, at.keys_BSA)
    scores_BTS = jnp.where(at.mask_BS[:, None] > 0, scores_BTS, NOWHERE)
    weights_BTS = jax.nn.softmax(scores_BTS, axis=-1)
    return weights_BTS @ at.values_BSE, weights_BTS


def products(queries_BTQ: Array, keys_BSQ: Array) -> Array:
    """q·k of every pair: (B, T, S)."""
    return jnp.einsum("btq,bsq->bts", queries_BTQ, keys_BSQ)


def _dot() -> Attention:
    def init(key: Array, d_query: int, d_memory: int, drawn: InitConfig) -> Params:
        if d_query != d_memory:
            raise ConfigError(
                f"the dot score multiplies queries of {d_query} units by a memory of "
                f"{d_memory}: make them equal, or use the score 'general'"
            )
        return {}

    return Attention(
        init,
        lambda params, values: values,
        lambda params, queries, keys: products(queries, keys),
    )


def _general() -> Attention:
    def init(key: Array, d_query: int, d_memory: int, drawn: InitConfig) -> Params:
        return {"w": draw(key, (d_memory, d_query), drawn)}

    return Attention(
        init,
        lambda params, values: matmul(values, params["w"]),
        lambda params, queries, keys: products(queries, keys),
    )


def _additive() -> Attention:
    def init(key: Array, d_query: int, d_memory: int, drawn: InitConfig) -> Params:
        keys = jax.random.split(key, 3)
        return {
            "w": draw(keys[0], (d_query, d_query), drawn),
            "u": draw(keys[1], (d_memory, d_query), drawn),
            "v": draw(keys[2], (d_query, 1), drawn)[:, 0],
        }

    def scores(params: Params, queries_BTQ: Array, keys_BSQ: Array) -> Array:
        queries = matmul(queries_BTQ, params["w"])
        return jnp.tanh(queries[:, :, None] + keys_BSQ[:, None]) @ params["v"]

    return Attention(init, lambda params, values: matmul(values, params["u"]), scores)


SCORES: dict[str, Any] = {
    "dot": _dot(),
    "general": _general(),
    "additive": _additive(),
}
