"""Training batches on their way to the device before they are asked for."""

from collections.abc import Iterator

from data_pipeline.batches import Reading
from data_pipeline.prefetch import Prefetch
from experiments.train.engine import Engine
from experiments.train.position import Position
from lm.types import Batch


def upcoming(batches: Reading, seed: int, epoch: int, index: int) -> Iterator[Batch]:
    """All batches from step `index` of `epoch` on, epoch after epoch, without end."""
    while True:
        for step in range(index, batches.steps):
            yield batches.batch_at(seed, epoch, step)
        epoch, index = epoch + 1, 0


def make_feed(engine: Engine, batches: Reading, seed: int, at: Position) -> Prefetch:
    """Iterates over (tokens that count, batch on the device) from `at` on.

    Batches are pure functions of (seed, epoch, step), so that it makes no difference
    to a run how far ahead this one reads, nor where it is stopped.
    """

    def put(batch: Batch) -> tuple[int, Batch]:
        return int(batch.mask.sum()), engine.batch(batch)

    return Prefetch(upcoming(batches, seed, at.epoch, at.index), put)
