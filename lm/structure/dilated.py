"""Dilated layers: a recurrence that skips d steps.

    s_t = cell(s_{t−d}, x_t)        d = 1, 2, 4, … from the bottom layer up

Chang et al. 2017, "Dilated recurrent neural networks", section 2. The d chains
that this makes of a lane know nothing of each other, so they are lanes: (T, B) steps
are folded into (T/d, B·d) and the plain layer runs over them (the paper's figure 3).
What is carried from window to window are the last d states, the oldest first.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lm.lanes import by_lane
from lm.structure.order import forwards, leading, moved_taps, real_steps
from lm.structure.place import Place
from lm.types import Array, Context, Layer, Params, State
from lm.words import over_time


def fold(x: Array, d: int) -> Array:
    """(T, B, …) as (⌈T/d⌉, B·d, …), zeros behind: lane b·d + j has steps j, j + d, …"""
    steps, lanes, *rest = x.shape
    turns = -(-steps // d)
    behind = [(0, turns * d - steps), *[(0, 0)] * (x.ndim - 1)]
    cut = jnp.pad(x, behind).reshape(turns, d, lanes, *rest)
    return jnp.swapaxes(cut, 1, 2).reshape(turns, lanes * d, *rest)


def unfold(x: Array, d: int, steps: int) -> Array:
    """What `fold` made, as (T, B, …) again."""
    turns, lanes, *rest = x.shape
    cut = jnp.swapaxes(x.reshape(turns, lanes // d, d, *rest), 1, 2)
    return cut.reshape(turns * d, lanes // d, *rest)[:steps]


def dilated(layer: Layer, d: int) -> Layer:
    """The layer, each step from the state d steps before; d = 1: as it is.

    A reset clears all d states. Only around layers that read one way.
    """
    if d == 1:
        return layer

    def initial_state(params: Params, batch: int) -> State:
        one = layer.initial_state(params, batch)
        return jax.tree.map(lambda s: jnp.repeat(s[:, None], d, axis=1), one)

    @forwards
    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        T, B = leading(xs)
        inner = folded(context, d, (T, B))
        lanes = jax.tree.map(lambda s: s.reshape(B * d, *s.shape[2:]), state)
        xs = over_time(lambda x: fold(jnp.asarray(x), d), xs)
        last, ys = layer.apply(params, xs, lanes, inner)
        if context.recorded is not None:
            kept = jax.tree.map(lambda x: unfold(x, d, T), inner.recorded)
            context.recorded.update(kept)  # type: ignore[union-attr]
        last = jax.tree.map(lambda s: s.reshape(B, d, *s.shape[1:]), last)
        fresh = initial_state(params, B)
        return in_order(last, fresh, context, (T, B), d), unfold(ys, d, T)

    def step(params: Params, state: State, x: Any) -> tuple[State, Array]:
        oldest = jax.tree.map(lambda s: s[:, 0], state)
        new, y = layer.step(params, oldest, x)  # type: ignore[misc]
        joined = jax.tree.map(
            lambda s, n: jnp.concatenate([s[:, 1:], n[:, None]], axis=1), state, new
        )
        return joined, y

    return layer._replace(initial_state=initial_state, apply=apply, step=step)


def folded(context: Context, d: int, shape: tuple[int, int]) -> Context:
    """What holds while the chains run side by side."""
    reset = context.reset_TB
    if reset is not None:
        ahead = jnp.pad(reset, ((d - 1, 0), (0, 0)))
        near = jnp.stack([ahead[k : k + len(reset)] for k in range(d)])
        reset = fold(jnp.max(near, axis=0), d)
    mask = context.mask_TB
    if mask is not None or shape[0] % d:
        mask = fold(real_steps(context, shape).astype(jnp.float32), d)
    taps = moved_taps(context, lambda x: fold(x, d))
    recorded = None if context.recorded is None else {}
    return context._replace(mask_TB=mask, reset_TB=reset, taps=taps, recorded=recorded)


def in_order(
    last: State, fresh: State, context: Context, shape: tuple[int, int], d: int
) -> State:
    """The last states (B, d, …) of the chains by age, the oldest first; `fresh` where
    there was a reset since."""
    count_B = jnp.sum(real_steps(context, shape), axis=0)
    slots_Bd = (jnp.arange(d)[None] + count_B[:, None]) % d
    steps_Bd = jnp.arange(d)[None] + count_B[:, None] - d
    reset_B = jnp.full_like(count_B, -d)
    if context.reset_TB is not None:
        steps_T1 = jnp.arange(shape[0])[:, None]
        reset_B = jnp.max(jnp.where(context.reset_TB > 0, steps_T1, -d), axis=0)
    stale_Bd = steps_Bd < reset_B[:, None]

    def leaf(s: Array, f: Array) -> Array:
        s = jnp.take_along_axis(s, by_lane(slots_Bd, s[:, 0]), axis=1)
        return jnp.where(by_lane(stale_Bd, s[:, 0]), f, s)

    return jax.tree.map(leaf, last, fresh)


def dilations(place: Place) -> Layer:
    """Layer l = 0, 1, … goes on from its state 2ˡ steps before (Chang et al. 2017): one
    step of each of L layers reaches 2ᴸ − 1 steps back."""
    return place.drop(place.whole(dilated(place.one(), 2**place.number)))
