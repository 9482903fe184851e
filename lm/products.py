"""Matrix products in the shapes that run fast: over all steps and lanes at once, and
those of a recurrence, step by step.

XLA's CPU products are fastest on plain matrices, and JAX's own transpose of `x @ w`
yields ∂L/∂w transposed. Spelling both out halves the time of a softmax layer.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from lm.types import Array

LARGE = 2**24  # bytes of weights that a CPU's cache does not hold from step to step
PAID_AFTER = 16  # steps of a loop over them, their transpose is


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


@jax.custom_vjp
def with_bias(zs: Array, b_G: Array) -> Array:
    """zs (…, G) + b, where rows are many and wide, as logits. Reverse-mode only:
    inside a cell it is `lm.cells.forms.add_bias`."""
    return zs + b_G.reshape((1,) * (zs.ndim - 1) + b_G.shape)


def _with_bias_backward(_, δ):
    """∂L/∂b as a product, 1ᵀ·δ: XLA:CPU sums rows at half the speed, and would make
    another δ for that, in the shape of zs."""
    δ_NG = flat(δ)
    ones_N = jnp.ones((1, len(δ_NG)), δ.dtype)
    return δ, jnp.matmul(ones_N, δ_NG, precision="highest")[0]


with_bias.defvjp(lambda zs, b: (with_bias(zs, b), None), _with_bias_backward)


def product_in_loop(w_HG: Array, steps: int, lanes: int) -> Callable[[Array], Array]:
    """h_BH -> h·w (B, G), for a loop that asks for it at each of its steps."""
    left = left_pays(w_HG.nbytes, steps, lanes)
    return as_left_factor(w_HG) if left else as_right_factor(w_HG)


def product_back_in_loop(w_HG: Array, lanes: int) -> Callable[[Array], Array]:
    """δ_BG -> δ·wᵀ (B, H), likewise."""
    left = left_pays_back(w_HG.nbytes, lanes)
    return as_left_factor(w_HG.T) if left else as_right_factor(w_HG.T)


def left_pays(size: int, steps: int, lanes: int) -> bool:
    """Whether weights of so many bytes are better the left factor in a loop: large
    ones, on a CPU, in steps enough to pay for their transpose."""
    long = steps >= PAID_AFTER and lanes > 1
    return size >= LARGE and long and jax.default_backend() == "cpu"


def left_pays_back(size: int, lanes: int) -> bool:
    """The same of the product with wᵀ: there the right factor is the one transposed."""
    return (size >= LARGE or lanes == 1) and jax.default_backend() == "cpu"


def as_right_factor(w_DG: Array) -> Callable[[Array], Array]:
    """x_BD -> x·w."""
    return lambda x_BD: x_BD @ w_DG


def as_left_factor(w_DG: Array) -> Callable[[Array], Array]:
    """x_BD -> (wᵀ·xᵀ)ᵀ.

    XLA:CPU packs a product's right factor anew at each call, which for weights larger
    than the cache takes three passes through memory; the left factor it reads where it
    lies, once (experiments/benchmark, `products`). The barriers keep XLA from turning
    this back into x·w.
    """
    w_GD, barrier = w_DG.T, lax.optimization_barrier
    return lambda x_BD: barrier(w_GD @ barrier(x_BD.T)).T
