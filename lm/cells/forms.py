"""How a cell is put together: the pieces that all cells share.

`linear`, `factored` and `general` build a `Cell` from its most specific recurrent form;
`affine`, `draw` and `draw_recurrent` are the input projection and the initializers.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from lm.config import InitConfig
from lm.lanes import rows
from lm.linear import ELEMENTWISE
from lm.products import matmul
from lm.types import Array, Cell, Params

WIDE = 128  # units from which a cell that computes in halves makes its gates anew


def sigmoid(x: Array) -> Array:
    """σ(x) = ½ + ½·tanh(x/2): the logistic function, for the price of one tanh."""
    return 0.5 + 0.5 * jnp.tanh(0.5 * x)


def squashed(z_BG: Array, by: Sequence[str]) -> list[Array]:
    """The blocks of z, each by "sigmoid" or "tanh": one tanh over all of z.

    XLA:CPU fuses a gate's tanh into the loop that writes a scan's carry, and leaves
    that loop scalar; one whose result is taken apart afterwards is a loop of its own,
    and vectorised. The numbers are the same: σ(x) = ½ + ½·tanh(x/2).
    """
    width = z_BG.shape[-1] // len(by)
    scale = [0.5 if name == "sigmoid" else 1.0 for name in by]
    t_BG = jnp.tanh(z_BG * row(jnp.repeat(jnp.array(scale, z_BG.dtype), width)))
    parts = zip(by, jnp.split(t_BG, len(by), axis=-1), strict=True)
    return [0.5 + 0.5 * t if name == "sigmoid" else t for name, t in parts]


def interpolated(z: Array, one: Array, other: Array) -> Array:
    """z ⊙ one + (1 − z) ⊙ other."""
    return in_halves(lambda z, one, other: z * one + (1 - z) * other, z, one, other)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def in_halves(function: Callable[..., Array], *xs: Array) -> Array:
    """function(*xs), elementwise, by halves of the last axis.

    What two loops read is not made inside of either (see `squashed`): a candidate's
    tanh has a loop of its own here. Derivatives are those of the whole.
    """
    middle = xs[0].shape[-1] // 2
    halves = (x[..., :middle] for x in xs), (x[..., middle:] for x in xs)
    return jnp.concatenate([function(*half) for half in halves], axis=-1)


@in_halves.defjvp
def _(function, primals, tangents):
    return in_halves(function, *primals), jax.jvp(function, primals, tangents)[1]


def affine(params: Params, xs: Array) -> Array:
    """zs = xs·w_x + b for every step at once; integer xs pick rows of w_x.

    A row of w_x by index is the product with a one-hot row, without the product.
    """
    if jnp.issubdtype(xs.dtype, jnp.integer):
        zs = jnp.take(params["w_x"], xs, axis=0, mode="clip")
    else:
        zs = matmul(xs, params["w_x"])
    return biased(zs, params)


def biased(zs: Array, params: Params, name: str = "b") -> Array:
    """zs plus the vector params[name], if there is one."""
    return add_bias(zs, params[name]) if name in params else zs


def add_bias(zs: Array, b: Array) -> Array:
    """zs (…, G) + b (G,), with b's missing axes spelt out."""
    return zs + b.reshape((1,) * (zs.ndim - 1) + b.shape)


def row(v_H: Array) -> Array:
    """A vector (H,) as (1, H), to go with arrays (B, H)."""
    return v_H[None]


def draw(key: Array, shape: tuple[int, int], init: InitConfig) -> Array:
    """A (fan-in, fan-out) float32 matrix by `init.weights` and `init.scale`."""
    fan_in, fan_out = shape
    if init.weights == "normal":
        return init.scale * jax.random.normal(key, shape)
    bound = {
        "fan_in": init.scale / math.sqrt(fan_in),
        "uniform": init.scale,
        "glorot": init.scale * math.sqrt(6 / (fan_in + fan_out)),
    }[init.weights]
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def log_uniform(key: Array, size: int, low: float, high: float) -> Array:
    """ln of `size` numbers between low and high, uniform in their logarithms."""
    low, high = math.log(low), math.log(high)
    return jax.random.uniform(key, (size,), minval=low, maxval=high)


