"""What cells with heads share: units in groups that have matrices of their own."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.types import Array

EPSILON = 1e-6


class MatrixState(NamedTuple):
    """S (B, heads, d, d): keys by values."""

    S: Array


def matrix_zeros(heads: int, rows: int, columns: int):
    """initial_state of one matrix a head."""

    def initial_state(params, batch):
        dtype = jax.tree.leaves(params)[0].dtype
        return MatrixState(jnp.zeros((batch, heads, rows, columns), dtype))

    return initial_state


def heads_of(hidden: int, heads: int) -> int:
    """So many of the `heads` asked for as divide H into equal groups: gcd(H, heads)."""
    return math.gcd(hidden, heads)


def split_heads(xs: Array, heads: int) -> Array:
    """(…, heads·d) as (…, heads, d)."""
    return xs.reshape(*xs.shape[:-1], heads, xs.shape[-1] // heads)


def join_heads(xs: Array) -> Array:
    """(…, heads, d) as (…, heads·d)."""
    return xs.reshape(*xs.shape[:-2], xs.shape[-2] * xs.shape[-1])


def by_head(xs: Array, w: Array) -> Array:
    """xs (…, H) times the block-diagonal matrix of the blocks w (heads, d, d′)."""
    return join_heads(jnp.einsum("...nd,ndg->...ng", split_heads(xs, w.shape[0]), w))


def outer(k: Array, v: Array) -> Array:
    """k ⊗ v of (…, d) and (…, e): (…, d, e)."""
    return k[..., :, None] * v[..., None, :]


def read(q: Array, memory: Array) -> Array:
    """qᵀ·S of (…, d) and (…, d, e): (…, e)."""
    return jnp.einsum("...d,...de->...e", q, memory)


def unit(xs: Array) -> Array:
    """Vectors of length 1 along the last axis; 0 stays 0."""
    return xs * jax.lax.rsqrt(jnp.sum(xs * xs, -1, keepdims=True) + EPSILON)


def root_mean_square(xs: Array, gain: Array) -> Array:
    """xs / √(mean of squares along the last axis) ⊙ gain (Zhang & Sennrich 2019)."""
    scaled = xs * jax.lax.rsqrt(jnp.mean(xs * xs, -1, keepdims=True) + EPSILON)
    return scaled * gain.reshape((1,) * (xs.ndim - gain.ndim) + gain.shape)
