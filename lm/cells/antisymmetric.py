"""Cells that step along a differential equation whose matrices have a given symmetry.

Chang, Chen, Haber & Chi 2019, "AntisymmetricRNN: a dynamical system view on recurrent
neural networks" (`antisymmetric`, `antisymmetric_gated`), by Euler's rule with steps of
length ε:

    A = W − Wᵀ − γI
    h' = h + ε·tanh(x·W_x + b + h·A)
    h' = h + ε·z ⊙ tanh(x·W_x + b + h·A),        z = σ(x·W_xz + b_z + h·A)

The eigenvalues of W − Wᵀ are imaginary, so that h neither grows nor decays along the
equation; γ·h damps the growth that Euler's rule adds (a scalar γ taken off, as in some
public code, would not). W ~ N(0, gain²/H), the gain being the paper's σ_w. The gated
form is packed update, candidate, and one product serves both. Their claim: gradients
that neither vanish nor explode, at a vanilla network's price.

Erichson, Azencot, Queiruga, Hodgkinson & Mahoney 2021, "Lipschitz recurrent neural
networks" (`lipschitz`), with two matrices, each made of its own M:

    A, W = β·(M − Mᵀ) + (1 − β)·(M + Mᵀ) − γI
    h' = h + ε·(h·A + tanh(x·W_x + b + h·W))

M ~ N(0, gain²/H); w_h is packed A's, W's. Its claim: global stability from A's
symmetric part, and better accuracy and robustness than orthogonal cells.

All are factored: the matrices are made of w_h once, before the loop.
"""

import jax
import jax.numpy as jnp

from lm.cells.elman import ElmanState, tanh_slope
from lm.cells.forms import draw, factored, sigmoid, zeros
from lm.config import InitConfig
from lm.types import Array, Cell


def draw_normal(key, d_in, hidden, blocks, matrices, init, bias):
    """{w_x (D, blocks·H), w_h (H, matrices·H) ~ N(0, gain²/H), b (blocks·H,)}."""
    key_x, key_h = jax.random.split(key)
    scale = init.gain / hidden**0.5
    params = {
        "w_x": draw(key_x, (d_in, blocks * hidden), init),
        "w_h": scale * jax.random.normal(key_h, (hidden, matrices * hidden)),
    }
    return params | {"b": jnp.zeros(blocks * hidden)} if bias else params


def shaped(w_HH: Array, beta: float, gamma: float) -> Array:
    """β·(W − Wᵀ) + (1 − β)·(W + Wᵀ) − γI."""
    identity = jnp.eye(len(w_HH), dtype=w_HH.dtype)
    return w_HH + (1 - 2 * beta) * w_HH.T - gamma * identity


def antisymmetric(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    step: float = 0.1,
    damping: float = 0.01,
    gated: bool = False,
) -> Cell:
    """h += ε·tanh(…), times z where gated. ε = step, γ = damping."""
    blocks = ("update", "candidate") if gated else ("candidate",)

    def activations(z_BG, r_BH):
        z_BH = z_BG[..., -hidden:]
        update = sigmoid(z_BG[..., :hidden] + r_BH) if gated else 1.0
        return update, jnp.tanh(z_BH + r_BH)

    def pointwise(params, z_BG, r_BH, state):
        update, n = activations(z_BG, r_BH)
        return ElmanState(h=state.h + step * update * n)

    def gates(params, z_BG, r_BH, state):
        update, n = activations(z_BG, r_BH)
        slope = {"slope": tanh_slope(n)}
        return slope | {"update": update} if gated else slope

    return factored(
        "antisymmetric_gated" if gated else "antisymmetric",
        hidden,
        init=lambda key, d_in: draw_normal(
            key, d_in, hidden, len(blocks), 1, init, bias
        ),
        initial_state=zeros(ElmanState, 1, hidden),
        w_HG=lambda params: shaped(params["w_h"], 1.0, damping),
        pointwise=pointwise,
        gates=gates,
        blocks=blocks,
    )


def lipschitz(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    step: float = 0.01,
    beta: float = 0.8,
    damping: float = 0.01,
) -> Cell:
    """The last equations above; ε = step, γ = damping. β, γ and ε as in the authors'
    code, where they are settings of each run."""

    def w_HG(params):
        pair = jnp.split(params["w_h"], 2, axis=1)
        return jnp.concatenate([shaped(w, beta, damping) for w in pair], axis=1)

    def candidate(z_BH, r_BG):
        through_A, through_W = jnp.split(r_BG, 2, axis=-1)
        return through_A, jnp.tanh(z_BH + through_W)

    def pointwise(params, z_BH, r_BG, state):
        through_A, n = candidate(z_BH, r_BG)
        return ElmanState(h=state.h + step * (through_A + n))

    return factored(
        "lipschitz",
        hidden,
        init=lambda key, d_in: draw_normal(key, d_in, hidden, 1, 2, init, bias),
        initial_state=zeros(ElmanState, 1, hidden),
        w_HG=w_HG,
        pointwise=pointwise,
        gates=lambda params, z, r, state: {"slope": tanh_slope(candidate(z, r)[1])},
        blocks=("candidate",),
    )
