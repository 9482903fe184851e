"""Batches as pure functions of (seed, epoch, step), time-major, NumPy only.

In both readings the target at a position is the token there and the input is the token
before it in the text, `<eos>` before the first: so inputs are the targets shifted by
one, and over an evaluation pass each token is a target exactly once.
"""

import functools
import math
from statistics import NormalDist
from typing import Any, Protocol

import jax
import numpy as np

from data_pipeline.buckets import bucket_lengths
from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError
from data_pipeline.order import random_uniform, shuffled
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS_ID
from lm.types import Batch

HALVED = 0.05  # share of random windows of half the length (Merity 2017)


class Reading(Protocol):
    """A split as batches: `batch_at(seed, epoch, step)` for step < `steps`."""

    batch: int
    steps: int

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch: ...


class Streams:
    """B contiguous lanes of the text, read in windows of T with carried state.

    pad=False (training): lanes of N // B tokens, whole windows only; what is left over
    at the end of the lanes and of the text is not read (Zaremba 2014).
    pad=True (evaluation): lanes of ⌈N / B⌉ tokens, the last window padded and masked,
    each token a target exactly once.

    spread > 0 (training): the windows of an epoch follow each other without gaps as
    before, but their lengths are drawn anew for each (seed, epoch) from N(T, spread²),
    one in twenty from N(T/2, spread²), as AWD-LSTM does (Merity 2017: T 70, spread 5).
    Lengths are multiples of the spread: few shapes, few compilations. The number of
    windows is the same in all epochs; where they would not fit, the last are shorter.

    Args:
      ids: (N,) integers, in memory or mapped.
    Raises DataError when no window fits.
    """

    def __init__(
        self,
        ids: np.ndarray,
        batch: int,
        window: int,
        *,
        pad: bool = False,
        spread: float = 0.0,
    ) -> None:
        self.batch, self.window, self.pad = batch, window, pad
        self.ids, self.spread = ids, 0.0 if pad else spread
        size = len(ids)
        self.lane = math.ceil(size / batch) if pad else size // batch
        self.steps = math.ceil(self.lane / window) if pad else self.lane // window
        if self.steps == 0:
            raise DataError(
                f"a split of {size:,} tokens is shorter than one window of "
                f"{batch} lanes × {window} tokens = {batch * window:,}; lower "
                "data.batch or data.window, or give more text"
            )
        if self.spread:
            mean = window * (1 - HALVED / 2)
            self.steps = max(1, int(self.lane / mean))

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Window `step` < `steps`: (T, B) each; the order is that of the text."""
        _check_step(step, self.steps)
        fresh_B = np.full(self.batch, step == 0)
        if self.pad:
            within_T = step * self.window + np.arange(self.window)
            at_TB = within_T[:, None] + np.arange(self.batch) * self.lane
            real_TB = (within_T[:, None] < self.lane) & (at_TB < len(self.ids))
            return _gather(self.ids, at_TB, real_TB, fresh_B)
        begin, end = step * self.window, (step + 1) * self.window
        if self.spread:
            bounds = self.windows(seed, epoch)
            begin, end = int(bounds[step]), int(bounds[step + 1])
        lanes_BN = self.ids[: self.batch * self.lane].reshape(self.batch, self.lane)
        tokens_BT = np.empty((self.batch, end - begin + 1), np.int32)
        tokens_BT[:, 1:] = lanes_BN[:, begin:end]
        if begin:
            tokens_BT[:, 0] = lanes_BN[:, begin - 1]
        else:  # the last token of the lane before
            tokens_BT[:, 0] = np.append(EOS_ID, lanes_BN[:-1, -1])
        tokens_TB = np.ascontiguousarray(tokens_BT.T)
        mask_TB = np.ones((end - begin, self.batch), np.float32)
        return Batch(tokens_TB[:-1], tokens_TB[1:], mask_TB, fresh_B)

    @functools.lru_cache(maxsize=4)  # noqa: B019 (lives as long as the data)
    def windows(self, seed: int, epoch: int) -> np.ndarray:
        """Where the windows of an epoch begin in their lane, and the last one ends."""
        if not self.spread:
            return np.arange(self.steps + 1) * self.window
        uniform_2N = random_uniform(2 * self.steps, seed, epoch, -2).reshape(2, -1)
        base_N = np.where(uniform_2N[0] < HALVED, self.window / 2, self.window)
        normal_N = np.array([NormalDist().inv_cdf(u) for u in uniform_2N[1]])
        grid = max(1, int(self.spread))
        lengths_N = grid * np.round((base_N + self.spread * normal_N) / grid)
        lengths_N = np.maximum(lengths_N, min(5, self.window)).astype(np.int64)
        bounds = np.concatenate([[0], np.cumsum(lengths_N)])
        latest = self.lane - np.arange(self.steps, -1, -1)  # each is one token at least
        return np.minimum(bounds, latest)


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
        self.ids, self.batch, self.shuffle = tokens.ids, batch, shuffle
        self.starts, self.lengths = _pieces(tokens.starts, max_length)
        if self.lengths.size == 0:
            raise DataError("a split without sentences cannot be batched")
        self.bucket_lengths = bucket_lengths(self.lengths, buckets)
        bucket = np.searchsorted(self.bucket_lengths, self.lengths)
        self._members = [np.flatnonzero(bucket == k) for k in range(max(bucket) + 1)]
        self.steps = math.ceil(len(self.lengths) / batch)

    @property
    def padding(self) -> float:
        """Share of positions (empty lanes included) of an epoch that are padding."""
        longest = [self.lengths[members].max() for members in self._plan(0, 0)]
        at = np.searchsorted(self.bucket_lengths, longest)
        positions = self.batch * self.bucket_lengths[at].sum()
        return 1 - float(self.lengths.sum() / positions)

    @functools.lru_cache(maxsize=4)  # noqa: B019 (lives as long as the data)
    def _plan(self, seed: int, epoch: int) -> list[np.ndarray]:
        """The pieces of each batch."""
        batches: list[np.ndarray] = []
        left = np.zeros(0, np.int64)
        for k, members in enumerate(self._members):
            members = np.concatenate([left, members])
            if self.shuffle:
                members = members[shuffled(len(members), seed, epoch, k)]
            whole = len(members) // self.batch * self.batch
            batches += np.split(members[:whole], whole // self.batch) if whole else []
            left = members[whole:]
        batches += [left] if len(left) else []
        if self.shuffle:
            batches = [batches[i] for i in shuffled(len(batches), seed, epoch, -1)]
        return batches

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step` < `steps` of an epoch: (T, B) each, T one of the buckets."""
        _check_step(step, self.steps)
        seed, epoch = (seed, epoch) if self.shuffle else (0, 0)
        members = self._plan(seed, epoch)[step]
        longest = self.lengths[members].max()
        length = int(self.bucket_lengths[np.searchsorted(self.bucket_lengths, longest)])
        lengths_B = np.zeros(self.batch, np.int64)
        starts_B = np.zeros(self.batch, np.int64)
        lengths_B[: len(members)] = self.lengths[members]
        starts_B[: len(members)] = self.starts[members]
        within_T1 = np.arange(length)[:, None]
        real_TB = within_T1 < lengths_B
        return _gather(
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
) -> Streams | Sentences:
    """The reading that `config` asks for; `evaluation` covers each token once."""
    if config.reading == "streams":
        return Streams(
            tokens.ids,
            config.batch,
            config.window,
            pad=evaluation,
            spread=config.window_spread,
        )
    shuffle = not evaluation
    return Sentences(tokens, config.batch, config.max_length, shuffle=shuffle)


