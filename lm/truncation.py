"""Truncated BPTT as the tutorial's Part 3 has it: at most τ steps back per token.

Cutting the text into windows truncates unevenly: the first token of a window flows
back nowhere, the last through all of it. Here every ∂ℓ_t/∂W takes exactly the terms
∂ℓ_t/∂h_t · ∂h_t/∂h_k · ∂⁺h_k/∂W with k ≥ t − τ, as in Britz 2015, and Williams &
Peng 1990, BPTT(h).
"""

import jax
import jax.numpy as jnp
from jax import lax

from lm.types import Array, Params, State


def states_before(model, params: Params, inputs_TB: Array, state: State) -> State:
    """The states before each step, leaves (T, B, H), and after the last."""
    layers = []

    def recording(cell, params, zs, state, fresh, events, reverse):
        def body(state, z):
            after = cell.step(params, state, z)
            return after, (state, cell.output(after))

        after, (before, hs) = lax.scan(body, state, zs)
        layers.append(before)
        return after, hs

    after, _ = model.apply(params, inputs_TB, state, driver=recording)
    return tuple(layers), after


def truncated_apply(
    model, params: Params, inputs_TB: Array, state: State, τ: int
) -> tuple[State, Array]:
    """`model.apply` whose hs_TBH keep only τ recurrent steps of gradient.

    The states are found by one pass that no gradient sees; then each position
    becomes a lane of its own that starts τ steps earlier and is unrolled to here,
    so the whole costs τ + 1 steps of T·B lanes. With τ ≥ T − 1 the gradient is the
    full one. There is no dropout here: its two passes would draw different masks.
    """
    inputs_TB = jnp.asarray(inputs_TB)
    T, B = inputs_TB.shape[:2]
    τ = min(τ, T - 1)
    before, after = states_before(model, *lax.stop_gradient((params, inputs_TB, state)))
    begin = jnp.maximum(jnp.arange(T) - τ, 0)
    lanes = jax.tree.map(lambda s: s[begin].reshape(T * B, -1), before)
    at = jnp.arange(τ + 1)[:, None] + jnp.arange(T)[None, :] - τ
    windows = inputs_TB[jnp.maximum(at, 0)].reshape(τ + 1, T * B, *inputs_TB.shape[2:])
    mask = jnp.repeat(at >= 0, B, axis=1)
    _, hs = model.apply(params, windows, lax.stop_gradient(lanes), mask_TB=mask)
    return after, hs[-1].reshape(T, B, -1)
