"""Words into a network and out of it: embedding and softmax."""

from typing import Any

import jax.numpy as jnp

from lm.cells.forms import draw
from lm.config import ModelConfig
from lm.losses import token_nats
from lm.products import matmul, matmul_transposed, with_bias
from lm.softmax import block_width, token_nats_of
from lm.types import Array, Cell, Indexed, Params


def embed(embedding_VD: Array, inputs: Array) -> Array:
    """Rows of the embedding for integer ids (…,), or the product for (…, V)."""
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        return jnp.take(embedding_VD, inputs, axis=0, mode="clip")
    return matmul(inputs, embedding_VD)


def project_words(
    cell: Cell, params: Params, embedding_VD: Array, inputs: Array
) -> Array:
    """zs = cell.project(embed(inputs)), by whichever order costs less.

    With at least V ids in the window it pays to project the whole embedding once
    and to look up rows of the result.
    """
    by_index = jnp.issubdtype(inputs.dtype, jnp.integer)
    if by_index and inputs.size >= embedding_VD.shape[0]:
        table_VG = cell.project(params, embedding_VD)
        return jnp.take(table_VG, inputs, axis=0, mode="clip")
    return cell.project(params, embed(embedding_VD, inputs))


def looked_up(xs: Any) -> Array:
    """An array as it is, `Indexed` as the rows that it names."""
    return embed(*xs) if isinstance(xs, Indexed) else xs


def over_time(function, xs: Any) -> Any:
    """`function` on what of a layer's input has an axis T: of `Indexed` the ids."""
    if isinstance(xs, Indexed):
        return xs._replace(ids_TB=function(xs.ids_TB))
    return function(xs)


def project_any(cell: Cell, params: Params, xs: Any) -> Array:
    """zs of an array or of `Indexed`."""
    if isinstance(xs, Indexed):
        return project_words(cell, params, *xs)
    return cell.project(params, xs)


def init_softmax(key: Array, config: ModelConfig, vocabulary: int) -> Params:
    """{w (H, V) if full, projection (H, D) if tied_projected, b (V,) if bias}."""
    params = {}
    if config.softmax == "full":
        params["w"] = draw(key, (config.hidden, vocabulary), config.init)
    if config.softmax == "tied_projected":
        params["projection"] = draw(key, (config.hidden, config.embedding), config.init)
    if config.bias:
        params["b"] = jnp.zeros(vocabulary)
    return params


def softmax_logits(params: Params, embedding_VD: Array | None, hs: Array) -> Array:
    """logits (…, V) of hs (…, H); without a matrix of its own, the embedding's.

    Tied: Press & Wolf 2017, equation 4; Inan, Khosravi & Socher 2017.
    """
    return _logits(params, *softmax_factors(params, embedding_VD, hs))


def _logits(params: Params, hs: Array, w: Array, tied: bool) -> Array:
    logits = matmul_transposed(hs, w) if tied else matmul(hs, w)
    return with_bias(logits, params["b"]) if "b" in params else logits


def softmax_nats(
    params: Params, embedding_VD: Array | None, hs: Array, targets: Array
) -> Array:
    """−ln P(target) (…,) of hs (…, H), as `softmax_logits` has P; where that would be
    more logits than `lm.softmax.LOGITS`, a block of words at a time."""
    hs, w, tied = softmax_factors(params, embedding_VD, hs)
    vocabulary = w.shape[0 if tied else 1]
    width = block_width(targets.size, vocabulary)
    if width is None:
        return token_nats(_logits(params, hs, w, tied), targets)
    b_V = params["b"] if "b" in params else jnp.zeros(vocabulary, w.dtype)
    return token_nats_of(hs, w, b_V, targets, width, tied)


def softmax_factors(
    params: Params, embedding_VD: Array | None, hs: Array
) -> tuple[Array, Array, bool]:
    """(what is multiplied, by which matrix, whether that is (V, D)): the softmax's own
    matrix (D, V), or the embedding's."""
    if "projection" in params:
        hs = matmul(hs, params["projection"])
    if "w" in params:
        return hs, params["w"], False
    assert embedding_VD is not None
    return hs, embedding_VD, True
