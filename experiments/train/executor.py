"""Where the arrays of runs live and who computes: one device, several, many machines.

The loop asks an executor to place arrays, to take steps and to bring state back, and
is the same for all. `One` holds one run on one device. `experiments.train.shared` has
a mesh of devices that share the lanes of each batch, in one process or in a group of
processes that all run the same loop; `experiments.train.many` holds many runs that
differ in numbers alone.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax import lax

from data_pipeline.batches import Reading
from experiments.config import RunConfig
from experiments.run.checkpoint import Checkpoints
from experiments.train.places import Place
from experiments.train.plan import Plan, fresh_state
from experiments.train.probe import make_measure
from experiments.train.scores import Scores, added_up, scores_of
from lm.optim import Hyperparameters
from lm.train import (
    StepInfo,
    TrainState,
    evaluation_params,
    make_eval_step,
    make_train_step,
    numbers_of,
)
from lm.types import Params


class Block(NamedTuple):
    """The batches of so many steps on their devices, stacked if there are several.
    `shape` says which program they need."""

    steps: int
    shape: tuple[Any, ...]
    batches: Any


class Executor(Protocol):
    """Slots for runs of one plan, each with one run's arrays.

    size     slots; devices: those that compute; processes: those of the group.
    leader   whether this process writes files and talks to the user.
    """

    size: int
    devices: int
    processes: int
    leader: bool

    def restart(self, slots: Sequence[int], configs: Sequence[RunConfig]) -> None:
        """Fresh runs of these configs in these slots; the others stay."""

    def template(self) -> TrainState:
        """Shapes and dtypes of a run's state, to read a checkpoint by."""
        ...

    def put(self, slot: int, state: TrainState) -> None:
        """A state from a checkpoint into a slot."""

    def take(self, slot: int) -> TrainState:
        """The state in a slot, every array readable here: what a checkpoint holds. All
        processes have to ask for it."""
        ...

    def params(self, slot: int) -> Params:
        """A run's parameters on one device of this process, to compute with alone."""
        ...

    def averaged(self, slot: int) -> Params:
        """Those that evaluation and samples use."""
        ...

    def probe(self, slot: int) -> dict[str, Any]:
        """A probe of the run in a slot, see `experiments.train.probe`."""
        ...

    def fetch(self, place: Place) -> list[Block]:
        """The batches there, on their way to the devices: one block, or several where
        their shapes differ. Any thread may ask."""
        ...

    def place(self, numbers: Sequence[Sequence[Hyperparameters]]) -> Any:
        """The numbers of each slot in each step of a block, on the devices."""
        ...

    def step(self, block: Block, numbers: Any) -> Any:
        """A block of steps of every slot; what they measured stays on the device."""
        ...

    def infos(self, found: Any, steps: int) -> list[list[StepInfo]]:
        """What `step` gave, on the host: for each step, for each slot."""
        ...

    def evaluate(self, slots: Sequence[int], split: str) -> list[Scores]:
        """The scores on a split of the runs in these slots."""
        ...

    def evaluate_states(self, states: Sequence[Any], split: str) -> list[Scores]:
        """The same of states as checkpoints hold them."""
        ...

    def agree(self, stop: bool, late: list[bool]) -> tuple[bool, list[bool]]:
        """Whether any process has been asked to stop, and whether the time of each run
        is over: the same answer in all processes, after every step."""
        ...

    def checkpoints(self, own: Checkpoints) -> Checkpoints:
        """`own`, as far as this process may use it."""
        ...


