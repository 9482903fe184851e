"""Backpropagation through time as the sum that it is, term by term.

    ∂ℓ_t/∂W = Σ_{k ≤ t} ∂ℓ_t/∂s_k · ∂⁺s_k/∂W,    ∂ℓ_t/∂s_k = ∂ℓ_t/∂s_t · Π ∂s_j/∂s_{j−1}

(the tutorial's Part 3; Werbos 1990; Pascanu 2013, equations 3 to 5), ∂⁺ being the
derivative with s_{k−1} held fixed. s is the stacked state of all layers, so every
parameter of the model has its terms. The term of lag t − k is what the step k took
part in; that of lag 0 also holds the direct path, through the softmax. Truncated BPTT
keeps the terms with t − k ≤ τ (`lm.truncation`), and its bias is the rest.

Everything here takes a layer from ids to logits that has a step, such as
`LanguageModel.layer`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.losses import token_nats
from lm.problem import one_way, start
from lm.train import norms
from lm.truncation import states_before
from lm.types import Array, Batch, Context, Layer, Params, State


class TruncationBias(NamedTuple):
    """What truncation at each τ does to the gradient of the mean loss of a window.

    relative_error_τ   ‖g_τ − g‖/‖g‖, g being the full gradient, over all parameters.
    cosine_τ           of the angle between g_τ and g.
    relative_error_τP  the same error for each parameter group (`lm.train.group_names`).
    """

    relative_error_τ: Array
    cosine_τ: Array
    relative_error_τP: Array


def bptt_terms(
    layer: Layer, params: Params, inputs_TB, targets_TB, state: State
) -> Array:
    """Norm of every term of the last token's gradient: (P, K), lags k = 0 … T−1.

    ℓ is the last token's nats, averaged over lanes; P counts the parameter groups. The
    terms are vectors: their norms add up to more than the norm of their sum. Cost: one
    forward and one backward pass, in which every step forms its own weight gradients
    (no product over all steps), and the memory of two gradients.
    """

    def of_lag(_, at):
        return None, norms(term_of(layer, params, *at))

    at, direct = _of_last(layer, params, inputs_TB, targets_TB, state)
    _, norms_KP = lax.scan(of_lag, None, at)
    return jnp.concatenate([norms(direct)[None], norms_KP]).T


def all_terms(
    layer: Layer, params: Params, inputs_TB, targets_TB, state: State
) -> Params:
    """The terms themselves: params with leaves (K, …). Memory: K gradients."""
    at, direct = _of_last(layer, params, inputs_TB, targets_TB, state)
    later = jax.vmap(lambda *at: term_of(layer, params, *at))(*at)
    return jax.tree.map(lambda d, t: jnp.concatenate([d[None], t]), direct, later)


def step_of(layer: Layer):
    """The layer's step; ConfigError where it reads from the right."""
    step = one_way(layer, "a term of BPTT").step
    assert step is not None
    return step


def term_of(layer: Layer, params: Params, before: State, tokens_B, δ: State):
    """δ · ∂⁺s/∂W of one step, whose state before and input are held fixed."""
    step = step_of(layer)
    _, pull = jax.vjp(lambda params: step(params, before, tokens_B)[0], params)
    return pull(δ)[0]


def _of_last(layer, params, inputs_TB, targets_TB, state):
    """Of the last token's mean nats: ((states before, inputs, δ) of lags 1 … T−1,
    term of lag 0)."""
    step = step_of(layer)
    before, _ = states_before(layer, params, inputs_TB, state)

    def loss(params, last):
        logits = step(params, last, inputs_TB[-1])[1]
        return jnp.mean(token_nats(logits, targets_TB[-1]))

    last = jax.tree.map(lambda s: s[-1], before)
    direct, δ = jax.grad(loss, argnums=(0, 1))(params, last)

    def body(δ, at):
        old, tokens = at
        _, pull = jax.vjp(lambda s: step(params, s, tokens)[0], old)
        return pull(δ)[0], δ

    earlier = jax.tree.map(lambda s: s[:-1], before)
    _, δs = lax.scan(body, δ, (earlier, inputs_TB[:-1]), reverse=True)
    lagged = jax.tree.map(lambda x: x[::-1], (earlier, inputs_TB[:-1], δs))
    return lagged, direct


