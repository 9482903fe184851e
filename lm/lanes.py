"""Where the lanes of an array are, whatever else it holds.

Lanes are axis 0 of a state's leaf, axis 1 of a batch's field, or axis 0 of a field of
rank 1 (one number a lane). Everything done lane by lane goes through here.
"""

from typing import Any

import jax

from lm.types import Array


def by_lane(x: Array, like: Array) -> Array:
    """x (B,) or (T, B) with axes of size 1 behind, to go with a leaf `like` (B, …)."""
    return x.reshape(*x.shape, *(1,) * (like.ndim - 1))


def rows(leaf: Array) -> Array:
    """A leaf (B, …) as (B, N): one row of numbers a lane."""
    return leaf.reshape(len(leaf), -1)


def lane_axis(field: Any) -> int:
    """Which axis of a batch's field are the lanes."""
    return min(1, field.ndim - 1)


def lanes_of(batch: Any) -> int:
    """B of a batch."""
    field = jax.tree.leaves(batch)[0]
    return field.shape[lane_axis(field)]


def extent(xs: Any) -> tuple[int, int]:
    """(T, B) of leaves (T, B, …)."""
    steps, lanes = jax.tree.leaves(xs)[0].shape[:2]
    return steps, lanes
