"""The Elman network: h_t = φ(x_t·W_x + h_{t−1}·W_h + b).

Elman 1990, "Finding structure in time". With φ = tanh and no bias it is the
tutorial's s_t = tanh(U x_t + W s_{t−1}). With φ = ReLU and W_h = I at the start it
is the IRNN of Le, Jaitly & Hinton 2015, equation 1. With φ = tanh and W_h orthogonal
at the start it is `orthogonal` (Henaff, Szlam & LeCun 2016; nothing keeps it so, as in
`exprnn`): all singular values are 1, so that the products of them are.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import draw_gates, factored, zeros
from lm.config import InitConfig
from lm.types import Array, Cell


class ElmanState(NamedTuple):
    """h (B, H)."""

    h: Array


def tanh_slope(h: Array) -> Array:
    """tanh′ where tanh is h."""
    return 1 - h * h


def relu_slope(h: Array) -> Array:
    """ReLU′ where ReLU is h."""
    return (h > 0).astype(h.dtype)


def elman(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    φ=jnp.tanh,
    slope=tanh_slope,
    name="tanh",
) -> Cell:
    """h = φ(x·W_x + b + h·W_h). One block: G = H.

    slope: φ′ as a function of φ's value.
    """

    def pointwise(params, x_BG, h_BG, state):
        return ElmanState(h=φ(x_BG + h_BG))

    def gates(params, x_BG, h_BG, state):
        return {"slope": slope(φ(x_BG + h_BG))}

    return factored(
        name,
        hidden,
        init=lambda key, d_in: draw_gates(key, d_in, hidden, 1, init, bias),
        initial_state=zeros(ElmanState, 1, hidden),
        pointwise=pointwise,
        gates=gates,
        blocks=("candidate",),
    )


def relu(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """Elman with φ = max(·, 0)."""
    return elman(hidden, init, bias, φ=jax.nn.relu, slope=relu_slope, name="relu")


def irnn(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """Elman with φ = max(·, 0), W_h = gain·I and b = 0 at the start."""
    init = replace(init, recurrent="identity")
    return elman(hidden, init, bias, φ=jax.nn.relu, slope=relu_slope, name="irnn")


def orthogonal(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """Elman with φ = tanh, W_h = gain times a random orthogonal matrix at the start."""
    return elman(hidden, replace(init, recurrent="orthogonal"), bias, name="orthogonal")
