"""Linear recurrences, h_t = a_t∘h_{t−1} + b_t: what ∘ may be, and who takes the steps.

    ELEMENTWISE  a ⊙ h, leaf by leaf: what a cell without a `product` means
    COMPLEX      (a + i·a′)·(h + i·h′), for states of two leaves, real and imaginary
    MATRICES     a·h, for leaves (B, …, K, N): a is (…, K, K)

`sequential` takes one step after another, `associated` all at once, in O(log T) turns
(Blelloch 1990, section 1.4.1). Both are drivers of `lm.unroll`.
"""

from collections.abc import Callable
from typing import Any

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


# What ∘ is, by the names of the table below.
PRODUCTS = {"elementwise": ELEMENTWISE, "complex": COMPLEX, "matrices": MATRICES}
AT_ONCE_FROM: dict[str, dict[str, int]] = {"cpu": {}}
"""{device: {what ∘ is: the least T from which on `associated` took less time than one
step after another}}, as measured by experiments/benchmark, `parallel`; a test holds it
to the rows. A device or a ∘ that is not here goes step by step: it was not measured, or
was slower at once for every T from 64 to 16,384, as all are on CPUs."""


def at_once(product: Product | None, steps: int, device: str) -> bool:
    """Whether `associated` is the faster one on a device ("cpu", "gpu", "tpu"), by the
    table: the same on every run, since the two differ in their last bits."""
    least = AT_ONCE_FROM.get(device, {})
    return any(
        steps >= least.get(name, steps + 1)
        for name, one in PRODUCTS.items()
        if one is (product or ELEMENTWISE)
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


def coefficients_of(cell, params, zs, state, fresh, events, reverse):
    """(a, b) of every step, events folded in.

    Where a cell reads what a leaf of its state held before the step (`Cell.earlier`),
    that leaf is found for all steps first.
    """
    product = cell.product or ELEMENTWISE
    if cell.earlier is None:
        given = (params, zs)
    else:
        field, put = cell.earlier
        given = (params, zs, before(field, put(zs), state, fresh, events, reverse))
    return with_events(product, cell.coefficients(*given), fresh, events)


def before(field: str, put: Array, state, fresh, events, reverse: bool) -> Array:
    """What the leaf `field` holds before each step, each step putting `put` there."""

    def own(tree) -> Any:
        return None if tree is None else getattr(tree, field)

    events = events._replace(update=own(events.update), taps=own(events.taps))
    start, fresh = own(state), own(fresh)
    at = with_events(ELEMENTWISE, (jnp.zeros_like(put), put), fresh, events)
    after = solved(ELEMENTWISE, *at, start, reverse)
    pieces = (after[1:], start[None]) if reverse else (start[None], after[:-1])
    held = jnp.concatenate(pieces)
    if events.reset is None:
        return held
    return jnp.where(by_lane(events.reset, fresh) > 0, fresh[None], held)


def sequential(cell, params, zs, state, fresh, events, reverse):
    """One step after another; (a, b) of all steps are there before the loop."""
    product = cell.product or ELEMENTWISE

    def body(state, at):
        a, b = at
        state = jax.tree.map(jnp.add, product.times(a, state), b)
        return state, cell.output(state)

    a, b = coefficients_of(cell, params, zs, state, fresh, events, reverse)
    steps = len(jax.tree.leaves(b)[0])
    a = jax.tree.map(lambda a: jnp.broadcast_to(a, (steps, *a.shape[1:])), a)
    return lax.scan(body, state, (a, b), reverse=reverse)


def associated(cell, params, zs, state, fresh, events, reverse):
    """All steps at once."""
    at = coefficients_of(cell, params, zs, state, fresh, events, reverse)
    states = solved(cell.product or ELEMENTWISE, *at, state, reverse)
    last = jax.tree.map(lambda s: s[0 if reverse else -1], states)
    return last, jax.vmap(cell.output)(states)


def solved(product: Product, a: State, b: State, state: State, reverse: bool) -> State:
    """The states after every step, from the one before the first.

    (a, b) after (a′, b′) is (a∘a′, a∘b′ + b), which is associative. Memory: O(T).
    """
    of_steps = over_leaves if product is ELEMENTWISE else over_steps
    a = jax.tree.map(of_steps, a, b)
    first = -1 if reverse else 0
    started = product.times(jax.tree.map(lambda a: a[first], a), state)
    b = jax.tree.map(lambda b, s: b.at[first].add(s), b, started)

    def combine(before, after):
        moved = product.times(after[0], before[1])
        both = product.times(after[0], before[0])
        return both, jax.tree.map(jnp.add, moved, after[1])

    return lax.associative_scan(combine, (a, b), reverse=reverse)[1]


def over_leaves(a: Array, b: Array) -> Array:
    """a in the shape of b."""
    return jnp.broadcast_to(a, b.shape)


def over_steps(a: Array, b: Array) -> Array:
    """a with the steps and lanes of b, whatever it is behind them."""
    return jnp.broadcast_to(a, (*b.shape[:2], *a.shape[2:]))
