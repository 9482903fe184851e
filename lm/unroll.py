"""The only loop over time in the project.

`unroll` takes a cell over a whole sequence. It hands the loop to a *driver*:

    deferred    the default for factored cells: its backward pass is a reverse scan
                that only emits the gradients of the gates; each weight matrix then
                gets its gradient from one product over all steps and lanes.
    sequential  for linear cells (lm.linear): h_t = a_t∘h_{t−1} + b_t, one step after
                another, with (a, b) of all steps made before the loop.
    associated  for linear cells (lm.linear): all steps at once, in O(log T) turns.
                Their default is one of these two, by T and the device, unless ∘ is a
                product of matrices.
    chunked     for cells with a `stretch`, and their default where nothing is added to
                the state (taps, zoneout): STRETCH steps at once, then the next.
    scanned     `lax.scan` and autodiff, for any cell. Weight gradients are summed
                inside the scan's carry, one product a step.
    looped      a Python loop with the same signature: the oracle of all.

All give the same numbers; tests hold them together.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.lanes import by_lane, extent
from lm.linear import (
    ELEMENTWISE,
    MATRICES,
    associated,
    at_once,
    lane_wise,
    sequential,
)
from lm.products import flat, product_back_in_loop, product_in_loop
from lm.types import Array, Cell, Params, State

STRETCH = 32  # steps that a cell's `stretch` takes at once


class Events(NamedTuple):
    """What happens to the state besides the cell; None: nothing.

    reset_TB  true where the initial state replaces the state before the step.
    mask_TB   false where the step is padding: the state passes through unchanged.
              The numbers behind it must be finite all the same: 0·NaN is NaN.
    zoneout   a state of (T, B, …) weights u: h_t = u·new + (1 − u)·old.
    taps      a state of (T, B, …) arrays added to the state after the step. Their
              gradients at 0 are the ∂L/∂h_t.
    """

    reset_TB: Any = None
    mask_TB: Any = None
    zoneout: Any = None
    taps: Any = None


class StepEvents(NamedTuple):
    """`Events` as a driver reads them, step by step.

    reset   (T, B) 0/1.
    update  a state of weights u, masks and zoneout in one. Constants: no gradient
            flows to them.
    taps    as they are.
    """

    reset: Any = None
    update: Any = None
    taps: Any = None


Driver = Callable[..., Any]


def unroll(
    cell: Cell,
    params: Params,
    xs_TBD: Array,
    state: State,
    events: Events = Events(),
    *,
    reverse: bool = False,
    driver: Driver | None = None,
) -> tuple[State, Array]:
    """The cell over a sequence: (state after the last step, hs_TBH).

    xs_TBD   (T, B, D) floats, or (T, B) integers as one-hot rows by index.
    state    where to start, leaves (B, …).
    reverse  from the last step to the first; hs stay in the order of xs.
    """
    zs_TBG = cell.project(params, xs_TBD)
    return unroll_projected(
        cell, params, zs_TBG, state, events, reverse=reverse, driver=driver
    )


def unroll_projected(
    cell: Cell,
    params: Params,
    zs_TBG: Array,
    state: State,
    events: Events = Events(),
    *,
    reverse: bool = False,
    driver: Driver | None = None,
) -> tuple[State, Array]:
    """`unroll` from zs_TBG = cell.project(params, xs_TBD)."""
    each = step_events(events, state)
    steps, lanes = extent(zs_TBG)
    drive = driver or default_driver(cell, each, steps)
    fresh = cell.initial_state(params, lanes)
    read = cell.readout
    if read is None or drive is chunked:
        return drive(cell, params, zs_TBG, state, fresh, each, reverse)
    cell = cell._replace(output=lambda state: state)
    last, states = drive(cell, params, zs_TBG, state, fresh, each, reverse)
    return last, read(params, zs_TBG, states)


def one_output(cell: Cell, params: Params, z: Array, state: State) -> Array:
    """h_BH, what goes up of the state after one step with z_BG."""
    if cell.readout is None:
        return cell.output(state)
    one = jax.tree.map(lambda leaf: leaf[None], (z, state))
    return cell.readout(params, *one)[0]


def step_events(events: Events, state: State) -> StepEvents:
    """Masks and zoneout as one weight, in the state's own type."""
    dtype = jax.tree.leaves(state)[0].dtype
    reset, mask, zoneout, taps = events
    reset = None if reset is None else reset.astype(dtype)
    update = zoneout
    if mask is not None:
        shaped = jax.tree.map(lambda s: by_lane(mask.astype(dtype), s), state)
        update = (
            shaped if zoneout is None else jax.tree.map(jnp.multiply, shaped, zoneout)
        )
    return StepEvents(reset, lax.stop_gradient(update), taps)


def default_driver(cell: Cell, events: StepEvents, steps: int) -> Driver:
    """The fastest that the cell allows; under `jax.disable_jit` the Python loop, which
    is the one to step through with a debugger.

    Linear cells go all steps at once or one after another as was measured for their T
    on this device (`lm.linear.AT_ONCE_FROM`). Stretches were faster
    than steps, but for gated DeltaNet's heads of 16 units and less than 1,024 steps.
    """
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return looped
    if cell.stretch and events.taps is None and lane_wise(events.update):
        return chunked
    if cell.pointwise:
        return deferred
    plain = cell.product is ELEMENTWISE or lane_wise(events.update)
    cheap = cell.product is not MATRICES and cell.earlier is None
    if cell.coefficients and cheap and plain:
        device = jax.default_backend()
        return associated if at_once(cell.product, steps, device) else sequential
    return scanned


def restart(reset: Array | None, fresh: State, state: State) -> State:
    """The initial state where reset_B is 1."""
    if reset is None:
        return state
    return jax.tree.map(
        lambda f, s: jnp.where(by_lane(reset, s) > 0, f, s), fresh, state
    )


