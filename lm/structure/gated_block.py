"""A pre-norm residual block whose cell works in a wider space, beside a gate.

    u = LN(x)      z = silu(conv₄(u·W_u))      y = x + (cell(z) ⊙ silu(u·W_g))·W_d

u·W_u and u·W_g are E = 2·H wide, and so is the cell: Beck et al. 2024, "xLSTM" ("pre
up-projection"), around any cell in place of the mLSTM, whose q, k and v have
projections of their own there. Griffin's recurrent block is `lm.structure.hawk`. conv₄
is causal and unit by unit, Σ_{k<4} w_k ⊙ x_{t−k} + b; its last 3 inputs are carried.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw
from lm.config import InitConfig
from lm.layers import residual
from lm.structure.blocks import at_place
from lm.structure.normed import prenormed
from lm.structure.order import forwards, leading, stepwise
from lm.structure.past import Past, moved_on, none_yet, places_of, visible, with_window
from lm.structure.place import Place
from lm.types import Array, Context, Layer, Params, State

Activation = Callable[[Array], Array]
WIDENED, TAPS = 2, 4


class Gated(NamedTuple):
    """cell: its state; past: the last inputs of the convolution."""

    cell: State
    past: Past


def convolved(params: Params, rows_BPE: Array, seen_BTP: Array) -> Array:
    """Σ_k w_k ⊙ x_{t−k} + b of a window behind its past: (T, B, E)."""
    steps = seen_BTP.shape[1]
    total = jnp.broadcast_to(params["b"][None, None], rows_BPE[:, -steps:].shape)
    for k, w_E in enumerate(params["w"]):
        first = rows_BPE.shape[1] - steps - k
        there_BT = jnp.diagonal(seen_BTP, first, axis1=1, axis2=2)
        x_BTE = jnp.where(there_BT[..., None], rows_BPE[:, first : first + steps], 0)
        total = total + w_E[None, None] * x_BTE
    return jnp.swapaxes(total, 0, 1)


def gated(
    cell: Layer,
    width: int,
    init: InitConfig,
    bias: bool = False,
    behind: Activation = jax.nn.silu,
    gate: Activation = jax.nn.silu,
) -> Layer:
    """(cell(z) ⊙ silu(u·W_g))·W_d of what is read, to `width` units.

    bias          of the three matrices.
    behind, gate  in place of silu behind the convolution and on the gate.
    """
    E = cell.d_out

    def matrix(key: Array, d_in: int, d_out: int) -> Params:
        drawn = {"w_x": draw(key, (d_in, d_out), init)}
        return drawn | ({"b": jnp.zeros(d_out)} if bias else {})

    def init_params(key: Array, d_in: int) -> Params:
        inside, up, lets, conv, down = jax.random.split(key, 5)
        return {
            "layer": cell.init(inside, E),
            "up": matrix(up, d_in, E),
            "gate": matrix(lets, d_in, E),
            "conv": {"w": draw(conv, (TAPS, E), init), "b": jnp.zeros(E)},
            "down": matrix(down, E, width),
        }

    def initial_state(params: Params, batch: int) -> State:
        like = jnp.zeros((batch, E), params["up"]["w_x"].dtype)
        return Gated(
            cell.initial_state(params["layer"], batch), none_yet(like, TAPS - 1)
        )

    @forwards
    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        rows = with_window(state.past, affine(params["up"], xs))
        places = places_of(state.past, context, leading(xs))
        seen = visible(places, TAPS - 1, own=True)
        zs = behind(convolved(params["conv"], rows, seen))
        inner, ys = cell.apply(params["layer"], zs, state.cell, context)
        ys = ys * gate(affine(params["gate"], xs))
        after = Gated(inner, moved_on(rows, places, TAPS - 1))
        return after, affine(params["down"], ys)

    return Layer(
        d_out=width,
        init=init_params,
        initial_state=initial_state,
        apply=apply,
        step=stepwise(apply),
        parts=tuple(part.under("", "layer") for part in cell.parts),
    )


def gated_blocks(place: Place) -> Layer:
    """x + (cell(silu(conv₄(u·W_u))) ⊙ silu(u·W_g))·W_d, u = LN(x), the cell 2·H wide:
    xLSTM's block around an mLSTM."""
    H, init = place.config.hidden, place.config.init
    inside = place.drop(place.whole(gated(place.of(WIDENED * H), H, init)))
    return at_place(place, residual(prenormed(inside)))
