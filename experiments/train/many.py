"""Many runs of one shape in slots, one compiled step for all (`lm.population`).

A slot holds one run's arrays at a time. When its run has ended, another one is put
there; sizes stay as they are, so that nothing is compiled anew.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import psutil
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from data_pipeline.batches import Reading
from experiments.config import RunConfig
from experiments.run.checkpoint import Checkpoints
from experiments.train.executor import (
    Block,
    Executor,
    as_floats,
    blocks_of,
    eval_step,
    fused,
    part,
    train_step,
)
from experiments.train.keys import init_key
from experiments.train.places import Place, Spot
from experiments.train.plan import Plan
from experiments.train.probe import make_measure
from experiments.train.scores import Scores, added_up, scores_of
from lm import population
from lm.optim import Hyperparameters
from lm.problem import init_numbers
from lm.train import (
    StepInfo,
    TrainState,
    evaluation_params,
    numbers_of,
)
from lm.types import Params

PROBED = 8  # members of a device that are probed at a time
SHARE = 0.8  # of a device's free memory that a population may take
LOOKED_AT = 1000  # batches among which the longest is looked for


class Many(Executor):
    """Slots for runs that differ in numbers alone, spread evenly over the devices.

    states  all runs' `TrainState`s on a leading axis N.
    """

    processes, leader = 1, True

    def __init__(self, plan: Plan, size: int, fit: bool, devices: Sequence[Any] = ()):
        """Makes `size` empty slots, or as many more as share the devices evenly; fewer
        where `fit` is asked for and their step does not fit into memory."""
        self.plan = plan
        self.mesh = population.make_mesh(devices or jax.local_devices())
        self.devices = self.mesh.size
        self._compile()
        self._probed: dict[str, np.ndarray] | None = None
        self.size = self._fitting(size) if fit else self._even(size)

        def empty(leaf):
            return np.zeros((self.size, *leaf.shape), leaf.dtype)

        self.states = self._put(jax.tree.map(empty, plan.shapes))
        keys = jax.vmap(jax.random.key)(np.zeros(self.size, np.uint32))
        self.keys = self._put(keys)

    def _compile(self) -> None:
        plan, mesh, split = self.plan, self.mesh, population.over_devices
        init = population.make_population_init(
            plan.problem, plan.config.optim, plan.reading.batch
        )

        def begin(chosen_N, seeds_N, inits_N, numbers_N, keys_N, states_N):
            """Fresh members where chosen."""
            drawn_N = jax.vmap(jax.random.key)(seeds_N)
            fresh_N = init(jax.vmap(init_key)(drawn_N), inits_N, numbers_N)
            new, old = (drawn_N, fresh_N), (keys_N, states_N)
            return population.choose(chosen_N, new, old)

        def initial(params_N, lanes):
            return jax.vmap(lambda p: plan.problem.carry(p, lanes))(params_N)

        self._begin = jax.jit(split(begin, mesh), donate_argnums=(4, 5))
        train = jax.vmap(train_step(plan))
        self._train = jax.jit(split(train, mesh), donate_argnums=0)
        several = jax.vmap(fused(train_step(plan)))
        self._block = jax.jit(split(several, mesh), donate_argnums=0)
        evaluate = jax.vmap(eval_step(plan), in_axes=(0, 0, None))
        self._evaluate = jax.jit(split(evaluate, mesh, shared=1), donate_argnums=1)
        spread = NamedSharding(mesh, P(population.AXIS))
        self._initial = jax.jit(initial, static_argnums=1, out_shardings=spread)
        self._member = jax.jit(population.member)
        self._with_member = jax.jit(population.with_member, donate_argnums=0)
        if plan.probed is not None:
            measure = make_measure(plan.problem, plan.probed)

            def probe(params_N):
                return lax.map(measure, params_N, batch_size=PROBED)

            self._probe = jax.jit(split(probe, mesh))

    def _put(self, stacked: Any) -> Any:
        """A tree with a leading axis N, each member's share on its device."""
        return jax.device_put(stacked, NamedSharding(self.mesh, P(population.AXIS)))

    def _share(self, tree: Any) -> Any:
        """A tree whole on every device."""
        return jax.device_put(tree, NamedSharding(self.mesh, P()))

    def restart(self, slots: Sequence[int], configs: Sequence[RunConfig]) -> None:
        """Fresh runs of these configs in these slots; the others stay."""
        chosen_N = np.isin(np.arange(self.size), slots)
        at = dict(zip(slots, configs, strict=True))
        whole: list[Any] = [at.get(n, self.plan.config) for n in range(self.size)]
        seeds_N = np.array([config.seed for config in whole], np.uint32)
        inits = as_floats([init_numbers(c.model.init) for c in whole])
        numbers = as_floats([numbers_of(config) for config in whole])
        given = self._put((chosen_N, seeds_N, inits, numbers))
        self._probed = None
        self.keys, self.states = self._begin(*given, self.keys, self.states)

    def template(self) -> TrainState:
        """A member's state as NumPy arrays of the right shapes."""
        return jax.tree.map(lambda x: np.empty(x.shape, x.dtype), self.plan.shapes)

    def put(self, slot: int, state: TrainState) -> None:
        """A state from a checkpoint into a slot."""
        self._probed = None
        self.states = self._with_member(self.states, slot, state)

    def take(self, slot: int) -> TrainState:
        """The state in a slot, on the host."""
        return jax.device_get(self._member(self.states, slot))

    def params(self, slot: int) -> Params:
        """A member's parameters, on the host."""
        return jax.device_get(self._member(self.states.params, slot))

    def averaged(self, slot: int) -> Params:
        """Those that evaluation uses, on the host."""
        return evaluation_params(self.take(slot))

    def probe(self, slot: int) -> dict[str, np.ndarray]:
        """A probe of the member in a slot. All are probed together, for members mostly
        are due together."""
        probed = self._probed or jax.device_get(self._probe(self.states.params))
        self._probed = probed
        return part(probed, slot)

    def fetch(self, place: Place) -> list[Block]:
        """The batches of a block of steps; idle slots read along."""
        steps = [stacked(self._batches(spots)) for spots in place]
        return blocks_of(steps, lambda batch, _: self._put(batch), axis=1)

    def _batches(self, spots: Sequence[Spot]) -> list[Any]:
        """What each slot reads, nothing twice."""
        reading, read, found = self.plan.reading, {}, []
        for spot in spots:
            key = spot if getattr(reading, "seeded", True) else spot and spot[1:]
            if spot and key not in read:
                read[key] = reading.batch_at(*spot)
            found.append(key)
        idle = next(iter(read.values()))
        return [read.get(key, idle) for key in found]

    def place(self, numbers: Sequence[Sequence[Hyperparameters]]) -> Any:
        """The numbers of each slot in each step of a block, on the devices."""
        if len(numbers) == 1:
            return self._put(as_floats(numbers[0]))
        whole = [as_floats(row) for row in numbers]
        return self._put(jax.tree.map(lambda *x_N: np.stack(x_N, axis=1), *whole))

    def step(self, block: Block, numbers: Any) -> Any:
        """A block of steps of every slot; what they measured stays on the device."""
        step = self._train if block.steps == 1 else self._block
        self._probed = None
        with jax.transfer_guard("disallow"):
            given = self.states, block.batches, self.keys, numbers
            self.states, found = step(*given)
        return found

    def infos(self, found: Any, steps: int) -> list[list[StepInfo]]:
        """What `step` gave, on the host: for each step, for each slot."""
        found = jax.device_get(found)
        each = [part(found, slot) for slot in range(self.size)]
        if steps == 1:
            return [each]
        return [[part(info, k) for info in each] for k in range(steps)]

    def evaluate(self, slots: Sequence[int], split: str) -> list[Scores]:
        """The scores on a split of the runs in these slots."""
        return self._scores(evaluation_params(self.states), slots, split)

    def evaluate_states(self, states: Sequence[Any], split: str) -> list[Scores]:
        """The same of states as checkpoints hold them."""
        params = [evaluation_params(state) for state in states]
        whole = jax.tree.map(lambda *leaves: np.stack(leaves), *params)
        return self._scores(whole, range(len(states)), split)

    def _scores(self, params: Params, which: Sequence[int], split: str) -> list[Scores]:
        """Of some members of stacked parameters. They are filled up to a power of two
        per device, so that few sizes are compiled."""
        if not which:
            return []
        whole, size = len(jax.tree.leaves(params)[0]), self.devices
        if list(which) != list(range(whole)) or whole % size:
            while size < len(which):
                size *= 2
            index = np.resize(np.array(which), size)
            params = jax.tree.map(lambda x: x[index], params)
        sums = added_up(self._sums(self._put(params), split))
        return [scores_of(sums, n) for n in range(len(which))]

    def _sums(self, params_N: Params, split: str) -> Iterator[Any]:
        """Of each batch, by name, each with an axis N; one batch for all."""
        reading = self.plan.evaluation(split)
        carry = self._initial(params_N, reading.batch)
        for number in range(reading.steps):
            batch = self._share(reading.batch_at(self.plan.config.seed, 0, number))
            carry, found = self._evaluate(params_N, carry, batch)
            yield found

    def agree(self, stop: bool, late: list[bool]) -> tuple[bool, list[bool]]:
        """There is no other process."""
        return stop, late

    def checkpoints(self, own: Checkpoints) -> Checkpoints:
        """All of them."""
        return own

    def _even(self, size: int) -> int:
        return -(-size // self.devices) * self.devices

    def _fitting(self, size: int) -> int:
        """The largest number of slots up to `size` whose step fits into memory."""
        devices, size = self.devices, self._even(size)
        free = free_bytes(self.mesh.devices[0])
        while size > devices and (needed := self._bytes(size)) > SHARE * free:
            fits = int(0.9 * size * SHARE * free / needed) // devices
            size = max(1, fits) * devices
        return size

    def _bytes(self, size: int) -> int:
        """Memory that a step of `size` slots takes on each device."""
        sharding = NamedSharding(self.mesh, P(population.AXIS))

        def shape(leaf):
            whole = (size, *leaf.shape)
            return jax.ShapeDtypeStruct(whole, leaf.dtype, sharding=sharding)

        numbers = jax.tree.map(np.float32, numbers_of(self.plan.config))
        batch, key = longest(self.plan.reading), jax.random.key(0)
        shapes = jax.tree.map(shape, (self.plan.shapes, batch, key, numbers))
        memory = self._train.lower(*shapes).compile().memory_analysis()
        if memory is None:
            return 0
        kept = memory.argument_size_in_bytes + memory.output_size_in_bytes
        return kept + memory.temp_size_in_bytes - memory.alias_size_in_bytes


def stacked(batches: Sequence[Any]) -> Any:
    """Batches behind an axis N. Fields with lanes on axis 1 are padded along axis 0 to
    the longest, with zeros, which count nothing."""

    def field(*arrays):
        first, steps = arrays[0], max(len(array) for array in arrays)
        whole = np.zeros((len(arrays), steps, *first.shape[1:]), first.dtype)
        for place, array in zip(whole, arrays, strict=True):
            place[: len(array)] = array
        return whole

    return jax.tree.map(field, *batches)


def longest(reading: Reading) -> Any:
    """The largest batch among many of a reading."""
    spread = np.linspace(0, reading.steps - 1, min(reading.steps, LOOKED_AT))
    batches = (reading.batch_at(0, 0, int(step)) for step in spread)
    return max(batches, key=lambda batch: sum(x.nbytes for x in jax.tree.leaves(batch)))


def free_bytes(device: Any) -> int:
    """Memory that is free on a device; on the CPU, that of the machine per device."""
    known = device.memory_stats()
    if known and "bytes_limit" in known:
        return known["bytes_limit"] - known.get("bytes_in_use", 0)
    return psutil.virtual_memory().available // len(jax.local_devices())
