"""Cross-entropy over many words, a block of the vocabulary at a time.

    ℓ_n = ln Σ_v exp(h_n·w_v + b_v) − (h_n·w_y + b_y)
    ∂ℓ_n/∂(h_n·w_v) = p_nv − [v = y],        p_nv = exp(h_n·w_v + b_v − lse_n)

No array holds all N × V logits: the sum over v is taken block by block, and the
backward pass makes each block of logits anew from lse (as Wijmans et al. 2024, "Cut
your losses in large-vocabulary language models", do on a GPU). The blocks are of words
rather than of tokens, so that each column of ∂L/∂w is written once, where blocks of
tokens would read and write all of it for each of them. Four products of N·V·D in place
of three; on CPUs it was the faster way all the same, for what it never writes
(experiments/benchmark, `softmax`).

Here N counts tokens.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lm.products import flat
from lm.types import Array

LOGITS = 2**26  # so many are held at once, 256 MiB of float32; more are made in blocks
BLOCK = 2**20  # about so many in a block,
NARROWEST = 256  # but of no fewer words: products narrower than that are slow


def block_width(tokens: int, vocabulary: int) -> int | None:
    """How many words a block has; None where all logits are made at once.

    A function of the sizes alone: a run that is resumed gets the same numbers.
    """
    if tokens * vocabulary <= LOGITS:
        return None
    return fitting_width(tokens, vocabulary)


def fitting_width(tokens: int, vocabulary: int) -> int:
    """How many words make a block of some BLOCK logits."""
    fitting = BLOCK // tokens // NARROWEST * NARROWEST
    return min(vocabulary, max(NARROWEST, fitting))


def token_nats_of(
    hs: Array, w: Array, b_V: Array, targets: Array, width: int, tied: bool
) -> Array:
    """−ln softmax(h·w + b)[target]: hs (…, D), targets (…,) -> nats (…,), `width` words
    at a time. w is (D, V), or tied (V, D). Reverse-mode only."""
    ids_N = targets.reshape(-1).astype(jnp.int32)
    return _nats(width, tied, flat(hs), w, b_V, ids_N).reshape(targets.shape)


def _value(width, tied, h_ND, w, b_V, ids_N) -> Array:
    return _forward(width, tied, h_ND, w, b_V, ids_N)[0]


def _forward(width, tied, h_ND, w, b_V, ids_N):
    def body(carry, start, width):
        lse_N, picked_N = carry
        _, logits_NW = _block(h_ND, w, b_V, start, width, tied)
        at_N = ids_N - start
        own_N1 = jnp.take_along_axis(logits_NW, at_N[:, None], axis=1, mode="clip")
        here_N = (at_N >= 0) & (at_N < width)
        lse_N = jnp.logaddexp(lse_N, jax.nn.logsumexp(logits_NW, axis=1))
        return lse_N, jnp.where(here_N, own_N1[:, 0], picked_N)

    nothing_N = jnp.full(len(h_ND), -jnp.inf, h_ND.dtype)
    lse_N, picked_N = _over_blocks(body, (nothing_N, nothing_N), len(b_V), width)
    return lse_N - picked_N, (h_ND, w, b_V, ids_N, lse_N)


def _backward(width, tied, residuals, δ_N):
    h_ND, w, b_V, ids_N, lse_N = residuals

    def body(carry, start, width):
        δ_h, δ_w, δ_b = carry
        w_DW, logits_NW = _block(h_ND, w, b_V, start, width, tied)
        words = lax.broadcasted_iota(ids_N.dtype, logits_NW.shape, 1)
        hit_NW = (words == (ids_N - start)[:, None]).astype(logits_NW.dtype)
        δ_NW = (jnp.exp(logits_NW - lse_N[:, None]) - hit_NW) * δ_N[:, None]
        new = δ_NW.T @ h_ND if tied else h_ND.T @ δ_NW
        δ_w = lax.dynamic_update_slice_in_dim(δ_w, new, start, 0 if tied else 1)
        δ_b = lax.dynamic_update_slice_in_dim(δ_b, δ_NW.sum(0), start, 0)
        return δ_h + δ_NW @ w_DW.T, δ_w, δ_b

    zeros = jax.tree.map(jnp.zeros_like, (h_ND, w, b_V))
    return *_over_blocks(body, zeros, len(b_V), width), None


_nats = jax.custom_vjp(_value, nondiff_argnums=(0, 1))
_nats.defvjp(_forward, _backward)


def _block(h_ND, w, b_V, start, width: int, tied: bool) -> tuple[Array, Array]:
    """(columns of w, (D, width), and their logits_NW) from word `start` on."""
    w_DW = lax.dynamic_slice_in_dim(w, start, width, 0 if tied else 1)
    w_DW = w_DW.T if tied else w_DW
    b_W = lax.dynamic_slice_in_dim(b_V, start, width)
    return w_DW, h_ND @ w_DW + b_W[None]


def _over_blocks(
    body: Callable[..., Any], carry: Any, vocabulary: int, width: int
) -> Any:
    """The carry after body(carry, start, width) of each block; the last has the words
    that are left."""
    whole, rest = divmod(vocabulary, width)
    starts = width * jnp.arange(whole, dtype=jnp.int32)
    carry, _ = lax.scan(lambda c, at: (body(c, at, width), None), carry, starts)
    return body(carry, vocabulary - rest, rest) if rest else carry
