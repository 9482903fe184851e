"""Ω, the regularizer that keeps gradients from vanishing (Pascanu, Mikolov & Bengio
2013, equations 9 and 10).

    Ω = Σ_k Ω_k = Σ_k ( ‖∂E/∂x_{k+1} · ∂x_{k+1}/∂x_k‖ / ‖∂E/∂x_{k+1}‖ − 1 )²

asks that the gradient keeps its norm from each step to the one before it. For W_rec
only Ω's *immediate* derivative is taken: x_k, ∂E/∂x_{k+1} and what the step reads of
its input are constants, and W_rec moves ∂x_{k+1}/∂x_k alone.

Here x is the state of the cell, whatever it is: (h, c) of an LSTM as one vector. The
paper's x is the pre-activation of a simple recurrent network; a cell with that state
gets the paper's formula. The authors' published code divides the sum by the number of
steps, and so does training here, that one weight may serve windows of any length (their
ratio is one of squared norms; here it is the paper's).

It costs one backward pass with taps, which is needed anyway for ∂E/∂x, and products
of all steps at once: no loop over time but the one in `unroll`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.config import ConfigError
from lm.lanes import by_lane, rows
from lm.problem import Problem
from lm.recording import Recorded
from lm.types import Array, Cell, Context, Params, Part, State


class Deviation(NamedTuple):
    """Σ (ratio − 1)² over steps, lanes and layers, and how many terms it has."""

    squares: Any
    count: Any

    def mean(self):
        """Ω per step; 0 where no gradient flows at all."""
        return self.squares / jnp.maximum(self.count, 1)


def omega(
    parts: tuple[Part, ...],
    params: Params,
    recorded: dict[str, Recorded],
    δ: dict[str, State],
) -> Deviation:
    """Ω of a window, to be differentiated with respect to `params`.

    recorded  of each part, from `lm.recording`.
    δ         ∂E/∂state_t of each part, leaves (T, B, …): gradients of taps.
    """
    found = [
        part_omega(part.cell, part.of(params), recorded[part.name], δ[part.name])
        for part in parts
    ]
    squares, counts = zip(*found, strict=True)
    return Deviation(sum(squares), sum(counts))


def part_omega(cell: Cell, params: Params, path: Recorded, δ: State) -> Deviation:
    """Ω of one cell, over the steps k = 0 … T−2 and all lanes.

    Steps and lanes become lanes of one step: a vector-Jacobian product with all of
    them at once gives every δ_{k+1}·∂x_{k+1}/∂x_k. Its gradient reaches the leaves
    that `cell.recurrent` names and no others. Where δ_{k+1} is 0 there is no ratio.
    """
    path, δ = lax.stop_gradient((path, δ))

    def lanes(xs: Array) -> Array:
        """(T − 1, B, …) as (N, …), the transitions within the window."""
        return xs.reshape(-1, *xs.shape[2:])

    before = jax.tree.map(lambda s: lanes(s[1:]), path.before)
    after, zs_NG = jax.tree.map(lambda d: lanes(d[1:]), (δ, path.zs_TBG))
    unit, there_N = unit_vectors(after)
    frozen = lax.stop_gradient(params)
    free = frozen | {name: params[name] for name in cell.recurrent}
    _, pull = jax.vjp(lambda state: cell.step(free, state, zs_NG), before)
    ratio_N = norm(pull(unit)[0])
    squares = jnp.sum(jnp.where(there_N, jnp.square(ratio_N - 1), 0))
    return Deviation(squares, jnp.sum(there_N.astype(squares.dtype)))


def norm(state: State) -> Array:
    """Euclidean norms over all leaves (N, …): (N,), with gradient 0 at 0."""
    squares_N = sum(jnp.sum(jnp.square(rows(x)), 1) for x in jax.tree.leaves(state))
    zero_N = squares_N == 0
    return jnp.where(zero_N, 0, jnp.sqrt(jnp.where(zero_N, 1, squares_N)))


def unit_vectors(state: State) -> tuple[State, Array]:
    """Each lane's vector over its norm, and which lanes had any; 0 stays 0.

    First divided by the largest entry: the squares of a gradient that is vanishing
    would be 0 in float32 long before it is itself.
    """
    leaves = jax.tree.leaves(state)
    largest_N = jnp.max(jnp.stack([jnp.max(jnp.abs(rows(x)), 1) for x in leaves]), 0)
    there_N = largest_N > jnp.finfo(largest_N.dtype).tiny
    scale_N = jnp.where(there_N, largest_N, 1)
    scaled = jax.tree.map(lambda x: x / by_lane(scale_N, x), state)
    length_N = jnp.where(there_N, norm(scaled), 1)
    return jax.tree.map(lambda x: x / by_lane(length_N, x), scaled), there_N


def gradient_with_omega(problem: Problem, loss, weight: float):
    """gradient(params, carry, batch, key, rates) -> (∂E + weight·∂⁺Ω, loss's aux).

    loss  as `lm.train.make_loss` gives it: (params, carry, batch, key, rates, context)
          -> (E, aux).

    Raises:
      ConfigError: for a network that reads from the right.
    """
    if any(part.reverse for part in problem.parts):
        raise ConfigError(
            f"optim.omega is {weight}: Ω follows the gradient from each step to the "
            "one before, and this network reads from the right as well; set it to 0"
        )

    def gradient(params, carry, batch, *rest):
        def recorded(params, taps):
            kept: dict[str, Recorded] = {}
            value, aux = loss(
                params, carry, batch, *rest, Context(taps=taps, recorded=kept)
            )
            return value, (aux, kept)

        both = jax.grad(recorded, argnums=(0, 1), has_aux=True)
        (raw, δ), (aux, kept) = both(params, problem.taps(params, batch))
        extra = jax.grad(lambda p: omega(problem.parts, p, kept, δ).mean())(params)
        return jax.tree.map(lambda g, e: g + weight * e, raw, extra), aux

    return gradient
