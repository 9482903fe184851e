"""Cells from elsewhere: any step function, any Flax cell; and ours inside Flax.

    cell_of        a plain function (params, state, x_BD) -> state as a `Cell`
    cell_of_flax   a Flax cell, linen or nnx, as a `Cell`
    flax_cell      a `Cell` as an nnx cell, for `nnx.RNN`

What comes out is a cell like any other: `build(config, vocabulary, cell)` of
`lm.models.language_model` trains it, and every instrument of `lm.gradflow` measures it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx, traverse_util

from lm.config import ConfigError
from lm.types import Array, Cell, Params, State
from lm.unroll import one_output


def no_params(key: Array, d_in: int) -> Params:
    """The parameters of a step function that has none."""
    return {}


def h_of(state: State) -> Array:
    """A state's field h, or the state itself where it is one array."""
    return state if isinstance(state, jax.Array) else state.h


def cell_of(
    step: Callable[[Params, State, Array], State],
    initial_state: Callable[[Params, int], State] | None = None,
    *,
    d_hidden: int,
    init: Callable[[Array, int], Params] = no_params,
    output: Callable[[State], Array] = h_of,
    project: Callable[[Params, Array], Array] | None = None,
    gates: Callable[[Params, State, Array], dict[str, Array]] | None = None,
    recurrent: tuple[str, ...] = (),
    name: str = "own",
) -> Cell:
    """The cell whose step is `step`: (params, state, x_BD) -> state, leaves (B, ·).

    initial_state  (params, batch) -> state; by default one array of zeros, (B, H).
    d_hidden       H, the width of `output(state)`.
    init           (key, d_in) -> params; by default there are none.
    project        what can be done to all inputs at once, before the loop over time;
                   `step` gets its result for x. By default x itself, and then word
                   ids cannot be read without an embedding.
    gates, recurrent, name   as in `lm.types.Cell`.
    """

    def zeros(params: Params, batch: int) -> Array:
        return jnp.zeros((batch, d_hidden))

    return Cell(
        name=name,
        d_hidden=d_hidden,
        init=init,
        initial_state=initial_state or zeros,
        project=project or features_only(name),
        step=step,
        output=output,
        recurrent=recurrent,
        gates=gates,
    )


def features_only(name: str) -> Callable[[Params, Array], Array]:
    """A `project` that hands x on, and refuses word ids."""

    def project(params: Params, xs: Array) -> Array:
        if jnp.issubdtype(xs.dtype, jnp.integer):
            raise ConfigError(
                f"cell {name!r} reads vectors, not word ids: set model.embedding above "
                "0, or give cell_of a `project` that reads both"
            )
        return xs

    return project


def cell_of_flax(module: Any, recurrent: tuple[str, ...] | None = None) -> Cell:
    """A Flax cell as a `Cell`; the same numbers as Flax's own run of it.

    module     a linen cell, linen.LSTMCell(features=64); an nnx cell, or better a
               function that makes one, lambda d_in, rngs: nnx.LSTMCell(d_in, 64,
               rngs=rngs), since an nnx cell is tied to one width of input and starts
               every layer of a stack from its own weights.
    recurrent  names of the parameters that multiply the state ("hf.kernel"); by
               default those that Flax's own cells call so.

    Parameters are a flat dict of Flax's names. The state is Flax's carry; where Flax's
    output is no part of the carry, the pair (carry, output).
    """
    run = _linen(module) if isinstance(module, linen.Module) else _nnx(module)
    init, call, carry_of, name, d_in = run
    carry = jax.eval_shape(lambda: carry_of(1))
    params = jax.eval_shape(lambda: init(jax.random.key(0), d_in))
    x = jax.ShapeDtypeStruct((1, d_in), jnp.float32)
    traced, (_, y) = jax.make_jaxpr(call, return_shape=True)(params, carry, x)
    *carried, out = traced.jaxpr.outvars
    place = next((n for n, leaf in enumerate(carried) if leaf is out), None)

    def initial_state(params: Params, batch: int) -> State:
        carry = carry_of(batch)
        return carry if place is not None else (carry, jnp.zeros((batch, y.shape[1])))

    def step(params: Params, state: State, x: Array) -> State:
        if place is None:
            return call(params, state[0], x)
        return call(params, state, x)[0]

    def output(state: State) -> Array:
        return state[1] if place is None else jax.tree.leaves(state)[place]

    square = [n for n, p in params.items() if p.ndim == 2 and len(p) == y.shape[1]]
    by_name = tuple(n for n in square if n[0] == "h" or n == "dense_h.kernel")
    return cell_of(
        step,
        initial_state,
        d_hidden=y.shape[1],
        init=init,
        output=output,
        recurrent=by_name if recurrent is None else recurrent,
        name=name,
    )


