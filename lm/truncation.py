"""Truncated BPTT as the tutorial's Part 3 has it: at most τ steps back per token.

Cutting the text into windows truncates unevenly: the first token of a window flows
back nowhere, the last through all of it. Here every ∂ℓ_t/∂W takes exactly the terms
∂ℓ_t/∂h_t · ∂h_t/∂h_k · ∂⁺h_k/∂W with k ≥ t − τ, as in Britz 2015, and Williams &
Peng 1990, BPTT(h).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lm.config import ConfigError
from lm.recording import Recorded, is_of_cells, state_of
from lm.types import Context, Indexed, Layer, Params, State
from lm.words import over_time


def states_before(
    layer: Layer, params: Params, xs: Any, state: State
) -> tuple[State, State]:
    """The layer's states before each step, leaves (T, B, …), and after the last.

    A layer that carries more than its cells' states (queues, clocks, what it has seen)
    is taken step by step.
    """
    recorded: dict[str, Recorded] = {}
    after, _ = layer.apply(params, xs, state, Context(recorded=recorded))
    if is_of_cells(recorded, state):
        return state_of(recorded, state), after
    assert layer.step is not None
    step = layer.step

    def body(state: State, rows: Any) -> tuple[State, State]:
        x = over_time(lambda _: rows, xs)
        return step(params, state, x)[0], state

    rows = xs.ids_TB if isinstance(xs, Indexed) else jnp.asarray(xs)
    after, before = lax.scan(body, state, rows)
    return before, after


def truncated(layer: Layer, τ: int) -> Layer:
    """The layer, its outputs keeping only τ recurrent steps of gradient.

    The states are found by one pass that no gradient sees; then each position
    becomes a lane of its own that starts τ steps earlier and is unrolled to here,
    so the whole costs τ + 1 steps of T·B lanes. With τ ≥ T − 1 the gradient is the
    full one. Only for layers that have a step, and for nothing in the context: a
    dropout's two passes would draw different masks.

    Raises:
      ConfigError: for a layer that reads from the right.
    """
    if layer.step is None:
        raise ConfigError(
            f"optim.truncation is {τ}: a network that reads from the right has no "
            "steps back to count; set it to 0"
        )

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        ids_or_rows = xs.ids_TB if isinstance(xs, Indexed) else xs
        T, B = ids_or_rows.shape[:2]
        steps = min(τ, T - 1)
        before, after = states_before(layer, *lax.stop_gradient((params, xs, state)))
        begin = jnp.maximum(jnp.arange(T) - steps, 0)
        lanes = jax.tree.map(lambda s: s[begin].reshape(T * B, *s.shape[2:]), before)
        at = jnp.arange(steps + 1)[:, None] + jnp.arange(T)[None, :] - steps

        def window(xs):
            xs = jnp.asarray(xs)
            cut = xs[jnp.maximum(at, 0)]
            return cut.reshape(steps + 1, T * B, *xs.shape[2:])

        windows = over_time(window, xs)
        mask = jnp.repeat(at >= 0, B, axis=1)
        inner = Context(mask_TB=mask, name=context.name)
        _, ys = layer.apply(params, windows, lax.stop_gradient(lanes), inner)
        return after, ys[-1].reshape(T, B, -1)

    return layer._replace(apply=apply)
