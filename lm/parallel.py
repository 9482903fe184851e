"""Data parallel: the lanes of a batch shared out over devices, the rest in each.

    ∂L/∂W = (Σ_d weight_d · ∂L_d/∂W) / Σ_d weight_d

L_d is the loss over the lanes of device d and weight_d what it is divided by: tokens,
or lanes. So one sum over the devices, of gradients and weights alike, gives the
gradient of the whole batch, up to the rounding of another order of sums; clipping and
the update follow on every device alike. A sum of the weights by themselves, before the
gradients, would have one device wait for the other, and a CPU's thread that waits does
nothing else. Carried state stays with its lanes. Dropout draws the masks of the whole
batch and keeps its own lanes' (see `lm.dropout`): the numbers of a run do not depend on
how many devices share it, but for rounding.

The devices are a mesh of one axis, on one machine or on many: the same code.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lm.config import ConfigError, OptimConfig
from lm.dropout import Lanes
from lm.lanes import lane_axis
from lm.precision import in_precision
from lm.problem import Problem
from lm.train import TrainState, make_eval_step, make_loss, make_train_step
from lm.types import Array, Params, State, Sum

AXIS = "lanes"
WHOLE, BY_LANE = P(), P(AXIS)  # BY_LANE: recurrent state, (B, …)
STATE = TrainState(WHOLE, WHOLE, WHOLE, carry=BY_LANE, average=WHOLE)


def make_mesh(devices: Sequence[Any]) -> Mesh:
    """The devices in a row; device d has the d-th share of the lanes."""
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def batch_specs(batch: Any) -> Any:
    """How the fields of a batch are split: a tree of its structure."""
    return jax.tree.map(lambda x: P(*[None] * lane_axis(x), AXIS), batch)


def state_shardings(mesh: Mesh, state: TrainState) -> TrainState:
    """Where the arrays of a training state live: a tree of its structure."""

    def sharding(spec, part):
        return jax.tree.map(lambda _: NamedSharding(mesh, spec), part)

    return TrainState(*(sharding(s, p) for s, p in zip(STATE, state, strict=True)))


def make_shared_gradient(problem: Problem, optim: OptimConfig, devices: int):
    """`lm.train.make_gradient` for one of `devices` that share the lanes.

    To be called on each of them under `shard_map`: params are whole, carry and batch
    those of the lanes here; the gradient and the Sum are those of all lanes.
    """

    def gradient(params: Params, carry: State, batch: Any, key: Array, rates):
        here = Lanes(lax.axis_index(AXIS), devices)
        loss = make_loss(problem, optim, here)

        def part(params):
            scalar, (carry_after, total) = loss(params, carry, batch, key, rates)
            return weight_of(optim, total) * scalar, (carry_after, total)

        differentiate = in_precision(optim.precision, jax.grad(part, has_aux=True))
        raw, (after, total) = differentiate(params)
        weight = weight_of(optim, total)
        raw, total, whole = lax.psum((raw, total, weight), AXIS)
        whole = jnp.maximum(whole, 1)
        return jax.tree.map(lambda g: g / whole, raw), (after, total)

    return gradient


def weight_of(optim: OptimConfig, total: Sum) -> Array:
    """What the loss over the lanes here was divided by, or 1 where that is the same on
    every device."""
    one = optim.reduction == "time_sum"
    return jnp.ones_like(total.count) if one else lax.stop_gradient(total.count)


def make_shared_train_step(problem: Problem, optim: OptimConfig, mesh: Mesh):
    """`lm.train.make_train_step` over a mesh: the same arguments and results, with
    the carry and the batch split by lanes and the rest on every device."""
    if optim.omega:
        raise ConfigError(
            f"optim.omega is {optim.omega} and {mesh.size} devices share the batch: Ω "
            "is not summed over devices; train on one, or set optim.omega to 0"
        )
    step = make_train_step(
        problem, optim, make_shared_gradient(problem, optim, mesh.size)
    )

    def train_step(state: TrainState, batch: Any, key: Array, numbers: Any):
        return jax.shard_map(
            step,
            mesh=mesh,
            in_specs=(STATE, batch_specs(batch), WHOLE, WHOLE),
            out_specs=(STATE, WHOLE),
            check_vma=False,  # what is whole comes from psum, and is tested to be
        )(state, batch, key, numbers)

    return train_step


def make_shared_eval_step(problem: Problem, mesh: Mesh):
    """`lm.train.make_eval_step` over a mesh."""
    step = make_eval_step(problem)

    def here(params: Params, carry: State, batch: Any):
        carry, totals = step(params, carry, batch)
        return carry, lax.psum(totals, AXIS)

    def eval_step(params: Params, carry: State, batch: Any):
        return jax.shard_map(
            here,
            mesh=mesh,
            in_specs=(WHOLE, BY_LANE, batch_specs(batch)),
            out_specs=(BY_LANE, WHOLE),
            check_vma=False,
        )(params, carry, batch)

    return eval_step