def _linen(module: Any):
    """(init, call, carry_of, name, a width that it reads) of a linen cell."""

    def carry_of(batch: int) -> State:
        return module.initialize_carry(jax.random.key(0), (batch, 1))

    def init(key: Array, d_in: int) -> Params:
        variables = module.init(key, carry_of(1), jnp.zeros((1, d_in)))
        _only_parameters(type(module).__name__, set(variables) - {"params"})
        return traverse_util.flatten_dict(variables["params"], sep=".")

    def call(params: Params, carry: State, x: Array) -> tuple[State, Array]:
        nested = traverse_util.unflatten_dict(params, sep=".")
        return module.apply({"params": nested}, carry, x)

    return init, call, carry_of, type(module).__name__, 1


def _nnx(made: Any):
    """The same of an nnx cell, or of what makes one."""
    single = isinstance(made, nnx.Module)
    width = getattr(made, "in_features", 1)

    def make(d_in: int, key: Array) -> Any:
        if single and d_in != width:
            raise ConfigError(
                f"Flax cell {type(made).__name__} reads vectors of {width} numbers but "
                f"gets {d_in}: hand in a function (d_in, rngs) that makes the cell"
            )
        return made if single else made(d_in, rngs=nnx.Rngs(key))

    def split(module: Any):
        graph, params, rest = nnx.split(module, nnx.Param, ...)
        _only_parameters(type(module).__name__, jax.tree.leaves(rest))
        named = {".".join(map(str, p)): (p, v) for p, v in nnx.to_flat_state(params)}
        return graph, named, rest

    def init(key: Array, d_in: int) -> Params:
        return {name: v[...] for name, (_, v) in split(make(d_in, key))[1].items()}

    def call(params: Params, carry: State, x: Array) -> tuple[State, Array]:
        key = jax.random.key(0)
        like = nnx.eval_shape(lambda: make(x.shape[-1], key))
        graph, named, rest = split(like)
        flat = [(path, v.replace(params[name])) for name, (path, v) in named.items()]
        return nnx.merge(graph, nnx.from_flat_state(flat), rest)(carry, x)

    def carry_of(batch: int) -> State:
        return first.initialize_carry((batch, width), nnx.Rngs(0))

    first = make(width, jax.random.key(0))
    return init, call, carry_of, type(first).__name__, width


def _only_parameters(name: str, others) -> None:
    """Raises ConfigError if a Flax module holds more than parameters."""
    if others:
        raise ConfigError(
            f"Flax cell {name} holds state that is no parameter ({others}): only cells "
            "that are functions of (parameters, carry, input) can be run here"
        )


class FlaxCell(nnx.RNNCellBase):
    """A `Cell` with its parameters, as Flax's `nnx.RNN` wants one."""

    def __init__(self, cell: Cell, params: Params):
        leaves, self.treedef = jax.tree.flatten(params)
        self.leaves = nnx.List([nnx.Param(leaf) for leaf in leaves])
        self.cell = nnx.static(cell)

    @property
    def params(self) -> Params:
        """The parameters as the cell knows them."""
        return jax.tree.unflatten(self.treedef, [leaf[...] for leaf in self.leaves])

    def __call__(self, carry: State, inputs: Array) -> tuple[State, Array]:  # type: ignore[override]
        cell, params = self.cell, self.params
        z = cell.project(params, inputs)
        carry = cell.step(params, carry, z)
        return carry, one_output(cell, params, z, carry)

    def initialize_carry(self, input_shape, rngs=None) -> State:  # type: ignore[override]
        return self.cell.initial_state(self.params, input_shape[0])

    @property
    def num_feature_axes(self) -> int:
        return 1


def flax_cell(cell: Cell, params: Params) -> FlaxCell:
    """`cell` as an nnx cell: nnx.RNN(flax_cell(cell, params), time_major=True)."""
    return FlaxCell(cell, params)
