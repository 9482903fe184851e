"""RG-LRU: the real-gated linear recurrent unit of Griffin.

    u_t = x_t·W_x + b_x
    r_t = σ(u_t·W_r + b_r)        i_t = σ(u_t·W_i + b_i)
    a_t = exp(−c·r_t ⊙ softplus(Λ)),   c = 8
    h_t = a_t ⊙ h_{t−1} + √(1 − a_t²) ⊙ (i_t ⊙ u_t)

De, Smith, Fernando et al. 2024, "Griffin: mixing gated linear recurrences with local
attention for efficient language models", equations 1 to 4. u is the linear layer
before the unit in Griffin's block; W_r and W_i are block-diagonal, one block a head.
With ρ = exp(−softplus(Λ)) the decay is a_t = ρ^{8·r_t}: ρ⁸ where the gate r is open and
1 where it is shut, so r *lets go*, and `keep` is a itself. Linear, real, elementwise.

Beside `lru` it has gates and no rotation; beside `min_gru` the input's weight is not
1 − a but √(1 − a²), which keeps the variance of h where the inputs are independent. The
authors' code leaves √(1 − a²) out at the first step of a text, the paper does not; the
slope of the root is cut at 1000 as theirs is, for a near 1. Their initialisation: ρ²
uniform in [.9², .999²], normal block-diagonal matrices of variance 1/(width of a head).
Claim: a model of such layers and local attention matches Llama-2 at a sixth of its
training tokens.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, biased, draw, linear, sigmoid, zeros
from lm.cells.heads import by_head, heads_of
from lm.config import InitConfig
from lm.types import Array, Cell

SHARPNESS = 8.0  # the paper's c
SLOWEST, FASTEST = 0.999, 0.9  # ρ at the start
STEEPEST = 1000.0  # slope of the root


class RGLRUState(NamedTuple):
    """h (B, H)."""

    h: Array


@jax.custom_vjp
def root(x: Array) -> Array:
    """√x, its slope at most STEEPEST. Reverse mode only."""
    return jnp.sqrt(x)


def _root_backward(x, δ):
    return (δ / jnp.sqrt(jnp.maximum(4 * x, STEEPEST**-2)),)


root.defvjp(lambda x: (jnp.sqrt(x), x), _root_backward)


def decays(params, r: Array) -> Array:
    """ln a of the gate r, any leading axes: −8·r ⊙ softplus(Λ)."""
    speed = jax.nn.softplus(params["decay"])
    return -SHARPNESS * r * speed.reshape((1,) * (r.ndim - 1) + speed.shape)


def coefficients(params, zs_TBG):
    """(a, √(1 − a²) ⊙ i ⊙ u) of every step."""
    u, r, i = jnp.split(zs_TBG, 3, axis=-1)
    log_a = decays(params, sigmoid(r))
    b = root(-jnp.expm1(2 * log_a)) * sigmoid(i) * u
    return RGLRUState(jnp.exp(log_a)), RGLRUState(b)


def start_of(key: Array, hidden: int) -> Array:
    """Λ with ρ = exp(−softplus(Λ)) drawn as above: softplus(Λ) = −ln ρ."""
    square = jax.random.uniform(key, (hidden,), minval=FASTEST**2, maxval=SLOWEST**2)
    return jnp.log(jnp.expm1(-0.5 * jnp.log(square)))


def rg_lru(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    heads: int = 4,
    entered: bool = True,
) -> Cell:
    """The equations above; zs are packed u, r, i.

    heads    as in lm.cells.heads.
    entered  by u = x·W_x + b_x; else u is x itself, H wide.
    """
    heads = heads_of(hidden, heads)
    width = hidden // heads

    def init_params(key, d_in):
        key_x, key_r, key_i, key_a = jax.random.split(key, 4)

        def diagonal(key):
            return jax.random.normal(key, (heads, width, width)) / width**0.5

        params = {
            "w_r": diagonal(key_r),
            "w_i": diagonal(key_i),
            "decay": start_of(key_a, hidden),
        }
        names = ("b_r", "b_i") if bias else ()
        if entered:
            params["w_x"] = draw(key_x, (d_in, hidden), init)
            names += ("b",) if bias else ()
        return params | {name: jnp.zeros(hidden) for name in names}

    def project(params, xs):
        u = affine(params, xs) if entered else xs
        return jnp.concatenate([u, gate(params, u, "r"), gate(params, u, "i")], -1)

    def gate(params, u, name):
        return biased(by_head(u, params[f"w_{name}"]), params, f"b_{name}")

    def gates(params, state, z):
        _, r, i = (sigmoid(part) for part in jnp.split(z, 3, axis=-1))
        return {"recurrence": r, "input": i, "keep": jnp.exp(decays(params, r))}

    return linear(
        "rg_lru",
        hidden,
        init=init_params,
        initial_state=zeros(RGLRUState, 1, hidden),
        project=project,
        coefficients=coefficients,
        gates=gates,
        blocks=("candidate", "recurrence", "input"),
        retention="keep",
    )
