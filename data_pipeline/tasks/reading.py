"""Tasks as readings: batches of fresh sequences, functions of seed and number alone."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.tasks.task import Task
from lm.types import Array, Batch

# Numbers that are folded into a seed's key; no step of training reaches them.
STREAMS = {"train": 2**32 - 3, "valid": 2**32 - 4, "test": 2**32 - 5}
TOGETHER, SPOTS = 64, 2**18  # batches, and steps × lanes, that are drawn at once
KEPT = 64  # blocks: one each for so many members of a population


class Sequences:
    """A task's sequences of length T, B a batch, which all begin in it.

    Batch `step` of an epoch is number epoch·steps + step of its split: a function of
    the seed and of that number. It is drawn with others of its block at once, on the
    default device, and kept on the host.

    Args:
      split: "train", "valid" or "test", which have no sequence in common but by chance.
      steps: batches that are called an epoch.
      count: sequences of an evaluation, the same whatever the seed; what is left of the
        last batch counts nothing. 0: all count, and they never come twice.
    """

    def __init__(
        self, task: Task, length: int, batch: int, split: str, steps=1, count=0
    ):
        self.task, self.length, self.batch, self.count = task, length, batch, count
        self.steps = -(-count // batch) if count else steps
        self.seeded = not count
        self._stream = STREAMS[split]
        fitting = max(1, SPOTS // (batch * task.length(length)))
        self._together = min(TOGETHER, self.steps, fitting)

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step` < `steps`: fields (T', B), T' = task.length(T)."""
        number = step if self.count else epoch * self.steps + step
        block, within = divmod(number, self._together)
        drawn = self._block(seed if self.seeded else 0, block)
        batch = Batch(*(field[within] for field in drawn))
        surplus = (step + 1) * self.batch - self.count
        if not self.count or surplus <= 0:
            return batch
        mask_TB = batch.mask.copy()
        mask_TB[:, self.batch - surplus :] = 0
        return batch._replace(mask=mask_TB)

    @lru_cache(maxsize=KEPT)  # noqa: B019 (lives as long as the data)
    def _block(self, seed: int, block: int) -> Any:
        """Batches that are drawn together, on an axis in front."""
        draw = drawing(self.task, self.length, self.batch, self._together)
        key = jax.random.fold_in(jax.random.key(seed), self._stream)
        return jax.device_get(draw(key, np.uint32(block * self._together)))


@lru_cache
def drawing(task: Task, length: int, batch: int, together: int) -> Any:
    """(key, first) -> batches first, first + 1, … of that key, compiled."""

    def draw(key: Array, first: Array) -> Batch:
        numbers_K = first + jnp.arange(together, dtype=jnp.uint32)
        keys_K = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers_K)
        return jax.vmap(lambda k: task.sample(k, batch, length))(keys_K)

    return jax.jit(draw)
