"""A clockwork: groups of units that update at periods of their own.

    group i takes its step where t mod P_i = 0, P = 1, 2, 4, …, and keeps its state
    elsewhere; it reads [x_t, h^j_{t−1} of every slower group j > i]

Koutník, Greff, Gomez & Schmidhuber 2014, "A clockwork RNN", section 3: there the
groups are those of one tanh network, whose recurrent matrix is block upper triangular;
with `tanh` cells this is that network, and here a group may be any cell. Since nobody
slower reads anybody faster, the groups run one after another over the whole sequence,
the slowest first, and no loop over time is needed beside the cells' own.

Beside the groups' states a lane carries its clock, t modulo the longest period. It has
no derivative. What instruments say of a cell's single step (gates, Ω, the Jacobian of a
part) they say of every step, those that a group waits through included.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.cells.heads import heads_of
from lm.config import ConfigError
from lm.lanes import by_lane
from lm.layers import inside
from lm.structure.order import forwards, leading, real_steps
from lm.structure.place import Place
from lm.types import Array, Cell, Context, Indexed, Layer, Params, State
from lm.words import looked_up

GROUPS = 4  # periods 1, 2, 4, 8


class ClockworkState(NamedTuple):
    """groups: their states, the fastest first; clock (B,) float32."""

    groups: tuple[State, ...]
    clock: Array


class Ticks(NamedTuple):
    """Of each step: clock_TB before it, real_TB, reset_TB or None."""

    clock_TB: Array
    real_TB: Array
    reset_TB: Array | None


def shown(cell: Cell) -> Cell:
    """The cell, if its output is read off its state alone; ConfigError if not."""
    if cell.readout is not None:
        raise ConfigError(
            f"a clockwork's groups show their state while they wait, but {cell.name} "
            "shows its own only together with an input: use another cell"
        )
    return cell


def clockwork(groups: tuple[Layer, ...]) -> Layer:
    """Groups around one cell each, the fastest first; group i has period 2ⁱ.

    Raises ConfigError for cells that are not `shown`.
    """
    cells = [shown(layer.parts[0].cell) for layer in groups]
    periods = [2**n for n in range(len(groups))]
    slowest_first = range(len(groups))[::-1]
    widths = [layer.d_out for layer in groups]

    def init(key: Array, d_in: int) -> Params:
        keys = jax.random.split(key, len(groups))
        return tuple(
            layer.init(own, d_in + sum(widths[n + 1 :]))
            for n, (layer, own) in enumerate(zip(groups, keys, strict=True))
        )

    def initial_state(params: Params, batch: int) -> State:
        pairs = zip(groups, params, strict=True)
        begin = tuple(layer.initial_state(own, batch) for layer, own in pairs)
        dtype = jax.tree.leaves(params)[0].dtype
        return ClockworkState(begin, jnp.zeros(batch, dtype))

    @forwards
    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        ticks, clock_B = told(context, state.clock, leading(xs), periods[-1])
        fresh = initial_state(params, len(clock_B)).groups
        read, ys, after = vectors(xs), [], []
        for n in slowest_first:
            here = inside(context, str(n), n)
            here = here._replace(mask_TB=due(ticks, periods[n]))
            new, y = groups[n].apply(params[n], read, state.groups[n], here)
            seen = before(cells[n].output, y, state.groups[n], fresh[n], ticks)
            read = jnp.concatenate([read, seen], axis=-1)
            ys, after = [y, *ys], [new, *after]
        return ClockworkState(tuple(after), clock_B), jnp.concatenate(ys, axis=-1)

    def step(params: Params, state: State, x: Any) -> tuple[State, Array]:
        read, ys, after = vectors(x), [], []
        for n in slowest_first:
            old, on = state.groups[n], state.clock % periods[n] == 0
            new, _ = groups[n].step(params[n], old, read)  # type: ignore[misc]
            new = chosen(on, new, old)
            read = jnp.concatenate([read, cells[n].output(old)], axis=-1)
            ys, after = [cells[n].output(new), *ys], [new, *after]
        clock_B = lax.stop_gradient((state.clock + 1) % periods[-1])
        return ClockworkState(tuple(after), clock_B), jnp.concatenate(ys, axis=-1)

    return Layer(
        d_out=sum(widths),
        init=init,
        initial_state=initial_state,
        apply=apply,
        step=step,
        parts=tuple(
            part.under(str(n), n)
            for n, layer in enumerate(groups)
            for part in layer.parts
        ),
    )


def chosen(on_B: Array, new: State, old: State) -> State:
    """The new state in lanes that are on, the old one elsewhere."""
    return jax.tree.map(lambda n, o: jnp.where(by_lane(on_B, n), n, o), new, old)


def vectors(xs: Any) -> Array:
    """What is read, looked up.

    Raises:
      ConfigError: for ids without a table.
    """
    if not isinstance(xs, Indexed) and jnp.issubdtype(xs.dtype, jnp.integer):
        raise ConfigError(
            "a clockwork reads vectors, and these are ids of one-hot rows: set "
            "model.embedding above 0"
        )
    return looked_up(xs)


def told(
    context: Context, clock_B: Array, shape: tuple[int, int], longest: int
) -> tuple[Ticks, Array]:
    """The clock at each step, and after the last: real steps since the lane began."""
    real_TB = real_steps(context, shape).astype(clock_B.dtype)
    ends_TB = jnp.cumsum(real_TB, axis=0)
    counts_TB = ends_TB - real_TB
    base_TB = jnp.broadcast_to(-clock_B[None], shape)
    if context.reset_TB is not None:
        at_TB = jnp.where(context.reset_TB > 0, counts_TB, -longest)
        base_TB = jnp.maximum(base_TB, lax.cummax(at_TB, axis=0))
    after_B = lax.stop_gradient((ends_TB[-1] - base_TB[-1]) % longest)
    ticks = Ticks((counts_TB - base_TB) % longest, real_TB, context.reset_TB)
    return ticks, after_B


def due(ticks: Ticks, period: int) -> Array:
    """(T, B): 1 where a group of this period takes its step."""
    return jnp.where(ticks.clock_TB % period == 0, ticks.real_TB, 0)


def before(output, ys_TBH: Array, state: State, fresh: State, ticks: Ticks) -> Array:
    """h_{t−1} of every step, from h_t and the state before the first."""
    seen = jnp.concatenate([output(state)[None], ys_TBH[:-1]])
    if ticks.reset_TB is None:
        return seen
    reset_TB1 = ticks.reset_TB[..., None] > 0
    return jnp.where(reset_TB1, output(fresh)[None], seen)


def clockworks(place: Place) -> Layer:
    """Up to 4 groups of cells in a layer that move every 1, 2, 4 and 8 steps; faster
    ones read slower ones (Koutník et al. 2014, around any cell)."""
    groups = heads_of(place.config.hidden, GROUPS)
    layer = clockwork((place.of(place.config.hidden // groups),) * groups)
    return place.drop(place.whole(layer))
