"""Where a run's arrays live and who computes: one device, several, many machines.

The loop asks an engine to place arrays, to compile steps and to bring state back, and
is the same for all. `Engine` is one device. `Shared` is a mesh of devices that share
the lanes of each batch (`lm.parallel`), in one process or in a group of processes that
all run the same loop (`experiments.distributed`); there process 0, the leader, writes
the run's files, and the others write nothing.
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from data_pipeline.batches import Reading, Shard
from experiments.config import Config
from experiments.run.checkpoint import Checkpoints
from experiments.train.group import ALONE, Group, SharedCheckpoints
from lm.config import ConfigError, OptimConfig
from lm.model import LanguageModel
from lm.parallel import (
    BATCH,
    BY_LANE,
    WHOLE,
    make_mesh,
    make_shared_eval_step,
    make_shared_train_step,
    state_shardings,
)
from lm.train import TrainState, make_eval_step, make_train_step
from lm.types import Batch, Params, State


class Engine:
    """One device of one process."""

    devices = processes = 1
    leader = True

    def reading(self, whole: Reading) -> Reading:
        """The lanes of `whole` that this process reads."""
        return whole

    def batch(self, batch: Batch) -> Batch:
        """What `reading` gave, on the devices."""
        return jax.device_put(batch)

    def everywhere(self, tree: Any) -> Any:
        """Small host values, whole on each device."""
        return jax.device_put(tree)

    def state(self, state: TrainState) -> TrainState:
        """A training state from the host, or from one device."""
        return jax.device_put(state)

    def carry(self, model: LanguageModel, params: Params, lanes: int) -> State:
        """The model's initial state for the lanes that this process reads."""
        return model.initial_state(params, lanes)

    def train_step(self, model: LanguageModel, optim: OptimConfig) -> Callable:
        """`lm.train.make_train_step`, compiled; it consumes its state."""
        return jax.jit(make_train_step(model, optim), donate_argnums=0)

    def eval_step(self, model: LanguageModel) -> Callable:
        """`lm.train.make_eval_step`, compiled; it consumes its carry."""
        return jax.jit(make_eval_step(model), donate_argnums=1)

    def whole(self, state: TrainState) -> TrainState:
        """The state with every array readable here: what a checkpoint holds. All
        processes have to ask for it."""
        return state

    def here(self, params: Params) -> Params:
        """Parameters on one device of this process, to compute with alone."""
        return params

    def agree(self, stop: bool, late: bool) -> tuple[bool, bool]:
        """Whether any process has been asked to stop, and whether the leader's time
        is over: the same answer in all processes, after every step."""
        return stop, late

    def checkpoints(self, own: Checkpoints) -> Checkpoints:
        """`own`, as far as this process may use it."""
        return own


