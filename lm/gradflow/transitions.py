"""One step of a recurrent system as a map of vectors: what Jacobians are taken of.

A `Transition` is (state, x) -> state on batched pytrees, leaves (B, …). It comes from
a cell, from a layer (the state of a stack is that of all its layers) or from any such
function. `vectors` and `on_vectors` see the state of one lane as a vector of N
numbers, the fields of the state in their order, one after another.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.gradflow.through_time import field_names
from lm.lanes import rows
from lm.layers import recurrent
from lm.problem import one_way
from lm.types import Array, Cell, Layer, Params, State

Transition = Callable[[State, Array], State]


def of_cell(cell: Cell, params: Params) -> Transition:
    """state_t = cell(state_{t−1}, x_t), with x (B, D), or (B,) ids as one-hot rows."""
    return of_layer(recurrent(cell), params)


def of_layer(layer: Layer, params: Params) -> Transition:
    """The whole state of a layer that can be taken step by step.

    Raises:
      ConfigError: for one that reads from the right.
    """
    step = one_way(layer, "a Jacobian").step
    assert step is not None
    return lambda state, x: step(params, state, x)[0]


class Vectors(NamedTuple):
    """States as vectors.

    flatten    (state, leaves (B, …)) -> (B, N).
    unflatten  its inverse.
    fields     where each field of the state lies: {"h": slice, "c": slice}; in a
               model's state the names begin with the layer's number: "0.h".
    """

    flatten: Callable[[State], Array]
    unflatten: Callable[[Array], State]
    fields: dict[str, slice]


def vectors(state: State) -> Vectors:
    """How states of the shape of `state` become vectors and come back."""
    leaves, treedef = jax.tree.flatten(state)
    shapes = [leaf.shape[1:] for leaf in leaves]
    widths = [math.prod(shape) for shape in shapes]
    ends = [sum(widths[: n + 1]) for n in range(len(widths))]

    def flatten(state: State) -> Array:
        return jnp.concatenate([rows(s) for s in jax.tree.leaves(state)], axis=1)

    def unflatten(s_BN: Array) -> State:
        parts = zip(jnp.split(s_BN, ends[:-1], axis=1), shapes, strict=True)
        whole = [part.reshape(len(part), *shape) for part, shape in parts]
        return jax.tree.unflatten(treedef, whole)

    places = zip(field_names(state), widths, ends, strict=True)
    fields = {name: slice(end - width, end) for name, width, end in places}
    return Vectors(flatten, unflatten, fields)


def on_vectors(transition: Transition, state: State) -> Callable[[Array, Array], Array]:
    """The transition of one lane: (s_N, x) -> s_N, for `jax.vmap` over lanes."""
    flatten, unflatten, _ = vectors(state)

    def step(s_N: Array, x: Array) -> Array:
        return flatten(transition(unflatten(s_N[None]), x[None]))[0]

    return step


def pushforward(step: Callable[[Array], Array], s_N: Array):
    """(step(s), u ↦ J·u) with J = ∂step/∂s, from reverse mode alone.

    The products over all steps have a backward pass written by hand and no forward
    mode; u ↦ J·u is the transpose of their v ↦ vᵀ·J, which is linear in v.
    """
    after, pull = jax.vjp(step, s_N)
    push = jax.linear_transpose(pull, after)
    return after, lambda u_N: push((u_N,))[0]


def trajectory(transition: Transition, state: State, xs: Array) -> State:
    """The states before each step, leaves (T, B, …)."""
    return lax.scan(lambda s, x: (transition(s, x), s), state, xs)[1]
