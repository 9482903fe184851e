"""Cells whose recurrent matrix stays orthogonal while it is trained.

    h' = modrelu(x·W_x + h·B),        modrelu(z) = sign(z) ⊙ max(|z| + t, 0)

with B made of a skew-symmetric A = triu(a, 1) − triu(a, 1)ᵀ:

    B = exp(A)                       Lezcano-Casado & Martínez-Rubio 2019, "Cheap
                                     orthogonal constraints in neural networks"
                                     (`exprnn`)
    B = (I + A)⁻¹·(I − A)·D          Helfrich, Willmott & Ye 2018, "Orthogonal recurrent
                                     neural networks with scaled Cayley transform"
                                     (`scornn`); D is diagonal and fixed,
                                     −1 in the first half, 1 in the rest

A starts as 2×2 blocks on its diagonal: angles ~ U(−π, π) for exp (Henaff's); for
Cayley −√((1 − cos u)/(1 + cos u)), u ~ U(0, π/2). t ~ U(−.01, .01) is the cell's only
vector; it belongs to φ, and stays without biases. `orthogonal` (`lm.cells.elman`) is
orthogonal at the start alone.

Factored: B is computed once, before the loop. a learns at a tenth of the others' rate,
as the authors have it. Their claim: copying over 1,000 steps and more, where an LSTM
stays at what can be had without a memory.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lm.cells.elman import ElmanState
from lm.cells.forms import draw, factored, row, zeros
from lm.config import InitConfig
from lm.types import Array, Cell


def skew(a_HH: Array) -> Array:
    """triu(a, 1) − triu(a, 1)ᵀ."""
    upper = jnp.triu(a_HH, 1)
    return upper - upper.T


def blocks_of(angles: Array, hidden: int) -> Array:
    """An (H, H) matrix with the H // 2 angles at [0, 1], [2, 3], …"""
    first = 2 * jnp.arange(hidden // 2)
    return jnp.zeros((hidden, hidden)).at[first, first + 1].set(angles)


def henaff(key: Array, hidden: int) -> Array:
    """Rotations by angles ~ U(−π, π), as a."""
    angles = jax.random.uniform(key, (hidden // 2,), minval=-jnp.pi, maxval=jnp.pi)
    return blocks_of(angles, hidden)


def cayley(key: Array, hidden: int) -> Array:
    """−tan(u/2), u ~ U(0, π/2), as a."""
    u = jax.random.uniform(key, (hidden // 2,), maxval=jnp.pi / 2)
    return blocks_of(-jnp.tan(u / 2), hidden)


def exponential(A_HH: Array) -> Array:
    """exp(A)."""
    return jax.scipy.linalg.expm(A_HH)


def scaled_cayley(A_HH: Array) -> Array:
    """(I + A)⁻¹·(I − A)·D."""
    identity, n = jnp.eye(len(A_HH), dtype=A_HH.dtype), len(A_HH)
    signs = jnp.where(jnp.arange(n) < n // 2, -1, 1).astype(A_HH.dtype)
    return jnp.linalg.solve(identity + A_HH, identity - A_HH) * row(signs)


def modrelu(z: Array, t: Array) -> Array:
    """sign(z) ⊙ max(|z| + t, 0) of z (B, H) and t (H,)."""
    return jnp.sign(z) * jax.nn.relu(jnp.abs(z) + row(t))


def constrained(
    hidden: int,
    init: InitConfig,
    name: str,
    orthogonal: Callable[[Array], Array],
    start: Callable[[Array, int], Array],
) -> Cell:
    """The first equation above, B = orthogonal(A), a = start(key, H) at first.

    B is computed in float32 at least.
    """

    def init_params(key, d_in):
        key_x, key_a, key_t = jax.random.split(key, 3)
        return {
            "w_x": draw(key_x, (d_in, hidden), init),
            "a": start(key_a, hidden),
            "t": jax.random.uniform(key_t, (hidden,), minval=-0.01, maxval=0.01),
        }

    def w_HG(params):
        a_HH = params["a"]
        narrow = jnp.finfo(a_HH.dtype).bits < 32
        A_HH = skew(a_HH.astype(jnp.float32) if narrow else a_HH)
        return orthogonal(A_HH).astype(a_HH.dtype)

    def gates(params, z_BH, r_BH, state):
        size = jnp.abs(z_BH + r_BH) + row(params["t"])
        return {"slope": (size > 0).astype(size.dtype)}

    return factored(
        name,
        hidden,
        init=init_params,
        initial_state=zeros(ElmanState, 1, hidden),
        w_HG=w_HG,
        pointwise=lambda params, z, r, state: ElmanState(modrelu(z + r, params["t"])),
        gates=gates,
        blocks=("candidate",),
        recurrent=(),
        rates={"a": 0.1},
    )


def exprnn(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """B = exp(A). `bias` changes nothing, and `init` is of W_x alone."""
    return constrained(hidden, init, "exprnn", exponential, henaff)


def scornn(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """B = (I + A)⁻¹·(I − A)·D. `bias` changes nothing, and `init` is of W_x alone."""
    return constrained(hidden, init, "scornn", scaled_cayley, cayley)
