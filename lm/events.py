"""What happens to a state besides its cell: resets, masks, zoneout, taps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.lanes import by_lane
from lm.types import Array, State


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