class One(Executor):
    """One run on one device of one process; not vmapped."""

    size = devices = processes = 1
    leader = True

    def __init__(self, plan: Plan):
        self.plan = plan
        self.reading = self.lanes_here(plan.reading)
        self._step = self.train_step()
        self._block = jax.jit(fused(self.plain_step()), donate_argnums=0)
        self._evaluate = self.eval_step()
        self.key: Any = None
        self.state: Any = None
        if plan.probed is not None:
            self._probe = jax.jit(make_measure(plan.problem, plan.probed))

    def lanes_here(self, whole: Reading) -> Reading:
        """The lanes of a reading that this process reads."""
        return whole

    def put_batch(self, batch: Any, block: bool = False) -> Any:
        """A batch of `lanes_here`, or a stacked block of them, on the devices."""
        return jax.device_put(batch)

    def everywhere(self, tree: Any) -> Any:
        """Small host values, whole on each device."""
        return jax.device_put(tree)

    def put_state(self, state: TrainState) -> TrainState:
        """A training state from the host, or from one device."""
        return jax.device_put(state)

    def carry(self, params: Params, lanes: int) -> Any:
        """The initial state for the lanes that this process reads."""
        return self.plan.problem.carry(params, lanes)

    def plain_step(self) -> Callable:
        """`lm.train.make_train_step`, not compiled."""
        return train_step(self.plan)

    def train_step(self) -> Callable:
        """`plain_step` compiled; it consumes its state."""
        return jax.jit(self.plain_step(), donate_argnums=0)

    def eval_step(self) -> Callable:
        """`lm.train.make_eval_step` compiled; it consumes its carry."""
        return jax.jit(eval_step(self.plan), donate_argnums=1)

    def here(self, params: Params) -> Params:
        """Parameters on one device of this process, to compute with alone."""
        return params

    def restart(self, slots: Sequence[int], configs: Sequence[RunConfig]) -> None:
        (config,) = configs
        lanes = self.plan.reading.batch
        self.key = self.everywhere(jax.random.key(config.seed))
        self.state = self.put_state(fresh_state(self.plan.problem, config, lanes))

    def template(self) -> TrainState:
        return self.plan.shapes

    def put(self, slot: int, state: TrainState) -> None:
        self.state = self.put_state(state)

    def take(self, slot: int) -> TrainState:
        return self.state

    def params(self, slot: int) -> Params:
        return self.here(self.state.params)

    def averaged(self, slot: int) -> Params:
        return self.here(evaluation_params(self.state))

    def probe(self, slot: int) -> dict[str, Any]:
        return self._probe(self.params(slot))

    def fetch(self, place: Place) -> list[Block]:
        batches = [self.reading.batch_at(*spots[0]) for spots in place if spots[0]]
        return blocks_of(batches, self.put_batch)

    def place(self, numbers: Sequence[Sequence[Hyperparameters]]) -> Any:
        return self.everywhere(squeezed([row[0] for row in numbers]))

    def step(self, block: Block, numbers: Any) -> Any:
        step = self._step if block.steps == 1 else self._block
        with jax.transfer_guard("disallow"):
            self.state, found = step(self.state, block.batches, self.key, numbers)
        return found

    def lower(self) -> Any:
        """The training step for the first batch, lowered but not compiled."""
        seed = self.plan.config.seed
        batch = self.plan.reading.batch_at(seed, 0, 0)
        numbers = numbers_of(self.plan.config)
        return self._step.lower(self.plan.shapes, batch, jax.random.key(0), numbers)

    def infos(self, found: Any, steps: int) -> list[list[StepInfo]]:
        found = jax.device_get(found)
        if steps == 1:
            return [[found]]
        return [[part(found, k)] for k in range(steps)]

    def evaluate(self, slots: Sequence[int], split: str) -> list[Scores]:
        params = evaluation_params(self.state)
        return [self._scores(params, split) for _ in slots]

    def evaluate_states(self, states: Sequence[Any], split: str) -> list[Scores]:
        placed = (evaluation_params(self.put_state(state)) for state in states)
        return [self._scores(params, split) for params in placed]

    def _scores(self, params: Params, split: str) -> Scores:
        """The sums over a split; per batch they are float32, in total float64."""
        return scores_of(added_up(self._sums(params, split)))

    def _sums(self, params: Params, split: str) -> Iterator[Any]:
        """Of each batch, by name."""
        reading = self.lanes_here(self.plan.evaluation(split))
        carry = self.carry(params, reading.batch)
        for number in range(reading.steps):
            batch = reading.batch_at(self.plan.config.seed, 0, number)
            carry, found = self._evaluate(params, carry, self.put_batch(batch))
            yield found

    def agree(self, stop: bool, late: list[bool]) -> tuple[bool, list[bool]]:
        return stop, late

    def checkpoints(self, own: Checkpoints) -> Checkpoints:
        return own


def train_step(plan: Plan) -> Callable:
    """`lm.train.make_train_step` of a plan."""
    return make_train_step(plan.problem, plan.config.optim)


def eval_step(plan: Plan) -> Callable:
    """`lm.train.make_eval_step` of a plan."""
    return make_eval_step(plan.problem)


def fused(step: Callable) -> Callable:
    """A training step as one of several in a row, in one program: batches and numbers
    on a leading axis K, infos likewise."""

    def steps(state: TrainState, batches_K: Any, key: Any, numbers_K: Any):
        def one(state: TrainState, given: Any):
            batch, numbers = given
            return step(state, batch, key, numbers)

        return lax.scan(one, state, (batches_K, numbers_K))

    return steps


def blocks_of(batches: Sequence[Any], put: Callable, axis: int = 0) -> list[Block]:
    """Batches in a row as one block, stacked on `axis`, or as one each where their
    shapes differ; `put` is told whether it gets a stack."""
    shapes = [tuple(np.shape(leaf) for leaf in jax.tree.leaves(b)) for b in batches]
    if len(batches) == 1 or len(set(shapes)) > 1:
        pairs = zip(batches, shapes, strict=True)
        return [Block(1, shape, put(batch, False)) for batch, shape in pairs]
    whole = jax.tree.map(lambda *leaves: np.stack(leaves, axis), *batches)
    count = len(batches)
    return [Block(count, (count, *shapes[0]), put(whole, True))]


def squeezed(rows: Sequence[Any]) -> Any:
    """Trees of Python numbers as one of float32: the only one, or stacked."""
    if len(rows) == 1:
        return jax.tree.map(np.float32, rows[0])
    return as_floats(rows)


def as_floats(trees: Sequence[Any]) -> Any:
    """Trees of Python numbers as one of float32 arrays (N,)."""
    return jax.tree.map(lambda *values: np.array(values, np.float32), *trees)


def part(tree: Any, n: int) -> Any:
    """Entry n of every leaf."""
    return jax.tree.map(lambda x: x[n], tree)
