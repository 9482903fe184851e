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
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lm.deferred import deferred
from lm.events import Events, StepEvents, finish, restart, step_events
from lm.lanes import extent
from lm.linear import (
    ELEMENTWISE,
    MATRICES,
    associated,
    at_once,
    lane_wise,
    sequential,
)
from lm.types import Array, Cell, Params, State

STRETCH = 32  # steps that a cell's `stretch` takes at once


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
