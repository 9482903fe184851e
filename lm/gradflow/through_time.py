"""∂L/∂h_t for every step and layer, exact, from one backward pass.

Zero arrays, the taps, are added to the recurrent state after each step; the gradient
of the loss with respect to them is the gradient with respect to the state, along all
paths. The tutorial's Part 3 argues that these vanish; here they are measured.

Cost of everything here but the bootstrap: one forward and one backward pass over the
window, and the memory of a training step plus one (T, B, H) array per field of the
state.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.losses import token_nats
from lm.model import LanguageModel
from lm.types import Array, Cell, Params, State


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


class Intervals(NamedTuple):
    """A percentile interval of every number of a lag profile."""

    low: LagProfile
    high: LagProfile


def state_gradients(
    model: LanguageModel,
    params: Params,
    inputs_TB: Array,
    targets_TB: Array,
    weights_TB: Array,
    state: State,
) -> State:
    """∂(Σ weights·nats)/∂state_t: per layer, a state of (T, B, H) arrays.

    Every field of the state has its own: of an LSTM both ∂L/∂h_t and ∂L/∂c_t, each
    with the other held fixed at t.
    """
    steps = len(inputs_TB)
    taps = jax.tree.map(lambda s: jnp.zeros((steps, *s.shape), s.dtype), state)

    def loss(taps):
        _, hs = model.apply(params, inputs_TB, state, taps=taps)
        nats_TB = token_nats(model.logits(params, hs), targets_TB)
        return jnp.sum(weights_TB * nats_TB)

    return jax.grad(loss)(taps)


def field_names(state: State) -> list[str]:
    """The names of a state's fields, in the order of its leaves: ["h", "c"].

    A Flax carry has numbers for names; a state that is one array is called h.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    return [
        jax.tree_util.keystr(p, simple=True, separator=".") or "h" for p, _ in paths
    ]


def field_norms(gradients: State) -> tuple[dict[str, Array], ...]:
    """`state_gradients` as norms: per layer {"h": (T, B), "c": (T, B), …}."""
    return tuple(
        {
            name: jnp.linalg.norm(leaf, axis=-1)
            for name, leaf in zip(
                field_names(layer), jax.tree.leaves(layer), strict=True
            )
        }
        for layer in gradients
    )


def visible(cell: Cell, state: State) -> int | None:
    """Which leaf of the state `cell.output` hands out; None if it computes its own."""
    traced = jax.make_jaxpr(cell.output)(state).jaxpr
    handed = [traced.outvars[0] is leaf for leaf in traced.invars]
    return handed.index(True) if any(handed) else None


def hidden_gradients(model: LanguageModel, gradients: State) -> Array:
    """The part of `state_gradients` that belongs to h: (L, T, B, H).

    h is the field that the cell hands to the layer above; what else its state holds
    (an LSTM's c) is left out. A cell whose output is computed from its state, and so
    is none of its fields, has no such part: there it is the whole state's gradient.
    """

    def part(cell, layer):
        leaves, one = jax.tree.leaves(layer), jax.tree.map(lambda g: g[0], layer)
        place = visible(cell, one)
        return jnp.concatenate(leaves, axis=-1) if place is None else leaves[place]

    pairs = zip(model.cells, gradients, strict=True)
    return jnp.stack([part(cell, layer) for cell, layer in pairs])


def norms_through_time(
    model: LanguageModel, params: Params, inputs_TB, targets_TB, mask_TB, state: State
) -> Array:
    """‖∂L/∂hˡ_t‖ with L the mean nats per token: (L, T), averaged over lanes."""
    weights_TB = mask_TB / jnp.maximum(1.0, jnp.sum(mask_TB))
    gradients = state_gradients(model, params, inputs_TB, targets_TB, weights_TB, state)
    norms_LTB = jnp.linalg.norm(hidden_gradients(model, gradients), axis=-1)
    return jnp.mean(norms_LTB, axis=-1)


def lag_norms(
    model: LanguageModel, params: Params, inputs_TB, targets_TB, state: State
) -> Array:
    """‖∂ℓ_t/∂hˡ_{t−k}‖ of each lane: (L, K, B), where t is the lane's last step.

    Only the last token of each lane has a loss, so the B lanes are B independent
    windows, and one backward pass gives all K = T lags.
    """
    weights_TB = jnp.zeros(targets_TB.shape).at[-1].set(1.0)
    gradients = state_gradients(model, params, inputs_TB, targets_TB, weights_TB, state)
    return jnp.linalg.norm(hidden_gradients(model, gradients), axis=-1)[:, ::-1]


def profile_of(norms_LKB: Array) -> LagProfile:
    """The lag profile of `lag_norms`, E being the mean over lanes."""
    return profile_of_means(jnp.mean(norms_LKB, axis=-1))


def profile_of_means(raw_LK: Array) -> LagProfile:
    """The lag profile whose G(k) is given."""
    normalised_LK = raw_LK / jnp.maximum(raw_LK[:, :1], jnp.finfo(raw_LK.dtype).tiny)
    lags = jnp.arange(raw_LK.shape[1])[None]
    horizon_L = jnp.max(jnp.where(normalised_LK > 0.01, lags, 0), axis=1)
    below = jnp.where(normalised_LK < 0.5, lags, lags.size)
    return LagProfile(raw_LK, normalised_LK, horizon_L, jnp.min(below, axis=1))


def lag_profile(
    model: LanguageModel, params: Params, inputs_TB, targets_TB, state: State
) -> LagProfile:
    """The lag profile over the lanes, each a window of its own."""
    return profile_of(lag_norms(model, params, inputs_TB, targets_TB, state))


def bootstrap(
    key: Array, norms_LKB: Array, resamples: int = 1000, level: float = 0.95
) -> Intervals:
    """Percentile intervals of a lag profile by resampling lanes (Efron 1979).

    Each of the resamples draws B lanes with replacement; the interval of every number
    leaves (1 − level)/2 of the resamples on either side. Cost: resamples·L·K·B
    multiplications, no pass through the model.
    """
    lanes = norms_LKB.shape[-1]
    drawn = jax.random.randint(key, (resamples, lanes), 0, lanes)
    counts_NB = jax.vmap(lambda row: jnp.bincount(row, length=lanes))(drawn)
    shares_NB = counts_NB.astype(norms_LKB.dtype) / lanes
    profiles = jax.vmap(profile_of_means)(
        jnp.einsum("nb,lkb->nlk", shares_NB, norms_LKB)
    )
    tail = (1 - level) / 2

    def quantile(share):
        def of(values):
            return jnp.quantile(values.astype(norms_LKB.dtype), share, axis=0)

        return jax.tree.map(of, profiles)

    return Intervals(quantile(tail), quantile(1 - tail))
