"""One run over devices in a row, each with its share of the lanes of every batch
(`lm.parallel`); and which executor a single run gets."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from data_pipeline.batches import Padded, Reading, Shard
from experiments.run.checkpoint import Checkpoints
from experiments.train.devices import devices_of
from experiments.train.executor import Block, One
from experiments.train.group import ALONE, Group, SharedCheckpoints
from experiments.train.plan import Plan
from lm.config import ConfigError
from lm.parallel import (
    BY_LANE,
    WHOLE,
    make_mesh,
    make_shared_eval_step,
    make_shared_train_step,
    state_shardings,
)
from lm.train import TrainState
from lm.types import Params


class Shared(One):
    """Devices in a row. In a group, process 0, the leader, writes the run's files, and
    the others write nothing."""

    def __init__(self, plan: Plan, devices: Sequence[Any], group: Group = ALONE):
        self.mesh = make_mesh(devices)
        self.group, self.devices = group, len(devices)
        self.leader, self.processes = group.leader, group.processes
        self.tallies: list[Any] = []
        self.voted: tuple[bool, ...] = ()
        super().__init__(plan)
        if self.processes > 1:
            self._vote(False, False)

    def lanes_here(self, whole: Reading) -> Reading:
        even = Padded(whole, self.devices)
        if self.processes == 1:
            return even
        return Shard(even, self.group.process, self.processes)

    def put_batch(self, batch: Any, block: bool = False) -> Any:
        def put(leaf):
            spec = P(*(None,) * block, *lanes_of(leaf.ndim - block))
            return jax.make_array_from_process_local_data(self._sharding(spec), leaf)

        return jax.tree.map(put, batch)

    def everywhere(self, tree: Any) -> Any:
        return self._place(tree, jax.tree.map(lambda _: self._sharding(WHOLE), tree))

    def put_state(self, state: TrainState) -> TrainState:
        shardings = state_shardings(self.mesh, state)
        placed = self._place(state, shardings)
        # A step writes into its state's buffers: here it gets buffers of its own.
        copy = jax.jit(
            lambda s: jax.tree.map(jax.numpy.copy, s), out_shardings=shardings
        )
        return copy(placed)

    def carry(self, params: Params, lanes: int) -> Any:
        problem = self.plan.problem
        make = jax.jit(
            lambda params: problem.carry(params, lanes * self.processes),
            out_shardings=self._sharding(BY_LANE),
        )
        return make(params)

    def plain_step(self) -> Callable:
        plan = self.plan
        return make_shared_train_step(plan.problem, plan.config.optim, self.mesh)

    def train_step(self) -> Callable:
        """In a group a step sums the votes along with the gradients, so that the count
        costs no message of its own."""
        step = self.plain_step()
        if self.processes == 1:
            return jax.jit(step, donate_argnums=0)

        def voting(state, batch, key, numbers, votes):
            return *step(state, batch, key, numbers), votes.sum(axis=0)

        return jax.jit(voting, donate_argnums=0)

    def eval_step(self) -> Callable:
        step = make_shared_eval_step(self.plan.problem, self.mesh)
        return jax.jit(step, donate_argnums=1)

    def step(self, block: Block, numbers: Any) -> Any:
        if self.processes == 1:
            return super().step(block, numbers)
        with jax.transfer_guard("disallow"):
            given = self.state, block.batches, self.key, numbers, self.votes
            self.state, found, tally = self._step(*given)
        self.tallies.append(tally)
        return found

    def take(self, slot: int) -> TrainState:
        return self.state._replace(carry=self.group.gather(self.state.carry))

    def here(self, params: Params) -> Params:
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), params)

    def agree(self, stop: bool, late: list[bool]) -> tuple[bool, list[bool]]:
        """In a group the processes vote. A count is read one step later, so that
        nothing waits for it."""
        if self.processes == 1:
            return stop, late
        self._vote(stop, any(late) and self.leader)
        if len(self.tallies) < 2:
            return False, [False] * len(late)
        stopped, over = np.asarray(self.tallies.pop(0)) > 0
        return bool(stopped), [bool(over)] * len(late)

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


def lanes_of(rank: int) -> P:
    """How a batch's field of this rank is split: lanes are axis 1, or 0 at rank 1."""
    return BY_LANE if rank == 1 else P(None, *BY_LANE)


def make_executor(plan: Plan, group: Group = ALONE) -> One:
    """The executor of one run that `train.devices` and the group ask for.

    Raises:
      ConfigError: where there are fewer devices, or they cannot share the lanes.
    """
    config, lanes = plan.config, plan.reading.batch
    chosen = devices_of(config, group)
    if lanes % len(chosen):
        raise ConfigError(
            f"data.batch is {lanes} and {len(chosen)} devices cannot share it evenly: "
            f"make it a multiple of {len(chosen)}, or change train.devices"
        )
    if group.processes > 1 and config.train.fused > 1:
        raise ConfigError(
            f"train.fused is {config.train.fused} and {group.processes} processes "
            "train together: they have to agree after every step; set train.fused to 1"
        )
    return One(plan) if len(chosen) == 1 else Shared(plan, chosen, group)
