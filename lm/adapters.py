"""Cells from elsewhere: any step function, any Flax cell; and ours inside Flax.

    cell_of        a plain function (params, state, x_BD) -> state as a `Cell`
    cell_of_flax   a Flax cell, linen or nnx, as a `Cell`
    flax_named     the same by its name: what `--model.cell flax:GRUCell` is
    flax_cell      a `Cell` as an nnx cell, for `nnx.RNN`
    flax_layer     a `Layer`, such as a whole language model, as an nnx module

What comes out is a cell like any other: `build(config, vocabulary, cell)` of
`lm.models.language_model` trains it, and every instrument of `lm.gradflow` measures it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx, traverse_util

from lm.cells import FLAX
from lm.config import ConfigError, unknown
from lm.types import Array, Cell, Context, Layer, Params, State
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
    output is no part of the carry, the pair (carry, output). Word ids are read as
    one-hot rows.
    """
    run = _linen(module) if isinstance(module, linen.Module) else _nnx(module)
    init, call, carry_of, name, d_in = run
    width_of = _width_of(init, d_in)
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

    def project(params: Params, xs: Array) -> Array:
        if not jnp.issubdtype(xs.dtype, jnp.integer):
            return xs
        dtype = jax.tree.leaves(params)[0].dtype
        return jax.nn.one_hot(xs, width_of(params), dtype=dtype)

    square = [n for n, p in params.items() if p.ndim == 2 and len(p) == y.shape[1]]
    by_name = tuple(n for n in square if n[0] == "h" or n == "dense_h.kernel")
    return cell_of(
        step,
        initial_state,
        d_hidden=y.shape[1],
        init=init,
        output=output,
        project=project,
        recurrent=by_name if recurrent is None else recurrent,
        name=name,
    )


def flax_cells() -> dict[str, Any]:
    """{name: class} of Flax's cells of vectors: GRUCell is nnx's, or linen's where nnx
    has none of that name; linen.GRUCell is linen's."""

    def cells(library: Any) -> dict[str, Any]:
        base = library.RNNCellBase
        others = (base, linen.ConvLSTMCell)  # which reads pictures
        kinds = (k for k in vars(library).values() if isinstance(k, type))
        return {k.__name__: k for k in kinds if issubclass(k, base) and k not in others}

    older = cells(linen)
    named = {f"linen.{name}": kind for name, kind in older.items()}
    return named | older | cells(nnx)


def flax_named(name: str, hidden: int, bias: bool = True) -> Cell:
    """The cell of Flax's that `flax:NAME` names, H = hidden: what `make_cell` gives.

    Its parameters start as Flax starts them: no `InitConfig` is read.

    Raises:
      ConfigError: where Flax has no such cell, and without biases.
    """
    kinds = flax_cells()
    own = name.removeprefix(FLAX)
    if own not in kinds:
        raise ConfigError(unknown("model.cell", name, (FLAX + one for one in kinds)))
    if not bias:
        raise ConfigError(
            f"model.bias is False, but {name} is a cell with biases: set it to True"
        )
    kind = kinds[own]
    if issubclass(kind, linen.Module):
        cell = cell_of_flax(kind(features=hidden))  # type: ignore[call-arg]
    else:
        cell = cell_of_flax(lambda d_in, rngs: kind(d_in, hidden, rngs=rngs))
    return cell._replace(name=name)


def _width_of(init: Callable[..., Params], d_in: int) -> Callable[[Params], int]:
    """(params) -> D, by a leaf that is wider for wider inputs; `d_in` where none is."""

    def shapes(width: int) -> list[tuple[int, ...]]:
        drawn = jax.eval_shape(lambda: init(jax.random.key(0), width))
        return [leaf.shape for leaf in jax.tree.leaves(drawn)]

    try:
        few, more = shapes(d_in), shapes(d_in + 1)
    except ConfigError:  # tied to one width
        return lambda params: d_in
    for leaf, (a, b) in enumerate(zip(few, more, strict=True)):
        for axis, (low, high) in enumerate(zip(a, b, strict=True)):
            if high > low:
                slope, own = high - low, partial(_axis, leaf, axis)
                return lambda params: d_in + (own(params) - low) // slope
    return lambda params: d_in


def _axis(leaf: int, axis: int, params: Params) -> int:
    return jax.tree.leaves(params)[leaf].shape[axis]


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


class _Held(nnx.Module):
    """Ours inside Flax: parameters by their dotted names, all else as it is.

    params  the parameters as they are known here, also after Flax has trained them.
    """

    def __init__(self, ours: Any, params: Params):
        named, self.treedef = jax.tree_util.tree_flatten_with_path(params)
        keystr = jax.tree_util.keystr
        self.names = tuple(keystr(p, simple=True, separator=".") for p, _ in named)
        leaves = (nnx.Param(jnp.asarray(leaf)) for _, leaf in named)
        self.weights = nnx.Dict(dict(zip(self.names, leaves, strict=True)))
        self.ours = nnx.static(_Same(ours))

    @property
    def params(self) -> Params:
        leaves = [self.weights[name][...] for name in self.names]
        return jax.tree.unflatten(self.treedef, leaves)


class _Same:
    """A record that is equal to itself alone: what Flax asks of what is static."""

    def __init__(self, record: Any):
        self.record = record


class FlaxCell(_Held, nnx.RNNCellBase):
    """A `Cell` with its parameters, as Flax's `nnx.RNN` wants one."""

    def __call__(self, carry: State, inputs: Array) -> tuple[State, Array]:  # type: ignore[override]
        cell, params = self.ours.record, self.params
        z = cell.project(params, inputs)
        carry = cell.step(params, carry, z)
        return carry, one_output(cell, params, z, carry)

    def initialize_carry(self, input_shape, rngs=None) -> State:  # type: ignore[override]
        return self.ours.record.initial_state(self.params, input_shape[0])

    @property
    def num_feature_axes(self) -> int:
        return 1


def flax_cell(cell: Cell, params: Params) -> FlaxCell:
    """`cell` as an nnx cell: nnx.RNN(flax_cell(cell, params), time_major=True)."""
    return FlaxCell(cell, params)


class FlaxLayer(_Held):
    """A `Layer` with its parameters as an nnx module: (xs, state) -> (state, ys)."""

    def __call__(
        self, xs: Any, state: State | None = None, context: Context = Context()
    ) -> tuple[State, Array]:
        """xs time-major, (T, B, D) or ids (T, B); state None: the initial one."""
        layer, params = self.ours.record, self.params
        if state is None:
            state = layer.initial_state(params, xs.shape[1])
        return layer.apply(params, xs, state, context)


def flax_layer(layer: Layer, params: Params) -> FlaxLayer:
    """`layer` as an nnx module, which Flax's optimizers train; `module.params` are its
    parameters again. A whole language model: flax_layer(model.layer, params)(ids_TB)
    gives (state, logits_TBV)."""
    return FlaxLayer(layer, params)
