"""A neural cache: words of the last N tokens again, where the state looks as it did.

Grave, Joulin & Usunier 2017, "Improving neural language models with a continuous
cache", equation 2. h_i is what the model's softmax sees before token i:

    p_c(w | before t) ∝ Σ_{i = t−N}^{t−1} 1[x_i = w] exp(θ h_t·h_i)

It has no parameters to train. Where nothing was read yet it is uniform, so that it is a
distribution over the V words at every token. Each lane has a memory of its own, over
its own last N tokens, whatever windows or sentences they came in; one lane over the
whole split is what papers report.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.types import Array

NONE = -1  # the place of what is not there


class Memory(NamedTuple):
    """The last N tokens of each lane, in any order.

    hs_BNH     the outputs before them.
    words_BN   which they were.
    places_BN  how many tokens of the lane were read before each; -1: an empty slot.
    read_B     how many the lane has read.
    """

    hs_BNH: Array
    words_BN: Array
    places_BN: Array
    read_B: Array


def empty_memory(lanes: int, size: int, hidden: int) -> Memory:
    """Nothing read yet. size: N, hidden: H."""

    def none_BN() -> Array:
        return jnp.full((lanes, size), NONE)

    hs_BNH = jnp.zeros((lanes, size, hidden))
    return Memory(hs_BNH, none_BN(), none_BN(), jnp.zeros(lanes, jnp.int32))


def make_cache_step(vocabulary: int):
    """cache_step(memory, hs_TBH, targets_TB, mask_TB, θs_K) -> (memory, nats_TBK).

    nats: −ln p_c of each target by each θ, inf where it is not among the last N. A
    window's own tokens are in the cache of those after them. vocabulary: V.
    """

    def lane(memory: Memory, hs_TH, targets_T, mask_T, θs_K):
        real_T = mask_T > 0
        ones_T = real_T.astype(jnp.int32)
        places_T = memory.read_B + jnp.cumsum(ones_T) - ones_T
        keys_RH = jnp.concatenate([memory.hs_BNH, hs_TH])
        words_R = jnp.concatenate([memory.words_BN, targets_T])
        places_R = jnp.concatenate(
            [memory.places_BN, jnp.where(real_T, places_T, NONE)]
        )
        lag_TR = places_T[:, None] - places_R[None]
        size = len(memory.words_BN)
        seen_TR = (places_R[None] > NONE) & (lag_TR >= 1) & (lag_TR <= size)
        hit_TR = seen_TR & (words_R[None] == targets_T[:, None])
        scores_TR = hs_TH @ keys_RH.T
        any_T = jnp.any(seen_TR, axis=1)

        def nats_by(θ):
            whole_T = _log_sum(θ * scores_TR, seen_TR)
            own_T = _log_sum(θ * scores_TR, hit_TR)
            return jnp.where(any_T, whole_T, jnp.log(float(vocabulary))) - jnp.where(
                any_T, own_T, 0.0
            )

        nats_KT = jax.lax.map(nats_by, θs_K)
        return _with(memory, hs_TH, targets_T, real_T, places_T), nats_KT.T

    return jax.vmap(lane, in_axes=(0, 1, 1, 1, None), out_axes=(0, 1))


def _log_sum(scores_TR: Array, counted_TR: Array) -> Array:
    """ln Σ exp(score) over what counts; −inf where nothing does."""
    return jax.nn.logsumexp(jnp.where(counted_TR, scores_TR, -jnp.inf), axis=1)


def _with(memory: Memory, hs_TH, targets_T, real_T, places_T) -> Memory:
    """One lane's memory with a window's tokens in place of its oldest."""
    size = len(memory.words_BN)
    read = memory.read_B + jnp.sum(real_T, dtype=jnp.int32)
    kept_T = real_T & (places_T >= read - size)
    slots_T = jnp.where(kept_T, places_T % size, size)  # size: nowhere
    return Memory(
        memory.hs_BNH.at[slots_T].set(hs_TH, mode="drop"),
        memory.words_BN.at[slots_T].set(targets_T, mode="drop"),
        memory.places_BN.at[slots_T].set(places_T, mode="drop"),
        read,
    )
