"""∂L/∂h_t for every step and layer, exact, from one backward pass.

Zero arrays, the taps, are added to the recurrent state after each step; the gradient
of the loss with respect to them is the gradient with respect to the state, along all
paths. The tutorial's Part 3 argues that these vanish; here they are measured.

Cost of everything here but the bootstrap: one forward and one backward pass over the
window, and the memory of a training step plus one (T, B, H) array per field of the
state.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.problem import Problem
from lm.types import Array, Cell, Context, Params, Part, State


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
    problem: Problem, params: Params, carry: State, batch: Any, divided: bool = False
) -> dict[str, State]:
    """∂L/∂state_t: per part a state of (T, B, …) arrays, L the problem's summed loss.

    divided: L is the loss per counted term instead. Every field of the state has its
    own: of an LSTM both ∂L/∂h_t and ∂L/∂c_t, each with the other held fixed at t.
    """

    def loss(taps):
        _, total = problem.loss(params, carry, batch, Context(taps=taps))
        terms = jnp.maximum(1.0, lax.stop_gradient(total.count))
        return total.total / terms if divided else total.total

    return jax.grad(loss)(problem.taps(params, batch))


def field_names(state: State) -> list[str]:
    """The names of a state's fields, in the order of its leaves: ["h", "c"].

    A Flax carry has numbers for names; a state that is one array is called h.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    return [
        jax.tree_util.keystr(p, simple=True, separator=".") or "h" for p, _ in paths
    ]


def field_norms(gradients: State) -> dict[str, Array]:
    """Norms of one part's `state_gradients`: {"h": (T, B), "c": (T, B), …}."""
    leaves = zip(field_names(gradients), jax.tree.leaves(gradients), strict=True)
    return {name: step_norms(leaf) for name, leaf in leaves}


def step_norms(leaf: Array) -> Array:
    """Norms (T, B) of (T, B, …)."""
    return jnp.linalg.norm(leaf.reshape(*leaf.shape[:2], -1), axis=-1)


def visible(cell: Cell, state: State) -> int | None:
    """Which leaf of the state `cell.output` hands out; None if it computes its own."""
    traced = jax.make_jaxpr(cell.output)(state).jaxpr
    handed = [traced.outvars[0] is leaf for leaf in traced.invars]
    return handed.index(True) if any(handed) else None


def hidden_gradient(cell: Cell, gradients: State) -> Array:
    """The part of a cell's `state_gradients` that belongs to h: (T, B, N).

    h is the field that the cell hands to the layer above; what else its state holds
    (an LSTM's c) is left out. A cell whose output is computed from its state, and so
    is none of its fields, has no such part: there it is the whole state's gradient.
    """
    leaves, one = jax.tree.leaves(gradients), jax.tree.map(lambda g: g[0], gradients)
    place = None if cell.readout else visible(cell, one)
    chosen = leaves if place is None else [leaves[place]]
    flat = [leaf.reshape(*leaf.shape[:2], -1) for leaf in chosen]
    return jnp.concatenate(flat, axis=-1)


def norms_through_time(
    problem: Problem, params: Params, carry: State, batch: Any
) -> dict[str, Array]:
    """‖∂L/∂h_t‖ of each part with L the mean loss: (T,), averaged over lanes."""
    gradients = state_gradients(problem, params, carry, batch, divided=True)

    def norms(part: Part) -> Array:
        h_TBN = hidden_gradient(part.cell, gradients[part.name])
        return jnp.mean(jnp.linalg.norm(h_TBN, axis=-1), axis=-1)

    return {part.name: norms(part) for part in problem.parts}


def lag_norms(
    problem: Problem, params: Params, carry: State, batch: Any
) -> dict[str, Array]:
    """‖∂ℓ/∂h_{o−k}‖ of each part and lane: (K, B), K = T; 0 beyond the sequence.

    ℓ is the one loss term of the lane that `problem.focus` keeps, and o the step that
    it calls lag 0 of the part. The B lanes are B independent sequences, and one
    backward pass gives all lags. In a part that reads from the right, lag k is k steps
    further right.
    """
    batch, origins = problem.focus(batch)
    gradients = state_gradients(problem, params, carry, batch)

    def norms(part: Part) -> Array:
        h_TBN = hidden_gradient(part.cell, gradients[part.name])
        norms_TB = jnp.linalg.norm(h_TBN, axis=-1)
        lags_K1 = jnp.arange(len(norms_TB))[:, None]
        back = lags_K1 if part.reverse else -lags_K1
        at_KB = origins[part.name][None] + back
        within = (at_KB >= 0) & (at_KB < len(norms_TB))
        found_KB = jnp.take_along_axis(norms_TB, at_KB.clip(0, len(norms_TB) - 1), 0)
        return jnp.where(within, found_KB, 0)

    return {part.name: norms(part) for part in problem.parts}


def stacked(by_part: dict[str, Array]) -> Array:
    """One array with a leading axis L, where all parts are equally long."""
    return jnp.stack(list(by_part.values()))


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
    problem: Problem, params: Params, carry: State, batch: Any
) -> LagProfile:
    """The lag profile over the lanes; L counts the parts."""
    return profile_of(stacked(lag_norms(problem, params, carry, batch)))


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
