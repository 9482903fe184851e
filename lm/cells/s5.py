"""S5: a diagonal state space model in continuous time, discretised by a learnt step.

    λ = −e^ρ + i·ω                 Δ = e^δ
    λ̄ = exp(λ·Δ)                   B̄ = (λ̄ − 1)/λ · B       (zero-order hold)
    s_t = λ̄ ⊙ s_{t−1} + x_t·B̄     (complex)
    h_t = 2·Re(s_t·C) + x_t·D

Smith, Warrington & Linderman 2023, "Simplified state space layers for sequence
modeling", equations 2, 3 and 6. The N = H complex states stand for 2H in conjugate
pairs, hence the 2. D is a matrix here (a diagonal there, which needs D = H), and what
follows in their layer, GELU and a gate, is a layer's. Beside `lru`: decay and input are
tied by Δ, and λ starts at what HiPPO says. Linear, diagonal, complex; `keep` is |λ̄|.

Initialisation of the authors: λ the eigenvalues of the normal part of HiPPO-LegS, the H
of positive imaginary part (real part −½); Δ log-uniform in [.001, .1], one a state; B
and C, there multiplied by the eigenvectors, have the distribution of complex normal
numbers, variance 1/D and 1/(2H), which is drawn here. Re λ is kept negative by e^ρ (one
of their options). λ, Δ and B learn at a quarter of the rate in their code; `rates` has
it for λ and Δ. Claim: one system of many inputs does what S4's many single ones do.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm.cells.forms import log_uniform
from lm.cells.lru import (
    ComplexState,
    complex_diagonal,
    complex_normal,
    in_every_step,
    polar,
)
from lm.config import InitConfig
from lm.linear import complex_times
from lm.types import Cell

SHORTEST, LONGEST = 0.001, 0.1  # Δ at the start


def hippo_frequencies(states: int) -> np.ndarray:
    """ω of the normal part of HiPPO-LegS of 2·states: the positive ones, rising.

    A_nk = −√(2n+1)·√(2k+1) below the diagonal, −(n+1) on it; A + P·Pᵀ with
    P_n = √(n+½) is −½ and a skew-symmetric matrix, whose eigenvalues are ±i·ω (Gu,
    Goel, Gupta & Ré 2022, "On the parameterization and initialization of diagonal state
    space models", appendix A).
    """
    root = np.sqrt(2.0 * np.arange(2 * states) + 1)
    skew = np.tril(-0.5 * np.outer(root, root), -1)
    return np.linalg.eigvalsh(1j * (skew - skew.T))[states:]


class Discrete(NamedTuple):
    """λ̄ and (λ̄ − 1)/λ, each (H,) complex."""

    decay: ComplexState
    weight: ComplexState


def discretised(params) -> Discrete:
    """Zero-order hold: what λ and Δ make of one step."""
    real, Δ = -jnp.exp(params["rho"]), jnp.exp(params["delta"])
    decay = polar(jnp.exp(real * Δ), params["omega"] * Δ)
    square = real * real + params["omega"] * params["omega"]
    inverse = ComplexState(real / square, -params["omega"] / square)
    moved = ComplexState(decay.re - 1, decay.im)
    return Discrete(decay, complex_times(moved, inverse))


def coefficients(params, zs_TBG):
    """(λ̄, x·B̄) of every step."""
    re, im, _ = jnp.split(zs_TBG, 3, axis=-1)
    a, weight = jax.tree.map(lambda x: in_every_step(x, re), discretised(params))
    return a, complex_times(weight, ComplexState(re, im))


def s5(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The equations above; `bias` is one on h. The 2 of the conjugates is in C. zs are
    packed x·B_re, x·B_im, x·D."""

    def init_params(key, d_in):
        keys = jax.random.split(key, 4)
        c_re, c_im = complex_normal(keys[1], (hidden, hidden))
        skip = jax.random.normal(keys[2], (d_in, hidden)) / math.sqrt(d_in)
        params = {
            "w_x": jnp.concatenate([*complex_normal(keys[0], (d_in, hidden)), skip], 1),
            "rho": jnp.full(hidden, math.log(0.5)),
            "omega": jnp.asarray(hippo_frequencies(hidden), jnp.float32),
            "delta": log_uniform(keys[3], hidden, SHORTEST, LONGEST),
            "c_re": math.sqrt(2) * c_re,
            "c_im": math.sqrt(2) * c_im,
        }
        return params | {"b": jnp.zeros(hidden)} if bias else params

    def radius(params):
        return jnp.exp(-jnp.exp(params["rho"] + params["delta"]))

    slow = ("rho", "omega", "delta")
    return complex_diagonal("s5", hidden, init_params, coefficients, radius, slow)
