"""The last W steps of a lane, carried from window to window, to be looked back at.

A window of T steps stands behind the W that came before it, W + T places in all; which
of them a step may see follows from how far back they are, from padding and from resets.
Carried so, windows give what one long sequence would.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.lanes import by_lane
from lm.structure.order import real_steps, taken
from lm.types import Array, Context


class Past(NamedTuple):
    """rows: a tree of (B, W, …) arrays, the oldest step first; there_BW: 1 where a
    lane has such a step, else 0. It has no derivative."""

    rows: Any
    there_BW: Array


class Places(NamedTuple):
    """The W + T places P of a window and what stood before it: there_BP, 1 where a step
    is; text_BP, how many resets there were before it in this window; count_B, how many
    of the window's steps are real."""

    there_BP: Array
    text_BP: Array
    count_B: Array


def none_yet(one: Any, W: int) -> Past:
    """The past of lanes that begin; one: a tree of (B, …) arrays, the rows' shape."""
    rows = jax.tree.map(lambda x: jnp.zeros_like(x[:, None].repeat(W, 1)), one)
    first = jax.tree.leaves(rows)[0]
    return Past(rows, jnp.zeros(first.shape[:2], first.dtype))


def with_window(past: Past, rows: Any) -> Any:
    """Rows (B, W, …) and those of a window (T, B, …) as (B, W + T, …)."""
    return jax.tree.map(
        lambda old, new: jnp.concatenate([old, jnp.swapaxes(new, 0, 1)], axis=1),
        past.rows,
        rows,
    )


def places_of(past: Past, context: Context, shape: tuple[int, int]) -> Places:
    """Of a window whose padding is behind its steps."""
    real_TB = real_steps(context, shape)
    text_BT = jnp.zeros_like(real_TB.T)
    if context.reset_TB is not None:
        resets_TB = (context.reset_TB > 0).astype(jnp.int32)
        text_BT = jnp.cumsum(resets_TB, axis=0).T
    there_BT = real_TB.T.astype(past.there_BW.dtype)
    before_BW = jnp.zeros(past.there_BW.shape, jnp.int32)
    return Places(
        jax.lax.stop_gradient(jnp.concatenate([past.there_BW, there_BT], axis=1)),
        jnp.concatenate([before_BW, text_BT], axis=1),
        jnp.sum(real_TB, axis=0),
    )


def visible(places: Places, W: int, own: bool) -> Array:
    """(B, T, W + T) bool: which places each step sees: the W before it, and with `own`
    itself, of the same text."""
    P = places.there_BP.shape[1]
    here_T, all_P = jnp.arange(W, P), jnp.arange(P)
    lag_TP = here_T[:, None] - all_P[None]
    near_TP = (lag_TP >= (0 if own else 1)) & (lag_TP <= W)
    same_BTP = places.text_BP[:, W:, None] == places.text_BP[:, None]
    return near_TP[None] & same_BTP & (places.there_BP[:, None] > 0)


def moved_on(rows: Any, places: Places, W: int) -> Past:
    """The past after the window, 0 where nothing is there; rows: `with_window`'s."""
    at_WB = jnp.arange(W)[:, None] + places.count_B[None]

    def last(x: Array) -> Array:
        return jnp.swapaxes(taken(jnp.swapaxes(x, 0, 1), at_WB), 0, 1)

    same_BW = last(places.text_BP) == places.text_BP[:, -1:]
    there_BW = last(places.there_BP) * same_BW.astype(places.there_BP.dtype)

    def there(x: Array) -> Array:
        return jnp.where(by_lane(there_BW, x[:, 0]) > 0, x, 0)

    return Past(jax.tree.map(lambda x: there(last(x)), rows), there_BW)


def weights(scores: Array, seen: Array) -> Array:
    """Softmax of scores (…, P) over what is seen; 0 everywhere where nothing is."""
    lowest = jnp.finfo(scores.dtype).min
    largest = jnp.max(jnp.where(seen, scores, lowest), axis=-1, keepdims=True)
    shifted = jnp.where(seen, scores - jax.lax.stop_gradient(largest), 0)
    raised = jnp.where(seen, jnp.exp(shifted), 0)
    total = jnp.sum(raised, axis=-1, keepdims=True)
    return raised / jnp.where(total > 0, total, 1)
