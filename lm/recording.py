"""A driver that keeps what every step saw, for instruments and regularizers."""

from typing import NamedTuple

import jax
from jax import lax

from lm.types import Array, Context, Params, State
from lm.unroll import Driver, one_step, restart


class Recorded(NamedTuple):
    """One cell over a window, in the order of its inputs.

    before, after  the states around each step, leaves (T, B, …); `before` is what the
                   step starts from, so the initial state where it was reset.
    zs_TBG         the projected inputs.
    """

    before: State
    after: State
    zs_TBG: Array


def recorder(into: dict[str, Recorded], name: str) -> Driver:
    """A driver for `lm.unroll` that puts what it saw into `into[name]`.

    The dict belongs to one trace. Cost beside `scanned`: T·B·(2·N + G) numbers.
    """

    def recording(cell, params, zs, state, fresh, events, reverse):
        def body(old, at):
            new = one_step(cell, params, fresh, old, *at)
            return new, (restart(at[1].reset, fresh, old), new, cell.output(new))

        last, (before, after, hs) = lax.scan(body, state, (zs, events), reverse=reverse)
        into[name] = Recorded(before, after, zs)
        return last, hs

    return recording


def record(apply, params: Params, xs, state: State, context=Context()):
    """What `apply` (a layer's) does with these inputs: {part's name: Recorded}.

    Cost: a forward pass, and T·B·(2·N + G) numbers a part.
    """
    recorded: dict[str, Recorded] = {}
    apply(params, xs, state, context._replace(recorded=recorded))
    return recorded


def is_of_cells(recorded: dict[str, Recorded], state: State) -> bool:
    """Whether all of a layer's state is that of its parts, in their order."""
    before = [part.before for part in recorded.values()]
    shapes = [leaf.shape[1:] for leaf in jax.tree.leaves(before)]
    return shapes == [leaf.shape for leaf in jax.tree.leaves(state)]


def state_of(recorded: dict[str, Recorded], state: State) -> State:
    """The states before each step as one tree of the layer's own structure.

    Leaves (T, B, …). Only where `is_of_cells`.
    """
    before = [part.before for part in recorded.values()]
    return jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(before))