def truncation_bias(
    layer: Layer, params: Params, batch: Batch, state: State, τs
) -> TruncationBias:
    """How far the gradient truncated at each of τs is from the full one.

    τs  rising integers ≥ 0, not traced. Both gradients are of the mean nats per token
    of the batch. Cost: max(τs) backward passes through the states alone, as one scan
    over (max(τs) + 1)·B cotangents, and one gradient of all parameters for each τ and
    for the full one; memory: max(τs)·B·N numbers of the scan and len(τs)·T·B·N.
    """
    full, parts = gradient_by_lag(layer, params, batch, state, τs)
    truncated = jax.tree.map(lambda p: jnp.cumsum(p, axis=0), parts)
    error = jax.vmap(lambda g: norms(jax.tree.map(jnp.subtract, g, full)))(truncated)
    size_P, sizes_τP = norms(full), jax.vmap(norms)(truncated)
    tiny = jnp.finfo(size_P.dtype).tiny
    size, sizes_τ = jnp.linalg.norm(size_P), jnp.linalg.norm(sizes_τP, axis=1)
    dots = jax.tree.map(
        lambda p, g: jnp.sum(p * g[None], range(1, p.ndim)), truncated, full
    )
    cosine_τ = sum(jax.tree.leaves(dots)) / jnp.maximum(size * sizes_τ, tiny)
    relative_error_τ = jnp.linalg.norm(error, axis=1) / jnp.maximum(size, tiny)
    return TruncationBias(
        relative_error_τ, cosine_τ, error / jnp.maximum(size_P, tiny)[None]
    )


def gradient_by_lag(
    layer: Layer, params: Params, batch: Batch, state: State, τs
) -> tuple[Params, Params]:
    """(the full gradient, its terms summed by lag).

    The second has leaves (len(τs), …): the terms with lags up to τs[0], those from
    there up to τs[1], and so on; their running sums are the truncated gradients.
    """
    step = step_of(layer)
    state = start(layer.initial_state, params, state, batch.fresh)
    weights_TB = batch.mask / jnp.maximum(1.0, jnp.sum(batch.mask))
    before, _ = states_before(layer, params, batch.inputs, state)

    def loss(params):
        _, logits = layer.apply(params, batch.inputs, state, Context())
        nats_TB = token_nats(logits, batch.targets)
        return jnp.sum(weights_TB * nats_TB)

    def flatten(xs):
        return xs.reshape(-1, *xs.shape[2:])

    lanes = jax.tree.map(flatten, (before, batch.inputs, batch.targets, weights_TB))
    old, tokens, targets, weights = lanes

    def both(params, old):
        new, logits = step(params, old, tokens)
        return new, jnp.sum(weights * token_nats(logits, targets))

    (new, _), pull = jax.vjp(both, params, old)
    one, zero = jnp.ones((), weights.dtype), jnp.zeros((), weights.dtype)
    direct, δ_before = pull((jax.tree.map(jnp.zeros_like, new), one))
    δ_before = jax.tree.map(lambda δ, s: δ.reshape(s.shape), δ_before, before)
    δs = cotangents_by_lag(layer, params, before, batch.inputs, δ_before, τs)

    def of_lags(δ):
        return pull((jax.tree.map(flatten, δ), zero))[0]

    terms = lax.map(of_lags, δs)
    parts = jax.tree.map(lambda t, d: t.at[0].add(d), terms, direct)
    return jax.grad(loss)(params), parts


def cotangents_by_lag(layer, params, before: State, inputs_TB, δ_before: State, τs):
    """Σ ∂ℓ_{k+j}/∂s_k over the lags j ≥ 1 of each part, for every step k.

    δ_before  ∂ℓ_k/∂s_{k−1}, leaves (T, B, H). Returns leaves (len(τs), T, B, H).
    A reverse scan carries one cotangent for each lag; going back one step makes lag j
    into lag j + 1, and lag 1 is what step k's own loss sends back.
    """
    step = step_of(layer)
    furthest = min(max(τs), len(inputs_TB) - 1)
    lags = range(1, furthest + 1)
    parts = [[sum(j > τ for τ in τs) == n for j in lags] for n in range(len(τs))]

    def summed(δ):
        part_of = jnp.array(parts, δ.dtype).reshape(len(τs), furthest)
        return jnp.tensordot(part_of, δ, 1)

    def body(δ, at):
        old, tokens, δ_own = at
        _, pull = jax.vjp(lambda s: step(params, s, tokens)[0], old)
        further = jax.vmap(lambda δ: pull(δ)[0])(δ)
        longer = jax.tree.map(
            lambda own, f: jnp.concatenate([own[None], f])[:furthest], δ_own, further
        )
        return longer, jax.tree.map(summed, δ)

    none = jax.tree.map(
        lambda s: jnp.zeros((furthest, *s.shape[1:]), s.dtype), δ_before
    )
    _, sums = lax.scan(body, none, (before, inputs_TB, δ_before), reverse=True)
    return jax.tree.map(lambda s: jnp.swapaxes(s, 0, 1), sums)
