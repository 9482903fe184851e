"""LMU: a memory that holds the last θ steps of a signal, by Legendre polynomials.

    u_t = x_t·e_x + h_{t−1}·e_h + m_{t−1}·e_m          (one number)
    m_t = m_{t−1}·Āᵀ + u_t·B̄
    h_t = tanh(x_t·W_x + h_{t−1}·W_h + m_t·W_m)

Voelker, Kajić & Eliasmith 2019, "Legendre memory units: continuous-time representation
in recurrent neural networks", equations 1 to 7. Ā and B̄ are not learnt: the system

    θ·m′ = A·m + B·u,   A_ij = (2i+1)·(−1 if i < j else (−1)^{i−j+1}),
                        B_i = (2i+1)·(−1)^i,   i, j = 0 … q−1

for one step of zero-order hold, and then u(t − θ′) = Σ_i m_i·P_i(2θ′/θ − 1) for every
delay θ′ up to θ, the better the slower u changes (`recalled`). q = 16 and θ = 64 are
builders' arguments. General. Chilkuri & Eliasmith 2021, "Parallelizing Legendre memory
unit training": without h and m in u and without h in h the memory is linear in itself;
that is `parallel_lmu`, linear with one matrix for all steps, its h

    u_t = x_t·e_x        h_t = tanh(x_t·W_x + m_t·W_m).

Both x·W_x and x·e_x have a bias here, 0 at the start, if the model has biases.

Initialisation: e_m = 0, as the authors'; the rest as the user's `init` draws it. No
gates but tanh's slope. Claim: a system that is derived, not learnt, remembers over
100,000 steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from lm.cells.forms import affine, draw, draw_recurrent, general, linear
from lm.config import InitConfig
from lm.linear import MATRICES
from lm.products import matmul
from lm.types import Array, Cell

ORDER, WINDOW = 16, 64.0  # q and θ


class LMUState(NamedTuple):
    """h (B, H); m (B, q)."""

    h: Array
    m: Array


class LegendreState(NamedTuple):
    """m (B, q, 1): a column, for matrices to act on."""

    m: Array


def legendre(order: int, window: float) -> tuple[np.ndarray, np.ndarray]:
    """Ā (q, q) and B̄ (q,) of one step, float64."""
    i, j = np.arange(order)[:, None], np.arange(order)[None]
    scale = (2.0 * i + 1) / window
    A = scale * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    B = scale * (-1.0) ** i
    whole = np.block([[A, B], [np.zeros((1, order + 1))]])
    held = np.asarray(scipy.linalg.expm(whole))
    return held[:order, :order], held[:order, order]


def recalled(m: np.ndarray, share: float) -> np.ndarray:
    """u at `share`·θ steps ago (0 to 1), as m (…, q) has it."""
    found = np.polynomial.legendre.legval(2 * share - 1, np.moveaxis(m, -1, 0))
    return np.asarray(found)


def input_params(key, d_in: int, hidden: int, order: int, init: InitConfig, bias: bool):
    """{w_x (D, H + 1): W_x and e_x; w_m (q, H); b (H + 1,)}; no b without bias."""
    key_x, key_m = jax.random.split(key)
    params = {
        "w_x": draw(key_x, (d_in, hidden + 1), init),
        "w_m": draw(key_m, (order, hidden), init),
    }
    return params | {"b": jnp.zeros(hidden + 1)} if bias else params


def lmu(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    order: int = ORDER,
    window: float = WINDOW,
) -> Cell:
    """The equations above; zs are packed x·W_x, x·e_x. order: q; window: θ."""
    A, B = legendre(order, window)

    def init_params(key, d_in):
        key_x, key_h, key_e = jax.random.split(key, 3)
        return input_params(key_x, d_in, hidden, order, init, bias) | {
            "w_h": draw_recurrent(key_h, hidden, 1, init),
            "e_h": draw(key_e, (hidden, 1), init),
            "e_m": jnp.zeros((order, 1)),
        }

    def initial_state(params, batch):
        dtype = params["w_x"].dtype
        widths = (hidden, order)
        return LMUState(*(jnp.zeros((batch, width), dtype) for width in widths))

    def step(params, state, z):
        u = z[..., hidden:] + state.h @ params["e_h"] + state.m @ params["e_m"]
        m = state.m @ jnp.asarray(A.T, u.dtype) + u * jnp.asarray(B[None], u.dtype)
        at = z[..., :hidden] + state.h @ params["w_h"] + m @ params["w_m"]
        return LMUState(jnp.tanh(at), m)

    return general(
        "lmu",
        hidden,
        init=init_params,
        initial_state=initial_state,
        step=step,
        gates=lambda params, state, z: {"slope": 1 - step(params, state, z).h ** 2},
    )


def parallel_lmu(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    order: int = ORDER,
    window: float = WINDOW,
) -> Cell:
    """The last two lines above; zs as in `lmu`. order: q; window: θ."""
    A, B = legendre(order, window)

    def initial_state(params, batch):
        return LegendreState(jnp.zeros((batch, order, 1), params["w_x"].dtype))

    def coefficients(params, zs_TBG):
        u = zs_TBG[..., hidden:, None]
        a = jnp.asarray(A[None, None], u.dtype)
        return LegendreState(a), LegendreState(
            jnp.asarray(B[None, None, :, None], u.dtype) * u
        )

    def heard(params, zs_TBG, states):
        return jnp.tanh(zs_TBG[..., :hidden] + matmul(states.m[..., 0], params["w_m"]))

    def gates(params, state, z):
        a, b = jax.tree.map(lambda x: x[0], coefficients(params, z[None]))
        new = LegendreState((a.m @ state.m + b.m)[None])
        return {"slope": 1 - heard(params, z[None], new)[0] ** 2}

    return linear(
        "parallel_lmu",
        hidden,
        init=lambda key, d_in: input_params(key, d_in, hidden, order, init, bias),
        initial_state=initial_state,
        project=affine,
        coefficients=coefficients,
        product=MATRICES,
        readout=heard,
        gates=gates,
    )
