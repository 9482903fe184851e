"""Slots: where the members of a population live on the devices, and how they step.

A slot holds one member's arrays at a time. When its member has ended, another one is
put there; sizes stay as they are, so that nothing is compiled anew.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from data_pipeline.batches import Sentences, Streams, one_hot
from data_pipeline.types import Dataset, TokenArray
from data_pipeline.vocabulary import EOS_ID
from experiments.applications.language_model.reading import evaluation_batches
from experiments.config import Config
from experiments.train.keys import init_key
from experiments.train.probe import make_measure, probed
from lm import population
from lm.losses import Sum
from lm.model import build
from lm.train import StepInfo, TrainState, group_names, numbers_of
from lm.types import Batch, Params

PROBED = 8  # members of a device that are probed at a time
SHARE = 0.8  # of a device's free memory that a population may take


class Slots:
    """Slots for members of one shape, spread evenly over the devices.

    config  of any member: they differ in numbers alone.
    states  all members' `TrainState`s on a leading axis N, after `open`.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        reading: Streams | Sentences,
        devices: Sequence[Any] = (),
    ):
        self.config, self.reading = config, reading
        self.vocabulary = vocabulary = dataset.vocabulary.size
        self.mesh = population.make_mesh(devices or jax.local_devices())
        model, optim, lanes = (
            build(config.model, vocabulary),
            config.optim,
            reading.batch,
        )
        init = population.make_population_init(config.model, optim, vocabulary, lanes)

        def begin(chosen_N, seeds_N, inits_N, numbers_N, keys_N, states_N):
            """Fresh members where chosen."""
            drawn_N = jax.vmap(jax.random.key)(seeds_N)
            fresh_N = init(jax.vmap(init_key)(drawn_N), inits_N, numbers_N)
            new, old = (drawn_N, fresh_N), (keys_N, states_N)
            return population.choose(chosen_N, new, old)

        def initial(params_N, batch_B):
            return jax.vmap(lambda p: model.initial_state(p, len(batch_B)))(params_N)

        split, mesh = population.over_devices, self.mesh
        self._begin = jax.jit(split(begin, mesh), donate_argnums=(4, 5))
        train = population.make_population_step(model, optim)
        self._train = jax.jit(split(train, mesh), donate_argnums=0)
        evaluate = population.make_population_eval(model)
        self._evaluate = jax.jit(split(evaluate, mesh, shared=1), donate_argnums=1)
        self._initial = jax.jit(split(initial, mesh, shared=1))
        self._member = jax.jit(population.member)
        self._with_member = jax.jit(population.with_member, donate_argnums=0)
        text = probed(dataset.splits["valid"].ids, config.gradflow)
        if text is not None:
            measure = make_measure(model, text)

            def probe(params_N):
                return lax.map(measure, params_N, batch_size=PROBED)

            self._probe = jax.jit(split(probe, mesh))
        self._probed: dict[str, np.ndarray] | None = None
        self.shapes = jax.eval_shape(init, *self._init_arguments([config]))
        self.names = group_names(self.shapes.params)
        self.size = 0

    def open(self, size: int, fit: bool) -> None:
        """Makes `size` empty slots, or as many more as share the devices evenly; fewer
        where `fit` is asked for and their step does not fit into memory."""
        devices = self.mesh.size
        self.size = size = self._fitting(size) if fit else -(-size // devices) * devices

        def empty(leaf):
            return np.zeros((size, *leaf.shape[1:]), leaf.dtype)

        self.states = self.place(jax.tree.map(empty, self.shapes))
        self.keys = self.place(jax.vmap(jax.random.key)(np.zeros(size, np.uint32)))

    def place(self, stacked: Any) -> Any:
        """A tree with a leading axis N, each member's share on its device."""
        return jax.device_put(stacked, NamedSharding(self.mesh, P(population.AXIS)))

    def share(self, tree: Any) -> Any:
        """A tree whole on every device."""
        return jax.device_put(tree, NamedSharding(self.mesh, P()))

    def _init_arguments(self, configs: Sequence[Config]):
        seeds_N = np.array([c.seed for c in configs], np.uint32)
        keys_N = jax.vmap(jax.random.key)(seeds_N)
        inits = [population.init_numbers(c.model.init) for c in configs]
        return keys_N, as_floats(inits), as_floats([numbers_of(c) for c in configs])

    def restart(self, slots: Sequence[int], configs: Sequence[Config]) -> None:
        """Fresh members of these configs in these slots; the others stay."""
        chosen_N = np.isin(np.arange(self.size), slots)
        at = dict(zip(slots, configs, strict=True))
        whole = [at.get(n, self.config) for n in range(self.size)]
        _, inits, numbers = self._init_arguments(whole)
        seeds_N = np.array([c.seed for c in whole], np.uint32)
        given = self.place((chosen_N, seeds_N, inits, numbers))
        self._probed = None
        self.keys, self.states = self._begin(*given, self.keys, self.states)

    def put(self, slot: int, state: TrainState) -> None:
        """A state from a checkpoint into a slot."""
        self._probed = None
        self.states = self._with_member(self.states, slot, state)

    def take(self, slot: int) -> TrainState:
        """The state in a slot, on the host."""
        return jax.device_get(self._member(self.states, slot))

    def template(self) -> TrainState:
        """A member's state as NumPy arrays of the right shapes."""
        return jax.tree.map(lambda x: np.empty(x.shape[1:], x.dtype), self.shapes)

    def step(self, batches: Sequence[Batch], numbers: Any) -> StepInfo:
        """One step of every slot, batches in the slots' order; infos with axis N, left
        on the device. `numbers` have been placed."""
        batch = stacked(batches)
        if self.config.data.one_hot:
            batch = one_hot(batch, self.vocabulary)
        batch = self.place(batch)
        self._probed = None
        with jax.transfer_guard("disallow"):
            self.states, infos = self._train(self.states, batch, self.keys, numbers)
        return infos

    def probe(self, slot: int) -> dict[str, np.ndarray]:
        """A probe of the member in a slot (see `experiments.train.probe`). All slots
        are probed together, for members mostly are due together."""
        probed = self._probed or jax.device_get(self._probe(self.states.params))
        self._probed = probed
        return {name: column[slot] for name, column in probed.items()}

    def evaluate(
        self, params: Params, which: Sequence[int], tokens: TokenArray
    ) -> list[Sum]:
        """The loss of some members on a split, as Python numbers; of none, [].

        Args:
          params: stacked, on the devices or not.
          which: members of the stack, any number of them. They are filled up to a
            power of two per device, so that few sizes are compiled.
        """
        if not which:
            return []
        whole, size = len(jax.tree.leaves(params)[0]), self.mesh.size
        if list(which) != list(range(whole)) or whole % size:
            while size < len(which):
                size *= 2
            index = np.resize(np.array(which), size)
            params = jax.tree.map(lambda x: x[index], params)
        totals = self._totals(self.place(params), tokens)
        return [Sum(float(n), int(c)) for n, c in totals.T[: len(which)]]

    def _totals(self, params: Params, tokens: TokenArray) -> np.ndarray:
        """(2, K): nats and count of each of the K members in `params`."""
        batches = evaluation_batches(self.config, tokens)
        carry, sums = None, []
        for number in range(batches.steps):
            batch = batches.batch_at(self.config.seed, 0, number)
            if self.config.data.one_hot:
                batch = one_hot(batch, self.vocabulary)
            batch = self.share(batch)
            carry = self._initial(params, batch.fresh) if carry is None else carry
            carry, total = self._evaluate(params, carry, batch)
            sums.append(total)
        return np.sum(np.asarray(jax.device_get(sums), np.float64), axis=0)

    def _fitting(self, size: int) -> int:
        """The largest number of slots up to `size` whose step fits into memory."""
        devices = self.mesh.size
        size, free = -(-size // devices) * devices, free_bytes(self.mesh.devices[0])
        while size > devices and (needed := self._bytes(size)) > SHARE * free:
            fits = int(0.9 * size * SHARE * free / needed) // devices
            size = max(1, fits) * devices
        return size

    def _bytes(self, size: int) -> int:
        """Memory that a step of `size` slots takes on each device."""
        sharding = NamedSharding(self.mesh, P(population.AXIS))

        def shape(leaf):
            leaf = (
                jax.eval_shape(lambda: leaf) if isinstance(leaf, np.ndarray) else leaf
            )
            whole = (size, *leaf.shape[1:])
            return jax.ShapeDtypeStruct(whole, leaf.dtype, sharding=sharding)

        keys, _, numbers = self._init_arguments([self.config])
        batch = stacked([longest(self.reading)])
        if self.config.data.one_hot:
            batch = jax.eval_shape(lambda: one_hot(batch, self.vocabulary))
        shapes = jax.tree.map(shape, (self.shapes, batch, keys, numbers))
        memory = self._train.lower(*shapes).compile().memory_analysis()
        if memory is None:
            return 0
        kept = memory.argument_size_in_bytes + memory.output_size_in_bytes
        return kept + memory.temp_size_in_bytes - memory.alias_size_in_bytes


def as_floats(trees: Sequence[Any]) -> Any:
    """Trees of Python numbers as one of float32 arrays (N,)."""
    return jax.tree.map(lambda *values: np.array(values, np.float32), *trees)


def stacked(batches: Sequence[Batch]) -> Batch:
    """Batches behind an axis N, padded to the longest with `<eos>` that does not
    count."""
    steps = max(len(batch.targets) for batch in batches)

    def field(name: str, fill: int):
        arrays = [getattr(batch, name) for batch in batches]
        first = arrays[0]
        whole = np.full((len(arrays), steps, *first.shape[1:]), fill, first.dtype)
        for place, array in zip(whole, arrays, strict=True):
            place[: len(array)] = array
        return whole

    fresh = np.stack([batch.fresh for batch in batches])
    return Batch(
        field("inputs", EOS_ID), field("targets", EOS_ID), field("mask", 0), fresh
    )


def longest(reading: Streams | Sentences) -> Batch:
    """An empty batch of the longest kind that there is."""
    streams = isinstance(reading, Streams)
    steps = reading.window if streams else int(reading.bucket_lengths[-1])
    ids = np.zeros((steps, reading.batch), np.int32)
    return Batch(ids, ids, ids.astype(np.float32), np.zeros(reading.batch, bool))


def free_bytes(device: Any) -> int:
    """Memory that is free on a device; on the CPU, that of the machine per device."""
    known = device.memory_stats()
    if known and "bytes_limit" in known:
        return known["bytes_limit"] - known.get("bytes_in_use", 0)
    with open("/proc/meminfo", encoding="ascii") as file:
        rows = dict(line.split(":") for line in file)
    available = 1024 * int(rows["MemAvailable"].split()[0])
    return available // len(jax.local_devices())
