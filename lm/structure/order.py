"""Steps in the order in which they are read, padding behind them.

What counts steps (a dilated layer, a clock, a memory of the last W steps) is written
for the plain case: from the left, real steps first. `forwards` brings every other case
to that one, so that reading from the right and padding anywhere are said once.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lm.types import Array, Context, Indexed, Params, State
from lm.words import over_time


def leading(xs: Any) -> tuple[int, int]:
    """(T, B) of what a layer reads."""
    return (xs.ids_TB if isinstance(xs, Indexed) else xs).shape[:2]


def forwards(apply):
    """A layer's `apply` for any context, of one that is called with steps from left to
    right and with padding behind them only.

    Real steps are brought together lane by lane, and what comes out is put back, taps
    and what is recorded included. Without a mask and from the left nothing is moved.
    """

    def in_any_order(
        params: Params, xs: Any, state: State, context: Context = Context()
    ):
        context = context._replace(
            mask_TB=as_numbers(context.mask_TB), reset_TB=as_numbers(context.reset_TB)
        )
        if context.mask_TB is None and not context.reverse:
            return apply(params, xs, state, context)
        there, back = moves(context)
        kept = None if context.recorded is None else {}
        inner = context._replace(
            mask_TB=None if context.mask_TB is None else there(context.mask_TB),
            reset_TB=moved_resets(context, there),
            taps=moved_taps(context, there),
            recorded=kept,
            reverse=False,
        )
        state, ys = apply(params, over_time(there, xs), state, inner)
        if kept is not None:
            context.recorded.update(jax.tree.map(back, kept))  # type: ignore[union-attr]
        return state, back(ys)

    return in_any_order


def as_numbers(events_TB: Any) -> Array | None:
    """A mask or resets as float32, 0 and 1."""
    return None if events_TB is None else jnp.asarray(events_TB, jnp.float32)


def moves(context: Context):
    """(there, back): arrays (T, B, …) in the order of reading, and in their own."""
    step = -1 if context.reverse else 1
    if context.mask_TB is None:

        def turned(x):
            return x[::step]

        return turned, turned
    order_TB = jnp.argsort(context.mask_TB[::step] <= 0, axis=0, stable=True)
    places_TB = jnp.argsort(order_TB, axis=0)

    def there(x):
        return taken(jnp.asarray(x)[::step], order_TB)

    def back(x):
        return taken(x, places_TB)[::step]

    return there, back


def taken(x: Array, at_TB: Array) -> Array:
    """x (T, B, …), in each lane its steps at `at_TB`."""
    at = at_TB.reshape(*at_TB.shape, *(1,) * (x.ndim - 2))
    return jnp.take_along_axis(x, at, axis=0)


def moved_taps(context: Context, there) -> Any:
    """The taps of the place, in the order of reading."""
    if context.taps is None:
        return None
    here = {
        name: jax.tree.map(there, taps)
        for name, taps in context.taps.items()
        if name.startswith(context.name)
    }
    return context.taps | here


def moved_resets(context: Context, there) -> Array | None:
    """Resets in the order of reading; one at a padded step falls to the next step."""
    if context.reset_TB is None:
        return None
    step = -1 if context.reverse else 1
    count_TB = jnp.cumsum(context.reset_TB[::step].astype(jnp.int32), axis=0)[::step]
    count_TB = lax.cummax(there(count_TB), axis=0)
    before_TB = jnp.concatenate([jnp.zeros_like(count_TB[:1]), count_TB[:-1]])
    return (count_TB > before_TB).astype(jnp.float32)


def real_steps(context: Context, shape: tuple[int, int]) -> Array:
    """(T, B) int32: 1 on real steps."""
    if context.mask_TB is None:
        return jnp.ones(shape, jnp.int32)
    return (context.mask_TB > 0).astype(jnp.int32)


def stepwise(apply):
    """A layer's `step`, as its `apply` over one step."""

    def step(params: Params, state: State, x: Any) -> tuple[State, Array]:
        one = over_time(lambda x: jnp.asarray(x)[None], x)
        state, ys = apply(params, one, state)
        return state, ys[0]

    return step
