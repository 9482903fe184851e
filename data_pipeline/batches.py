"""Readings of a split: batches as functions of (seed, epoch, step), time-major.

In all of them the target at a position is the token there and the input is the token
before it in the text, `<eos>` before the first: so inputs are the targets shifted by
one, and over an evaluation pass each token is a target exactly once.
"""

from typing import Any

import numpy as np

from data_pipeline.buckets import Bucketed
from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError
from data_pipeline.streams import (
    RandomWindows,
    Reading,
    Streams,
    WholeText,
    gather,
)
from data_pipeline.types import TokenArray
from lm.types import Batch


class Sentences:
    """Sentences one by one, each from `<eos>` as its start, bucketed by length.

    Sentences of more than `max_length` tokens are cut into pieces (a piece's first
    input is the token before it). Pieces are padded to one of at most `buckets`
    lengths, chosen so that padding is least, and masked. What does not fill a bucket's
    last batch goes up into the next bucket; only the very last batch is filled up with
    empty lanes. With `shuffle`, pieces within a bucket and the order of batches are
    drawn anew for each (seed, epoch); without, buckets follow each other in text
    order. Each token is a target exactly once an epoch.
    """

    def __init__(
        self,
        tokens: TokenArray,
        batch: int,
        max_length: int,
        buckets: int = 12,
        *,
        shuffle: bool = True,
    ) -> None:
        self.ids, self.batch = tokens.ids, batch
        self.starts, self.lengths = cut(tokens.starts, max_length)
        if self.lengths.size == 0:
            raise DataError("a split without sentences cannot be batched")
        self.buckets = Bucketed(self.lengths, batch, buckets, shuffle=shuffle)
        self.steps = self.buckets.steps

    @property
    def padding(self) -> float:
        """Share of positions (empty lanes included) of an epoch that are padding."""
        return self.buckets.padding

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step` < `steps` of an epoch: (T, B) each, T one of the buckets."""
        members, length = self.buckets.at(seed, epoch, step)
        lengths_B = np.zeros(self.batch, np.int64)
        starts_B = np.zeros(self.batch, np.int64)
        lengths_B[: len(members)] = self.lengths[members]
        starts_B[: len(members)] = self.starts[members]
        within_T1 = np.arange(length)[:, None]
        real_TB = within_T1 < lengths_B
        return gather(
            self.ids, starts_B + within_T1, real_TB, np.full(self.batch, True)
        )


def lane_axis(field: np.ndarray) -> int:
    """Lanes are axis 1 in every batch, or axis 0 of a field of rank 1."""
    return min(1, field.ndim - 1)


class Shard:
    """What one of `count` processes reads: its own lanes of every batch, of any type.

    The shards of a batch, side by side, are the batch. Raises DataError when the
    lanes cannot be dealt out evenly.
    """

    def __init__(self, whole: Reading, index: int, count: int) -> None:
        if not 0 <= index < count or whole.batch % count:
            raise DataError(
                f"shard {index} of {count}: a batch of {whole.batch} lanes must be a "
                "multiple of the number of processes; change data.batch"
            )
        self._whole, self.steps, self.batch = whole, whole.steps, whole.batch // count
        self._lanes = slice(index * self.batch, (index + 1) * self.batch)

    def batch_at(self, seed: int, epoch: int, step: int) -> Any:
        """The shard's lanes of batch `step`."""
        batch = self._whole.batch_at(seed, epoch, step)
        return type(batch)(*(self._of(field) for field in batch))

    def _of(self, field: np.ndarray) -> np.ndarray:
        return field[(slice(None),) * lane_axis(field) + (self._lanes,)]


class Padded:
    """A reading with lanes added, empty ones, up to a multiple of `devices`; the
    numbers of its batches are those without the empty lanes, whose masks are 0."""

    def __init__(self, whole: Reading, devices: int) -> None:
        self._whole, self.steps = whole, whole.steps
        self.batch = -(-whole.batch // devices) * devices

    def batch_at(self, seed: int, epoch: int, step: int) -> Any:
        """Batch `step`, of the type of the reading's batches."""
        batch = self._whole.batch_at(seed, epoch, step)
        more = self.batch - self._whole.batch
        return type(batch)(*(_with_lanes(field, more) for field in batch))


def _with_lanes(field: np.ndarray, more: int) -> np.ndarray:
    widths = [(0, 0)] * field.ndim
    widths[lane_axis(field)] = (0, more)
    return np.pad(field, widths) if more else field


def batches_for(
    config: DataConfig, tokens: TokenArray, *, evaluation: bool = False
) -> Reading:
    """The reading that `config` asks for; `evaluation` covers each token once."""
    batch, window = config.batch, config.window
    if config.reading == "sentences":
        return Sentences(tokens, batch, config.max_length, shuffle=not evaluation)
    if evaluation:
        return WholeText(tokens.ids, batch, window)
    if config.window_spread:
        return RandomWindows(tokens.ids, batch, window, config.window_spread)
    return Streams(tokens.ids, batch, window)


def cut(starts: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of each piece of at most `longest` tokens, in text order."""
    lengths = np.diff(starts)
    counts = -(-lengths // longest)
    rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    left = np.repeat(lengths, counts) - rank * longest
    return np.repeat(starts[:-1], counts) + rank * longest, np.minimum(left, longest)
