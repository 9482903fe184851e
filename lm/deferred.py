"""The driver of factored cells: a scan whose weight gradients wait for one product over
all steps.

Of a cell that makes its gates anew (`Cell.recompute`) the forward pass keeps r and the
state before each step; the reverse scan writes ∂L/∂r_t over the r_t that it has read,
so that what takes most of the memory is there once, and no other array has to be
cleared for it.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from lm.events import finish, restart
from lm.lanes import by_lane, extent
from lm.products import flat, product_back_in_loop, product_in_loop
from lm.types import State


def deferred(cell, params, zs, state, fresh, events, reverse):
    """A scan whose weight gradients wait for one product over all steps."""
    w_HG = cell.w_HG(params)
    vectors = jax.tree.map(lambda p: p if p.ndim < 2 else None, params)
    return _deferred(cell, reverse, vectors, w_HG, zs, state, fresh, events)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _deferred(cell, reverse, vectors, w_HG, zs, state, fresh, events):
    by_w = product_in_loop(w_HG, *extent(zs))

    def body(state, at):
        z, now = at
        old = restart(now.reset, fresh, state)
        new = cell.pointwise(vectors, z, by_w(cell.output(old)), old)
        new = finish(now, new, old)
        return new, cell.output(new)

    return lax.scan(body, state, (zs, events), reverse=reverse)


def _deferred_forward(cell, reverse, vectors, w_HG, zs, state, fresh, events):
    """As `_deferred`, keeping of each step what its backward pass needs."""
    by_w = product_in_loop(w_HG, *extent(zs))

    def body(state, at):
        z, now = at
        old = restart(now.reset, fresh, state)
        h_old = cell.output(old)
        r = by_w(h_old)
        new, pull = jax.vjp(cell.pointwise, vectors, z, r, old)
        new = finish(now, new, old)
        return new, (cell.output(new), (r, old) if cell.recompute else (h_old, pull))

    last, (hs, kept) = lax.scan(body, state, (zs, events), reverse=reverse)
    again = (vectors, zs) if cell.recompute else (None, None)
    return (last, hs), (w_HG, last, fresh, events, kept, again)


def _deferred_backward(cell, reverse, residuals, cotangents):
    """Backpropagation through time (Werbos 1990), the sums over t taken last.

    The carry is δ_t = ∂L/∂state_t without the direct path through the output of
    step t, which is added first. A step emits ∂L/∂z_t and ∂L/∂r_t; the gradient of
    the recurrent matrix, Σ_t h_{t−1}ᵀ·∂L/∂r_t, is one product afterwards.
    """
    w_HG, last, fresh, events, kept, (vectors, zs) = residuals
    δ_last, δ_hs = cotangents
    steps, lanes = extent(δ_hs)
    back_by_w = product_back_in_loop(w_HG, lanes)
    _, through_output = jax.vjp(cell.output, last)
    again = cell.recompute
    rs, kept = kept if again else (None, kept)

    def body(carry, at):
        δ, δ_fresh, rs = carry
        t, δ_h, kept, z, now = at
        δ = jax.tree.map(jnp.add, δ, through_output(δ_h)[0])
        δ_tap = None if now.taps is None else δ
        δ_new, δ_kept = _split(now.update, δ)
        if again:
            # Read first: a loop that reads where it writes would not be vectorised.
            r = lax.dynamic_index_in_dim(rs, t, keepdims=False)
            r = lax.optimization_barrier(r)
            _, pull = jax.vjp(cell.pointwise, vectors, z, r, kept)
        else:
            pull = kept[1]
        δ_vectors, δ_z, δ_r, δ_old = pull(δ_new)
        δ_old = jax.tree.map(jnp.add, δ_old, through_output(back_by_w(δ_r))[0])
        if δ_kept is not None:
            δ_old = jax.tree.map(jnp.add, δ_old, δ_kept)
        if now.reset is not None:
            δ_fresh = jax.tree.map(
                lambda f, d: f + by_lane(now.reset, d) * d, δ_fresh, δ_old
            )
            δ_old = jax.tree.map(lambda d: (1 - by_lane(now.reset, d)) * d, δ_old)
        # A cell that adds z and r hands back one array for both: keep it once.
        δ_z = None if δ_r is δ_z else δ_z
        if again:
            rs, δ_r = lax.dynamic_update_index_in_dim(rs, δ_r, t, 0), None
        return (δ_old, δ_fresh, rs), (δ_vectors, δ_z, δ_r, δ_tap)

    start = (δ_last, jax.tree.map(jnp.zeros_like, fresh), rs)
    (δ_state, δ_fresh, rs), (δ_vectors, δ_zs, δ_rs, δ_taps) = lax.scan(
        body, start, (jnp.arange(steps), δ_hs, kept, zs, events), reverse=not reverse
    )
    δ_rs = rs if again else δ_rs
    δ_zs = δ_rs if δ_zs is None else δ_zs
    hs_old = jax.vmap(cell.output)(kept) if again else kept[0]
    δ_w_HG = flat(hs_old).T @ flat(δ_rs)
    δ_vectors = jax.tree.map(lambda v: v.sum(0), δ_vectors)
    δ_events = jax.tree.map(jnp.zeros_like, events)._replace(taps=δ_taps)
    return δ_vectors, δ_w_HG, δ_zs, δ_state, δ_fresh, δ_events


def _split(update, δ: State) -> tuple[State, State | None]:
    """δ through u·new + (1 − u)·old: (gradient of new, gradient of old)."""
    if update is None:
        return δ, None
    δ_new = jax.tree.map(jnp.multiply, update, δ)
    return δ_new, jax.tree.map(lambda u, d: (1 - u) * d, update, δ)


_deferred.defvjp(_deferred_forward, _deferred_backward)