def draw_recurrent(key: Array, hidden: int, gates: int, init: InitConfig) -> Array:
    """An (H, gates·H) recurrent matrix, one block per gate, times `init.gain`."""

    def block(key):
        if init.recurrent == "identity":
            return jnp.eye(hidden)
        if init.recurrent == "orthogonal":
            return jax.random.orthogonal(key, hidden)
        return draw(key, (hidden, hidden), init)

    blocks = [block(k) for k in jax.random.split(key, gates)]
    return init.gain * jnp.concatenate(blocks, axis=1)


def draw_gates(
    key: Array, d_in: int, hidden: int, gates: int, init: InitConfig, bias: bool
) -> dict[str, Array]:
    """{w_x (D, gates·H), w_h (H, gates·H), b (gates·H,)}; no b without bias."""
    key_x, key_h = jax.random.split(key)
    params = {
        "w_x": draw(key_x, (d_in, gates * hidden), init),
        "w_h": draw_recurrent(key_h, hidden, gates, init),
    }
    return params | {"b": jnp.zeros(gates * hidden)} if bias else params


def zeros(State: Callable[..., Any], fields: int, hidden: int):
    """initial_state for a state of `fields` zero arrays of shape (B, H)."""

    def initial_state(params: Params, batch: int):
        dtype = jax.tree.leaves(params)[0].dtype
        return State(*(jnp.zeros((batch, hidden), dtype) for _ in range(fields)))

    return initial_state


def hidden_of(state) -> Array:
    """output(state) of every cell whose state has a field h, or is one array."""
    return state if isinstance(state, jax.Array) else state.h


def whole_of(state) -> Array:
    """output(state) of a cell with a readout: all of the state in one row a lane."""
    return jnp.concatenate([rows(leaf) for leaf in jax.tree.leaves(state)], axis=-1)


def linear(
    name,
    hidden,
    *,
    init,
    initial_state,
    coefficients,
    project,
    product=ELEMENTWISE,
    **rest,
) -> Cell:
    """A cell whose state is linear in the one before: h_t = a_t∘h_{t−1} + b_t.

    coefficients  (params, zs_TBG) -> (a, b), states of (T, B, …) arrays.
    product       what ∘ is: one of `lm.linear`.
    rest          other fields of `Cell`: gates, blocks, retention, readout, rates; and
                  a `step` that costs less than this one, where there is one.
    """

    def step(params, state, z):
        at = jax.tree.map(lambda z: z[None], z)
        a, b = jax.tree.map(lambda x: x[0], coefficients(params, at))
        return jax.tree.map(jnp.add, product.times(a, state), b)

    return general(
        name,
        hidden,
        init=init,
        initial_state=initial_state,
        project=project,
        coefficients=coefficients,
        product=product,
        **{"recurrent": (), "step": step, **rest},
    )


def factored(
    name,
    hidden,
    *,
    init,
    initial_state,
    pointwise,
    gates=lambda params, z, r, state: {},
    w_HG=lambda params: params["w_h"],
    **rest,
) -> Cell:
    """A cell whose only recurrent product is r = output(state) · w_HG(params).

    gates  (params, z_BG, r_BG, state) -> {name: (B, H)}, as `pointwise` is called.
    w_HG   by default w_h; a matrix made of parameters is made once an unroll.
    rest   other fields of `Cell`: project, output, recompute, blocks, retention, rates.
    """
    output = rest.get("output", hidden_of)

    def step(params, state, z):
        return pointwise(params, z, output(state) @ w_HG(params), state)

    def gates_of(params, state, z):
        return gates(params, z, output(state) @ w_HG(params), state)

    return general(
        name,
        hidden,
        init=init,
        initial_state=initial_state,
        step=step,
        w_HG=w_HG,
        pointwise=pointwise,
        gates=gates_of,
        **rest,
    )


def general(name, hidden, *, init, initial_state, step, **rest) -> Cell:
    """A cell that is nothing but its step.

    rest  other fields of `Cell`; by default `affine` projects, the state's h goes up
          (with a `readout`: what that gives) and w_h multiplies the state.
    """
    output = whole_of if "readout" in rest else hidden_of
    default = {"project": affine, "output": output, "recurrent": ("w_h",)}
    return Cell(
        name=name,
        d_hidden=hidden,
        init=init,
        initial_state=initial_state,
        step=step,
        **(default | rest),
    )
