"""Losses of single outputs, their sums, and what is read off them."""

import math

import jax
import jax.numpy as jnp

from lm.types import Array, Sum


@jax.custom_vjp
def token_nats(logits: Array, targets: Array) -> Array:
    """−ln softmax(logits)[target]: logits (…, V), targets (…,) -> nats (…,)."""
    return _token_nats(logits, targets)[0]


def _token_nats(logits, targets):
    lse = jax.nn.logsumexp(logits, axis=-1)
    picked = jnp.take_along_axis(logits, targets[..., None], axis=-1, mode="clip")
    return lse - picked[..., 0], (logits, targets, lse)


def _token_nats_backward(residuals, δ):
    """∂/∂logits = softmax − one-hot; the one-hot is never stored."""
    logits, targets, lse = residuals
    words = jax.lax.broadcasted_iota(targets.dtype, logits.shape, logits.ndim - 1)
    hit = (words == targets[..., None]).astype(logits.dtype)
    return (jnp.exp(logits - lse[..., None]) - hit) * δ[..., None], None


token_nats.defvjp(_token_nats, _token_nats_backward)


def smoothed_nats(logits: Array, targets: Array, share: float) -> Array:
    """Label smoothing: cross-entropy (…,) to a target that has 1 − share of its weight
    on the word and the rest evenly on all V (Szegedy et al. 2016, section 7)."""
    nats = token_nats(logits, targets)
    if not share:
        return nats
    even = jax.nn.logsumexp(logits, axis=-1) - jnp.mean(logits, axis=-1)
    return (1 - share) * nats + share * even


def cross_entropy(logits_TBV: Array, targets_TB: Array, mask_TB: Array) -> Sum:
    """Nats summed over the tokens where mask is 1, and the mask's sum."""
    nats_TB = token_nats(logits_TBV, targets_TB)
    return Sum(jnp.sum(nats_TB * mask_TB), jnp.sum(mask_TB))


def perplexity(nats_per_token: float) -> float:
    """exp(nats per token); infinity where that overflows."""
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


def bits(nats_per_token: float) -> float:
    """Bits per token: nats / ln 2."""
    return nats_per_token / math.log(2)
