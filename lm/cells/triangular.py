"""The inverse of I + L, L strictly lower triangular, by products alone.

    ⎡A   ⎤⁻¹   ⎡     A⁻¹          ⎤
    ⎣C  B⎦   = ⎣−B⁻¹·C·A⁻¹   B⁻¹⎦

from blocks of one number to the whole, in log₂ n turns. As exact as substitution row by
row (the shorter Π (I + (−L)^(2^k)) is not: its powers grow and cancel), and on a CPU
safe: two batches of LAPACK's triangular solves at once wait for each other for ever
where XLA has no more threads than that (jaxlib 0.10.2, `ParallelBatchMap`).
"""

import jax
import jax.numpy as jnp

from lm.types import Array


@jax.custom_jvp
def unit_lower_inverse(L_NN: Array) -> Array:
    """(I + L)⁻¹ of L (…, n, n), of which only what is below the diagonal is read."""
    n = L_NN.shape[-1]
    size = 1 << (n - 1).bit_length()
    room = [(0, 0)] * (L_NN.ndim - 2) + [(0, size - n)] * 2
    L_NN = jnp.pad(L_NN, room)
    X = jnp.ones((*L_NN.shape[:-1], 1, 1), L_NN.dtype)  # (…, blocks, width, width)
    while (width := X.shape[-1]) < size:
        A, B = X[..., 0::2, :, :], X[..., 1::2, :, :]
        corner = -(B @ corners(L_NN, width) @ A)
        above = jnp.concatenate([A, jnp.zeros_like(A)], axis=-1)
        below = jnp.concatenate([corner, B], axis=-1)
        X = jnp.concatenate([above, below], axis=-2)
    return X[..., 0, :n, :n]


def corners(L_NN: Array, width: int) -> Array:
    """The lower left quarters (…, blocks, width, width) of the blocks along the
    diagonal that are twice as wide."""
    pairs = L_NN.shape[-1] // (2 * width)
    blocks = L_NN.reshape(*L_NN.shape[:-2], pairs, 2, width, pairs, 2, width)
    quarters = blocks[..., 1, :, :, 0, :]  # (…, pairs, width, pairs, width)
    return jnp.moveaxis(jnp.diagonal(quarters, axis1=-4, axis2=-2), -1, -3)


@unit_lower_inverse.defjvp
def _(primals, tangents):
    """dX = −X·dL·X."""
    X = unit_lower_inverse(*primals)
    return X, -(X @ jnp.tril(tangents[0], -1) @ X)
