"""LRU: the linear recurrent unit, a rotating and shrinking complex state.

    λ = exp(−e^ν + i·e^θ)         γ = e^g
    s_t = λ ⊙ s_{t−1} + γ ⊙ (x_t·B)        (complex)
    h_t = Re(s_t·C) + x_t·D

Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu & De 2023, "Resurrecting recurrent
neural networks for long sequences", equations 5 to 8. |λ| = exp(−e^ν) is below 1
whatever ν is. The state's real and imaginary part are the leaves `re` and `im`, H of
each; N, the paper's width of the state, is H. D is a matrix here (theirs is a diagonal,
which needs D = H). No gates: λ does not depend on x, so that this is a linear filter,
and all that is nonlinear lies between layers; beside `s5` it is written in discrete
time. Linear, diagonal, complex; `keep` is |λ|.

Initialisation of the authors: |λ|² uniform in [r_min², r_max²] = [.9², .999²] (the
ring; the paper tunes r_min by task), the phase uniform in [0, 2π], γ = √(1 − |λ|²), B
and C complex normal of variance 1/D and 1/H. ν, θ, g and B learn at a quarter of the
rate (`rates`). Claim: with the ring and γ a linear RNN does what S4 does on the Long
Range Arena; both are needed.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import biased, linear, zeros
from lm.config import InitConfig
from lm.linear import COMPLEX
from lm.products import matmul
from lm.types import Array, Cell

SLOW = 0.25  # of the learning rate


class ComplexState(NamedTuple):
    """re, im (B, H): the real and the imaginary part."""

    re: Array
    im: Array


def polar(radius: Array, angle: Array) -> ComplexState:
    """radius·e^{i·angle}."""
    return ComplexState(radius * jnp.cos(angle), radius * jnp.sin(angle))


def in_every_step(a_H: Array, like: Array) -> Array:
    """a (H,) in the shape (1, 1, H) that goes with coefficients of (T, B, H)."""
    return a_H.reshape((1,) * (like.ndim - 1) + a_H.shape)


def complex_normal(key: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Real and imaginary part of numbers of variance 1/(fan-in)."""
    re, im = jax.random.normal(key, (2, *shape)) / math.sqrt(2 * shape[0])
    return re, im


def input_products(params, xs: Array) -> Array:
    """[x·B_re, x·B_im, x·D] for every step: (…, 3H)."""
    w_x = params["w_x"]
    if jnp.issubdtype(xs.dtype, jnp.integer):
        return jnp.take(w_x, xs, axis=0, mode="clip")
    return matmul(xs, w_x)


def readout(params, zs_TBG: Array, states: ComplexState) -> Array:
    """Re(s·C) + x·D + b, for every step."""
    direct = jnp.split(zs_TBG, 3, axis=-1)[2]
    seen = matmul(states.re, params["c_re"]) - matmul(states.im, params["c_im"])
    return biased(seen + direct, params)


def eigenvalues(params) -> ComplexState:
    """λ (H,)."""
    return polar(jnp.exp(-jnp.exp(params["nu"])), jnp.exp(params["theta"]))


def coefficients(params, zs_TBG):
    """(λ, γ ⊙ x·B) of every step."""
    re, im, _ = jnp.split(zs_TBG, 3, axis=-1)
    γ = in_every_step(jnp.exp(params["gamma"]), re)
    a = jax.tree.map(lambda part: in_every_step(part, re), eigenvalues(params))
    return a, ComplexState(γ * re, γ * im)


def complex_diagonal(
    name: str,
    hidden: int,
    init: Callable[..., Any],
    coefficients: Callable[..., Any],
    radius: Callable[[Any], Array],
    slow: Sequence[str],
) -> Cell:
    """A cell whose state is complex and diagonal, read by `readout`.

    radius  (params) -> |λ| (H,). slow: leaves that learn at a fraction of the rate.
    """

    def gates(params, state, z):
        return {"keep": jnp.broadcast_to(radius(params), state.re.shape)}

    return linear(
        name,
        hidden,
        init=init,
        initial_state=zeros(ComplexState, 2, hidden),
        project=input_products,
        coefficients=coefficients,
        readout=readout,
        product=COMPLEX,
        gates=gates,
        blocks=("real", "imaginary", "direct"),
        retention="keep",
        rates=dict.fromkeys(slow, SLOW),
    )


def lru(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    r_min: float = 0.9,
    r_max: float = 0.999,
) -> Cell:
    """The equations above; `bias` is one on h. zs are packed x·B_re, x·B_im, x·D."""

    def init_params(key, d_in):
        keys = jax.random.split(key, 5)
        square = jax.random.uniform(
            keys[0], (hidden,), minval=r_min**2, maxval=r_max**2
        )
        phase = 2 * math.pi * (1 - jax.random.uniform(keys[1], (hidden,)))
        c_re, c_im = complex_normal(keys[3], (hidden, hidden))
        skip = jax.random.normal(keys[4], (d_in, hidden)) / math.sqrt(d_in)
        params = {
            "w_x": jnp.concatenate([*complex_normal(keys[2], (d_in, hidden)), skip], 1),
            "nu": jnp.log(-0.5 * jnp.log(square)),
            "theta": jnp.log(phase),
            "gamma": 0.5 * jnp.log1p(-square),
            "c_re": c_re,
            "c_im": c_im,
        }
        return params | {"b": jnp.zeros(hidden)} if bias else params

    def radius(params):
        return jnp.exp(-jnp.exp(params["nu"]))

    slow = ("nu", "theta", "gamma")
    return complex_diagonal("lru", hidden, init_params, coefficients, radius, slow)
