"""Matrix products over all steps and lanes at once, in the shapes that run fast.

XLA's CPU products are fastest on plain matrices, and JAX's own transpose of `x @ w`
yields ∂L/∂w transposed. Spelling both out halves the time of a softmax layer.
"""

import jax
import jax.numpy as jnp

from lm.types import Array


def flat(xs: Array) -> Array:
    """(…, D) as (rows, D)."""
    return xs.reshape(-1, xs.shape[-1])


@jax.custom_vjp
def _product(x_ND: Array, w_DG: Array) -> Array:
    return x_ND @ w_DG


def _product_backward(residuals, δ_NG):
    x_ND, w_DG = residuals
    return δ_NG @ w_DG.T, x_ND.T @ δ_NG


_product.defvjp(lambda x, w: (x @ w, (x, w)), _product_backward)


def matmul(xs: Array, w_DG: Array) -> Array:
    """xs (…, D) · w (D, G) -> (…, G). Reverse-mode only."""
    return _product(flat(xs), w_DG).reshape(*xs.shape[:-1], w_DG.shape[1])


def matmul_transposed(xs: Array, w_VD: Array) -> Array:
    """xs (…, D) · wᵀ, for w (V, D) -> (…, V)."""
    product = jnp.einsum("nd,vd->nv", flat(xs), w_VD)
    return product.reshape(*xs.shape[:-1], w_VD.shape[0])
