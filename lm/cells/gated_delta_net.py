"""Gated DeltaNet: a matrix memory that forgets, and overwrites what a key held before.

    q = unit(SiLU(x·W_q))    k = unit(SiLU(x·W_k))    v = SiLU(x·W_v)    o = SiLU(x·W_o)
    α = exp(−e^A·softplus(x·w_α + δ))        β = β_max·σ(x·w_β)     (one number a head)
    S_t = α·(I − β·k ⊗ k)·S_{t−1} + β·k ⊗ v
    h_t = norm(qᵀ·S_t / √d) ⊙ o

in each head of width d, S being keys by values; unit has length 1, norm is by the root
mean square of a head, with a gain; every x·W has a bias if the model has. Yang, Kautz &
Hatamizadeh 2024, "Gated delta networks: improving Mamba2 with delta rule", equations 8
to 10. The step is taken as S ← α·S, S ← S + k ⊗ β·(v − Sᵀ·k), which is the same. The
convolutions of width 4 before q, k and v are a layer's, and so is the map after o.

Along k the transition's eigenvalue is α·(1 − β): with β ≤ 1 (`gated_delta_net`) it is
in [0, 1]; with β ≤ 2 (`gated_delta_net_negative`) it reaches −1, which Grazzi, Siems,
Zela, Franke, Hutter & Pontil 2024, "Unlocking state-tracking in linear RNNs through
negative eigenvalues", show is what parity needs. Beside `mlstm`, which only adds, the
memory of a key is replaced. Linear with matrices (I − β·k ⊗ k is d × d); the step above
costs d² and not d³, and T steps at once (`stretch`; Yang, Wang, Zhang, Shen & Kim 2024,
"Parallelizing linear transformers with the delta rule over sequence length", section
3.2, here with α) T² products of keys and a triangular system: with u_t what a step
writes and Γ_ts = Π_{s<r≤t} α_r,

    u_t = β_t·(v_t − Γ_t·S₀ᵀ·k_t − Σ_{s<t} Γ_ts·(k_t·k_s)·u_s)
    S_t = Γ_t·S₀ + Σ_{s≤t} Γ_ts·k_s ⊗ u_s

`keep` is α.

The authors' initialisation: e^A uniform in [0, 16], softplus(δ) log-uniform in [.001,
.1], one a head; no biases otherwise, which here start at 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw, linear, log_uniform, sigmoid
from lm.cells.heads import (
    MatrixState,
    heads_of,
    join_heads,
    matrix_zeros,
    outer,
    read,
    root_mean_square,
    split_heads,
    unit,
)
from lm.cells.triangular import unit_lower_inverse
from lm.config import InitConfig
from lm.linear import MATRICES
from lm.types import Array, Cell

FASTEST = 16.0  # e^A at the start, at most
NEVER = -1e30  # ln Γ of what is not seen
SHORTEST, LONGEST = 0.001, 0.1  # softplus(δ) at the start


def first_numbers(key: Array, heads: int) -> dict[str, Array]:
    """A and δ, (heads,) each."""
    key_a, key_d = jax.random.split(key)
    rate = jax.random.uniform(key_a, (heads,), minval=1e-3, maxval=FASTEST)
    step = jnp.exp(log_uniform(key_d, heads, SHORTEST, LONGEST))
    return {"log_rate": jnp.log(rate), "delta": jnp.log(jnp.expm1(step))}


class Pieces(NamedTuple):
    """What a projected input holds: q, k, v, o (…, heads, d), ln α, β (…, heads)."""

    q: Array
    k: Array
    v: Array
    o: Array
    log_α: Array
    β: Array

    @property
    def α(self) -> Array:
        """(…, heads)."""
        return jnp.exp(self.log_α)


def pieces(params, zs: Array, most: float) -> Pieces:
    """zs (…, 4H + 2·heads), packed q, k, v, o, α, β."""
    heads = len(params["delta"])
    H = (zs.shape[-1] - 2 * heads) // 4
    q, k, v, o = jnp.split(jax.nn.silu(zs[..., : 4 * H]), 4, axis=-1)
    q, k, v, o = (split_heads(part, heads) for part in (q, k, v, o))
    α, β = jnp.split(zs[..., 4 * H :], 2, axis=-1)
    lead = (1,) * (zs.ndim - 1)
    rate, delta = (params[n].reshape(*lead, heads) for n in ("log_rate", "delta"))
    log_α = -jnp.exp(rate) * jax.nn.softplus(α + delta)
    return Pieces(unit(q), unit(k), v, o, log_α, most * sigmoid(β))


def transition(at: Pieces) -> tuple[MatrixState, MatrixState]:
    """α·(I − β·k ⊗ k) and β·k ⊗ v of every step, (T, B, heads, d, d)."""
    α, β = at.α[..., None, None], at.β[..., None, None]
    width = at.k.shape[-1]
    eye = jnp.eye(width, dtype=at.k.dtype).reshape(1, 1, 1, width, width)
    a, b = α * (eye - β * outer(at.k, at.k)), β * outer(at.k, at.v)
    return MatrixState(a), MatrixState(b)


def overwritten(at: Pieces, S: Array) -> MatrixState:
    """The state after a step: S ← α·S, and what its key held moved towards v."""
    S = at.α[..., None, None] * S
    return MatrixState(S + outer(at.k, at.β[..., None] * (at.v - read(at.k, S))))


def put_out(params, at: Pieces, seen: Array) -> Array:
    """h (…, H) of qᵀ·S (…, heads, d)."""
    seen = root_mean_square(seen / seen.shape[-1] ** 0.5, params["gain"])
    return join_heads(seen * at.o)


def stretch(at: Pieces, S: Array, reset_TB: Array, mask_TB: Array):
    """(S after, qᵀ·S (T, B, heads, d)) of steps t = 0 … T−1 at once.

    reset_TB, mask_TB  0/1, as in `lm.unroll.Events`.
    """
    q, k, v, log_α, β = (
        jnp.moveaxis(x, 0, 2) for x in (at.q, at.k, at.v, at.log_α, at.β)
    )
    mask_BNT, texts_BNT = (x.T[:, None] for x in (mask_TB, jnp.cumsum(reset_TB, 0)))
    β, F = (β * mask_BNT)[..., None], jnp.cumsum(log_α * mask_BNT, axis=-1)
    same = texts_BNT[..., None] == texts_BNT[..., None, :]
    seen = same & jnp.tri(len(mask_TB), dtype=bool)[None, None]
    Γ = jnp.exp(jnp.where(seen, F[..., None] - F[..., None, :], NEVER))
    carried = jnp.where(texts_BNT > 0, 0, jnp.exp(F))[..., None]
    k_turned = k.swapaxes(-1, -2)
    system = β * Γ * (k @ k_turned)  # what is below its diagonal counts
    given = β * (v - carried * (k @ S))
    u = unit_lower_inverse(system) @ given
    seen_out = (Γ * (q @ k_turned)) @ u + carried * (q @ S)
    written = (k_turned * Γ[..., -1:, :]) @ u
    return carried[..., -1:, :] * S + written, jnp.moveaxis(seen_out, 2, 0)


def gated_delta_net(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    heads: int = 4,
    most: float = 1.0,
    name: str = "gated_delta_net",
) -> Cell:
    """The equations above. most: β_max. `heads` as in lm.cells.heads."""
    heads = heads_of(hidden, heads)
    width = hidden // heads
    G = 4 * hidden + 2 * heads

    def init_params(key, d_in):
        key_x, key_a = jax.random.split(key)
        params = {"w_x": draw(key_x, (d_in, G), init), "gain": jnp.ones(width)}
        params |= first_numbers(key_a, heads)
        return params | {"b": jnp.zeros(G)} if bias else params

    def readout(params, zs_TBG, states):
        at = pieces(params, zs_TBG, most)
        return put_out(params, at, read(at.q, states.S))

    def stretched(params, zs_TBG, state, reset_TB, mask_TB):
        at = pieces(params, zs_TBG, most)
        S, seen = stretch(at, state.S, reset_TB, mask_TB)
        return MatrixState(S), put_out(params, at, seen)

    def gates(params, state, z):
        at = pieces(params, z, most)
        full = {"keep": at.α, "write": at.β / most}
        return {n: jnp.repeat(gate, width, axis=-1) for n, gate in full.items()}

    return linear(
        name,
        hidden,
        init=init_params,
        initial_state=matrix_zeros(heads, width, width),
        project=affine,
        coefficients=lambda params, zs: transition(pieces(params, zs, most)),
        product=MATRICES,
        step=lambda params, state, z: overwritten(pieces(params, z, most), state.S),
        readout=readout,
        stretch=stretched,
        gates=gates,
        retention="keep",
    )


def gated_delta_net_negative(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """β ≤ 2: eigenvalues from −1 to 1."""
    name = "gated_delta_net_negative"
    return gated_delta_net(hidden, init, bias, most=2.0, name=name)
