"""One step of a recurrent system as a map of vectors: what Jacobians are taken of.

A `Transition` is (state, x) -> state on batched pytrees, leaves (B, ·). It comes from
a cell, from a whole model (its state is the stack of all layers' states) or from any
such function. `vectors` and `on_vectors` see the state of one lane as a vector of N
numbers, the fields of the state in their order, one after another.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.gradflow.through_time import field_names
from lm.model import LanguageModel
from lm.types import Array, Cell, Params, State

Transition = Callable[[State, Array], State]


def of_cell(cell: Cell, params: Params) -> Transition:
    """state_t = cell(state_{t−1}, x_t), with x (B, D), or (B,) ids as one-hot rows."""

    def transition(state: State, x: Array) -> State:
        return cell.step(params, state, cell.project(params, x))

    return transition


def of_model(model: LanguageModel, params: Params) -> Transition:
    """All layers at once: x is (B,) word ids, the state a tuple over layers."""

    def transition(state: State, x: Array) -> State:
        return model.step(params, state, x)[0]

    return transition


class Vectors(NamedTuple):
    """States as vectors.

    flatten    (state, leaves (B, ·)) -> (B, N).
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
    widths = [leaf.shape[1] for leaf in leaves]
    ends = [sum(widths[: n + 1]) for n in range(len(widths))]

    def flatten(state: State) -> Array:
        return jnp.concatenate(jax.tree.leaves(state), axis=1)

    def unflatten(s_BN: Array) -> State:
        return jax.tree.unflatten(treedef, jnp.split(s_BN, ends[:-1], axis=1))

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
    """The states before each step, leaves (T, B, ·)."""
    return lax.scan(lambda s, x: (transition(s, x), s), state, xs)[1]
