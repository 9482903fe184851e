"""Linear recurrences, h_t = a_t∘h_{t−1} + b_t: what ∘ may be, and who takes the steps.

    ELEMENTWISE  a ⊙ h, leaf by leaf: what a cell without a `product` means
    COMPLEX      (a + i·a′)·(h + i·h′), for states of two leaves, real and imaginary
    MATRICES     a·h, for leaves (B, …, K, N): a is (…, K, K)

`sequential` takes one step after another, `associated` all at once, in O(log T) turns
(Blelloch 1990, section 1.4.1). Both are drivers of `lm.unroll`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from lm.lanes import by_lane
from lm.types import Array, Product, State


def of_leaves(function: Callable[[Array, Array], Array]):
    """(a, s) -> a∘s for states whose leaves do not meet each other."""
    return lambda a, s: jax.tree.map(function, a, s)


def complex_times(a: State, s: State) -> State:
    """(a + i·a′)·(s + i·s′), pairs of real and imaginary part."""
    (a_re, a_im), (s_re, s_im) = a, s
    return type(s)(a_re * s_re - a_im * s_im, a_re * s_im + a_im * s_re)


def identity(a: Array) -> Array:
    """The unit matrix in the place of each of a (…, K, K)."""
    return jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)


ELEMENTWISE = Product(
    times=of_leaves(lambda a, s: a * s),
    one=lambda a: jax.tree.map(jnp.ones_like, a),
)
COMPLEX = Product(
    times=complex_times,
    one=lambda a: type(a)(jnp.ones_like(a[0]), jnp.zeros_like(a[1])),
)
MATRICES = Product(
    times=of_leaves(lambda a, s: a @ s),
    one=lambda a: jax.tree.map(identity, a),
)


def with_events(product: Product, coefficients: tuple[State, State], fresh, events):
    """(a, b) of every step with what happens to the state folded in.

    Reset r first, then the cell, then mask and zoneout u, then taps:
    h = u·(a∘old + b) + (1 − u)·old + tap with old = (1 − r)·h₋ + r·fresh.

    Raises:
      ValueError: for zoneout where a mixes the units of a state.
    """
    a, b = coefficients
    update = events.update
    if update is not None:
        if product is not ELEMENTWISE and not lane_wise(update):
            raise ValueError(
                "zoneout unit by unit, but the recurrence mixes units: take "
                "driver=lm.unroll.scanned"
            )
        a = jax.tree.map(lambda u, a, i: u * a + (1 - u) * i, update, a, product.one(a))
        b = jax.tree.map(jnp.multiply, update, b)
    if events.reset is not None:
        again = jax.tree.map(lambda s: by_lane(events.reset, s), fresh)
        start = jax.tree.map(lambda r, s: r * s[None], again, fresh)
        b = jax.tree.map(jnp.add, b, product.times(a, start))
        a = jax.tree.map(lambda r, a: (1 - r) * a, again, a)
    if events.taps is not None:
        b = jax.tree.map(jnp.add, b, events.taps)
    return a, b


def lane_wise(update: State) -> bool:
    """Whether the weights (T, B, …), if any, are one number a lane."""
    leaves = jax.tree.leaves(update)
    return all(leaf.size == leaf.shape[0] * leaf.shape[1] for leaf in leaves)


def sequential(cell, params, zs, state, fresh, events, reverse):
    """One step after another; (a, b) of all steps are there before the loop."""
    product = cell.product or ELEMENTWISE

    def body(state, at):
        a, b = at
        state = jax.tree.map(jnp.add, product.times(a, state), b)
        return state, cell.output(state)

    a, b = with_events(product, cell.coefficients(params, zs), fresh, events)
    a = jax.tree.map(lambda a: jnp.broadcast_to(a, (steps_of(b), *a.shape[1:])), a)
    return lax.scan(body, state, (a, b), reverse=reverse)


def associated(cell, params, zs, state, fresh, events, reverse):
    """All steps at once.

    (a, b) after (a′, b′) is (a∘a′, a∘b′ + b), which is associative. Memory: O(T).
    """
    product = cell.product or ELEMENTWISE
    a, b = with_events(product, cell.coefficients(params, zs), fresh, events)
    if product is ELEMENTWISE:
        a = jax.tree.map(lambda a, b: jnp.broadcast_to(a, b.shape), a, b)
    else:
        a = jax.tree.map(lambda a, b: over_steps(a, b), a, b)
    first = -1 if reverse else 0
    started = product.times(jax.tree.map(lambda a: a[first], a), state)
    b = jax.tree.map(lambda b, s: b.at[first].add(s), b, started)

    def combine(before, after):
        moved = product.times(after[0], before[1])
        both = product.times(after[0], before[0])
        return both, jax.tree.map(jnp.add, moved, after[1])

    _, states = lax.associative_scan(combine, (a, b), reverse=reverse)
    last = jax.tree.map(lambda s: s[0 if reverse else -1], states)
    return last, jax.vmap(cell.output)(states)


def steps_of(b: State) -> int:
    """T of b."""
    return len(jax.tree.leaves(b)[0])


def over_steps(a: Array, b: Array) -> Array:
    """a with the steps and lanes of b, whatever it is behind them."""
    return jnp.broadcast_to(a, (*b.shape[:2], *a.shape[2:]))