class Shared(Engine):
    """Devices in a row, each with its share of the lanes."""

    def __init__(self, devices: list[Any], group: Group = ALONE):
        self.mesh = make_mesh(devices)
        self.group, self.devices = group, len(devices)
        self.leader, self.processes = group.leader, group.processes
        self.tallies: list[Any] = []
        self.voted: tuple[bool, ...] = ()
        if self.processes > 1:
            self._vote(False, False)

    def reading(self, whole: Reading) -> Reading:
        even = Padded(whole, self.devices)
        if self.processes == 1:
            return even
        return Shard(even, self.group.process, self.processes)

    def batch(self, batch: Batch) -> Batch:
        shardings = Batch(*(NamedSharding(self.mesh, spec) for spec in BATCH))
        return jax.make_array_from_process_local_data(shardings, batch)

    def everywhere(self, tree: Any) -> Any:
        return self._place(tree, jax.tree.map(lambda _: self._sharding(WHOLE), tree))

    def state(self, state: TrainState) -> TrainState:
        shardings = state_shardings(self.mesh, state)
        placed = self._place(state, shardings)
        # A step writes into its state's buffers: here it gets buffers of its own.
        copy = jax.jit(
            lambda s: jax.tree.map(jax.numpy.copy, s), out_shardings=shardings
        )
        return copy(placed)

    def carry(self, model: LanguageModel, params: Params, lanes: int) -> State:
        make = jax.jit(
            lambda params: model.initial_state(params, lanes * self.processes),
            out_shardings=self._sharding(BY_LANE),
        )
        return make(params)

    def train_step(self, model: LanguageModel, optim: OptimConfig) -> Callable:
        step = make_shared_train_step(model, optim, self.mesh)
        if self.processes == 1:
            return jax.jit(step, donate_argnums=0)

        def voting(state, batch, key, numbers, votes):
            return *step(state, batch, key, numbers), votes.sum(axis=0)

        compiled = jax.jit(voting, donate_argnums=0)

        def step_and_vote(state, batch, key, numbers):
            state, info, tally = compiled(state, batch, key, numbers, self.votes)
            self.tallies.append(tally)
            return state, info

        return step_and_vote

    def eval_step(self, model: LanguageModel) -> Callable:
        return jax.jit(make_shared_eval_step(model, self.mesh), donate_argnums=1)

    def whole(self, state: TrainState) -> TrainState:
        return state._replace(carry=self.group.gather(state.carry))

    def here(self, params: Params) -> Params:
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), params)

    def agree(self, stop: bool, late: bool) -> tuple[bool, bool]:
        """In a group the processes vote: a step sums the votes along with the
        gradients, so that the count costs no message of its own, and it is read one
        step later, so that nothing waits for it."""
        if self.processes == 1:
            return stop, late
        self._vote(stop, late and self.leader)
        if len(self.tallies) < 2:
            return False, False
        stopped, over = np.asarray(self.tallies.pop(0)) > 0
        return bool(stopped), bool(over)

    def _vote(self, *vote: bool) -> None:
        """What this process says at the next steps, on each of its devices."""
        if vote != self.voted:
            rows = np.tile(
                np.array(vote, np.float32), (self.devices // self.processes, 1)
            )
            sharding = self._sharding(BY_LANE)
            self.votes = jax.make_array_from_process_local_data(sharding, rows)
        self.voted = vote

    def checkpoints(self, own: Checkpoints) -> Checkpoints:
        if self.processes == 1:
            return own
        return SharedCheckpoints(own, self.group)

    def _sharding(self, spec) -> NamedSharding:
        return NamedSharding(self.mesh, spec)

    def _place(self, tree: Any, shardings: Any) -> Any:
        """Host values that every process has, split as the shardings say."""

        def place(leaf, sharding):
            if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                data = place(jax.random.key_data(leaf), sharding)
                return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
            array = np.asarray(leaf)
            return jax.make_array_from_callback(
                array.shape, sharding, lambda index: array[index]
            )

        return jax.tree.map(place, tree, shardings)


class Padded:
    """A reading with lanes added, empty ones, up to a multiple of `devices`."""

    def __init__(self, whole: Reading, devices: int):
        self._whole, self.steps = whole, whole.steps
        self.batch = -(-whole.batch // devices) * devices

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step`; its numbers are those of the batch without the empty lanes."""
        batch = self._whole.batch_at(seed, epoch, step)
        more = self.batch - self._whole.batch
        if not more:
            return batch
        return Batch(
            *(
                np.pad(field, [(0, 0)] * (field.ndim - 1) + [(0, more)])
                for field in batch
            )
        )


def make_engine(config: Config, group: Group = ALONE) -> Engine:
    """The engine that `train.devices` and the group ask for.

    Raises:
      ConfigError: where there are fewer devices, or they cannot share the lanes.
    """
    wanted, lanes = config.train.devices, config.data.batch
    if wanted != 1:
        cores_as_devices(wanted)
    local = jax.local_devices()
    count = wanted or len(local)
    if count > len(local):
        raise ConfigError(
            f"train.devices is {wanted} but this process has {len(local)} "
            f"({local[0].platform}): give at most that, or 0 for all"
        )
    chosen = [
        device
        for process in range(group.processes)
        for device in jax.local_devices(process)[:count]
    ]
    if len(chosen) != count * group.processes:
        raise ConfigError(
            f"train.devices is {wanted} but the processes have different numbers of "
            "devices: give the smallest of them"
        )
    if lanes % len(chosen):
        raise ConfigError(
            f"data.batch is {lanes} and {len(chosen)} devices cannot share it evenly: "
            f"make it a multiple of {len(chosen)}, or change train.devices"
        )
    return Engine() if len(chosen) == 1 else Shared(chosen, group)


def cores_as_devices(wanted: int) -> None:
    """Lets JAX see so many CPU devices (0: one per core). Only before JAX starts; if
    it runs already, what it has is what there is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    try:
        jax.config.update("jax_num_cpu_devices", wanted or cores)
    except RuntimeError:
        pass
