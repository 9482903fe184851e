"""sLSTM: an LSTM with exponential gates, a normaliser and memory mixing in heads.

    z = tanh(z̃)       ĩ, f̃, z̃, õ = x·W + h_{t−1}·R + b
    m_t = max(ĩ, m_{t−1} + ln σ(f̃))              (ĩ where nothing has been read yet)
    i = exp(ĩ − m_t)             f = exp(m_{t−1} + ln σ(f̃) − m_t)
    c_t = f ⊙ c_{t−1} + i ⊙ z    n_t = f ⊙ n_{t−1} + i
    h_t = σ(õ) ⊙ c_t / n_t

Beck, Pöppel, Spanring, Auer, Prudnikova, Kopp, Klambauer, Brandstetter & Hochreiter
2024, "xLSTM: extended long short-term memory", equations 8 to 17, the forget gate by a
sigmoid (their other choice is exp). m keeps the exponentials finite and cancels in
c/n; gates are packed i, f, z, o. R is block-diagonal, a block a head, so that units mix
within heads alone. Convolution, normalisation by head and the residual block around it
are layers. Factored; R is handed on as a full matrix with zeros. `keep` is
f·n_{t−1}/n_t, the share of the old in c/n.

The authors' initialisation: R = 0; b_f from 5 down to −7 by a power law over the units
of a head, −(−5 + 12·(k/(d − 1))^0.3) in the first block; the rest of b 0. Claim: mixing
lets it track states (parity), which a cell without h·R cannot.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import draw, factored, sigmoid, zeros
from lm.cells.heads import heads_of
from lm.config import InitConfig
from lm.types import Array, Cell


class SLSTMState(NamedTuple):
    """h; c, the memory; n, its normaliser; m, the stabiliser in log space: (B, H)."""

    h: Array
    c: Array
    n: Array
    m: Array


def exponential_gates(a_BG: Array, state: SLSTMState):
    """i, f, the new m, and z̃, õ as they are."""
    i, f, z, o = jnp.split(a_BG, 4, axis=-1)
    kept = state.m + jax.nn.log_sigmoid(f)
    m = jnp.where(state.n == 0, i, jnp.maximum(i, kept))
    return jnp.exp(i - m), jnp.exp(kept - m), m, z, o


def pointwise(params, x_BG, h_BG, state):
    """The state after a step."""
    i, f, m, z, o = exponential_gates(x_BG + h_BG, state)
    c, n = f * state.c + i * jnp.tanh(z), f * state.n + i
    return SLSTMState(h=sigmoid(o) * c / n, c=c, n=n, m=m)


def gates(params, x_BG, h_BG, state):
    """i, f and the share of the old as stabilised, the output gate, tanh′ at z."""
    i, f, _, z, o = exponential_gates(x_BG + h_BG, state)
    keep = f * state.n / (f * state.n + i)
    slope = 1 - jnp.tanh(z) ** 2
    return {"input": i, "forget": f, "keep": keep, "output": sigmoid(o), "slope": slope}


def block_diagonal(w: Array) -> Array:
    """(heads, d, gates, d) as an (H, gates·H) matrix with zeros between heads."""
    heads, d, gates, _ = w.shape
    eye = jnp.eye(heads, dtype=w.dtype)
    whole = jnp.einsum("ndge,nm->ndgme", w, eye)
    return whole.reshape(heads * d, gates * heads * d)


def forget_biases(heads: int, width: int) -> Array:
    """b_f of the first block, 5 to −7 in each head: (H,)."""
    place = jnp.arange(width) / max(1, width - 1)
    return jnp.tile(5 - 12 * place**0.3, heads)


def slstm(hidden: int, init: InitConfig, bias: bool = True, *, heads: int = 4) -> Cell:
    """The equations above. `heads` as in lm.cells.heads."""
    heads = heads_of(hidden, heads)
    width = hidden // heads

    def init_params(key, d_in):
        params = {
            "w_x": draw(key, (d_in, 4 * hidden), init),
            "w_h": jnp.zeros((heads, width, 4, width)),
        }
        if bias:
            b = jnp.zeros(4 * hidden)
            params["b"] = b.at[hidden : 2 * hidden].set(forget_biases(heads, width))
        return params

    return factored(
        "slstm",
        hidden,
        init=init_params,
        initial_state=zeros(SLSTMState, 4, hidden),
        pointwise=pointwise,
        gates=gates,
        w_HG=lambda params: block_diagonal(params["w_h"]),
        blocks=("input", "forget", "candidate", "output"),
        retention="keep",
    )
