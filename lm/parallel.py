"""Data parallel: the lanes of a batch shared out over devices, the rest in each.

    ∂L/∂W = Σ_d share_d · ∂L_d/∂W        share_d = count_d / Σ count

L_d is the loss over the lanes of device d and count_d what it is divided by: tokens,
or lanes. So one sum over the devices gives the gradient of the whole batch, up to the
rounding of another order of sums; clipping and the update follow on every device
alike. Carried state stays with its lanes. Dropout draws the masks of the whole batch
and keeps its own lanes' (see `lm.dropout`): the numbers of a run do not depend on how
many devices share it, but for rounding.

The devices are a mesh of one axis, on one machine or on many: the same code.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lm.config import ConfigError, OptimConfig
from lm.dropout import Lanes
from lm.losses import Sum
from lm.model import LanguageModel
from lm.train import TrainState, make_eval_step, make_loss, make_train_step
from lm.types import Array, Batch, Params, State

AXIS = "lanes"
WHOLE, BY_LANE = P(), P(AXIS)  # BY_LANE: recurrent state, (B, H)
BATCH = Batch(P(None, AXIS), P(None, AXIS), P(None, AXIS), P(AXIS))
STATE = TrainState(WHOLE, WHOLE, WHOLE, carry=BY_LANE, average=WHOLE)


def make_mesh(devices: Sequence[Any]) -> Mesh:
    """The devices in a row; device d has the d-th share of the lanes."""
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def state_shardings(mesh: Mesh, state: TrainState) -> TrainState:
    """Where the arrays of a training state live: a tree of its structure."""

    def sharding(spec, part):
        return jax.tree.map(lambda _: NamedSharding(mesh, spec), part)

    return TrainState(*(sharding(s, p) for s, p in zip(STATE, state, strict=True)))


def make_shared_gradient(model: LanguageModel, optim: OptimConfig, devices: int):
    """`lm.train.make_gradient` for one of `devices` that share the lanes.

    To be called on each of them under `shard_map`: params are whole, carry and batch
    those of the lanes here; the gradient and the Sum are those of all lanes.
    """

    def gradient(params: Params, carry: State, batch: Batch, key: Array, rates):
        loss = make_loss(model, optim, Lanes(lax.axis_index(AXIS), devices))
        share = share_of(optim, batch, devices)

        def part(params):
            scalar, rest = loss(params, carry, batch, key, rates)
            return share * scalar, rest

        raw, (carry, total) = jax.grad(part, has_aux=True)(params)
        raw, total = lax.psum((raw, total), AXIS)
        return raw, (carry, total)

    return gradient


def share_of(optim: OptimConfig, batch: Batch, devices: int):
    """What the loss over the lanes here weighs in that over all lanes."""
    if optim.reduction == "time_sum":
        return 1 / devices
    count = batch.mask.sum()
    return count / lax.psum(count, AXIS).clip(1)


def make_shared_train_step(model: LanguageModel, optim: OptimConfig, mesh: Mesh):
    """`lm.train.make_train_step` over a mesh: the same arguments and results, with
    the carry and the batch split by lanes and the rest on every device."""
    if optim.omega:
        raise ConfigError(
            f"optim.omega is {optim.omega} and {mesh.size} devices share the batch: Ω "
            "is not summed over devices; train on one, or set optim.omega to 0"
        )
    gradient = make_shared_gradient(model, optim, mesh.size)
    return jax.shard_map(
        make_train_step(model, optim, gradient),
        mesh=mesh,
        in_specs=(STATE, BATCH, WHOLE, WHOLE),
        out_specs=(STATE, WHOLE),
        check_vma=False,  # what is whole comes from psum, and is tested to be
    )


def make_shared_eval_step(model: LanguageModel, mesh: Mesh):
    """`lm.train.make_eval_step` over a mesh."""
    step = make_eval_step(model)

    def eval_step(params: Params, carry: State, batch: Batch) -> tuple[State, Sum]:
        carry, total = step(params, carry, batch)
        return carry, lax.psum(total, AXIS)

    return jax.shard_map(
        eval_step,
        mesh=mesh,
        in_specs=(WHOLE, BY_LANE, BATCH),
        out_specs=(BY_LANE, WHOLE),
        check_vma=False,
    )
