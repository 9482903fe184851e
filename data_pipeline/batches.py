"""Batches as pure functions of (seed, epoch, step), time-major, NumPy only.

In both readings the target at a position is the token there and the input is the token
before it in the text, `<eos>` before the first: so inputs are the targets shifted by
one, and over an evaluation pass each token is a target exactly once.
"""

import functools
import math
from typing import Any

import numpy as np

from data_pipeline.config import DataConfig
from data_pipeline.dataset import TokenArray
from data_pipeline.errors import DataError
from data_pipeline.vocabulary import EOS_ID
from lm.types import Batch


class Streams:
    """B contiguous lanes of the text, read in windows of T with carried state.

    pad=False (training): lanes of N // B tokens, whole windows only; what is left over
    at the end of the lanes and of the text is not read (Zaremba 2014).
    pad=True (evaluation): lanes of ⌈N / B⌉ tokens, the last window padded and masked,
    each token a target exactly once.

    Args:
      ids: (N,) integers.
    Raises DataError when no window fits.
    """

    def __init__(
        self, ids: np.ndarray, batch: int, window: int, *, pad: bool = False
    ) -> None:
        self.batch, self.window, self.pad = batch, window, pad
        self.ids = ids
        size = len(ids)
        self.lane = math.ceil(size / batch) if pad else size // batch
        self.steps = math.ceil(self.lane / window) if pad else self.lane // window
        if self.steps == 0:
            raise DataError(
                f"a split of {size:,} tokens is shorter than one window of "
                f"{batch} lanes × {window} tokens = {batch * window:,}; lower "
                "data.batch or data.window, or give more text"
            )

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Window `step` < `steps`: (T, B) each; the order is that of the text."""
        del seed, epoch
        _check_step(step, self.steps)
        within_T = step * self.window + np.arange(self.window)
        at_TB = within_T[:, None] + np.arange(self.batch) * self.lane
        real_TB = (within_T[:, None] < self.lane) & (at_TB < len(self.ids))
        fresh_B = np.full(self.batch, step == 0)
        return _gather(self.ids, at_TB, real_TB, fresh_B)


class Sentences:
    """Sentences one by one, each from `<eos>` as its start, bucketed by length.

    Sentences of more than `max_length` tokens are cut into pieces (a piece's first
    input is the token before it). Pieces are padded to one of at most `buckets`
    lengths, chosen so that padding is least, and masked; a bucket's last batch is
    filled up with empty lanes. With `shuffle`, pieces within a bucket and the order of
    batches are drawn anew for each (seed, epoch); without, buckets follow each other
    in text order. Each token is a target exactly once an epoch.
    """

    def __init__(
        self,
        tokens: TokenArray,
        batch: int,
        max_length: int,
        buckets: int = 8,
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
        self.steps = sum(math.ceil(len(m) / batch) for m in self._members)

    @property
    def padding(self) -> float:
        """Share of positions (empty lanes included) in an epoch that are padding."""
        filled = [math.ceil(len(m) / self.batch) * self.batch for m in self._members]
        return 1 - float(self.lengths.sum() / np.dot(filled, self.bucket_lengths))

    @functools.lru_cache(maxsize=4)  # noqa: B019 (lives as long as the data)
    def _plan(self, seed: int, epoch: int) -> list[np.ndarray]:
        batches: list[np.ndarray] = []
        for k, members in enumerate(self._members):
            if self.shuffle:
                members = members[shuffled(len(members), seed, epoch, k)]
            batches += [
                members[i : i + self.batch] for i in range(0, len(members), self.batch)
            ]
        if self.shuffle:
            batches = [batches[i] for i in shuffled(len(batches), seed, epoch, -1)]
        return batches

    def batch_at(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step` < `steps` of an epoch: (T, B) each, T one of the buckets."""
        _check_step(step, self.steps)
        seed, epoch = (seed, epoch) if self.shuffle else (0, 0)
        members = self._plan(seed, epoch)[step]
        length = int(
            self.bucket_lengths[
                np.searchsorted(self.bucket_lengths, self.lengths[members].max())
            ]
        )
        lengths_B = np.zeros(self.batch, np.int64)
        starts_B = np.zeros(self.batch, np.int64)
        lengths_B[: len(members)] = self.lengths[members]
        starts_B[: len(members)] = self.starts[members]
        within_T1 = np.arange(length)[:, None]
        at_TB = starts_B + within_T1
        return _gather(
            self.ids, at_TB, within_T1 < lengths_B, np.full(self.batch, True)
        )


def batches_for(
    config: DataConfig, tokens: TokenArray, *, evaluation: bool = False
) -> Streams | Sentences:
    """The reading that `config` asks for; `evaluation` covers each token once."""
    if config.reading == "streams":
        return Streams(tokens.ids, config.batch, config.window, pad=evaluation)
    shuffle = not evaluation
    return Sentences(tokens, config.batch, config.max_length, shuffle=shuffle)


def one_hot(batch: Batch, size: int) -> Batch:
    """The batch with inputs (T, B, V) float32 in place of ids; made on the device."""
    import jax

    inputs: Any = jax.nn.one_hot(batch.inputs, size)
    return batch._replace(inputs=inputs)


def bucket_lengths(lengths: np.ndarray, buckets: int) -> np.ndarray:
    """At most `buckets` padded lengths with the least padding (exact, by dynamic
    programming over the distinct lengths); the last is the longest length."""
    values, counts = np.unique(lengths, return_counts=True)
    n = len(values)
    total = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: least positions for the j shortest lengths, with the buckets so far.
    cost = np.concatenate([[0], np.full(n, np.inf)])
    choices = []
    for _ in range(min(buckets, n)):
        table = cost[:, None] + (total[None, 1:] - total[:, None]) * values
        table[np.arange(n + 1)[:, None] > np.arange(n)] = np.inf
        choices.append(table.argmin(axis=0))
        cost = np.concatenate([[0], table.min(axis=0)])
    chosen, j = [], n
    for choice in reversed(choices):
        if j > 0:
            chosen.append(values[j - 1])
            j = choice[j - 1]
    return np.array(chosen[::-1], np.int64)


def shuffled(size: int, *key: int) -> np.ndarray:
    """A permutation of range(size) that is the same wherever it is computed.

    The order of SplitMix64 hashes (Steele 2014) of (key, position): NumPy's own
    generators may give other streams in other versions.
    """
    state = np.array([0x2545F4914F6CDD1D], np.uint64)
    for part in key:
        state = _mix(state ^ np.array([part], np.int64).astype(np.uint64))
    return np.argsort(_mix(state ^ np.arange(size, dtype=np.uint64)), kind="stable")


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


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
