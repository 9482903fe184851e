"""HGRN: gates with a learnt lower bound, and a state that rotates.

    c_t = SiLU(x_t·W_re + b_re) + i·SiLU(x_t·W_im + b_im)
    λ_t = γ + (1 − γ) ⊙ σ(x_t·W_λ + b_λ)
    s_t = λ_t ⊙ e^{iθ} ⊙ s_{t−1} + (1 − λ_t) ⊙ c_t        (complex)
    g_t = SiLU(x_t·W_g + b_g)
    h_t = (g_t ⊙ norm([Re s_t, Im s_t]))·W_o

Qin, Yang & Zhong 2023, "Hierarchically gated recurrent neural network for sequence
modeling", equations 1 to 7, with the SiLU and the normalisation (here by the root mean
square, with a gain) of the authors' code. In the paper γ of layer k is the k-th
cumulated share of a softmax over all layers, so that it rises with depth; a cell knows
no other layers, so here γ = σ(Γ) is its own, ½ at the start. `hgrn_real` leaves θ out,
as the paper's own ablation and the flash-linear-attention library do, and then has real
parts alone. Beside `min_gru`: the lower bound, the rotation and the output gate.
Linear, diagonal, complex or real; `keep` is λ.

θ starts at 10000^(−2j/H), as the authors' does, and is learnt. Claim: lower bounds that
rise with depth let upper layers remember long and lower ones forget, which makes linear
recurrence as good as attention on WikiText-103.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw, linear, sigmoid, zeros
from lm.cells.heads import root_mean_square
from lm.cells.lru import ComplexState, in_every_step
from lm.config import InitConfig
from lm.linear import COMPLEX, ELEMENTWISE
from lm.products import matmul
from lm.types import Array, Cell

SLOWEST_TURN = 10_000.0


class RealState(NamedTuple):
    """re (B, H)."""

    re: Array


def bounded(params, z: Array) -> Array:
    """λ = γ + (1 − γ)·σ(z), γ = σ(Γ)."""
    γ = in_every_step(sigmoid(params["bound"]), z)
    return γ + (1 - γ) * sigmoid(z)


def coefficients(params, zs_TBG):
    """(λ·e^{iθ}, (1 − λ)·c) of every step; without θ the real parts alone."""
    forget, _, re, *im = in_blocks(zs_TBG, "theta" in params)
    λ = bounded(params, forget)
    b = [(1 - λ) * jax.nn.silu(part) for part in (re, *im)]
    if not im:
        return RealState(λ), RealState(*b)
    θ = in_every_step(params["theta"], λ)
    return ComplexState(λ * jnp.cos(θ), λ * jnp.sin(θ)), ComplexState(*b)


def in_blocks(zs: Array, rotates: bool) -> list[Array]:
    """zs cut into λ (H), g (H or 2H), Re c and, if it rotates, Im c."""
    H = zs.shape[-1] // (5 if rotates else 3)
    ends = [H, 3 * H, 4 * H] if rotates else [H, 2 * H]
    return jnp.split(zs, ends, axis=-1)


def readout(params, zs_TBG, states) -> Array:
    """(g ⊙ norm(state))·W_o of every step."""
    g = in_blocks(zs_TBG, "theta" in params)[1]
    state = root_mean_square(jnp.concatenate(states, -1), params["gain"])
    return matmul(jax.nn.silu(g) * state, params["w_o"])


def hgrn(
    hidden: int, init: InitConfig, bias: bool = True, *, rotates: bool = True
) -> Cell:
    """The equations above; zs are packed λ, g, Re c, Im c. rotates: with θ."""
    fields = 2 if rotates else 1
    G = (1 + 2 * fields) * hidden
    State = ComplexState if rotates else RealState

    def init_params(key, d_in):
        key_x, key_o = jax.random.split(key)
        params = {
            "w_x": draw(key_x, (d_in, G), init),
            "bound": jnp.zeros(hidden),
            "gain": jnp.ones(fields * hidden),
            "w_o": draw(key_o, (fields * hidden, hidden), init),
        }
        if rotates:
            params["theta"] = SLOWEST_TURN ** (-2 * jnp.arange(hidden) / hidden)
        return params | {"b": jnp.zeros(G)} if bias else params

    def gates(params, state, z):
        forget, g = in_blocks(z, rotates)[:2]
        return {"keep": bounded(params, forget)}

    return linear(
        "hgrn" if rotates else "hgrn_real",
        hidden,
        init=init_params,
        initial_state=zeros(State, fields, hidden),
        project=affine,
        coefficients=coefficients,
        readout=readout,
        product=COMPLEX if rotates else ELEMENTWISE,
        gates=gates,
        blocks=("forget", "output", "candidate")
        if not rotates
        else ("forget", "output", "output", "real", "imaginary"),
        retention="keep",
    )


def hgrn_real(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """Without the rotation: every state real."""
    return hgrn(hidden, init, bias, rotates=False)