def one_hot(batch: Batch, size: int) -> Batch:
    """The batch with inputs (T, B, V) float32 in place of ids; made on the device."""
    inputs: Any = jax.nn.one_hot(batch.inputs, size)
    return batch._replace(inputs=inputs)


def _pieces(starts: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of each piece of at most `longest` tokens, in text order."""
    lengths = np.diff(starts)
    counts = -(-lengths // longest)
    rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    left = np.repeat(lengths, counts) - rank * longest
    return np.repeat(starts[:-1], counts) + rank * longest, np.minimum(left, longest)


def _gather(
    ids: np.ndarray, at_TB: np.ndarray, real_TB: np.ndarray, fresh_B: np.ndarray
) -> Batch:
    at_TB = np.where(real_TB, at_TB, 0)
    targets_TB = np.where(real_TB, ids[at_TB], EOS_ID).astype(np.int32)
    before_TB = ids[np.maximum(at_TB - 1, 0)]
    inputs_TB = np.where(real_TB & (at_TB > 0), before_TB, EOS_ID).astype(np.int32)
    return Batch(inputs_TB, targets_TB, real_TB.astype(np.float32), fresh_B)


def _check_step(step: int, steps: int) -> None:
    if not 0 <= step < steps:
        raise IndexError(f"step {step} of an epoch with {steps} steps")
