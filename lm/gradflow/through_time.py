"""∂L/∂h_t for every step and layer, exact, from one backward pass.

Zero arrays, the taps, are added to the recurrent state after each step; the gradient
of the loss with respect to them is the gradient with respect to the state, along all
paths. The tutorial's Part 3 argues that these vanish; here they are measured.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.losses import token_nats
from lm.model import LanguageModel
from lm.types import Array, Params, State


class LagProfile(NamedTuple):
    """How far back the gradient of one token's loss reaches.

    raw_LK         G(k) = E‖∂ℓ_t/∂hˡ_{t−k}‖, in nats per unit of state, k = 0 … T−1.
    normalised_LK  G(k)/G(0).
    horizon_L      the effective horizon: the largest k with G(k) > 1 % of G(0).
    half_life_L    the smallest k with G(k) < ½·G(0), or T where there is none.
    """

    raw_LK: Array
    normalised_LK: Array
    horizon_L: Array
    half_life_L: Array


def state_gradients(
    model: LanguageModel,
    params: Params,
    inputs_TB: Array,
    targets_TB: Array,
    weights_TB: Array,
    state: State,
) -> State:
    """∂(Σ weights·nats)/∂state_t: per layer, a state of (T, B, H) arrays."""
    steps = len(inputs_TB)
    taps = jax.tree.map(lambda s: jnp.zeros((steps, *s.shape), s.dtype), state)

    def loss(taps):
        _, hs = model.apply(params, inputs_TB, state, taps=taps)
        nats_TB = token_nats(model.logits(params, hs), targets_TB)
        return jnp.sum(weights_TB * nats_TB)

    return jax.grad(loss)(taps)


def hidden_gradients(model: LanguageModel, gradients: State) -> Array:
    """The part of `state_gradients` that belongs to h: (L, T, B, H).

    What a cell's `output` is not made of (an LSTM's c) is left out.
    """
    pairs = zip(model.cells, gradients, strict=True)
    return jnp.stack([cell.output(g) for cell, g in pairs])


def norms_through_time(
    model: LanguageModel, params: Params, inputs_TB, targets_TB, mask_TB, state: State
) -> Array:
    """‖∂L/∂hˡ_t‖ with L the mean nats per token: (L, T), averaged over lanes."""
    weights_TB = mask_TB / jnp.maximum(1.0, jnp.sum(mask_TB))
    gradients = state_gradients(model, params, inputs_TB, targets_TB, weights_TB, state)
    norms_LTB = jnp.linalg.norm(hidden_gradients(model, gradients), axis=-1)
    return jnp.mean(norms_LTB, axis=-1)


def lag_profile(
    model: LanguageModel, params: Params, inputs_TB, targets_TB, state: State
) -> LagProfile:
    """The lag profile over the lanes: only the last token of each has a loss.

    So the B lanes are B independent windows, and one backward pass gives all T lags.
    """
    weights_TB = jnp.zeros(inputs_TB.shape[:2]).at[-1].set(1.0)
    gradients = state_gradients(model, params, inputs_TB, targets_TB, weights_TB, state)
    norms_LTB = jnp.linalg.norm(hidden_gradients(model, gradients), axis=-1)
    raw_LK = jnp.mean(norms_LTB, axis=-1)[:, ::-1]
    normalised_LK = raw_LK / jnp.maximum(raw_LK[:, :1], jnp.finfo(raw_LK.dtype).tiny)
    lags = jnp.arange(raw_LK.shape[1])
    horizon_L = jnp.max(jnp.where(normalised_LK > 0.01, lags, 0), axis=1)
    below = jnp.where(normalised_LK < 0.5, lags, len(lags))
    return LagProfile(raw_LK, normalised_LK, horizon_L, jnp.min(below, axis=1))