def finish(events: StepEvents, new: State, old: State) -> State:
    """The new state after masks, zoneout and taps of one step."""
    if events.update is not None:
        new = jax.tree.map(lambda u, n, o: u * n + (1 - u) * o, events.update, new, old)
    if events.taps is not None:
        new = jax.tree.map(jnp.add, new, events.taps)
    return new


def one_step(
    cell: Cell, params: Params, fresh: State, state: State, z: Array, events: StepEvents
) -> State:
    """One step of any driver; `events` are those of the step, leaves (B, ·)."""
    old = restart(events.reset, fresh, state)
    return finish(events, cell.step(params, old, z), old)


def scanned(cell, params, zs, state, fresh, events, reverse):
    """`lax.scan`, differentiated by JAX."""

    def body(state, at):
        state = one_step(cell, params, fresh, state, *at)
        return state, cell.output(state)

    return lax.scan(body, state, (zs, events), reverse=reverse)


def looped(cell, params, zs, state, fresh, events, reverse):
    """A Python loop: slow and plain."""
    steps = range(extent(zs)[0])
    hs: dict[int, Any] = {}
    for t in reversed(steps) if reverse else steps:
        z, now = jax.tree.map(lambda x, t=t: x[t], (zs, events))
        state = one_step(cell, params, fresh, state, z, now)
        hs[t] = cell.output(state)
    return state, jax.tree.map(lambda *h: jnp.stack(h), *(hs[t] for t in steps))


def chunked(cell, params, zs, state, fresh, events, reverse):
    """Stretch after stretch, each all at once.

    Raises:
      ValueError: for taps, and for zoneout unit by unit: no state is there to add to.
    """
    if events.taps is not None or not lane_wise(events.update):
        raise ValueError("chunked takes neither taps nor zoneout: use scanned")
    steps, lanes = extent(zs)
    dtype = jax.tree.leaves(state)[0].dtype
    reset, mask = jnp.zeros((steps, lanes), dtype), jnp.ones((steps, lanes), dtype)
    reset = reset if events.reset is None else events.reset
    if events.update is not None:
        mask = jax.tree.leaves(events.update)[0].reshape(steps, lanes)
    given = (zs, reset, mask)
    if reverse:
        given = jax.tree.map(lambda x: x[::-1], given)

    def body(state, at):
        z, reset, mask = at
        return cell.stretch(params, z, state, reset, mask)

    whole, length = steps // STRETCH, min(steps, STRETCH)

    def cut(x):
        return x[: whole * length].reshape(whole, length, *x.shape[1:])

    state, hs = lax.scan(body, state, jax.tree.map(cut, given))
    hs = hs.reshape(whole * length, *hs.shape[2:])
    if steps % STRETCH:
        rest = jax.tree.map(lambda x: x[whole * STRETCH :], given)
        state, more = body(state, rest)
        hs = jnp.concatenate([hs, more])
    return state, hs[::-1] if reverse else hs


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
    back_by_w = product_back_in_loop(w_HG, extent(δ_hs)[1])
    _, through_output = jax.vjp(cell.output, last)

    def body(carry, at):
        δ, δ_fresh = carry
        δ_h, kept, z, now = at
        δ = jax.tree.map(jnp.add, δ, through_output(δ_h)[0])
        δ_tap = None if now.taps is None else δ
        δ_new, δ_kept = _split(now.update, δ)
        δ_vectors, δ_z, δ_r, δ_old = _derivative(cell, vectors, z, kept)(δ_new)
        δ_old = jax.tree.map(jnp.add, δ_old, through_output(back_by_w(δ_r))[0])
        if δ_kept is not None:
            δ_old = jax.tree.map(jnp.add, δ_old, δ_kept)
        if now.reset is not None:
            δ_fresh = jax.tree.map(
                lambda f, d: f + by_lane(now.reset, d) * d, δ_fresh, δ_old
            )
            δ_old = jax.tree.map(lambda d: (1 - by_lane(now.reset, d)) * d, δ_old)
        # A cell that adds z and r hands back one array for both: emit it once.
        δ_r = None if δ_r is δ_z else δ_r
        return (δ_old, δ_fresh), (δ_vectors, δ_z, δ_r, δ_tap)

    start = (δ_last, jax.tree.map(jnp.zeros_like, fresh))
    (δ_state, δ_fresh), (δ_vectors, δ_zs, δ_rs, δ_taps) = lax.scan(
        body, start, (δ_hs, kept, zs, events), reverse=not reverse
    )
    δ_rs = δ_zs if δ_rs is None else δ_rs
    hs_old = jax.vmap(cell.output)(kept[1]) if cell.recompute else kept[0]
    δ_w_HG = flat(hs_old).T @ flat(δ_rs)
    δ_vectors = jax.tree.map(lambda v: v.sum(0), δ_vectors)
    δ_events = jax.tree.map(jnp.zeros_like, events)._replace(taps=δ_taps)
    return δ_vectors, δ_w_HG, δ_zs, δ_state, δ_fresh, δ_events


def _derivative(cell, vectors, z, kept):
    """What takes δ_new back through `pointwise`: kept, or made anew of (r, old)."""
    if not cell.recompute:
        _, pull = kept
        return pull
    return jax.vjp(cell.pointwise, vectors, z, *kept)[1]


def _split(update, δ: State) -> tuple[State, State | None]:
    """δ through u·new + (1 − u)·old: (gradient of new, gradient of old)."""
    if update is None:
        return δ, None
    δ_new = jax.tree.map(jnp.multiply, update, δ)
    return δ_new, jax.tree.map(lambda u, d: (1 - u) * d, update, δ)


_deferred.defvjp(_deferred_forward, _deferred_backward)
